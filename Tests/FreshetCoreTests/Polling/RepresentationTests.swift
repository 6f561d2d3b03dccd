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
        "R09: the separator is the candidate that fits the first records",
        arguments: [
            ("a\tb\n1,5\t2\n", #"[{"a":"1,5","b":"2"}]"#),
            ("a;b\n1,5;\"x;y\"\n", #"[{"a":"1,5","b":"x;y"}]"#),
            ("a;b,c\n1,2\n", #"[{"a;b":"1","c":"2"}]"#),
            ("\"a,b\";c\n1;2\n", #"[{"a,b":"1","c":"2"}]"#),
            ("a|b\n1|2\n", #"[{"a":"1","b":"2"}]"#),
            ("a|b\n1,5|2;3\n", #"[{"a":"1,5","b":"2;3"}]"#),
            ("Ort, Land;Wert\nBerlin;3\n", #"[{"Ort, Land":"Berlin","Wert":"3"}]"#),
            ("Ort, Land;Wert\nBerlin, DE;3\n", #"[{"Ort, Land":"Berlin, DE","Wert":"3"}]"#),
            ("Ort, Land;Wert\nBerlin;1,5\n", #"[{"Ort, Land":"Berlin","Wert":"1,5"}]"#),
            ("Ort, Land, Kreis;Wert\nA, B, C;5\n", #"[{"Ort, Land, Kreis":"A, B, C","Wert":"5"}]"#),
            ("Ort, Land;Wert\n", "[]"),
            ("a;b;c\n1;2;3\n", #"[{"a":"1","b":"2","c":"3"}]"#),
            ("a, b, c\n1, 2, 3\n", #"[{"a":"1"," b":" 2"," c":" 3"}]"#),
            ("1,2\n3,4\n", #"[{"1":"3","2":"4"}]"#),
            ("a\tb|c\n1\t2\n", #"[{"a":"1","b|c":"2"}]"#),
            ("a,b\n\"x;y\",\"1|2\"\n", #"[{"a":"x;y","b":"1|2"}]"#),
            ("sep=;\na;b\n1;2\n", #"[{"a":"1","b":"2"}]"#),
            ("sep=;\r\na,b;c\r\n1,2;3\r\n", #"[{"a,b":"1","c":"3"}]"#.replacing("1\"", with: "1,2\"")),
            ("\"sep=|\"\na|b\n1|2\n", #"[{"a":"1","b":"2"}]"#),
            ("SEP=\t\na\tb\n1\t2\n", #"[{"a":"1","b":"2"}]"#),
            ("\u{FEFF}sep=^\na^b\n1^2\n", #"[{"a":"1","b":"2"}]"#),
            ("sep=;\na,b\n1,2\n", #"[{"a,b":"1,2"}]"#),
        ]
    )
    func separators(csv: String, json: String) throws {
        #expect(try Self.text(of: csv, as: .csv) == json)
    }

    @Test("R09: a table that no separator fits is refused, and not read as one column")
    func noSeparator() {
        for csv in ["a;b\n1;2;3\n", "a|b\n1|2|3\n", "a\tb\n1\n"] {
            #expect(Self.kind(of: Array(csv.utf8), as: .csv) == .malformed)
        }
    }

    @Test("R09: the look for a separator is bounded, and a table goes on behind it")
    func longTables() throws {
        let rows = (0..<2000).map { "\($0);\"text, \($0); more\";1,5\n" }.joined()
        let table = try Self.text(of: "number;text;value\n" + rows, as: .csv)
        #expect(table.hasSuffix(#"{"number":"1999","text":"text, 1999; more","value":"1,5"}]"#))
        let field = String(repeating: "x, ", count: 50_000)
        #expect(try Self.text(of: "a;b\n1;\"\(field)\"\n", as: .csv).hasPrefix(#"[{"a":"1","b":"x, "#))
    }

    @Test(
        "R09: in tab-separated values a quote is text, and nothing but a tab separates",
        arguments: [
            ("name\tsize\nnail\t\"5 inch\n", nil, #"[{"name":"nail","size":"\"5 inch"}]"#),
            ("a,b\tc;d\n\"1\t2\"\n", nil, #"[{"a,b":"\"1","c;d":"2\""}]"#),
            ("a,b\n1,2\n", nil, #"[{"a,b":"1,2"}]"#),
            ("sep=;\tb\n1\t2\n", nil, #"[{"sep=;":"1","b":"2"}]"#),
            ("a\tb\n\t\n", nil, #"[{"a":"","b":""}]"#),
            ("a;b\n\"1;2\";3\n", ";", #"[{"a":"1;2","b":"3"}]"#),
            ("a\tb\n\"1\t2\n", "\t", #"[{"a":"\"1","b":"2"}]"#),
        ] as [(String, String?, String)]
    )
    func tabs(body: String, separator: String?, json: String) throws {
        let type = "Text/Tab-Separated-Values; charset=utf-8"
        #expect(try Self.text(of: Array(body.utf8), as: .csv, type: type, separator: separator) == json)
    }

    @Test("R09: the configured separator wins over a first line and over what would fit")
    func configuredSeparator() throws {
        for (body, separator, json) in [
            ("a:b,c\n1:2,3\n", ":", #"[{"a":"1","b,c":"2,3"}]"#),
            ("sep=;\na:b;c\n1:2;3\n", ":", #"[{"a":"1","b;c":"2;3"}]"#),
            ("a,b\n1,2\n", "\t", #"[{"a,b":"1,2"}]"#),
            ("a\tb\n\"1\t2\"\t3\n", "\t", #"[{"a":"1\t2","b":"3"}]"#),
        ] {
            #expect(try Self.text(of: Array(body.utf8), as: .csv, type: "text/csv", separator: separator) == json)
        }
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
            guard let error = error as? UpstreamError else { return false }
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
        "R22: records of a JSON text sequence are an array",
        arguments: [
            ("\u{1E}{\"a\":1}\n\u{1E}[2]\n\u{1E}\"x\"\n", #"[{"a":1},[2],"x"]"#),
            ("\u{1E}{\n\"a\":\n1}\n\u{1E}\u{1E}\n\u{1E}2\n", #"[{"a":1},2]"#),
            ("\u{1E}{}\u{1E}[]", "[{},[]]"),
            (" \n\u{1E}true\r\n", "[true]"),
            ("\u{FEFF}\u{1E}1 ", "[1]"),
            ("{\"a\":1}\n{\"a\":2}", #"[{"a":1},{"a":2}]"#),
        ]
    )
    func records(text: String, json: String) throws {
        #expect(try Self.text(of: text, as: .ndjson) == json)
    }

    @Test(
        "R22: a record that is broken or may be cut is refused with its number",
        arguments: [
            ("\u{1E}{}\n\u{1E}{\"a\"", 2), ("\u{1E}12", 1), ("\u{1E}1\n\u{1E}tru\n", 2), ("\u{1E}{}\n\u{1E}null", 2),
            ("\u{1E}{} {}\n", 1),
        ]
    )
    func brokenRecords(text: String, number: Int) {
        #expect {
            try Self.text(of: text, as: .ndjson)
        } throws: { error in
            guard let error = error as? UpstreamError else { return false }
            return error.kind == .malformed && error.message.hasPrefix("record \(number) ")
        }
    }

    @Test(
        "R22: media types of lines and records",
        arguments: [
            "application/stream+json", "application/json-seq", "application/geo+json-seq", "application/x-ndjson",
            "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/fhir+ndjson",
            "APPLICATION/Stream+JSON; charset=utf-8", "application/jsonlines", "application/vnd.x+json-seq",
        ]
    )
    func lineTypes(type: String) throws {
        #expect(try Representation.format(ofContentType: Array(type.utf8)).get() == .ndjson)
    }

    @Test("R22: other types of JSON stay one value", arguments: ["application/ld+json", "application/geo+json"])
    func jsonTypes(type: String) throws {
        #expect(try Representation.format(ofContentType: Array(type.utf8)).get() == .json)
    }

    /// A text, its name on the web, and its bytes.
    private static let charsets: [(label: String, text: String, bytes: [UInt8])] = [
        ("iso-8859-1", "café", [0x63, 0x61, 0x66, 0xE9]),
        ("Latin1", "“€”", [0x93, 0x80, 0x94]),
        ("\"windows-1252\"", "é…", [0xE9, 0x85]),
        ("'windows-1250'", "Łódź", [0xA3, 0xF3, 0x64, 0x9F]),
        ("windows-1251", "Привет", [0xCF, 0xF0, 0xE8, 0xE2, 0xE5, 0xF2]),
        ("cp1253", "αβ", [0xE1, 0xE2]),
        ("iso-8859-2", "łž", [0xB3, 0xBE]),
        ("iso-8859-5", "мир", [0xDC, 0xD8, 0xE0]),
        ("iso-8859-7", "αβ", [0xE1, 0xE2]),
        ("iso-8859-15", "€", [0xA4]),
        ("koi8-r", "Привет", [0xF0, 0xD2, 0xC9, 0xD7, 0xC5, 0xD4]),
        ("koi8-u", "їє", [0xA7, 0xA4]),
        ("ibm866", "мир", [0xAC, 0xA8, 0xE0]),
        ("GBK", "中文€", [0xD6, 0xD0, 0xCE, 0xC4, 0xA2, 0xE3]),
        ("gb2312", "中文", [0xD6, 0xD0, 0xCE, 0xC4]),
        ("gb18030", "中😀", [0xD6, 0xD0, 0x94, 0x39, 0xFC, 0x36]),
        ("Shift_JIS", "日本①", [0x93, 0xFA, 0x96, 0x7B, 0x87, 0x40]),
        ("x-sjis", "表\\~", [0x95, 0x5C, 0x5C, 0x7E]),
        ("euc-jp", "日本", [0xC6, 0xFC, 0xCB, 0xDC]),
        ("iso-2022-jp", "日本", [0x1B, 0x24, 0x42, 0x46, 0x7C, 0x4B, 0x5C, 0x1B, 0x28, 0x42]),
        ("big5", "中文", [0xA4, 0xA4, 0xA4, 0xE5]),
        ("euc-kr", "한국", [0xC7, 0xD1, 0xB1, 0xB9]),
        ("ks_c_5601-1987", "똠", [0x8C, 0x63]),
        ("us-ascii", "abc", [0x61, 0x62, 0x63]),
        ("us-ascii", "é", [0xE9]),
        ("utf-8", "é中", Array("é中".utf8)),
    ]

    @Test("R19: CSV, text, JSON and XML in a declared charset", arguments: charsets)
    func charset(label: String, text: String, bytes: [UInt8]) throws {
        let canonical = text.replacing("\\", with: "\\\\")
        func check(_ body: [UInt8], _ format: SourceConfiguration.Format, _ type: String, _ json: String) throws {
            let image = try Self.text(of: body, as: format, type: "\(type);Charset=\(label)")
            #expect(image == json)
        }
        try check(Array("n\n".utf8) + bytes + Array("\n".utf8), .csv, "text/csv", "[{\"n\":\"\(canonical)\"}]")
        try check(bytes, .text, "text/plain", "\"\(canonical)\"")
        let isShifted = text.contains("\\")
        if !isShifted {
            try check(Array("[\"".utf8) + bytes + Array("\"]".utf8), .json, "application/json", "[\"\(canonical)\"]")
            try check(Array("\"".utf8) + bytes + Array("\"\n".utf8), .ndjson, "application/jsonl", "[\"\(canonical)\"]")
        }
        try check(Array("<a>".utf8) + bytes + Array("</a>".utf8), .xml, "text/xml", "{\"a\":\"\(canonical)\"}")
        let name = label.filter { $0 != "\"" && $0 != "'" }
        let declared = Array("<?xml version=\"1.0\" encoding=\"\(name)\"?><a>".utf8) + bytes + Array("</a>".utf8)
        let image = try Self.text(of: declared, as: .xml, type: "application/xml")
        #expect(image == "{\"a\":\"\(canonical)\"}")
    }

    @Test("R19: UTF-16 and UTF-32, with a byte order mark and without")
    func wide() throws {
        let json = "{\"a\":\"é😀\"}"
        let big = json.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
        let little = json.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        let wide = json.unicodeScalars.flatMap {
            [0, UInt8($0.value >> 16), UInt8($0.value >> 8 & 0xFF), UInt8($0.value & 0xFF)]
        }
        let bodies = [big, little, [0xFE, 0xFF] + big, [0xFF, 0xFE] + little, wide, [0, 0, 0xFE, 0xFF] + wide]
        for body in bodies {
            for type in ["application/json", "application/json; charset=utf-16", "application/json; charset=utf-8"] {
                #expect(try Self.text(of: body, as: .json, type: type) == json)
            }
            #expect(try Self.text(of: body, as: .ndjson, type: "application/x-ndjson") == "[\(json)]")
        }
        let table = "a\té\n1\t2\n"
        let tableBytes = table.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        for (body, type) in [([0xFF, 0xFE] + tableBytes, "text/csv"), (tableBytes, "text/csv; charset=utf-16le")] {
            #expect(try Self.text(of: body, as: .csv, type: type) == #"[{"a":"1","é":"2"}]"#)
        }
    }

    @Test(
        "R19: a byte order mark wins, JSON that is UTF-8 is UTF-8, an unknown charset counts as none",
        arguments: [
            (SourceConfiguration.Format.csv, "\u{FEFF}n\né\n", "text/csv; charset=iso-8859-1", #"[{"n":"é"}]"#),
            (.json, "[\"é\"]", "application/json; charset=iso-8859-1", #"["é"]"#),
            (.json, "[\"é\"]", "application/json; charset=binary", #"["é"]"#),
            (.text, "é", "text/plain; charset=none", #""é""#),
            (.text, "é", "text/plain", #""é""#),
            (.xml, "<a>é</a>", "text/xml; charset=undefined", #"{"a":"é"}"#),
            (.xml, "<a>é</a>", "text/xml; charset=", #"{"a":"é"}"#),
            (
                .xml, "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>", "application/xml; charset=utf-8",
                #"{"a":"é"}"#
            ),
            (
                .xml, "\u{FEFF}<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>", "text/xml; charset=latin1",
                #"{"a":"é"}"#
            ),
        ]
    )
    func precedence(format: SourceConfiguration.Format, body: String, type: String, json: String) throws {
        #expect(try Self.text(of: Array(body.utf8), as: format, type: type) == json)
    }

    @Test(
        "R19: bytes that the encoding does not have are refused, and the message names it",
        arguments: [
            (SourceConfiguration.Format.csv, "n\n", [0x81, 0x20], "text/csv; charset=shift_jis", "Shift_JIS (byte 2)"),
            (.text, "ab", [0xC3], "text/plain; charset=utf-8", "UTF-8 (byte 2)"),
            (.text, "ab", [0xFF], "text/plain", "names no other charset"),
            (.text, "ab", [0xFF], "text/plain; charset=klingon", "klingon"),
            (.json, "[\"", [0xFF, 0x22], "application/json; charset=x-klingon", "x-klingon"),
            (.text, "a", [0xD6], "text/plain; charset=gbk", "GBK (byte 1)"),
            (.text, "a", [0x81], "text/plain; charset=latin1", "windows-1252 (byte 1)"),
            (.json, "[\"", [0xFF, 0xFF], "application/json; charset=euc-jp", "EUC-JP (byte 2)"),
            (.xml, "<a>", [0xFF, 0xFF], "text/xml; charset=euc-kr", "EUC-KR (byte 3)"),
            (.xml, "<a>", [0xC3, 0x28], "text/xml", "UTF-8 (byte 3)"),
            (.csv, "\u{FEFF}n\n", [0xFF], "text/csv", "UTF-8 (byte 5)"),
            (.text, "", [0xFF, 0xFE, 0x00, 0xD8, 0x41, 0x00], "text/plain", "UTF-16LE (byte 2)"),
        ] as [(SourceConfiguration.Format, String, [UInt8], String, String)]
    )
    func invalid(format: SourceConfiguration.Format, start: String, bytes: [UInt8], type: String, message: String) {
        #expect {
            try Self.text(of: Array(start.utf8) + bytes, as: format, type: type)
        } throws: { error in
            guard let error = error as? UpstreamError else { return false }
            return error.kind == .encoding && error.message.contains(message)
        }
    }

    @Test("R19: a text that grows beyond the limit when it is converted is refused")
    func growth() throws {
        let limits = ParseLimits(maxBytes: 1000)
        let body = [UInt8](repeating: 0xE9, count: 600)
        for (format, type) in [(SourceConfiguration.Format.text, "text/plain"), (.csv, "text/csv"), (.json, "a/json")] {
            var hints = Representation.Hints(contentType: Array("\(type); charset=latin1".utf8))
            let error = #expect(throws: UpstreamError.self) {
                try Representation.document(from: body, format: format, limits: limits, hints: &hints)
            }
            #expect(error?.kind == .tooLarge)
            #expect(error?.message.contains("windows-1252") == true)
        }
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
            guard let error = error as? UpstreamError else { return false }
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

    static func text(
        of body: [UInt8],
        as format: SourceConfiguration.Format,
        type: String,
        separator: String? = nil
    ) throws -> String {
        var hints = Representation.Hints(contentType: Array(type.utf8), separator: separator?.utf8.first)
        let document = try Representation.document(from: body, format: format, limits: ParseLimits(), hints: &hints)
        return String(decoding: document.text, as: UTF8.self)
    }

    static func text(of body: String, as format: SourceConfiguration.Format) throws -> String {
        let document = try Representation.document(from: Array(body.utf8), format: format, limits: ParseLimits())
        return String(decoding: document.text, as: UTF8.self)
    }

    static func kind(
        of body: [UInt8],
        as format: SourceConfiguration.Format,
        limits: ParseLimits = ParseLimits()
    ) -> UpstreamError.Kind? {
        do {
            _ = try Representation.document(from: body, format: format, limits: limits)
            return nil
        } catch {
            return error.kind
        }
    }
}
