import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Routes")
    struct RouteTableTests {
        private static var table: RouteTable {
            var table = RouteTable()
            for path in [
                "/", "/a", "/a/:id", "/a/new", "/a/:id/log", "/a/new/:part", "/s/*rest", "/n/:name", "/n/*name",
                "/n/:name/log",
            ] {
                table.on(.get, path, for: .caller) { _ in Answer(200) }
            }
            table.on(.delete, "/a/:id", for: .administrator, bodyLimit: .upload, isCrossOrigin: false) { _ in
                Answer(204)
            }
            return table
        }

        @Test(
            "a path leads to one endpoint, a literal segment before a parameter",
            arguments: [
                ("/", "/", [:]), ("/a", "/a", [:]), ("/a/7", "/a/:id", ["id": "7"]), ("/a/new", "/a/new", [:]),
                ("/a/%6Eew", "/a/:id", ["id": "%6Eew"]), ("/a/7/log", "/a/:id/log", ["id": "7"]),
                ("/a/new/x", "/a/new/:part", ["part": "x"]), ("/a/", nil, [:]), ("", "/", [:]), ("//", nil, [:]),
                ("//a", nil, [:]), ("/a//log", nil, [:]), ("/a/7/log/", nil, [:]), ("/A", nil, [:]), ("/b", nil, [:]),
                ("/s/a/b/", "/s/*rest", ["rest": "a/b/"]), ("/s/", "/s/*rest", ["rest": ""]), ("/s", nil, [:]),
                ("/n/7", "/n/:name", ["name": "7"]), ("/n/7/8", "/n/*name", ["name": "7/8"]),
                ("/n/7/log", "/n/:name/log", ["name": "7"]), ("/n/7/log/x", "/n/*name", ["name": "7/log/x"]),
                ("/n/7%2F8/log", "/n/:name/log", ["name": "7%2F8"]), ("/n/7/", "/n/*name", ["name": "7/"]),
                ("/n/", nil, [:]), ("/n//x", nil, [:]),
            ] as [(String, String?, [String: Substring])]
        )
        func match(path: String, expected: String?, parameters: [String: Substring]) {
            let match = Self.table.match(path)
            #expect(match?.endpoint.path == expected)
            #expect(match?.parameters ?? [:] == parameters)
        }

        @Test("a path of a million segments leads nowhere")
        func longPath() {
            #expect(Self.table.match(String(repeating: "/a", count: 1_000_000)) == nil)
        }

        @Test("GET brings HEAD along, every path answers OPTIONS, and one private route makes a path private")
        func methods() throws {
            let endpoint = try #require(Self.table.match("/a/7")?.endpoint)
            #expect(endpoint.methods == ["GET", "HEAD", "DELETE", "OPTIONS"])
            #expect(endpoint.route(for: "HEAD")?.method == .get)
            #expect(endpoint.route(for: "get") == nil)
            #expect(endpoint.route(for: "PUT") == nil)
            #expect(!endpoint.isCrossOrigin)
            #expect(Self.table.match("/a/new")?.endpoint.isCrossOrigin == true)
        }
    }
}
