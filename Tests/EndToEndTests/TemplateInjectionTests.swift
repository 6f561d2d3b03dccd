import Foundation
import FreshetTesting
import JSON
import Testing

/// Values that try to leave their place, against the program, and an origin that records what it was asked.
@Suite("Parameters that stay in their place", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct TemplateInjectionTests {
    /// What stands in a path behind the template's name, and the value that it means; `nil` where it means none.
    private static let forms: [(raw: String, value: String?)] =
        [
            ("42", "42"), ("a", "a"), ("A-Z_a.z~0", "A-Z_a.z~0"), ("%34%32", "42"), ("a%20b", "a b"), ("a+b", "a+b"),
            // Another segment, or another place in the path.
            ("a%2Fb", "a/b"), ("a%2fb", "a/b"), ("%2F", "/"), ("%2Fetc%2Fpasswd", "/etc/passwd"), ("..%2Fx", "../x"),
            ("x%2F..%2Fy", "x/../y"), ("x%2F..", "x/.."), ("%2F..%2F", "/../"), ("..%2F..%2F..%2F", "../../../"),
            (".", nil), ("..", nil), ("%2e", nil), ("%2E%2e", nil), (".%2E", nil), ("...", "..."), ("..x", "..x"),
            ("%252e%252e", "%2e%2e"), ("%252F", "%2F"), ("%25", "%"), ("%2525", "%25"), ("..%5Cx", "..\\x"),
            ("%5C", "\\"), ("%5C..%5C", "\\..\\"), ("a/b", nil), ("a/../b", nil), ("a/", nil), ("/a", nil), ("", nil),
            ("a;b=c", "a;b=c"), ("..;%2Fx", "..;/x"), (";", ";"), ("a%3Bb", "a;b"), ("a:b", "a:b"), ("a@b", "a@b"),
            // Another part of the URL.
            ("a%3Fb", "a?b"), ("a%3Fadmin%3D1", "a?admin=1"), ("a%23b", "a#b"), ("%3F", "?"), ("%23", "#"),
            ("a%26q%3Dx", "a&q=x"), ("a&q=x", "a&q=x"), ("a=b", "a=b"), ("%3D", "="), ("%26", "&"),
            ("%40evil.example", "@evil.example"), ("%2F%2Fevil.example", "//evil.example"),
            ("http%3A%2F%2Fevil.example%2F", "http://evil.example/"), ("%5C%5Cevil", "\\\\evil"),
            ("file%3A%2F%2F%2Fetc", "file:///etc"), ("a%20HTTP%2F1.1", "a HTTP/1.1"), ("%5B%3A%3A1%5D", "[::1]"),
            // Another line, field or request.
            ("%0d%0aX-Evil:%201", nil), ("%0a", nil), ("%0d", nil), ("a%00b", nil), ("%00", nil), ("%09", nil),
            ("%1b%5B31m", nil), ("%7f", nil), ("%C2%85", nil), ("%C2%9B", nil), ("a%0d%0a%0d%0aGET%20/x", nil),
            ("a%2C%20b", "a, b"), ("a%2Cb", "a,b"), ("%2C", ","), ("%22", "\""), ("a%22%3B%20x%3D%22", "a\"; x=\""),
            ("%27", "'"), ("%28", "("), ("%3C%3E", "<>"),
            // Another member, or another kind of value, in JSON.
            ("%22%2C%22admin%22%3Atrue%2C%22x%22%3A%22", "\",\"admin\":true,\"x\":\""), ("%5C%22", "\\\""),
            ("%5Cu0022", "\\u0022"), ("%7D", "}"), ("%7B%22a%22%3A1%7D", "{\"a\":1}"), ("%5D", "]"), ("null", "null"),
            ("true", "true"), ("1e999", "1e999"), ("-1", "-1"), ("%E2%80%A8", "\u{2028}"),
            // Templates and shells.
            ("%7Bid%7D", "{id}"), ("%7Bother%7D", "{other}"), ("$%7BHOME%7D", "${HOME}"), ("%24(id)", "$(id)"),
            ("%60id%60", "`id`"), ("%7C%7Cid", "||id"), ("%25s%25n", "%s%n"),
            // Bytes that are no text, and text that is more than ASCII.
            ("%", nil), ("%4", nil), ("%zz", nil), ("%c0%ae%c0%ae", nil), ("%c0%af", nil), ("%ff", nil), ("%C3", nil),
            ("%ED%A0%80", nil), ("%C3%A9", "é"), ("e%CC%81", "e\u{301}"), ("%F0%9F%9A%80", "🚀"),
            ("%E2%80%AE", "\u{202E}"), ("%EF%BC%8E%EF%BC%8E", "．．"), ("%E2%80%8B", "\u{200B}"), ("%C4%B0", "İ"),
            // Lists and patterns of names.
            ("%2A", "*"), ("a%2A", "a*"), (String(repeating: "a", count: 300), String(repeating: "a", count: 300)),
            (String(repeating: "a", count: 3000), nil),
        ]

    /// As the origin must see it in a URL, by RFC 3986: the oracle is Foundation's.
    private static func encoded(_ value: String) -> String {
        let unreserved = CharacterSet(
            charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
        )
        return value.addingPercentEncoding(withAllowedCharacters: unreserved) ?? ""
    }

    /// Where a value goes in a request, and whether it may go there at all.
    private enum Place: String, CaseIterable {
        case path, query, field, json, form

        func fits(_ value: String) -> Bool {
            guard self == .field else { return true }
            let separators = Set("\"(),;<>\\ ")
            return value.allSatisfy { $0.isASCII && !separators.contains($0) && $0 > " " && $0 != "\u{7F}" }
        }

        func check(_ request: UpstreamRequest, _ value: String) throws {
            let encoded = TemplateInjectionTests.encoded(value)
            let body = String(decoding: request.body, as: UTF8.self)
            switch self {
            case .path: #expect(request.target == "/path/a/\(encoded).x/z?v=1")
            case .query: #expect(request.target == "/query?a=1&q=\(encoded)&z=\(encoded)")
            case .field:
                #expect(request.target == "/field")
                #expect(request.headers["X-User"]?.utf8.elementsEqual("u=\(value)".utf8) == true)
            case .json:
                let document = try Document(parsing: request.body)
                #expect(document.root.members.map(\.name) == ["a", "id", "z"])
                #expect(document.root["id"]?.string?.utf8.elementsEqual(value.utf8) == true, "\(body)")
            case .form: #expect(body == "a=1&id=\(encoded)&z=1")
            }
            #expect(request.headers.all.filter { $0.name.lowercased() == "x-evil" }.isEmpty)
        }
    }

    @Test("100 forms of values: each arrives as the one piece that it is, or nothing is asked")
    func injection() async throws {
        #expect(Self.forms.count >= 100)
        let upstream = try ScriptedUpstream()
        upstream.on("*", respond: .json(#"{"ok":true}"#))
        let gateway = try Gateway(
            """
            defaults: { interval: 1h, linger: 1h }
            sources:
              path: { url: "\(upstream.url("/path/a/{id}.x/z?v=1"))" }
              query: { url: "\(upstream.url("/query?a=1&q={id}&z={id}"))" }
              field: { url: "\(upstream.url("/field"))", headers: { X-User: "u={id}" }, parameters: { id: {} } }
              json:
                url: "\(upstream.url("/json"))"
                method: POST
                body: { a: 1, id: "{id}", z: true }
                parameters: { id: {} }
              form:
                url: "\(upstream.url("/form"))"
                method: POST
                headers: { Content-Type: application/x-www-form-urlencoded }
                body: "a=1&id={id}&z=1"
                parameters: { id: {} }
            """
        )
        let client = HTTPTestClient(try await gateway.process.endpoint())
        var asked = 0
        var seen: Set<String> = []
        for place in Place.allCases {
            for (raw, value) in Self.forms {
                let reply = try await client.get("/v1/values/\(place.rawValue)/\(raw)")
                let requests = upstream.requests.dropFirst(asked)
                asked += requests.count
                guard let value, place.fits(value) else {
                    #expect(reply.status == 404, "\(place) \(raw): \(reply.text)")
                    #expect(requests.isEmpty, "\(place) \(raw) was asked for")
                    continue
                }
                #expect(reply.status == 200, "\(place) \(raw): \(reply.text)")
                // What was asked for in another form is the same instance.
                let isNew = seen.insert("\(place) \(Self.encoded(value))").inserted
                #expect(requests.isEmpty != isNew, "\(place) \(raw)")
                // An answer that may be another request's is asked for again (FAULTS F10).
                for request in requests { try place.check(request, value) }
            }
        }
        #expect(upstream.failures.isEmpty)
        // Behind a name as one segment the same values mean the same.
        for (raw, value) in Self.forms where value != nil && !raw.contains("/") {
            let segment = Self.encoded("path/\(raw)")
            let reply = try await client.get("/v1/sources/\(segment)")
            #expect(reply.status == 200, "\(segment): \(reply.text)")
        }
        #expect(upstream.requests.count == asked)
        #expect(try await gateway.terminate() == .exited(0))
    }
}
