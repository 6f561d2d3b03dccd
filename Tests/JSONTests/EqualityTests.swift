import System
import Testing

@testable import JSON

@Suite("Equality and hashes")
struct EqualityTests {
    private func parse(_ text: String) throws -> Document { try Document(parsing: Array(text.utf8)) }

    @Test(
        "equal however they are written",
        arguments: [
            ("1", "1.0"), ("1", "1e0"), ("10", "1e1"), ("10e-1", "1"), ("0", "-0"), ("0", "-0.000e99"),
            ("0", "0e999999999999999999"),
            ("100000000000000000000", "1e20"), ("0.00000000000000000000001", "1e-23"), ("123.4500", "1.2345E+2"),
            ("999999999999999999", "999999999999999999.0"), ("1234567890123456789", "1234567890123456789.00"),
            ("1e400", "10e399"), ("-12345678", "-1.2345678e7"), ("0.1234567", "1234567e-7"),
            ("0.12345678", "0.123456780"),
            ("1e18", "1000000000000000000"), ("12e17", "1200000000000000000"), ("1e00000000000000000005", "100000"),
            (#""A""#, #""\u0041""#), (#""/""#, #""\/""#), (#""é""#, #""\u00e9""#), (#""😀""#, #""\ud83d\ude00""#),
            (#"{"a":1,"b":2}"#, #"{"b":2,"a":1.0}"#), (#"{"\u0061":[1,{}]}"#, #"{ "a" : [ 1e0, { } ] }"#),
            (#"{"a":0,"a":1}"#, #"{"a":1}"#), ("1e9999999999999999999", "1e+09999999999999999999"),
        ]
    )
    func equal(left: String, right: String) throws {
        let (a, b) = try (self.parse(left), self.parse(right))
        #expect(a == b)
        #expect(a.hash == b.hash)
        #expect(a.patch(to: b).isEmpty)
    }

    @Test(
        "different though they look alike",
        arguments: [
            ("9007199254740992", "9007199254740993"), ("1", "-1"), ("1", "10"), ("0.1", "0.01"), ("1e400", "1e401"),
            ("12345678901234567890123456789012345678901", "12345678901234567890123456789012345678902"),
            ("1", "1.0000000000000000000000000000000001"), ("1e9999999999999999999", "1e-9999999999999999999"),
            ("0.1", "1"), ("100000000.5", "100000000.05"), ("1", "true"), ("null", "false"), ("\"1\"", "1"),
            ("\"é\"", "\"e\u{301}\""), ("{\"é\":1}", "{\"e\u{301}\":1}"), ("\"\"", "\"\\u0000\""),
            ("\"abcdefgh\"", "\"abcdefg\""), ("\"abcdefgh\"", "\"abcdefgh\\u0000\""), ("[]", "{}"), ("[]", "[[]]"),
            ("[1,2]", "[2,1]"), ("[[1],2]", "[1,[2]]"), (#"{"a":1}"#, #"{"a":1,"b":1}"#),
            (#"{"a":"b"}"#, #"{"b":"a"}"#),
            (#"{"a":{"b":1}}"#, #"{"a":1,"b":1}"#), (#"{"a":null}"#, "{}"),
        ]
    )
    func different(left: String, right: String) throws {
        let (a, b) = try (self.parse(left), self.parse(right))
        #expect(a != b)
        #expect(a.hash != b.hash)
        #expect(!a.patch(to: b).isEmpty)
    }

    @Test("agree with the slow parser on random pairs, by hash and exactly")
    func random() throws {
        var generator = SplitMix64(seed: 3)
        var equals = 0
        for round in 0..<4_000 {
            let sketch = Sketch.random(&generator)
            let left = Array(sketch.text(&generator).utf8)
            let right = Array(
                (generator.chance(3) ? sketch : sketch.edited(&generator)).text(&generator, spaced: true).utf8
            )
            let expected = Model.parse(left)?.value == Model.parse(right)?.value
            let (a, b) = try (Document(parsing: left), Document(parsing: right))
            #expect((a == b) == expected, "round \(round)")
            #expect((a.hash == b.hash) == expected, "round \(round)")
            equals += expected ? 1 : 0
        }
        #expect(equals > 500 && equals < 3_500, "the pairs should be of both sorts")
    }

    @Test("a fraction of any length has the hash of the same number with an exponent")
    func fractions() throws {
        var generator = SplitMix64(seed: 5)
        for round in 0..<20_000 {
            let digits = (0..<(round % 30 + 1)).map { _ in
                generator.chance(3) ? 0 : UInt8.random(in: 0...9, using: &generator)
            }
            let fraction = digits.map { "\($0)" }.joined()
            let integer = generator.pick(["0", "1", "-0", "-7", "123456789", "-122", "999999999999999"])
            let sign = integer.hasPrefix("-") ? "-" : ""
            // Without leading zeros, which an integer may not have.
            let plain = (integer.drop { $0 == "-" } + fraction).drop { $0 == "0" }
            let shifted = "\(sign)\(plain.isEmpty ? "0" : String(plain))e-\(digits.count)"
            let (a, b) = try (self.parse("\(integer).\(fraction)"), self.parse(shifted))
            if a.hash != b.hash || a != b { Issue.record("\(integer).\(fraction) and \(shifted)") }
        }
    }

    @Test("a string with escapes has the hash and the content of the one without")
    func escapes() throws {
        var generator = SplitMix64(seed: 6)
        let pieces: [(plain: String, escaped: String)] = [
            ("a", "\\u0061"), ("é", "\\u00e9"), ("日", "\\u65E5"), ("😀", "\\ud83d\\ude00"), ("/", "\\/"),
            ("plain text, longer than a word", "plain text, longer than a word"), ("x", "x"), ("日本語", "日本語"),
            ("1234567", "1234567"), ("12345678", "12345678"),
        ]
        for _ in 0..<20_000 {
            let chosen = (0..<Int.random(in: 0...8, using: &generator)).map { _ in generator.pick(pieces) }
            let plain = chosen.map(\.plain).joined()
            let mixed = chosen.map { generator.chance(3) ? $0.plain : $0.escaped }.joined()
            let (a, b) = try (self.parse("[\"\(plain)\"]"), self.parse("[\"\(mixed)\"]"))
            let isRight = a == b && a.hash == b.hash && b.root[0]?.string == plain
            if !isRight { Issue.record("\(mixed) is not \(plain)") }
        }
        for letter in ["\"", "\\", "b", "f", "n", "r", "t"] {
            for length in 0..<20 {
                let pad = String(repeating: "x", count: length)
                let text = "\"\(pad)\\\(letter)\(pad)\\u000A\""
                var written: [UInt8] = []
                try appendJSONString(#require(self.parse(text).root.string), to: &written)
                #expect(try self.parse(text).hash == Document(parsing: written).hash, "\(text)")
            }
        }
    }

    @Test("texts are compared to the last byte")
    func texts() {
        for count in 0...140 {
            let text = (0..<count).map { UInt8($0) }
            #expect(textsAreEqual(text, Array(text)))
            #expect(!textsAreEqual(text, text + [0]))
            for position in 0..<count {
                var other = text
                other[position] ^= 0x80
                #expect(!textsAreEqual(text, other))
            }
        }
    }

    @Test("objects of many members compare in any order")
    func shuffledObject() throws {
        var generator = SplitMix64(seed: 4)
        let members = (0..<3_000).map { "\"k\($0)\":\($0)" }
        let a = try self.parse("{\(members.joined(separator: ","))}")
        let b = try self.parse("{\(members.shuffled(using: &generator).joined(separator: ","))}")
        #expect(a == b)
        #expect(a.hash == b.hash)
        #expect(a.patch(to: b).isEmpty)
    }

    @Test("an extracted value is a document of its own, equal to the value parsed alone")
    func extracting() throws {
        let document = try self.parse(#"{"x":1,"data":{"items":[{"id":1,"é":[null]},{"id":2}]}}"#)
        let pointer = try #require(Pointer("/data/items/0"))
        let part = try #require(document.extracting(pointer))
        #expect(String(decoding: part.text, as: UTF8.self) == #"{"id":1,"é":[null]}"#)
        #expect(try part == self.parse(#"{"id":1,"é":[null]}"#))
        #expect(part.hash == document.value(at: pointer)?.hash)
        #expect(part.root["é"]?[0]?.isNull == true)
        #expect(document.extracting(Pointer(tokens: [Pointer.Token("none")])) == nil)
    }
}

@Suite("Ignored values")
struct PointerPatternTests {
    private func parse(_ text: String) throws -> Document { try Document(parsing: Array(text.utf8)) }

    private func patterns(_ texts: [String]) throws -> [PointerPattern] {
        try texts.map { try #require(PointerPattern($0)) }
    }

    @Test(
        "what a pattern matches does not count",
        arguments: [
            (["/at"], #"{"at":1,"v":2}"#, #"{"v":2.0,"at":3}"#, true),
            (["/at"], #"{"at":1,"v":2}"#, #"{"v":2}"#, true),
            (["/at"], #"{"at":1,"v":2}"#, #"{"at":1,"v":3}"#, false),
            (
                ["/items/*/seen"], #"{"items":[{"id":1,"seen":5},{"id":2,"seen":6}]}"#,
                #"{"items":[{"id":1,"seen":7},{"id":2}]}"#, true
            ),
            (["/items/*/seen"], #"{"items":[{"id":1,"seen":5}]}"#, #"{"items":[{"id":2,"seen":5}]}"#, false),
            (["/*/t", "/n"], #"{"a":{"t":1},"b":{"t":2},"n":0}"#, #"{"b":{"t":3},"a":{"t":4}}"#, true),
            (["/1"], "[1,2,3]", "[1,9,3]", true), (["/1"], "[1,2,3]", "[9,2,3]", false),
            (["/a/b/c"], #"{"a":{"b":1}}"#, #"{"a":{"b":2}}"#, false), (["/x"], "1", "1.0", true),
            (["/a", "/a/b"], #"{"a":{"b":1}}"#, #"{}"#, true),
        ] as [([String], String, String, Bool)]
    )
    func hashes(patterns: [String], left: String, right: String, isEqual: Bool) throws {
        let patterns = try self.patterns(patterns)
        let (a, b) = try (self.parse(left), self.parse(right))
        #expect((a.hash(ignoring: patterns) == b.hash(ignoring: patterns)) == isEqual)
    }

    @Test("patterns that match nothing leave the hash as it is")
    func unmatched() throws {
        let document = try self.parse(#"{"a":[1,{"b":"x"}],"c":{}}"#)
        #expect(try document.hash(ignoring: self.patterns(["/z", "/a/7", "/a/1/z", "/*/*/z"])) == document.hash)
        #expect(document.hash(ignoring: []) == document.hash)
    }

    @Test("the empty pattern and what is no pointer are refused", arguments: ["", "a", "/~2"])
    func invalid(text: String) {
        #expect(PointerPattern(text) == nil)
    }

    @Test("a pattern matches pointers of its own length")
    func matches() throws {
        let pattern = try #require(PointerPattern("/items/*/seen"))
        #expect(try pattern.matches(#require(Pointer("/items/3/seen"))))
        #expect(try !pattern.matches(#require(Pointer("/items/3"))))
        #expect(try !pattern.matches(#require(Pointer("/items/3/seen/x"))))
    }
}
