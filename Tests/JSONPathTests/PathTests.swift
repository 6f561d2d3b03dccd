import JSON
import JSONPath
import JSONSchema
import Testing

/// What the compliance suite does not ask.
@Suite("JSONPath")
struct PathTests {
    private static func document(_ text: String) throws -> Document { try Document(parsing: Array(text.utf8)) }

    @Test(
        "a singular query gives the value itself, any other an array",
        arguments: [
            ("$.a.b", #"{"a":{"b":7}}"#, "7"), ("$.a.c", #"{"a":{"b":7}}"#, nil), ("$", "[1]", "[1]"),
            ("$[-1]", "[1,2]", "2"), ("$.*", #"{"a":1,"b":[2]}"#, "[1,[2]]"), ("$..x", #"{"a":1}"#, "[]"),
            ("$.rows[?@.open == true]['id','n']", #"{"rows":[{"id":1,"n":2,"open":true},{"id":3}]}"#, "[1,2]"),
            ("$[?length(@.name) > 2].name", #"[{"name":"añb"},{"name":"b"}]"#, #"["añb"]"#),
        ] as [(String, String, String?)]
    )
    func values(path: String, text: String, expected: String?) throws {
        let value = try Path(path).value(in: try Self.document(text))
        #expect(value.map { String(decoding: $0.text, as: UTF8.self) } == expected)
    }

    @Test(
        "a mistake has a place and a reason",
        arguments: [
            ("a.b", 1, "begins with $"), ("$.a[", 5, "no selector"), ("$[?@.a =< 1]", 8, "]"),
            ("$[?foo(@.a)]", 4, "no function foo"), ("$[?length(@.*) == 1]", 11, "at most one"),
            ("$[?count(@.a)]", 4, "compare it"), ("$[01]", 3, "no integer"), ("$['\\q']", 5, "escape"),
        ]
    )
    func mistakes(path: String, column: Int, reason: String) {
        do throws(PathError) {
            _ = try Path(path)
            Issue.record("\(path) is read")
        } catch {
            #expect(error.column == column && error.reason.contains(reason), "\(error)")
        }
    }

    @Test("depth and length of a query are bounded")
    func deep() {
        let deep = "$" + String(repeating: "[?(", count: 500) + "@" + String(repeating: ")]", count: 500)
        #expect(throws: PathError.self) { try Path(deep) }
        let nested =
            "$[?" + String(repeating: "length(", count: 500) + "@.a" + String(repeating: ")", count: 500) + "==1]"
        #expect(throws: PathError.self) { try Path(nested) }
        #expect(throws: PathError.self) { try Path("$" + String(repeating: ".a", count: 10_000)) }
    }

    @Test("a query that would select more than memory holds is given up")
    func explosive() throws {
        let document = try Self.document(String(repeating: "[", count: 100) + String(repeating: "]", count: 100))
        let path = try Path("$" + String(repeating: "..[*,*,*]", count: 12))
        #expect(throws: PathLimitError.self) { try path.values(in: document) }
    }

    @Test("patterns take linear time: what ends backtracking engines ends here within the steps")
    func linear() throws {
        let text = String(repeating: "a", count: 20_000)
        let document = try Self.document(#"["\#(text)","\#(text)b"]"#)
        for pattern in ["(a*)*b", "(a|a)*b", "(a|aa)+b", "a*a*a*a*b"] {
            #expect(try Path("$[?match(@, '\(pattern)')]").values(in: document).count == 1)
            #expect(try Path("$[?search(@, '\(pattern)')]").values(in: document).count == 1)
        }
    }

    @Test(
        "I-Regexp is read strictly: what RFC 9485 has not matches nothing",
        arguments: [
            ("a\\\\d", false), ("(?:a)", false), ("a{2", false), ("a**", false), ("[]", false), ("[a-]", true),
            ("\\\\p{Lu}", true), ("\\\\p{Greek}", false), ("[^a]", true), ("\\\\bA", false), ("a|", true),
            ("[a-z&&b]", true),
            ("x{3,1}", false), ("\\\\^", true),
        ]
    )
    func strict(pattern: String, isRead: Bool) throws {
        let unescaped = pattern.replacing("\\\\", with: "\\")
        #expect((IRegexp(Array(unescaped.utf8), isWhole: true) != nil) == isRead, "\(unescaped)")
    }
}
