import FreshetCore
import JSON
import Testing

@Suite("Representation")
struct RepresentationTests {
    @Test(
        "a table is an array of its records",
        arguments: [
            ("a,b\n1,2\n", #"[{"a":"1","b":"2"}]"#),
            ("a,b\r\n1,2\r\n3,4", #"[{"a":"1","b":"2"},{"a":"3","b":"4"}]"#),
            ("a,b\r1,2\r", #"[{"a":"1","b":"2"}]"#),
            ("\u{FEFF}a\n1\n", #"[{"a":"1"}]"#),
            ("\u{FEFF}\"a\"\n1\n", #"[{"a":"1"}]"#),
            ("a,b\n,\n", #"[{"a":"","b":""}]"#),
            ("a\n\n\n1\n\n", #"[{"a":"1"}]"#),
            ("a,b\n\"x,y\",\"say \"\"hi\"\"\"\n", #"[{"a":"x,y","b":"say \"hi\""}]"#),
            ("a,b\n\"two\r\nlines\",\"\"\n", #"[{"a":"two\r\nlines","b":""}]"#),
            ("\"a,1\",b\n1,2\n", #"[{"a,1":"1","b":"2"}]"#),
            ("a\n 5\" nail \n", #"[{"a":" 5\" nail "}]"#),
            ("a\n007\n1e3\ntrue\n", #"[{"a":"007"},{"a":"1e3"},{"a":"true"}]"#),
            ("a\n\\\t\u{1}\u{7F}é\u{1F600}\u{2028}\n", "[{\"a\":\"\\\\\\t\\u0001\u{7F}é\u{1F600}\u{2028}\"}]"),
            ("a\n\u{FEFF}x\n", "[{\"a\":\"\u{FEFF}x\"}]"),
            ("a,b\n", "[]"),
        ]
    )
    func table(csv: String, json: String) throws {
        #expect(try Self.text(of: csv, as: .csv) == json)
    }

    @Test(
        "columns without a name of their own get their number",
        arguments: [
            ("a,a\n1,2", #"[{"a":"1","a_2":"2"}]"#),
            ("a,,\n1,2,3", #"[{"a":"1","_2":"2","_3":"3"}]"#),
            ("a,a_3,a\n1,2,3", #"[{"a":"1","a_3":"2","a_3_3":"3"}]"#),
            ("a,a,a_2\n1,2,3", #"[{"a":"1","a_2_2":"2","a_2":"3"}]"#),
            ("a,a,a,a\n1,2,3,4", #"[{"a":"1","a_2":"2","a_3":"3","a_4":"4"}]"#),
        ]
    )
    func columns(csv: String, json: String) throws {
        #expect(try Self.text(of: csv, as: .csv) == json)
    }

    @Test(
        "tabs or semicolons separate where the first record has no comma",
        arguments: [
            ("a\tb\n1,5\t2\n", #"[{"a":"1,5","b":"2"}]"#),
            ("a;b\n1,5;\"x;y\"\n", #"[{"a":"1,5","b":"x;y"}]"#),
            ("a;b,c\n1,2\n", #"[{"a;b":"1","c":"2"}]"#),
            ("\"a,b\";c\n1;2\n", #"[{"a,b":"1","c":"2"}]"#),
        ]
    )
    func separators(csv: String, json: String) throws {
        #expect(try Self.text(of: csv, as: .csv) == json)
    }

    @Test(
        "a table that may have been cut is refused with its place",
        arguments: [
            ("a,b\n1,2\n3", "record 3, which ends at byte 9, has 1 fields"),
            ("a,b\n1,2,3\n", "record 2, which ends at byte 9, has 3 fields"),
            ("a,b\n1,\"2", "the quote that opens at byte 6 never closes"),
            ("a,b\n1,\"2\"x\n", "text after the closing quote at byte 9"),
        ]
    )
    func ragged(csv: String, message: String) {
        #expect {
            try Self.text(of: csv, as: .csv)
        } throws: { error in
            guard let error = error as? PollError else { return false }
            return error.kind == .malformed && error.message.contains(message)
        }
    }

    @Test("a table whose column names would fill the memory is refused")
    func amplification() {
        let csv = String(repeating: "x", count: 50_000) + ",b\n" + String(repeating: "1,2\n", count: 50_000)
        #expect(Self.kind(of: Array(csv.utf8), as: .csv, limits: ParseLimits(maxBytes: 1 << 20)) == .tooLarge)
        // What an ordinary table takes is more than its body, and is not refused.
        let ordinary = "a long column name\n" + String(repeating: "1\n", count: 400)
        #expect(Self.kind(of: Array(ordinary.utf8), as: .csv, limits: ParseLimits(maxBytes: 8 << 10)) == nil)
    }

    @Test("rows are keyed by what tells them apart")
    func keyedRows() throws {
        let csv = "Total,County Name,Cases\n9,Alpine,1\n9,Amador,2\n"
        let document = try Representation.document(from: Array(csv.utf8), format: .csv, limits: ParseLimits())
        #expect(ItemKeyGuess.rule(for: document)?.key?.description == "/County Name")
    }

    @Test(
        "lines of JSON are an array",
        arguments: [
            ("{\"a\":1}\n[2]\n\"x\"\n", #"[{"a":1},[2],"x"]"#),
            ("\u{FEFF}1\r\n\r\n  2 \r\n", "[1,2]"),
            ("9007199254740993", "[9007199254740993]"),
        ]
    )
    func lines(text: String, json: String) throws {
        #expect(try Self.text(of: text, as: .ndjson) == json)
    }

    @Test(
        "each line has to be one value by itself",
        arguments: [
            ("1\n{\"a\":\n2}", 2), ("1,2", 1), ("1\n2],[3", 2), ("[1\n2]", 1), ("{\"a\":1} {\"a\":2}\n", 1),
            ("\"a\nb\"", 1), ("1\n\n{\"a\"", 3),
        ]
    )
    func brokenLines(text: String, line: Int) {
        #expect {
            try Self.text(of: text, as: .ndjson)
        } throws: { error in
            guard let error = error as? PollError else { return false }
            return error.kind == .malformed && error.message.hasPrefix("line \(line) ")
        }
    }

    @Test("F39a: bytes that are not UTF-8 are refused in every format", arguments: SourceConfiguration.Format.allCases)
    func encoding(format: SourceConfiguration.Format) {
        let bodies: [SourceConfiguration.Format: ([UInt8], [UInt8])] = [
            .json: (Array("[\"".utf8), Array("\"]".utf8)), .ndjson: (Array("\"".utf8), Array("\"".utf8)),
            .csv: (Array("a\n".utf8), []), .xml: (Array("<a>".utf8), Array("</a>".utf8)), .text: ([], []),
        ]
        let (head, tail) = bodies[format] ?? ([], [])
        for bytes in [[0xC0, 0x80], [0xED, 0xA0, 0x80], [0xFF], [0xC3]] as [[UInt8]] {
            let kind = Self.kind(of: head + bytes + tail, as: format)
            #expect(kind == .encoding || format == .xml && kind == .malformed)
        }
    }

    @Test("F33: a body of nothing but white space is a failure in every format")
    func empty() {
        for format in SourceConfiguration.Format.allCases {
            #expect(Self.kind(of: [], as: format) == .emptyBody)
            #expect(Self.kind(of: Array(" \r\n\t".utf8), as: format) == .emptyBody)
        }
    }

    @Test(
        "XML that is broken or hostile fails with its place",
        arguments: [
            ("<a><b></a>", PollError.Kind.malformed, "mismatched tag (byte 8)"),
            ("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", .malformed, "entities are never expanded"),
            ("<?xml version='1.0' encoding='x-none'?><a/>", .encoding, "unknown encoding"),
            (String(repeating: "<a>", count: 64), .tooLarge, "elements nested deeper than 63 (byte 189)"),
        ]
    )
    func brokenXML(xml: String, kind: PollError.Kind, message: String) {
        #expect {
            try Self.text(of: xml, as: .xml)
        } throws: { error in
            guard let error = error as? PollError else { return false }
            return error.kind == kind && error.message.contains(message)
        }
    }

    @Test(
        "items of feeds are found, and so is what identifies them",
        arguments: [
            (
                "<rss><channel><title>t</title><item><title>x</title><guid isPermaLink='false'>1</guid></item>"
                    + "<item><title>x</title><guid isPermaLink='false'>2</guid></item></channel></rss>",
                "/rss/channel/item", "/guid/#text"
            ),
            ("<rss><channel><item><guid>1</guid></item></channel></rss>", "/rss/channel/item", "/guid"),
            (
                "<feed><entry><title>a</title><id>1</id></entry><entry><title>b</title><id>2</id></entry></feed>",
                "/feed/entry", "/id"
            ),
            (
                "<kml><Document><Folder><Placemark id='1'/><Placemark id='2'/></Folder></Document></kml>",
                "/kml/Document/Folder/Placemark", "/@id"
            ),
        ]
    )
    func feeds(xml: String, items: String, key: String) throws {
        let document = try Representation.document(from: Array(xml.utf8), format: .xml, limits: ParseLimits())
        let rule = try #require(ItemKeyGuess.rule(for: document))
        #expect(rule.items.description == items)
        #expect(rule.key?.description == key)
    }

    @Test("the collection that the configuration names is an array at any size")
    func collection() throws {
        let pointer = try #require(Pointer("/a/b/c"))
        for (xml, count) in [("<a><b/></a>", 0), ("<a><b><c/></b></a>", 1), ("<a><b><c/><c/></b></a>", 2)] {
            let document = try Representation.document(
                from: Array(xml.utf8),
                format: .xml,
                limits: ParseLimits(),
                collection: pointer
            )
            let collection = try #require(document.value(at: pointer))
            #expect(collection.kind == .array)
            #expect(collection.count == count)
        }
    }

    private static func text(of body: String, as format: SourceConfiguration.Format) throws -> String {
        let document = try Representation.document(from: Array(body.utf8), format: format, limits: ParseLimits())
        return String(decoding: document.text, as: UTF8.self)
    }

    private static func kind(
        of body: [UInt8],
        as format: SourceConfiguration.Format,
        limits: ParseLimits = ParseLimits()
    ) -> PollError.Kind? {
        do {
            _ = try Representation.document(from: body, format: format, limits: limits)
            return nil
        } catch {
            return error.kind
        }
    }
}
