import CAllocations
import Testing

@testable import FreshetFuzzing
@testable import JSON

/// What is kept from one parse to the next: nothing that a document could show, and no more memory than is said.
@Suite("Workspaces of parsers")
struct WorkspaceTests {
    private static let eager = ComparisonCosts(shortestRun: 1, isEndless: true)

    /// A list of records without whitespace, in each of which one number says the version.
    private static func records(_ version: Int, count: Int = 400, behind separator: String = ",") -> [UInt8] {
        let records = (0..<count).map {
            #"{"id":"record-\#($0)","name":"the name of record \#($0)","list":[1,2,{"x":null}],"value":\#($0 * 10 + version)}"#
        }
        return Array("[\(records.joined(separator: separator))]".utf8)
    }

    /// Parses by comparison with `last` and plainly: the tapes, or the errors, have to be the same.
    @discardableResult
    private static func compare(_ bytes: [UInt8], after last: Storage? = nil, limits: ParseLimits = ParseLimits())
        -> Storage?
    {
        let found = bytes.withUnsafeBytes {
            Storage.parse($0, of: bytes, after: last, limits: limits, costs: self.eager)
        }
        let plain = bytes.withUnsafeBytes { Storage.parsePlainly($0, limits: limits) }
        switch (found, plain) {
        case (.success(let found), .success(let plain)):
            #expect(
                ComparisonOracle.difference(plain, found) == nil,
                "\(String(decoding: bytes.prefix(200), as: UTF8.self))"
            )
            return found
        case (.failure(let found), .failure(let plain)): #expect(found == plain)
        case (.success, .failure), (.failure, .success):
            Issue.record("\(found), \(plain): \(String(decoding: bytes.prefix(200), as: UTF8.self))")
        }
        return nil
    }

    // MARK: What is left in it

    @Test(
        "what an earlier parse left in it is not read",
        arguments: Array("9\"\\}],e{[: tu".utf8) + [0x00, 0x80, 0xC3, 0xFF]
    )
    func leftovers(byte: UInt8) throws {
        let text = #"[{"a":1.5e3,"b":"\u00e9\ud83d\ude00"},true,false,null,-0.123456789012345678,"é",{"a":2,"b":[[]]}]"#
        let whole = Array(text.utf8)
        let last = try #require(Self.compare(whole))
        for count in 0...whole.count {
            for earlier in [nil, last] {
                Workspace.with { workspace in
                    func fill(_ memory: UnsafeMutableRawPointer?, _ count: Int) {
                        memory?.initializeMemory(as: UInt8.self, repeating: byte, count: count)
                    }
                    fill(workspace.text(4096), 4096)
                    fill(workspace.frames, Workspace.depth * MemoryLayout<Parser.Frame>.stride)
                    fill(workspace.pairs, (Workspace.depth + 1) * MemoryLayout<Comparison.Pair>.stride)
                    fill(workspace.shapes, NameCheck.slots * 8)
                }
                Self.compare(Array(whole[..<count]), after: earlier)
            }
        }
    }

    @Test(
        "a document deeper than it has room for is read, within the limits",
        arguments: [127, 128, 129, 130, 300, 5000]
    )
    func deep(depth: Int) throws {
        func text(_ inner: String) -> [UInt8] {
            Array(
                (String(repeating: #"[{"a":"#, count: depth / 2) + inner + String(repeating: "}]", count: depth / 2))
                    .utf8
            )
        }
        let last = try #require(Self.compare(text("1"), limits: .widest))
        for inner in ["1", "2", "[]", "[[[]]]", #"{"b":[{"a":1}]}"#] {
            Self.compare(text(inner), after: last, limits: .widest)
            Self.compare(text(inner), after: last, limits: ParseLimits(maxDepth: depth))
            Self.compare(text(inner), limits: ParseLimits(maxDepth: depth + 1))
        }
    }

    @Test("threads that parse at once have one each")
    func threads() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    var last: Storage?
                    for version in 0..<12 {
                        let storage = try #require(Self.compare(Self.records(version + task), after: last))
                        last = storage
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    // MARK: Memory

    private static func room(of text: [UInt8]) -> UnsafeRawPointer? { text.withUnsafeBytes { $0.baseAddress } }

    @Test("a body without whitespace is the document's text, unless much room is behind its end")
    func bodies() throws {
        let exact = Self.records(1)
        let parsed = try Document(parsing: exact)
        #expect(Self.room(of: parsed.text) == Self.room(of: exact))
        let next = Self.records(2)
        let compared = try Document(parsing: next, after: parsed)
        #expect(Self.room(of: compared.text) == Self.room(of: next))
        var wide = exact
        wide.reserveCapacity(exact.count * 2)
        let others: [[UInt8]] = [wide, [0xEF, 0xBB, 0xBF] + exact, Self.records(1, behind: ", "), exact + [0x0A]]
        for body in others {
            let text = try Document(parsing: body).text
            #expect(text == exact)
            #expect(Self.room(of: text) != Self.room(of: body))
            #expect(text.capacity <= text.count + 64)
        }
        let repeated = Array(#"{"a":1,"b":2,"a":3}"#.utf8)
        #expect(try Document(parsing: repeated).text == Array(#"{"b":2,"a":3}"#.utf8))
        #expect(repeated == Array(#"{"a":1,"b":2,"a":3}"#.utf8))
    }

    @Test("a text too long to be kept room for is read alike", arguments: [",", ",\n    "])
    func long(separator: String) throws {
        let count = Workspace.maxTextBytes / 60
        let last = try #require(Self.compare(Self.records(1, count: count, behind: separator)))
        #expect(last.text.count > Workspace.maxTextBytes)
        #expect(last.text.capacity <= last.text.count + last.text.count / 2)
        Self.compare(Self.records(2, count: count, behind: separator), after: last)
    }

    /// Bytes that the second of two calls asks for, which finds what the first left.
    private static func allocated(_ body: () throws -> Void) rethrows -> Int {
        try body()
        let before = callocations_bytes()
        try body()
        return Int(callocations_bytes() - before)
    }

    @Test(
        "a parse asks for its tape, and for its text where that is not the body",
        .enabled(if: callocations_process_count() > 0, "sanitizers bring an allocator of their own")
    )
    func allocations() throws {
        let (before, after) = (Self.records(1), Self.records(2))
        let spaced = Self.records(2, behind: ", ")
        let last = try Document(parsing: before)
        let tape = last.nodeCount * MemoryLayout<Node>.stride
        let compared = try Self.allocated { _ = try Document(parsing: after, after: last) }
        #expect(compared <= tape + tape / 32 + 1024)
        let copied = try Self.allocated { _ = try Document(parsing: spaced, after: last) }
        #expect(copied <= tape + tape / 32 + after.count + 1024)
        let same = try Self.allocated { _ = try Document(parsing: before + [0x20], after: last) }
        #expect(same <= before.count + 1024 + 64)
        // Limits that admit any depth cost nothing where there is none.
        let small = Array(#"{"a":[1,2,3]}"#.utf8)
        let admitted = try Self.allocated { _ = try Document(parsing: small, limits: .widest) }
        #expect(admitted <= 1024)
    }
}
