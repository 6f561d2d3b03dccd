import Testing

@testable import JSON

@Suite("Parsing")
struct ParsingTests {
    static let suite = "json-parsing/test_parsing"

    /// What the suite leaves open: numbers of any size are kept as text, broken text is refused, a byte order mark is
    /// dropped, and 500 levels are more than the default limit.
    static let accepted: Set<String> = [
        "i_number_double_huge_neg_exp.json", "i_number_huge_exp.json", "i_number_neg_int_huge_exp.json",
        "i_number_pos_double_huge_exp.json", "i_number_real_neg_overflow.json", "i_number_real_pos_overflow.json",
        "i_number_real_underflow.json", "i_number_too_big_neg_int.json", "i_number_too_big_pos_int.json",
        "i_number_very_big_negative_int.json", "i_structure_UTF-8_BOM_empty_object.json",
    ]
    static let refused: [String: ParseError.Reason] = [
        "i_object_key_lone_2nd_surrogate.json": .loneSurrogate,
        "i_string_1st_surrogate_but_2nd_missing.json": .loneSurrogate,
        "i_string_1st_valid_surrogate_2nd_invalid.json": .loneSurrogate,
        "i_string_UTF-16LE_with_BOM.json": .unexpectedCharacter,
        "i_string_UTF-8_invalid_sequence.json": .invalidUTF8,
        "i_string_UTF8_surrogate_U+D800.json": .invalidUTF8,
        "i_string_incomplete_surrogate_and_escape_valid.json": .loneSurrogate,
        "i_string_incomplete_surrogate_pair.json": .loneSurrogate,
        "i_string_incomplete_surrogates_escape_valid.json": .loneSurrogate,
        "i_string_invalid_lonely_surrogate.json": .loneSurrogate,
        "i_string_invalid_surrogate.json": .loneSurrogate,
        "i_string_invalid_utf-8.json": .invalidUTF8,
        "i_string_inverted_surrogates_U+1D11E.json": .loneSurrogate,
        "i_string_iso_latin_1.json": .invalidUTF8,
        "i_string_lone_second_surrogate.json": .loneSurrogate,
        "i_string_lone_utf8_continuation_byte.json": .invalidUTF8,
        "i_string_not_in_unicode_range.json": .invalidUTF8,
        "i_string_overlong_sequence_2_bytes.json": .invalidUTF8,
        "i_string_overlong_sequence_6_bytes.json": .invalidUTF8,
        "i_string_overlong_sequence_6_bytes_null.json": .invalidUTF8,
        "i_string_truncated-utf-8.json": .invalidUTF8,
        "i_string_utf16BE_no_BOM.json": .unexpectedCharacter,
        "i_string_utf16LE_no_BOM.json": .unexpectedCharacter,
        "i_structure_500_nested_arrays.json": .tooDeep(limit: 128),
    ]

    @Test("F39a: JSONTestSuite: y_ is accepted, n_ refused, i_ as the table says", .enabled(if: Suites.exists(suite)))
    func testSuite() throws {
        var counts: [Character: Int] = [:]
        for file in Suites.files(in: Self.suite) {
            let bytes = try Suites.bytes("\(Self.suite)/\(file)")
            let result = Result { () throws(ParseError) in try Document(parsing: bytes) }
            counts[file.first ?? "?", default: 0] += 1
            switch file.first {
            case "y": #expect(throws: Never.self, "\(file)") { try result.get() }
            case "n": #expect(throws: ParseError.self, "\(file)") { try result.get() }
            default:
                switch result {
                case .success: #expect(Self.accepted.contains(file), "\(file) is accepted")
                case .failure(let error): #expect(Self.refused[file] == error.reason, "\(file): \(error)")
                }
            }
        }
        #expect(counts == ["y": 95, "n": 188, "i": 35])
    }

    @Test("JSONTestSuite: every file is taken as the slow parser takes it", .enabled(if: Suites.exists(suite)))
    func testSuiteAgainstReference() throws {
        for file in Suites.files(in: Self.suite) where !file.contains("100000") && !file.contains("open_array_object") {
            let bytes = try Suites.bytes("\(Self.suite)/\(file)")
            let expected = Model.parse(bytes)?.minified
            let text = try? Document(parsing: bytes).text
            #expect(text == expected, "\(file)")
        }
    }

    @Test(
        "errors tell the reason and the byte",
        arguments: [
            ("", .unexpectedEnd, 0), ("  ", .unexpectedEnd, 2), ("{\"a\":1", .unexpectedEnd, 6),
            ("[1,]", .unexpectedCharacter, 3), ("{\"a\":1,}", .unexpectedCharacter, 7),
            ("[1 2]", .unexpectedCharacter, 3),
            ("[01]", .invalidNumber, 1), ("[012345678901]", .invalidNumber, 1), ("[-]", .invalidNumber, 1),
            ("[1.]", .invalidNumber, 1), ("[1e]", .invalidNumber, 1), ("[NaN]", .unexpectedCharacter, 1),
            ("[\"\\x\"]", .invalidEscape, 2), ("[\"\\u12\"]", .invalidEscape, 2), ("[\"\\ud800\"]", .loneSurrogate, 2),
            ("[\"a\nb\"]", .controlCharacter, 3), ("\"abc", .unexpectedEnd, 4), ("\"abcdefghijk\\", .unexpectedEnd, 12),
            ("1 1", .trailingContent, 2), ("{}\u{0}", .trailingContent, 2), ("{1:2}", .unexpectedCharacter, 1),
            ("[}", .unexpectedCharacter, 1), ("tru", .unexpectedCharacter, 0), ("nulL", .unexpectedCharacter, 0),
        ] as [(String, ParseError.Reason, Int)]
    )
    func errors(text: String, reason: ParseError.Reason, offset: Int) {
        #expect(throws: ParseError(reason: reason, offset: offset)) { try Document(parsing: Array(text.utf8)) }
    }

    @Test("an error never quotes the input")
    func description() {
        let error = #expect(throws: ParseError.self) { try Document(parsing: Array("{\"secret\" x}".utf8)) }
        #expect(error?.description == "a character that JSON does not allow here (byte 10)")
    }

    @Test("whitespace goes, all else stays as it was written")
    func minified() throws {
        let text =
            "\u{FEFF} {\r\n\t\"a\" : [ 1.50 , -0 ,\n          1E+2 ] , \"\\u0041\\/\" : \"é \\ud83d\\ude00\" }\n\n"
        let document = try Document(parsing: Array(text.utf8))
        let expected = "{\"a\":[1.50,-0,1E+2],\"\\u0041\\/\":\"é \\ud83d\\ude00\"}"
        #expect(String(decoding: document.text, as: UTF8.self) == expected)
    }

    @Test(
        "F39b: of a name that comes twice the last one counts, and the text has it once",
        arguments: [
            (#"{"a":1,"a":2}"#, #"{"a":2}"#),
            (#"{"a":1,"b":2,"a":3}"#, #"{"b":2,"a":3}"#),
            (#"{"a":1,"\u0061":2,"c":[{"x":1,"x":{"x":1,"x":2}}]}"#, #"{"\u0061":2,"c":[{"x":{"x":2}}]}"#),
            (#"{"a":{"b":1,"b":2},"c":1,"a":{"b":3,"b":4}}"#, #"{"c":1,"a":{"b":4}}"#),
            (#"{"a":1,"a":1,"a":1}"#, #"{"a":1}"#),
            ("{\"\u{E9}\":1,\"e\u{301}\":2}", "{\"\u{E9}\":1,\"e\u{301}\":2}"),
        ]
    )
    func repeatedNames(text: String, expected: String) throws {
        let document = try Document(parsing: Array(text.utf8))
        #expect(String(decoding: document.text, as: UTF8.self) == expected)
    }

    @Test("a name repeated among many is found", arguments: [10, 40, 60, 5000])
    func repeatedAmongMany(count: Int) throws {
        let names = (0..<count).map { "\"n\($0)\":\($0)" }
        let document = try Document(parsing: Array("[{\((names + ["\"n3\":-1"]).joined(separator: ","))}]".utf8))
        #expect(document.root[0]?.count == count)
        #expect(document.root[0]?["n3"]?.int == -1)
    }
}

@Suite("Parse limits")
struct ParseLimitsTests {
    @Test("F38: depth is bounded before anything recurses", arguments: ["[", "{\"a\":"])
    func depth(open: String) {
        let bytes = Array(String(repeating: open, count: 100_000).utf8)
        #expect(throws: ParseError(reason: .tooDeep(limit: 128), offset: 128 * open.utf8.count)) {
            try Document(parsing: bytes)
        }
    }

    @Test("F38: a document as deep as the widest limit parses, compares, differs and is freed without recursion")
    func deepest() throws {
        let limits = ParseLimits(maxDepth: .max)
        let depth = 65_536
        func nested(_ core: String) -> [UInt8] {
            Array((String(repeating: "[", count: depth) + core + String(repeating: "]", count: depth)).utf8)
        }
        let old = try Document(parsing: nested("1"), limits: limits)
        let new = try Document(parsing: nested("2"), limits: limits)
        #expect(old != new)
        #expect(try old == Document(parsing: nested("1"), limits: limits))
        let patch = try Document(parsing: old.patch(to: new).text, limits: limits)
        #expect(try old.applying(patch: patch, limits: limits) == new)
        #expect(throws: ParseError(reason: .tooDeep(limit: depth), offset: depth)) {
            try Document(parsing: [UInt8(ascii: "[")] + nested("1"), limits: limits)
        }
    }

    @Test("F39c: bytes and nodes are bounded")
    func sizes() throws {
        #expect(throws: ParseError(reason: .tooLong(limitBytes: 4), offset: 4)) {
            try Document(parsing: Array("[1,2]".utf8), limits: ParseLimits(maxBytes: 4))
        }
        let list = Array("[\(Array(repeating: "0", count: 5000).joined(separator: ","))]".utf8)
        #expect(try Document(parsing: list, limits: ParseLimits(maxNodes: 5001)).nodeCount == 5001)
        #expect(throws: ParseError(reason: .tooManyNodes(limit: 5000), offset: list.count - 2)) {
            try Document(parsing: list, limits: ParseLimits(maxNodes: 5000))
        }
        #expect(throws: ParseError.self) { try Document(parsing: [0x31], limits: ParseLimits(maxNodes: 0)) }
        #expect(throws: ParseError.self) { try Document(parsing: [0x5B, 0x5D], limits: ParseLimits(maxDepth: 0)) }
    }
}
