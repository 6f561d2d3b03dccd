import Testing

@testable import JSON

@Suite("Values")
struct ValueTests {
    private func value(_ text: String) throws -> Value { try Document(parsing: Array(text.utf8)).root }

    @Test(
        "integers, however they are written; nil for anything else",
        arguments: [
            ("0", 0), ("-0", 0), ("42", 42), ("-7", -7), ("1e3", 1000), ("5.0", 5), ("120e-1", 12), ("1.5", nil),
            ("1e-1", nil),
            ("9223372036854775807", .max), ("-9223372036854775808", .min), ("9223372036854775808", nil),
            ("-9223372036854775809", nil), ("1e400", nil), ("1e99999999999999999999", nil),
            ("0e99999999999999999999", 0),
            ("\"1\"", nil), ("null", nil), ("9999999999999999999", nil),
        ] as [(String, Int?)]
    )
    func integers(text: String, expected: Int?) throws {
        #expect(try self.value(text).int == expected)
    }

    @Test(
        "doubles; nil for what is out of range",
        arguments: [
            ("1.5", 1.5), ("-0.25e1", -2.5), ("1e400", nil), ("1e-400", 0),
            ("12345678901234567890", 1.2345678901234567e19), ("true", nil),
        ]
            as [(String, Double?)]
    )
    func doubles(text: String, expected: Double?) throws {
        #expect(try self.value(text).double == expected)
    }

    @Test(
        "strings come out unescaped",
        arguments: [
            (#""""#, ""), (#""a\"b\\c\/d""#, "a\"b\\c/d"), (#""\b\f\n\r\t""#, "\u{8}\u{C}\n\r\t"),
            (#""\u0041\u00e9\u65e5""#, "Aé日"),
            (#""\uD83D\uDE00""#, "😀"), (#""\u0000""#, "\u{0}"), (#""plain é""#, "plain é"),
        ]
    )
    func strings(text: String, expected: String) throws {
        #expect(try self.value(text).utf8 == Array(expected.utf8))
        #expect(try self.value(text).string == expected)
    }

    @Test("members and elements in order, by name and by position")
    func containers() throws {
        let value = try self.value(#"{"b":[10,[20],{"c":null}],"a":true,"\u0063":"x"}"#)
        #expect(value.members.map(\.name) == ["b", "a", "c"])
        #expect(value["b"]?.elements.map(\.kind) == [.number, .array, .object])
        #expect(value["b"]?[2]?["c"]?.isNull == true)
        #expect(value["b"]?[1]?.text.elementsEqual("[20]".utf8) == true)
        #expect(value["c"]?.string == "x")
        #expect(value["a"]?.bool == true)
        #expect(value["none"] == nil && value["b"]?[3] == nil && value["b"]?[-1] == nil && value[0] == nil)
        #expect(value["a"]?.members.map(\.name) == [] && value["a"]?.elements.map(\.kind) == [])
    }
}

@Suite("JSON Pointer, RFC 6901")
struct PointerTests {
    @Test(
        "the examples of section 5",
        arguments: [
            ("", nil), ("/foo", #"["bar","baz"]"#), ("/foo/0", #""bar""#), ("/", "0"), ("/a~1b", "1"), ("/c%d", "2"),
            ("/e^f", "3"),
            ("/g|h", "4"), ("/i\\j", "5"), ("/k\"l", "6"), ("/ ", "7"), ("/m~0n", "8"),
        ] as [(String, String?)]
    )
    func examples(text: String, expected: String?) throws {
        let source = #"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#
        let document = try Document(parsing: Array(source.utf8))
        let pointer = try #require(Pointer(text))
        #expect(pointer.description == text)
        #expect(document.value(at: pointer).map { String(decoding: $0.text, as: UTF8.self) } == expected ?? source)
    }

    @Test("what is no pointer", arguments: ["foo", "/~", "/~2", "/a~", "~0", " /a"])
    func invalid(text: String) {
        #expect(Pointer(text) == nil)
    }

    @Test(
        "array positions have no leading zero, sign or excess",
        arguments: ["01", "-1", "+1", "-", "1e0", "2", "99999999999999999999", "", " 1"]
    )
    func positions(token: String) throws {
        let document = try Document(parsing: Array("[1,2]".utf8))
        #expect(document.value(at: Pointer(tokens: [Pointer.Token(token)])) == nil)
    }

    @Test("tokens are told apart by code points, not by what Swift takes for the same text")
    func codePoints() throws {
        let document = try Document(parsing: Array("{\"é\":1,\"e\u{301}\":2}".utf8))
        #expect(document.value(at: try #require(Pointer("/e\u{301}")))?.int == 2)
        #expect(Pointer("/é") != Pointer("/e\u{301}"))
    }

    @Test("pointers are put together and compared")
    func appending() throws {
        let pointer = Pointer().appending("a/b").appending(Pointer.Token("0"))
        #expect(pointer.description == "/a~1b/0")
        #expect(try #require(Pointer("/a~1b")).isPrefix(of: pointer))
        #expect(!pointer.isPrefix(of: Pointer()))
        #expect(try pointer.appending(#require(Pointer("/x/y"))).tokens.count == 4)
    }
}

@Suite("Writer")
struct JSONWriterTests {
    @Test("commas and escapes fall into place")
    func writes() throws {
        var writer = JSONWriter(appendingTo: Array("data: ".utf8))
        writer.object { writer in
            writer.member("text", "\"\\\u{0}\u{1F}\n\t/é\u{2028}")
            writer.member("n", -5)
            writer.member("d", 0.1)
            writer.member("infinite", Double.infinity)
            writer.member("raw", raw: "[1, 2]".utf8)
            writer.name("list")
            writer.array { writer in
                writer.bool(true)
                writer.null()
                writer.array { _ in }
                writer.object { _ in }
            }
        }
        let expected =
            #"data: {"text":"\"\\\u0000\u001f\n\t/é"# + "\u{2028}"
            + #"","n":-5,"d":0.1,"infinite":null,"raw":[1, 2],"list":[true,null,[],{}]}"#
        #expect(String(decoding: writer.text, as: UTF8.self) == expected)
    }

    @Test("what is written reads back, every byte of ASCII and beyond")
    func roundTrip() throws {
        let text = String(String.UnicodeScalarView((0...0x2FF).compactMap { Unicode.Scalar($0) })) + "日😀"
        var bytes: [UInt8] = []
        appendJSONString(text, to: &bytes)
        #expect(try Document(parsing: bytes).root.utf8 == Array(text.utf8))
    }
}
