import FreshetTesting
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("CORS", .overHTTP2)
    struct CrossOriginTests {
        private static let origins: [(value: String?, isAllowed: Bool)] = [
            (nil, false), ("https://app.example", true), ("https://evil.example", false), ("null", false),
            ("https://evil-app.example", false), ("https://app.example.evil.example", false),
            ("HTTPS://APP.EXAMPLE", false), ("https://app.example:443", false), ("https://app.example:8443", true),
            ("http://app.example", false), ("https://app.example/", false), ("*", false), ("", false),
        ]

        @Test(
            "S3: only a listed origin may read, and no answer allows credentials",
            arguments: ["/v1/streams/rates", "/v1/values/rates", "/v1/sources", "/nothing"]
        )
        func listed(path: String) async throws {
            try await withGateway({ $0.corsOrigins = ["https://app.example", "https://app.example:8443"] }) { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                for origin in Self.origins {
                    let headers = HeaderFields(origin.value.map { [("Origin", $0)] } ?? [])
                    let reply = try await gateway.send("HEAD", path, headers)
                    #expect(reply.headers["Access-Control-Allow-Origin"] == (origin.isAllowed ? origin.value : nil))
                    #expect(reply.headers["Access-Control-Allow-Credentials"] == nil)
                    #expect(reply.headers["Vary"]?.contains("Origin") == true)
                    #expect((reply.headers["Access-Control-Expose-Headers"] != nil) == origin.isAllowed)
                }
            }
        }

        @Test("S3: without configured origins no answer has a CORS field")
        func none() async throws {
            try await withGateway { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                for path in ["/v1/streams/rates", "/v1/values/rates"] {
                    let reply = try await gateway.send("HEAD", path, ["Origin": "https://app.example"])
                    #expect(reply.headers["Access-Control-Allow-Origin"] == nil)
                    #expect(reply.headers["Vary"]?.contains("Origin") != true)
                }
            }
        }

        @Test("any origin may read with *, and still none may bring credentials")
        func any() async throws {
            try await withGateway({ $0.corsOrigins = ["*"] }) { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                for origin in ["https://evil.example", "null"] {
                    let reply = try await gateway.get("/v1/values/rates", ["Origin": origin])
                    #expect(reply.headers["Access-Control-Allow-Origin"] == "*")
                    #expect(reply.headers["Access-Control-Allow-Credentials"] == nil)
                }
            }
        }

        @Test(
            "a preflight of a listed origin is answered",
            arguments: [
                ("/v1/streams/rates", "GET, HEAD, OPTIONS"),
                ("/v1/values/rates", "GET, HEAD, PUT, PATCH, DELETE, POST, OPTIONS"),
            ]
        )
        func preflight(path: String, methods: String) async throws {
            try await withGateway({ $0.corsOrigins = ["https://app.example"] }) { gateway in
                try gateway.source("rates")
                let headers: HeaderFields = [
                    "Origin": "https://app.example", "Access-Control-Request-Method": "GET",
                    "Access-Control-Request-Headers": "last-event-id",
                ]
                let reply = try await gateway.send("OPTIONS", path, headers)
                #expect(reply.status == 204)
                #expect(reply.headers["Access-Control-Allow-Origin"] == "https://app.example")
                let writes = path.hasPrefix("/v1/values") ? "PUT, PATCH, DELETE, POST, " : ""
                #expect(reply.headers["Access-Control-Allow-Methods"] == "GET, HEAD, \(writes)OPTIONS")
                #expect(reply.headers["Access-Control-Allow-Headers"]?.contains("Last-Event-ID") == true)
                let foreign = try await gateway.send(
                    "OPTIONS",
                    path,
                    ["Origin": "https://evil.example", "Access-Control-Request-Method": "GET"]
                )
                #expect(foreign.status == 204)
                #expect(foreign.headers["Access-Control-Allow-Origin"] == nil)
                #expect(foreign.headers["Access-Control-Allow-Methods"] == nil)
            }
        }

        @Test(
            "R27: a preflight allows what polyfills and other clients send",
            arguments: [
                "cache-control", "cache-control,last-event-id,x-requested-with", "Cache-Control, Last-Event-ID",
                "pragma", "authorization", "x-requested-with", "x-trace, traceparent",
                (0..<32).map { "x-\($0)" }.joined(separator: ","),
            ],
            ["/v1/streams/rates", "/v1/values/rates", "/v1/changes/rates", "/v1/sources"]
        )
        func requestFields(names: String, path: String) async throws {
            try await withGateway({ $0.corsOrigins = ["https://app.example"] }) { gateway in
                try gateway.source("rates")
                var headers: HeaderFields = [
                    "Origin": "https://app.example", "Access-Control-Request-Method": "GET",
                    "Access-Control-Request-Headers": names,
                ]
                let reply = try await gateway.send("OPTIONS", path, headers)
                let allowed = Self.list(reply.headers["Access-Control-Allow-Headers"] ?? "")
                #expect(Self.list(names).isSubset(of: allowed))
                #expect(reply.headers["Vary"]?.contains("Access-Control-Request-Headers") == true)
                headers = ["Origin": "https://evil.example", "Access-Control-Request-Method": "GET"]
                headers.append("Access-Control-Request-Headers", names)
                let foreign = try await gateway.send("OPTIONS", path, headers)
                #expect(foreign.headers["Access-Control-Allow-Headers"] == nil)
            }
        }

        @Test("R27: what is no field's name is not repeated", arguments: ["a b", "x\"y", "é", ",,", "x:y"])
        func noFields(names: String) async throws {
            try await withGateway({ $0.corsOrigins = ["*"] }) { gateway in
                let headers: HeaderFields = [
                    "Origin": "https://app.example", "Access-Control-Request-Method": "GET",
                    "Access-Control-Request-Headers": names,
                ]
                let reply = try await gateway.send("OPTIONS", "/v1/sources", headers)
                #expect(reply.headers["Access-Control-Allow-Headers"]?.contains(names) != true)
            }
        }

        private static func list(_ text: String) -> Set<String> {
            Set(text.split(separator: ",").map { $0.filter { $0 != " " }.lowercased() })
        }

        @Test("a preflight allows every field of the interface, and a page may read every field of an answer")
        func wholeInterface() async throws {
            try await withGateway({ $0.corsOrigins = ["https://app.example"] }) { gateway in
                try gateway.publish("[{\"id\":1}]", of: gateway.source("rates"))
                let origin = "https://app.example"
                let fields = [
                    "authorization", "last-event-id", "cache-control", "x-api-key", "if-match", "if-none-match",
                    "idempotency-key", "prefer", "content-type",
                ]
                let safe: Set = [
                    "cache-control", "content-language", "content-length", "content-type", "expires", "last-modified",
                    "pragma",
                ]
                // What is for browsers and proxies, and for no page.
                let silent: Set = [
                    "connection", "date", "keep-alive", "transfer-encoding", "vary", "x-accel-buffering",
                    "x-content-type-options", "content-security-policy", "referrer-policy", "x-frame-options",
                ]
                var exposed: Set<String> = []
                for endpoint in Responder(gateway: gateway.server.gateway).routes.endpoints where endpoint.isCrossOrigin
                {
                    let path = endpoint.path.replacing(":sources", with: "rates").replacing("*sources", with: "rates")
                        .replacing(":source", with: "rates").replacing(":key", with: "1")
                    for method in endpoint.methods where method != "OPTIONS" && method != "HEAD" {
                        var request: HeaderFields = ["Origin": origin, "Access-Control-Request-Method": method]
                        request.append("Access-Control-Request-Headers", fields.joined(separator: ","))
                        let preflight = try await gateway.send("OPTIONS", path, request)
                        #expect(preflight.headers["Access-Control-Allow-Origin"] == origin, "\(path)")
                        #expect(preflight.headers["Access-Control-Allow-Methods"]?.contains(method) == true, "\(path)")
                        let allowed = Self.list(preflight.headers["Access-Control-Allow-Headers"] ?? "")
                        #expect(allowed.isSuperset(of: fields), "\(path)")
                        // A stream goes on, and a socket is no matter of CORS.
                        guard !path.hasPrefix("/v1/streams"), path != "/v1/socket" else { continue }
                        let reply = try await gateway.send(
                            method,
                            path,
                            ["Origin": origin],
                            body: method == "POST" ? "[1]" : nil
                        )
                        exposed = Self.list(reply.headers["Access-Control-Expose-Headers"] ?? "")
                        for field in reply.headers.all.map({ $0.name.lowercased() })
                        where !field.hasPrefix("access-control-") && !safe.contains(field) && !silent.contains(field) {
                            #expect(exposed.contains(field), "\(method) \(path) does not expose \(field)")
                        }
                    }
                }
                let needed = [
                    "age", "etag", "freshet-cursor", "freshet-guard", "link", "location", "retry-after",
                    "www-authenticate",
                ]
                #expect(exposed.isSuperset(of: needed))
            }
        }

        @Test("a stream that is handed over carries the fields too")
        func stream() async throws {
            try await withGateway({ $0.corsOrigins = ["https://app.example"] }) { gateway in
                try gateway.source("rates")
                let client = try EventStreamClient(
                    gateway.endpoint,
                    path: "/v1/streams/rates",
                    headers: ["Origin": "https://app.example"]
                )
                let head = try await client.head()
                #expect(head.headers["Access-Control-Allow-Origin"] == "https://app.example")
                #expect(head.headers["Vary"] == "Accept, Origin")
            }
        }
    }
}
