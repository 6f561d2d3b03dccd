import JSON
import JSONSchema
import Testing

@testable import FreshetCore

@Suite("Sources with parameters")
struct SourceTemplateTests {
    private static func source(
        _ url: String,
        headers: [(String, String)] = [],
        body: String? = nil,
        _ parameters: [SourceTemplate.Parameter] = [.init(name: "id")]
    ) throws -> (source: SourceConfiguration, template: SourceTemplate) {
        var source = SourceConfiguration(name: "t", url: url)
        source.headers = headers.map { .init(name: $0.0, value: $0.1) }
        if let body {
            source.method = .post
            source.body = Array(body.utf8)
        }
        let names = Set(headers.map { $0.0.lowercased() })
        let template = try SourceTemplate(of: source, parameters: parameters, fieldNames: names)
        source.template = template
        return (source, template)
    }

    private static func name(_ values: String...) throws -> InstanceName {
        try #require(InstanceName("t/" + values.map { PercentEncoding.encoded($0) }.joined(separator: "/")))
    }

    @Test(
        "a value goes into its place, and what does not fit there is no instance",
        arguments: [
            ("http://h/u/{id}", "42", "http://h/u/42"),
            ("http://h/u/{id}.json?q={id}", "a b", "http://h/u/a%20b.json?q=a%20b"),
            ("http://h/u/{id}", "a/../b", "http://h/u/a%2F..%2Fb"),
            ("http://h/u/{id}", "x?y#z", "http://h/u/x%3Fy%23z"),
            ("http://h?q={id}&r=1", "a&r=2", "http://h?q=a%26r%3D2&r=1"), ("http://h/.{id}", ".", nil),
            ("http://h/%2e{id}/x", ".", nil), ("http://h/.{id}", "..", nil), ("http://h/{id}", "é", "http://h/%C3%A9"),
        ] as [(String, String, String?)]
    )
    func url(url: String, value: String, expected: String?) throws {
        // A dot alone is no value, but for what two of them could come to.
        guard value != ".", value != ".." else {
            #expect(InstanceName("t/\(value)") == nil)
            return
        }
        let (source, template) = try Self.source(url)
        #expect(template.instance(try Self.name(value), of: source)?.url == expected)
    }

    @Test("two values never come to a dot segment")
    func dots() throws {
        let parameters = [SourceTemplate.Parameter(name: "a"), .init(name: "b")]
        let (source, template) = try Self.source("http://h/{a}{b}/x?{a}{b}", parameters)
        #expect(template.instance(try Self.name("a", "b"), of: source)?.url == "http://h/ab/x?ab")
        let dotted = try Self.source("http://h/.{a}/x", [.init(name: "a")])
        #expect(dotted.template.instance(try Self.name("b"), of: dotted.source)?.url == "http://h/.b/x")
    }

    @Test("a pattern is held against the whole value, in linear time")
    func pattern() throws {
        let digits = try WholePattern("[0-9]+|x")
        let (source, template) = try Self.source("http://h/{id}", [.init(name: "id", pattern: digits)])
        for (value, isTaken) in [
            ("42", true), ("x", true), ("42a", false), ("a42", false), ("xx", false), ("42\u{2028}", false),
        ] {
            #expect((template.instance(try Self.name(value), of: source) != nil) == isTaken, "\(value)")
        }
        let slow = try WholePattern("(a+)+")
        #expect(!slow.matches(String(repeating: "a", count: 400) + "b"))
        #expect(throws: WholePattern.Malformed.self) { try WholePattern("a)(b") }
        #expect(try WholePattern("^[0-9]+$").matches("42"))
    }

    @Test(
        "in a request field a value that could end it, or begin another part of it, does not fit",
        arguments: [
            ("42", true), ("auth0|1", true), ("a@b.example", true), ("x=y", true), ("a,b", false), ("a;b", false),
            ("a b", false), ("a\"b", false), ("a\\b", false), ("é", false), ("a(b", false), ("<a>", false),
        ]
    )
    func field(value: String, fits: Bool) throws {
        let (source, template) = try Self.source("http://h/", headers: [("X-User", "u={id};v=1"), ("A", "b")])
        let instance = template.instance(try Self.name(value), of: source)
        #expect(
            instance?.headers
                == (fits ? [.init(name: "X-User", value: "u=\(value);v=1"), .init(name: "A", value: "b")] : nil)
        )
    }

    @Test("a field that `auth` makes has no parameters, whatever its secret looks like")
    func secrets() throws {
        var source = SourceConfiguration(name: "t", url: "http://h/{id}")
        source.headers = [.init(name: "Authorization", value: "Bearer {id}")]
        let template = try SourceTemplate(of: source, parameters: [.init(name: "id")], fieldNames: [])
        #expect(template.instance(try Self.name("42"), of: source)?.headers == source.headers)
    }

    @Test(
        "in a body of JSON a value stays inside its string, or is a number",
        arguments: [
            (#"{"id":"{id}","n":1}"#, "42", #"{"id":"42","n":1}"#),
            (#"{"id":"{id}","n":1}"#, #"","n":2,"x":""#, #"{"id":"\",\"n\":2,\"x\":\"","n":1}"#),
            (#"{"id":"u-{id}-\"{id}"}"#, #"\"#, #"{"id":"u-\\-\"\\"}"#), (#"{"id":{id}}"#, "42", #"{"id":42}"#),
            (#"{"id":{id}}"#, "-1.5e3", #"{"id":-1.5e3}"#), (#"{"id":{id}}"#, "42,", nil),
            (#"{"id":{id}}"#, "true", nil),
            (#"{"id":{id}}"#, "[1]", nil), (#"["{id}",{"{other}":1}]"#, "x", #"["x",{"{other}":1}]"#),
        ] as [(String, String, String?)]
    )
    func body(body: String, value: String, expected: String?) throws {
        let (source, template) = try Self.source("http://h/", body: body)
        let instance = template.instance(try Self.name(value), of: source)
        #expect(instance.map { String(decoding: $0.body, as: UTF8.self) } == expected)
    }

    @Test("in a form a value is percent-encoded; in other texts there can be none")
    func otherBodies() throws {
        let type = ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
        let (source, template) = try Self.source("http://h/", headers: [type], body: "id={id}&n=1")
        #expect(template.instance(try Self.name("a&n=2"), of: source)?.body == Array("id=a%26n%3D2&n=1".utf8))
        #expect(throws: SourceTemplate.Problem.self) { try Self.source("http://h/{id}", body: "<id>{id}</id>") }
        #expect(throws: SourceTemplate.Problem.self) { try Self.source("http://h/{id}", body: #"{"a":"\u00{id}"}"#) }
        #expect(throws: SourceTemplate.Problem.self) { try Self.source("http://{id}.h/") }
        #expect(throws: SourceTemplate.Problem.self) { try Self.source("http://h:{id}/") }
        #expect(throws: SourceTemplate.Problem.self) { try Self.source("http://h/a/../{id}") }
        #expect(throws: SourceTemplate.Problem.self) { try Self.source("http://h/") }
    }

    @Test("a bound parameter is for those who have the value under the claim, byte by byte")
    func claims() throws {
        let parameters: [SourceTemplate.Parameter] = [
            .init(name: "id", claim: "sub"), .init(name: "org", claim: "org"),
        ]
        let (_, template) = try Self.source("http://h/{org}/{id}", parameters)
        func principal(_ id: String, _ org: String?, _ kind: Principal.Kind = .jwt) -> Principal {
            Principal(kind: kind, id: id, grants: Grants(read: .all, parameters: org.map { ["org": $0] } ?? [:]))
        }
        let name = try Self.name("42", "acme")
        #expect(template.permits(name, to: principal("42", "acme")))
        #expect(!template.permits(name, to: principal("43", "acme")))
        #expect(!template.permits(name, to: principal("42", "other")))
        #expect(!template.permits(name, to: principal("42", nil)))
        #expect(!template.permits(name, to: .anonymous(Grants(read: .all, parameters: ["org": "acme"]))))
        #expect(template.permits(name, to: .administrator))
        #expect(!template.permits(try Self.name("e\u{301}", "acme"), to: principal("\u{E9}", "acme")))
    }
}
