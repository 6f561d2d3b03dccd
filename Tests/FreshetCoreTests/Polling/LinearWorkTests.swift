import CAllocations
import CLinux
import FreshetCore
import JSON
import Testing

/// What a body costs the poll thread, counted: bytes allocated, which any copy of a whole array shows in, and CPU of this
/// thread alone, which any search shows in.
@Suite("The work of a step is linear in its payload")
struct LinearWorkTests {
    struct Cost {
        var bytes: Double
        var nanoseconds: Double

        /// The cost of the least of so many runs.
        init(runs: Int, _ body: () -> Void) {
            var bytes = Double.infinity
            var nanoseconds = Double.infinity
            for _ in 0..<runs {
                let (allocated, cpu) = (callocations_bytes(), clinux_thread_cpu_ns())
                body()
                bytes = min(bytes, Double(callocations_bytes() - allocated))
                nanoseconds = min(nanoseconds, Double(clinux_thread_cpu_ns() - cpu))
            }
            self.bytes = bytes
            self.nanoseconds = nanoseconds
        }
    }

    /// Payloads of `size` members, elements, rows or names that differ from the last version in a few places.
    enum Shape: String, CaseIterable, Sendable {
        case map, mapThatGrows, mapThatShrinks, mapOfMaps, mapReordered, nestedMaps
        case records, recordsWithoutKey, oneWideRecord, widthInRecords, window
        case numberedNames, repeatedNames
        case lines, table, wideTable, sameColumns
        case xmlSiblings, xmlAfterLongText, xmlAttributes, xmlNames, xmlLongParent

        var contentType: String {
            switch self {
            case .map, .mapThatGrows, .mapThatShrinks, .mapOfMaps, .mapReordered, .nestedMaps, .records,
                .recordsWithoutKey, .oneWideRecord, .widthInRecords, .window, .numberedNames, .repeatedNames:
                "application/json"
            case .lines: "application/x-ndjson"
            case .table, .wideTable, .sameColumns: "text/csv"
            case .xmlSiblings, .xmlAfterLongText, .xmlAttributes, .xmlNames, .xmlLongParent: "application/xml"
            }
        }

        func body(_ size: Int, version: Int) -> String {
            func object(_ range: some Sequence<Int>, _ value: (Int) -> String) -> String {
                "{\(range.map { "\"k\($0)\":\(value($0))" }.joined(separator: ","))}"
            }
            func repeated(_ text: String) -> String { String(repeating: text, count: size) }
            switch self {
            case .map: return object(0..<size) { $0 == size / 2 ? "\(version)" : "true" }
            case .mapThatGrows: return object(0..<(size - 2 + version)) { "\($0)" }
            case .mapThatShrinks: return object(stride(from: 0, to: size, by: version)) { "\($0)" }
            case .mapOfMaps: return object(0..<size) { #"{"v":\#($0 % 7 == 0 ? version : 0),"w":"\#($0)"}"# }
            case .mapReordered:
                return object((0..<size).map { version == 1 ? $0 : size - 1 - $0 }) { $0 == 1 ? "\(version)" : "1" }
            case .nestedMaps:
                return object(0..<(size / 100)) { outer in object(0..<100) { "\($0 == outer % 100 ? version : 0)" } }
            case .records: return "[\((0..<size).map { #"{"id":\#($0),"v":\#($0 % 9 == 0 ? version : 0)}"# }.list)]"
            case .recordsWithoutKey: return "[\((0..<size).map { #"{"a":\#($0 % 2),"v":\#(version)}"# }.list)]"
            case .oneWideRecord: return "[\(object(0..<size) { $0 == 0 ? "\(version)" : "\"\($0)\"" })]"
            case .widthInRecords:
                return "[\((0..<4).map { _ in object(0..<(size / 4)) { "\($0 % 2 * version)" } }.list)]"
            case .window: return "[\((0..<size).map { #"{"id":"\#($0 + version * 10)"}"# }.list)]"
            case .numberedNames: return object(0..<size) { "[\($0 + version)]" }
            case .repeatedNames: return "{\(repeated(#""a":1,"#))\"a\":\(version)}"
            case .lines: return (0..<size).map { #"{"id":\#($0),"v":\#(version)}"# }.joined(separator: "\n")
            case .table:
                return "id,v\n" + (0..<size).map { "\($0),\($0 % 5 == 0 ? version : 0)" }.joined(separator: "\n")
            case .wideTable:
                return (0..<size).map { "c\($0)" }.list + "\n" + (0..<size).map { "\($0 % 3 * version)" }.list
            case .sameColumns:
                return (0..<size).map { _ in "c" }.list + "\n" + (0..<size).map { "\($0 * version)" }.list
            case .xmlSiblings: return "<r>\((0..<size).map { "<a>\($0 * version)</a>" }.joined())</r>"
            case .xmlAfterLongText:
                return "<r><a>\(repeated("text ")) \(version)</a>\(repeated("<a>x</a>"))</r>"
            case .xmlAttributes: return "<r \((0..<size).map { "a\($0)='\(version)'" }.joined(separator: " "))/>"
            case .xmlNames: return "<r>\((0..<size).map { "<a\($0)>\(version)</a\($0)>" }.joined())</r>"
            case .xmlLongParent:
                let parent = repeated("parent")
                return "<\(parent)>\(repeated("<a/>"))<b>\(version)</b></\(parent)>"
            }
        }
    }

    /// The cost of steps over such payloads, the first of which is not counted.
    private func cost(_ shape: Shape, _ size: Int, runs: Int) -> Cost {
        var trace = Trace {
            $0.maxDeleteRatio = 1
            $0.maxBodyBytes = 64 << 20
        }
        let bodies = [shape.body(size, version: 1), shape.body(size, version: 2)]
        var steps = 0
        func step() {
            let answer = Answer.body(bodies[steps % 2], contentType: shape.contentType)
            #expect(trace.poll(answer).outcome == .changed)
            steps += 1
        }
        step()
        return Cost(runs: runs, step)
    }

    @Test("A26 eight times the payload takes eight times the work, not sixty-four times", arguments: Shape.allCases)
    func scaling(shape: Shape) {
        let small = self.cost(shape, 500, runs: 3)
        let large = self.cost(shape, 4000, runs: 2)
        #expect(large.bytes <= 20 * max(small.bytes, 1), "\(small) \(large)")
        #expect(large.nanoseconds < 32 * max(small.nanoseconds, 500_000), "\(small) \(large)")
    }

    @Test("A26 members that may change with every poll are searched in a bounded part of the value")
    func volatileMembers() {
        func cost(_ size: Int) -> Cost {
            var trace = Trace { $0.maxDeleteRatio = 1 }
            // The members that are looked at stand at the front in one version and at the back in the next.
            let front = (0..<256).map { "\"m\($0)\":" }
            let rest = (0..<size).map { "\"k\($0)\":0" }.list
            func body(_ version: Int) -> String {
                let members = front.map { "\($0)\(version)" }.list
                return version % 2 == 0 ? "{\(members),\(rest)}" : "{\(rest),\(members)}"
            }
            for version in 0..<4 { _ = trace.poll(.body(body(version))) }
            return Cost(runs: 1) {
                for version in 4..<14 { #expect(trace.poll(.body(body(version))).outcome == .changed) }
            }
        }
        let (small, large) = (cost(600), cost(4800))
        #expect(large.nanoseconds < 20 * small.nanoseconds, "\(small) \(large)")
    }

    @Test("A26 a merge patch of 400,000 members allocates a bounded number of bytes for each")
    func merge() throws {
        let size = 400_000
        func document(_ version: Int) throws -> Document {
            let members = (0..<size).map { "\"k\($0)\":\($0 % 1000 == 0 ? version : 0)" }
            return try Document(parsing: Array("{\(members.list)}".utf8))
        }
        let (old, new) = (try document(1), try document(2))
        let before = callocations_bytes()
        let patch = try #require(old.mergePatch(to: new))
        #expect(callocations_bytes() - before <= 512 * UInt64(size))
        #expect(patch.count { $0 == UInt8(ascii: ":") } == size / 1000)
    }

    @Test(
        "A26 a patch with tens of thousands of removals and additions in one long array applies",
        arguments: [1, 2, 3]
    )
    func application(kind: Int) throws {
        let size = 100_000
        let all = (0..<size).map { #"{"id":\#($0),"text":"the element's own text, as long as an operation"}"# }
        let odd = all.enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
        let shuffled: [String] = Array(all[(size / 2)...]) + Array(all[..<(size / 2)])
        let long = try Document(parsing: Array("[\(all.list)]".utf8))
        let short = try Document(parsing: Array("[\((kind == 3 ? shuffled : odd).list)]".utf8))
        let (old, new) = kind == 2 ? (short, long) : (long, short)
        let rule = ItemRule(items: Pointer(), key: Pointer("/id"))
        let patch = old.patch(to: new, items: rule)
        #expect(patch.operationCount >= size / 2 - 1)
        let applied = try old.applying(patch: Document(parsing: patch.text, limits: .widest), limits: .widest)
        #expect(applied.text == new.text)
    }
}

extension [String] {
    fileprivate var list: String { self.joined(separator: ",") }
}
