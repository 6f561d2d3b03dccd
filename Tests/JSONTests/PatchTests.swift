import System
import Testing

@testable import JSON

@Suite("JSON Patch, RFC 6902")
struct PatchTests {
    private func parse(_ text: String) throws -> Document { try Document(parsing: Array(text.utf8)) }

    @Test(
        "the working group's vectors",
        .enabled(if: Suites.exists("json-patch")),
        arguments: [("json-patch/tests.json", 92), ("json-patch/spec_tests.json", 16)]
    )
    func vectors(file: String, expectedCount: Int) throws {
        let cases = try Document(parsing: Suites.bytes(file))
        var count = 0
        for entry in cases.root.elements where entry["disabled"]?.bool != true {
            guard let document = entry["doc"]?.document, let patch = entry["patch"]?.document else { continue }
            let label = entry["comment"]?.string ?? String(decoding: entry.text, as: UTF8.self)
            count += 1
            if entry["error"] != nil {
                #expect(throws: PatchError.self, "\(label)") { try document.applying(patch: patch) }
            } else {
                let result = try document.applying(patch: patch)
                // Some entries only say that the patch applies.
                if let expected = entry["expected"] { #expect(result.root == expected, "\(label)") }
            }
        }
        #expect(count == expectedCount)
    }

    @Test(
        "hostile patches are errors",
        arguments: [
            (#"{"op":"remove","path":"/a"}"#, .malformed, 0), ("[1]", .malformed, 0),
            (#"[{"path":"/a"}]"#, .malformed, 0),
            (#"[{"op":"spam","path":"/a"}]"#, .malformed, 0), (#"[{"op":"add","path":"/a"}]"#, .malformed, 0),
            (#"[{"op":"add","path":"a","value":1}]"#, .malformed, 0),
            (#"[{"op":"add","path":7,"value":1}]"#, .malformed, 0),
            (#"[{"op":"remove","path":"/a/0"},{"op":"remove","path":"/a/99"}]"#, .noTarget, 1),
            (#"[{"op":"replace","path":"/a/00","value":1}]"#, .noTarget, 0),
            (#"[{"op":"replace","path":"/a/99999999999999999999999","value":1}]"#, .noTarget, 0),
            (#"[{"op":"remove","path":""}]"#, .noTarget, 0),
            (#"[{"op":"add","path":"/b/c/d","value":1}]"#, .noTarget, 0),
            (#"[{"op":"move","from":"/b","path":"/b/c"}]"#, .moveIntoItself, 0),
            (#"[{"op":"move","from":"/x","path":"/x"}]"#, .noTarget, 0),
            (#"[{"op":"test","path":"/a","value":[1,2]}]"#, .testFailed, 0),
        ] as [(String, PatchError.Reason, Int)]
    )
    func hostile(patch: String, reason: PatchError.Reason, operation: Int) throws {
        let document = try self.parse(#"{"a":[1,2,3],"b":{"c":1}}"#)
        let patch = try self.parse(patch)
        #expect(throws: PatchError(reason: reason, operation: operation)) { try document.applying(patch: patch) }
    }

    @Test("a patch that doubles the document each time is stopped")
    func doubling() throws {
        let document = try self.parse(#"{"a":[1,2,3]}"#)
        let copies = (0..<60).map { #"{"op":"copy","from":"","path":"/x\#($0)"}"# }
        let patch = try self.parse("[\(copies.joined(separator: ","))]")
        let error = #expect(throws: PatchError.self) {
            try document.applying(patch: patch, limits: ParseLimits(maxBytes: 1 << 20, maxNodes: 100_000))
        }
        #expect(error?.reason == .tooLarge)
    }

    @Test("a patch that nests the document ever deeper is stopped")
    func nesting() throws {
        let document = try self.parse("[]")
        let moves = (0..<5_000).map { _ in #"{"op":"copy","from":"","path":"/0"},{"op":"remove","path":"/1"}"# }
        let patch = try self.parse("[\(moves.joined(separator: ",").dropLast(0))]")
        #expect(throws: PatchError.self) { try document.applying(patch: patch) }
        let deep = (0..<400).map { #"{"op":"add","path":"\#(String(repeating: "/0", count: $0))/-","value":[]}"# }
        let error = #expect(throws: PatchError.self) {
            try document.applying(patch: self.parse("[\(deep.joined(separator: ","))]"))
        }
        #expect(error?.reason == .tooLarge)
    }

    @Test("tests compare values exactly, wherever earlier operations put them")
    func tests() throws {
        let document = try self.parse(#"{"a":{"n":1,"s":"A"},"l":[1]}"#)
        let patch = try self.parse(
            #"""
            [{"op":"add","path":"/a/m","value":[]},{"op":"test","path":"/a","value":{"m":[],"s":"\u0041","n":1.0}},
             {"op":"move","from":"/a","path":"/l/0"},{"op":"test","path":"","value":{"l":[{"n":1e0,"m":[],"s":"A"},1]}}]
            """#
        )
        let expected = try self.parse(#"{"l":[{"n":1,"s":"A","m":[]},1]}"#)
        #expect(try document.applying(patch: patch) == expected)
    }
}

@Suite("Difference")
struct DifferenceTests {
    private func parse(_ text: String) throws -> Document { try Document(parsing: Array(text.utf8)) }

    private func text(_ patch: Patch) -> String { String(decoding: patch.text, as: UTF8.self) }

    @Test(
        "small changes, as they are written",
        arguments: [
            ("{}", "{ }", "[]"),
            (#"{"a":1}"#, #"{"a":2}"#, #"[{"op":"replace","path":"/a","value":2}]"#),
            (#"{"a":1,"x":0}"#, #"{"x":0}"#, #"[{"op":"remove","path":"/a"}]"#),
            ("1", "[1]", #"[{"op":"replace","path":"","value":[1]}]"#),
            (
                #"{"a/b":{"m~n":1,"k":"some text that is long"}}"#, #"{"a/b":{"m~n":2,"k":"some text that is long"}}"#,
                #"[{"op":"replace","path":"/a~1b/m~0n","value":2}]"#
            ),
            (
                #"{"q\"":1,"z":"some text that is long, some text, some text"}"#,
                #"{"q\"":2,"z":"some text that is long, some text, some text"}"#,
                #"[{"op":"replace","path":"/q\"","value":2}]"#
            ),
            (
                #"{"\u00e9\n":1,"z":"some text that is long, some text"}"#,
                #"{"\u00e9\n":2,"z":"some text that is long, some text"}"#,
                #"[{"op":"replace","path":"/é\n","value":2}]"#
            ),
            (
                #"["first element here","second element here"]"#,
                #"["new","first element here","second element here"]"#,
                #"[{"op":"add","path":"/0","value":"new"}]"#
            ),
            (
                #"["first element here","second element here"]"#, #"["second element here"]"#,
                #"[{"op":"remove","path":"/0"}]"#
            ),
        ]
    )
    func examples(old: String, new: String, expected: String) throws {
        #expect(try self.text(self.parse(old).patch(to: self.parse(new))) == expected)
    }

    @Test("applied to the old document the patch gives the new one: 32,000 random pairs", arguments: 0..<4)
    func random(part: Int) throws {
        var generator = SplitMix64(seed: 100 + UInt64(part))
        var changed = 0
        for round in 0..<8_000 {
            let sketch = Sketch.random(&generator)
            let old = try self.parse(sketch.text(&generator))
            let new = try self.parse(sketch.edited(&generator).text(&generator))
            let patch = old.patch(to: new)
            let result = try old.applying(patch: Document(parsing: patch.text))
            let isRight =
                try result == new && result.hash == new.hash && patch.isEmpty == (old == new)
                && Document(parsing: patch.text).root.count == patch.operationCount
                // No more than replacing the document.
                && patch.text.count <= new.text.count + 38
                // A second opinion, which is slow.
                && (round % 5 != 0 || Model.parse(result.text)?.value == Model.parse(new.text)?.value)
            if !isRight { Issue.record("round \(round): \(self.text(patch))") }
            changed += patch.isEmpty ? 0 : 1
        }
        #expect(changed > 3_000)
    }

    @Test("lists of records, edited, moved and replaced at once: 2,000 random pairs")
    func records() throws {
        var generator = SplitMix64(seed: 200)
        for round in 0..<2_000 {
            let count = Int.random(in: 0...40, using: &generator)
            var list = (0..<count).map { (id: $0, value: Int.random(in: 0...3, using: &generator)) }
            let old = try self.parse(Self.list(list))
            for _ in 0..<Int.random(in: 0...6, using: &generator) {
                let place = Int.random(in: 0...list.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: list.insert((Int.random(in: 100...10_000, using: &generator), 0), at: place)
                case 1 where place < list.count: list.remove(at: place)
                case 2 where place < list.count: list[place].value += 1
                case 3 where place < list.count:
                    let moved = list.remove(at: place)
                    list.insert(moved, at: Int.random(in: 0...list.count, using: &generator))
                default: break
                }
            }
            let new = try self.parse(Self.list(list))
            let patch = old.patch(to: new)
            let result = try old.applying(patch: Document(parsing: patch.text))
            #expect(result.text == new.text, "round \(round): \(self.text(patch))")
            let ruled = old.patch(to: new, items: ItemRule(items: Pointer(), key: Pointer("/id")))
            #expect(
                try old.applying(patch: Document(parsing: ruled.text)).text == new.text,
                "round \(round), with a rule"
            )
        }
    }

    /// Records wide enough that replacing one costs more than editing it.
    private static func list(_ records: [(id: Int, value: Int)]) -> String {
        let texts = records.map {
            #"{"id":\#($0.id),"value":\#($0.value),"note":"a text that makes the record \#($0.id) long"}"#
        }
        return "[\(texts.joined(separator: ","))]"
    }

    private static let many = (0..<500).map { (id: 1000 + $0, value: $0 % 7) }

    @Test("a record put in front of 500 is one operation")
    func recordInFront() throws {
        let patch = try self.parse(Self.list(Self.many)).patch(to: self.parse(Self.list([(1, 1)] + Self.many)))
        #expect(patch.operationCount == 1)
    }

    @Test("a window rolled on by ten of 500 records is at most forty operations")
    func rollingWindow() throws {
        let next = Self.many.dropFirst(10) + (0..<10).map { (id: 9000 + $0, value: 0) }
        let (old, new) = try (self.parse(Self.list(Self.many)), self.parse(Self.list(Array(next))))
        let patch = old.patch(to: new)
        #expect(patch.operationCount <= 40)
        #expect(try old.applying(patch: Document(parsing: patch.text)).text == new.text)
    }

    @Test("five of 500 records moved are at most ten operations")
    func movedRecords() throws {
        var list = Self.many
        for (source, target) in [(3, 480), (470, 5), (100, 300), (250, 240), (499, 0)] {
            list.insert(list.remove(at: source), at: target)
        }
        let (old, new) = try (self.parse(Self.list(Self.many)), self.parse(Self.list(list)))
        let patch = old.patch(to: new)
        #expect(patch.operationCount <= 10)
        #expect(try old.applying(patch: Document(parsing: patch.text)).text == new.text)
    }

    @Test("records that moved and changed are told apart by any key: given, nested, with spaces")
    func keys() throws {
        for (name, rule) in [("uid", nil), ("County Name", nil), ("odd", Pointer("/odd")), ("UniqueId", nil)]
            as [(String, Pointer?)]
        {
            func list(_ order: [Int], _ value: Int) -> String {
                let records = order.map {
                    #"{"p":{"\#(name)x":0},"\#(name)":"r\#($0)","v":\#(value),"text":"the long text of record \#($0)"}"#
                }
                return "[\(records.joined(separator: ","))]"
            }
            let old = try self.parse(list(Array(0..<50), 1))
            let new = try self.parse(list([49] + Array(0..<49), 2))
            let patch = old.patch(to: new, items: rule.map { ItemRule(items: Pointer(), key: $0) })
            // One move and a change in each record.
            #expect(patch.operationCount == 51, "\(name)")
            #expect(try old.applying(patch: Document(parsing: patch.text)) == new, "\(name)")
        }
    }

    @Test("a list in which everything changed is replaced, and what surrounds it is not")
    func outgrown() throws {
        let kept = String(repeating: "x", count: 500)
        func document(_ list: [Int]) throws -> Document {
            try self.parse("{\"l\":[\(list.map(String.init).joined(separator: ","))],\"keep\":\"\(kept)\"}")
        }
        let old = try document(Array(0..<2_000))
        let new = try document((0..<2_000).map { $0 * 7 % 2_003 + 5_000 })
        let patch = old.patch(to: new)
        #expect(patch.operationCount == 1)
        #expect(self.text(patch).hasPrefix(#"[{"op":"replace","path":"/l","value":["#))
    }

    @Test("shuffled and alternating lists stay within the size of the value")
    func adversarialLists() throws {
        var generator = SplitMix64(seed: 5)
        let numbers = (0..<50_000).map(String.init)
        let zeros = (0..<50_000).map { $0 % 2 == 0 ? "0" : "1" }
        for (old, new) in [
            (numbers, numbers.shuffled(using: &generator)), (numbers, numbers.reversed()), (zeros, zeros.reversed()),
            (zeros, ["2"] + zeros), (zeros, zeros.shuffled(using: &generator)), (numbers, []), ([], numbers),
        ] {
            let a = try self.parse("[\(old.joined(separator: ","))]")
            let b = try self.parse("[\(new.joined(separator: ","))]")
            let patch = a.patch(to: b)
            #expect(patch.text.count <= b.text.count + 38)
            #expect(try a.applying(patch: Document(parsing: patch.text)) == b)
        }
    }

    @Test("a list too long to align is replaced; of one that changed in step only the element is")
    func tooLongToAlign() throws {
        let list = (0..<300_000).map(String.init)
        let old = try self.parse("[-1,\(list.joined(separator: ",")),-2]")
        let inStep = old.patch(to: try self.parse("[-3,\(list.joined(separator: ",")),-2]"))
        #expect(self.text(inStep) == #"[{"op":"replace","path":"/0","value":-3}]"#)
        let turned = old.patch(to: try self.parse("[-2,\(list.joined(separator: ",")),-1]"))
        #expect(turned.operationCount == 1 && self.text(turned).hasPrefix(#"[{"op":"replace","path":"","value":["#))
    }

    @Test("when every level would write all below it again, the document is replaced")
    func adversarialNesting() throws {
        // A tilde takes two characters in a path: the deeper a value, the longer its operation than its text.
        let name = String(repeating: "~", count: 100)
        func nested(_ value: String) -> String {
            let inner = "[\((0..<200).map { "\(value)\($0)" }.joined(separator: ","))]"
            return String(repeating: "{\"\(name)\":", count: 120) + inner + String(repeating: "}", count: 120)
        }
        let (a, b) = try (self.parse(nested("1")), self.parse(nested("2")))
        let patch = a.patch(to: b)
        #expect(patch.text == Array("[{\"op\":\"replace\",\"path\":\"\",\"value\":".utf8) + b.text + Array("}]".utf8))
        #expect(try a.applying(patch: Document(parsing: patch.text)) == b)
    }
}
