import Foundation
import System
import Testing

@testable import FreshetFuzzing
@testable import JSON

/// What is parsed by comparison with the last version, against the plain parser.
@Suite("Parsing by comparison")
struct ComparisonTests {
    /// Every run of one byte is taken over, and nothing is given up: far more runs than in service.
    private static let eager = ComparisonCosts(shortestRun: 1, isEndless: true)

    /// Parses both ways; the tapes, the texts and the errors have to be the same.
    ///
    /// - Returns: what was parsed by comparison.
    @discardableResult
    private static func compare(
        _ bytes: [UInt8],
        after last: Storage?,
        limits: ParseLimits = ParseLimits(),
        costs: ComparisonCosts = ComparisonCosts(),
        _ label: @autoclosure () -> String = ""
    ) -> Storage? {
        let plain = bytes.withUnsafeBytes { Storage.parsePlainly($0, limits: limits) }
        let compared = bytes.withUnsafeBytes { Storage.parse($0, of: bytes, after: last, limits: limits, costs: costs) }
        switch (plain, compared) {
        case (.success(let plain), .success(let compared)):
            let difference = ComparisonOracle.difference(plain, compared)
            #expect(difference == nil, "\(label()): \(String(decoding: bytes.prefix(2000), as: UTF8.self))")
            return compared
        case (.failure(let plain), .failure(let compared)):
            #expect(plain == compared, "\(label()): \(String(decoding: bytes.prefix(2000), as: UTF8.self))")
        case (.success, .failure), (.failure, .success):
            Issue.record("\(label()): \(plain), \(compared): \(String(decoding: bytes.prefix(2000), as: UTF8.self))")
        }
        return nil
    }

    // MARK: Random versions

    /// `FRESHET_PAIRS` chains of versions; the default takes a few seconds.
    private static let chains = ProcessInfo.processInfo.environment["FRESHET_PAIRS"].flatMap(Int.init) ?? 1500

    @Test("random versions give the same tape, or the same error", arguments: [false, true])
    func random(isEager: Bool) {
        for chain in 0..<Self.chains {
            var generator = SplitMix64(seed: UInt64(chain) &+ (isEager ? 1 << 32 : 0))
            var limits = ParseLimits()
            if generator.chance(8) { limits.maxNodes = Int.random(in: 1...200, using: &generator) }
            if generator.chance(8) { limits.maxDepth = Int.random(in: 1...8, using: &generator) }
            var sketch = Self.sketch(&generator)
            var last: Storage?
            for version in 0..<4 {
                var bytes = Array(sketch.text(&generator, spaced: generator.chance(2)).utf8)
                if version > 0, generator.chance(2) { Self.damage(&bytes, &generator) }
                let storage = Self.compare(
                    bytes,
                    after: last,
                    limits: limits,
                    costs: isEager ? Self.eager : ComparisonCosts(),
                    "chain \(chain), version \(version)"
                )
                if let storage, let last { Self.expectSamePatch(last, storage, chain) }
                last = storage ?? last
                sketch = sketch.edited(&generator)
            }
        }
    }

    /// A document of some length, so that it is compared at all.
    private static func sketch(_ generator: inout SplitMix64) -> Sketch {
        let parts = (0..<Int.random(in: 1...24, using: &generator)).map { _ in Sketch.random(&generator, depth: 1) }
        guard generator.chance(2) else { return .array(parts) }
        return .object(parts.map { (generator.pick(Sketch.names + ["x1", "x2", "x3", "x4", "x5"]), $0) })
    }

    /// Changes bytes, mostly so that the text is no JSON any more.
    private static func damage(_ bytes: inout [UInt8], _ generator: inout SplitMix64) {
        let choices: [UInt8] = Array("\"\\{}[],:-+.eE0019tfnu \n\u{1F}ad8".utf8) + [0xC3, 0xEF, 0]
        for _ in 0..<Int.random(in: 1...3, using: &generator) where !bytes.isEmpty {
            let position = Int.random(in: 0..<bytes.count, using: &generator)
            let end = min(bytes.count, position + Int.random(in: 1...40, using: &generator))
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: bytes.removeSubrange(position..<end)
            case 1: bytes.insert(contentsOf: bytes[position..<end], at: position)
            case 2: bytes.insert(generator.pick(choices), at: position)
            case 3: bytes.removeSubrange(position...)
            default: bytes[position] = generator.pick(choices)
            }
        }
    }

    private static func expectSamePatch(_ old: Storage, _ new: Storage, _ chain: Int) {
        let plain = new.text.withUnsafeBytes { Storage.parsePlainly($0, limits: .widest) }
        guard case .success(let plain) = plain else {
            Issue.record("chain \(chain): a text that was accepted is refused")
            return
        }
        let patch = Document(storage: old).patch(to: Document(storage: new)).text
        #expect(patch == Document(storage: old).patch(to: Document(storage: plain)).text, "chain \(chain)")
    }

    // MARK: Single cases

    /// A record that is longer than the shortest run.
    private static func record(_ id: Int, _ value: Int = 0) -> String {
        #"{"id":"\#(id)-record","name":"the name of record \#(id)","list":[1,2,{"x":null}],"value":\#(value)}"#
    }

    private static func list(_ ids: some Sequence<Int>, value: Int = 0) -> [UInt8] {
        Array("[\(ids.map { self.record($0, value) }.joined(separator: ",")),0]".utf8)
    }

    @Test(
        "what is put in, taken out, moved or cut is read as it is",
        arguments: [
            list(0..<40), list(1..<40), list(0..<41), list(10..<50), list((0..<40).reversed()), list(0..<39),
            list([0, 0, 0, 1, 1, 5]), list((0..<20).map { $0 * 3 % 20 }), list(0..<40, value: 1), list(0..<1),
            Array("[]".utf8), Array("{}".utf8), list(0..<40).dropLast(3) + [UInt8(ascii: "]")],
            Array(#"{"a":"#.utf8) + list(0..<40) + Array("}".utf8), list(0..<40) + list(0..<1),
            list(0..<40).dropLast(), Array("[[".utf8) + list(0..<40).dropFirst(),
        ] as [[UInt8]]
    )
    func edits(text: [UInt8]) throws {
        let first = try #require(Self.compare(Self.list(0..<40), after: nil))
        for costs in [ComparisonCosts(), Self.eager] {
            Self.compare(text, after: first, costs: costs)
            guard let second = Self.compare(text, after: nil) else { continue }
            Self.compare(Self.list(0..<40), after: second, costs: costs)
        }
    }

    @Test("names in another order, or twice, are found out")
    func names() throws {
        func object(_ numbers: [Int]) -> [UInt8] {
            Array("{\(numbers.map { #""name \#($0)":"a value of some length, \#($0)""# }.joined(separator: ","))}".utf8)
        }
        let all = Array(0..<40)
        let first = try #require(Self.compare(object(all), after: nil))
        let others = [
            all.reversed(), [7] + all, all + [7], all.filter { $0 % 5 > 0 }, [39] + all.dropLast(), all + [41],
            Array(0..<20) + [3] + Array(20..<40), [50, 51] + all, [],
        ]
        for numbers in others {
            for costs in [ComparisonCosts(), Self.eager] { Self.compare(object(numbers), after: first, costs: costs) }
        }
    }

    @Test("a token that goes on, or an old text that ends, is not cut")
    func tokens() throws {
        let texts = [
            "123", "1234", "12", "\"ab\"", "\"abc\"", "[1]", "[12]", "[1,2]", "[1", "[]", "[1,]", "[tru]", "[true]",
            "[true,false]", "[\"a\"]", "[\"a\",\"b\"]", "{\"a\":1}", "{\"a\":12}", "{\"a\":{}}", "{\"a\":[]}",
            "{\"a\"}",
            "{\"a\":1,}", "{\"a\":1,\"b\":2}", "[[1],[2]]", "[[1],[2],[3]]", "[[1,[2]]]", "{\"a\":{\"b\":1}}", "{", "",
            "{\"a\":[1,{\"b\":2}],\"c\":3}", "{\"a\":{\"b\":[2],\"b\":1},\"c\":3}", "[[1,2],{\"a\":1},3]",
            "[{\"a\":1},[1,2],3]",
            "{\"a\":{\"b\":1},\"a\":2}", "{\"a\":[1],\"a\":[2]}", "{\"a\":{},\"b\":1,\"a\":{}}",
        ]
        for old in texts {
            let last = Self.compare(Array(old.utf8), after: nil)
            for new in texts { Self.compare(Array(new.utf8), after: last, costs: Self.eager, "\(old), \(new)") }
        }
    }

    @Test("a document from wider limits is not trusted with narrower ones")
    func limits() throws {
        let deep = Array((String(repeating: "[", count: 20) + "1" + String(repeating: "]", count: 20)).utf8)
        let last = try #require(Self.compare(deep, after: nil, limits: .widest))
        let limits = ParseLimits(maxDepth: 10)
        Self.compare(deep, after: last, limits: limits, costs: Self.eager)
        let few = ParseLimits(maxNodes: 5)
        Self.compare(deep, after: try #require(Self.compare(deep, after: nil)), limits: few, costs: Self.eager)
    }

    @Test("after a loss the next versions are parsed plainly, then compared again")
    func pause() throws {
        func version(_ number: Int) -> [UInt8] {
            // What is equal is just long enough to be taken over, and too short to pay.
            let parts = (0..<400).map {
                "\"a text of fifty characters that is the same \($0 + 1000)\",\($0 * 7 + number)"
            }
            return Array("[\(parts.joined(separator: ","))]".utf8)
        }
        var last = try #require(Self.compare(version(1), after: nil))
        var pauses: [Int] = []
        for number in 2..<20 {
            last = try #require(Self.compare(version(number), after: last))
            pauses.append(last.plainVersions)
        }
        #expect(Array(pauses.prefix(17)) == Array((0...15).reversed()) + [15])
    }

    @Test("a value of another kind than the old one costs nothing, and what follows it is compared")
    func strange() throws {
        let rest = String(decoding: Self.list(100..<140), as: UTF8.self)
        func wrapped(_ text: String) -> [UInt8] { Array(#"{"data":\#(text),"rest":\#(rest)}"#.utf8) }
        let map = (0..<400).map { #""member \#($0)":\#($0 * 7)"# }.joined(separator: ",")
        let list = String(decoding: Self.list(0..<40), as: UTF8.self)
        for (old, new) in [(list, "{\(map)}"), ("{\(map)}", list)] {
            let first = try #require(Self.compare(wrapped(old), after: nil))
            let second = try #require(Self.compare(wrapped(new), after: first))
            #expect(second.plainVersions == 0, "it was a loss")
            Self.compare(wrapped(new), after: first, costs: Self.eager)
        }
        let alone = try #require(Self.compare(Array(#"{"data":\#(list)}"#.utf8), after: nil))
        let other = try #require(Self.compare(Array(#"{"data":{\#(map)}}"#.utf8), after: alone))
        #expect(other.plainVersions == 0, "it was a loss")
    }

    @Test("a part of the text is compared with a version of that part", arguments: [false, true])
    func parts(isEager: Bool) throws {
        let costs = isEager ? Self.eager : ComparisonCosts()
        let way = ["data", "items"].map { documentHash(ofName: Array($0.utf8)) }
        func wrapped(_ text: [UInt8], _ number: Int) -> [UInt8] {
            switch number % 6 {
            case 0: Array(#"{"data":{"items":"#.utf8) + text + Array("}}".utf8)
            case 1: Array(#"{"at":17,"data":{"n":1,"items":"#.utf8) + text + Array(#","next":null},"end":[1]}"#.utf8)
            case 2: Array(#"{"data":{"items":1,"items":"#.utf8) + text + Array(#","items":2}}"#.utf8)
            case 3: Array(#"{"data":{"n":[1]},"more":{"items":"#.utf8) + text + Array("}}".utf8)
            case 4: Array(#"{"data":{"items":"#.utf8) + text + Array("}".utf8)
            default: Array(#"{"items":"#.utf8) + text + Array(#","data":[{"items":1}]}"#.utf8)
            }
        }
        let pointer = try #require(Pointer("/data/items"))
        for chain in 0..<Self.chains / 3 {
            var generator = SplitMix64(seed: UInt64(chain) &+ 2 << 32)
            var sketch = Self.sketch(&generator)
            var last: Storage?
            let limits = ParseLimits(maxDepth: generator.chance(4) ? Int.random(in: 2...8, using: &generator) : 128)
            for version in 0..<4 {
                let text = generator.chance(12) ? Self.list(0..<20) : Array(sketch.text(&generator).utf8)
                let bytes = wrapped(text, generator.chance(3) ? Int.random(in: 0..<6, using: &generator) : 1)
                let plain = bytes.withUnsafeBytes { Storage.parsePlainly($0, limits: limits) }
                let found = bytes.withUnsafeBytes {
                    Storage.parse($0, after: last, at: way, limits: limits, costs: costs)
                }
                switch (plain, found) {
                case (.success(let plain), .success(let found)):
                    #expect(ComparisonOracle.difference(plain, found) == nil, "chain \(chain), version \(version)")
                    last = Document(storage: found).extracting(pointer)?.storage ?? last
                case (.failure(let plain), .failure(let found)): #expect(plain == found)
                case (.success, .failure), (.failure, .success): Issue.record("chain \(chain), version \(version)")
                }
                if generator.chance(2) { sketch = sketch.edited(&generator) }
            }
        }
    }

    @Test("a text that is the same but for its whitespace is the same document")
    func whitespace() throws {
        let first = try Document(parsing: Self.list(0..<40))
        let spaced = Self.list(0..<40).flatMap { $0 == UInt8(ascii: ",") ? [$0, 0x0A, 0x20] : [$0] }
        #expect(try Document(parsing: spaced, after: first).storage === first.storage)
    }

    @Test(
        "real histories give the same tapes and patches",
        .enabled(if: Suites.exists("upstream-sequences")),
        arguments: HistoryTests.histories.map(\.0)
    )
    func histories(name: String) throws {
        try Suites.unpacking("upstream-sequences/\(name).tar.xz") { folder in
            let folder = folder.appendingPathComponent(name)
            var last: Storage?
            let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
            for file in files where file != "index.json" {
                let bytes = try [UInt8](Data(contentsOf: folder.appendingPathComponent(file)))
                let storage = try #require(Self.compare(bytes, after: last, file))
                if let last { Self.expectSamePatch(last, storage, 0) }
                last = storage
            }
        }
    }
}
