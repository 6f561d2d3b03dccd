import EventStream
import FreshetAccess
import FreshetCore
import FreshetTesting
import JSON
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Who may read what", .overHTTP2)
    struct ScopeTests {
        private static func pattern(_ text: String) throws -> SourcePattern {
            SourcePattern(try #require(SourceSelector(text)))
        }

        /// A gateway with `orders`, `rates` and `rates-old`, where anonymous callers may read `rates*`.
        private func withScopes(_ body: (GatewayFixture) async throws -> Void) async throws {
            let read = try Self.pattern("rates*")
            try await withGateway({ $0.anonymous = Grants(read: read) }) { gateway in
                for name in ["orders", "rates", "rates-old"] {
                    try gateway.publish(#"{"of":"\#(name)"}"#, of: try gateway.source(name))
                }
                try await body(gateway)
            }
        }

        @Test(
            "what an anonymous caller may not read is 401, whether it is there or not; what it may is itself, or 404",
            arguments: ["/v1/values/NAME", "/v1/changes/NAME", "/v1/streams/NAME", "/v1/sources/NAME"]
        )
        func anonymous(path: String) async throws {
            try await self.withScopes { gateway in
                func reply(_ name: String) async throws -> HTTPReply {
                    try await gateway.send("HEAD", path.replacing("NAME", with: name))
                }
                #expect(try await reply("rates").status == 200)
                #expect(try await reply("rates-new").status == 404)
                let (there, missing) = (try await reply("orders"), try await reply("nothing"))
                #expect(there.status == 401 && missing.status == 401)
                #expect(there.headers["WWW-Authenticate"] == #"Bearer realm="freshet""#)
                #expect(there.headers.all.map(\.name) == missing.headers.all.map(\.name))
            }
        }

        @Test("the bodies of both refusals are equal")
        func bodies() async throws {
            try await self.withScopes { gateway in
                for path in ["values", "changes", "streams", "sources"] {
                    let there = try await gateway.get("/v1/\(path)/orders")
                    let missing = try await gateway.get("/v1/\(path)/nothing")
                    #expect(there.body == missing.body)
                    #expect(try code(there) == "credential_required")
                }
            }
        }

        @Test("a list with one source too many is refused whole, and * is all that the caller may read")
        func selectors() async throws {
            try await self.withScopes { gateway in
                #expect(try await gateway.get("/v1/changes/rates,orders").status == 401)
                #expect(try await gateway.get("/v1/changes/o*").status == 401)
                let changes = try await gateway.get("/v1/changes/*")
                #expect(changes.status == 200)
                #expect(String(decoding: changes.body, as: UTF8.self).contains("rates-old"))
                #expect(!String(decoding: changes.body, as: UTF8.self).contains("orders"))
                let listed = try await gateway.get("/v1/sources")
                #expect(Array(try json(listed, "/sources").elements).count == 2)
                #expect(try text(listed, "/sources/0/name") == "rates")
                let first = try await gateway.get("/v1/sources?limit=1")
                let next = try text(first, "/next")
                let second = try await gateway.get("/v1/sources?limit=1&after=\(next)")
                #expect(try text(second, "/sources/0/name") == "rates-old")
                #expect(second.headers["Link"] == nil)
            }
        }

        @Test("a stream of * gets those that come later and that its caller may read, and no others")
        func later() async throws {
            try await self.withScopes { gateway in
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/*")
                let administrator = try EventStreamClient(
                    gateway.endpoint,
                    path: "/v1/streams/*",
                    headers: GatewayFixture.credential
                )
                #expect(try await client.next()?.type == "hello")
                #expect(try await administrator.next()?.type == "hello")
                for _ in 0..<2 { #expect(try await client.next()?.text.contains("rates") == true) }
                for _ in 0..<3 { #expect(try await administrator.next()?.type == "snapshot") }
                let (secret, open) = (try gateway.source("salaries"), try gateway.source("rates-new"))
                try gateway.publish(#"{"of":"salaries"}"#, of: secret)
                try gateway.publish(#"{"of":"rates-new"}"#, of: open)
                #expect(try await client.next()?.text.contains("rates-new") == true)
                #expect(try await administrator.next()?.text.contains("salaries") == true)
            }
        }

        /// Every route, and who may use it: with `auth`, and without.
        private static let rules: [(String, Route.Access, Route.Access)] = [
            ("GET /v1/streams/*sources", .caller, .caller), ("GET /v1/values/:source", .caller, .caller),
            ("GET /v1/values/*source", .caller, .caller), ("GET /v1/changes/*sources", .caller, .caller),
            ("GET /v1/sources/*source", .caller, .caller),
            ("PUT /v1/values/:source", .caller, .caller), ("PATCH /v1/values/:source", .caller, .caller),
            ("DELETE /v1/values/:source", .caller, .caller), ("POST /v1/values/:source", .caller, .caller),
            ("GET /v1/items/:source/:key", .caller, .caller), ("PUT /v1/items/:source/:key", .caller, .caller),
            ("PATCH /v1/items/:source/:key", .caller, .caller), ("DELETE /v1/items/:source/:key", .caller, .caller),
            ("GET /v1/socket", .caller, .caller), ("GET /v1/durable/*source", .caller, .caller),
            // Their own tokens are what they take.
            ("GET /http:/*target", .everybody, .everybody), ("GET /https:/*target", .everybody, .everybody),
            ("GET /v1/changes/:sources", .caller, .caller),
            ("GET /v1/gateway", .caller, .caller),
            ("GET /v1/sources", .caller, .caller), ("GET /v1/sources/:source", .caller, .caller),
            ("POST /v1/sources/:source/value", .caller, .caller), ("GET /v1/me", .caller, .caller),
            ("GET /v1/sources/:source/schema", .caller, .caller), ("POST /v1/tickets", .caller, .caller),
            ("GET /v1/push/key", .caller, .caller), ("GET /v1/push/subscriptions", .caller, .caller),
            ("POST /v1/push/subscriptions", .caller, .caller),
            ("DELETE /v1/push/subscriptions/:id", .caller, .caller),
            // The signature of the body is what it takes.
            ("POST /v1/hooks/:source", .everybody, .everybody),
            ("POST /v1/admin/sources/:source/value", .administrator, .administrator),
            ("POST /v1/admin/sources/:source/poll", .administrator, .administrator),
            ("POST /v1/admin/sources/:source/pause", .administrator, .administrator),
            ("POST /v1/admin/sources/:source/resume", .administrator, .administrator),
            ("POST /v1/admin/reload", .administrator, .administrator),
            ("POST /v1/admin/log/backup", .administrator, .administrator),
            ("GET /v1/admin/subscribers", .administrator, .administrator),
            ("DELETE /v1/admin/subscribers/:id", .administrator, .administrator),
            ("GET /v1/admin/webhooks", .administrator, .administrator),
            ("POST /v1/admin/webhooks/:name/pause", .administrator, .administrator),
            ("POST /v1/admin/webhooks/:name/resume", .administrator, .administrator),
            ("POST /v1/admin/webhooks/:name/test", .administrator, .administrator),
            ("GET /metrics", .administrator, .everybody), ("GET /livez", .everybody, .everybody),
            ("GET /readyz", .probe, .probe), ("GET /healthz", .probe, .probe),
            ("GET /openapi.json", .everybody, .everybody), ("GET /", .everybody, .everybody),
            ("GET /docs", .everybody, .everybody),
        ]

        /// The files of the page and of the client are for everybody, whichever they are.
        private static let files = WebFile.all.filter {
            !$0.name.hasSuffix("/index.html") && !$0.name.hasPrefix("demo/")
        }.map { file in
            "GET /\(file.name.hasPrefix("page/") ? String(file.name.dropFirst(5)) : file.name)"
        }

        @Test(
            "every route has a rule that says who may use it, and this table has every route",
            arguments: [true, false]
        )
        func routes(hasAuth: Bool) async throws {
            let authenticator = try Authenticator(
                AccessConfiguration(),
                ticketKey: .random(),
                fetch: { _ in KeyResponse(status: 404, body: []) },
                clock: { WallClock.now }
            )
            try await withGateway(authenticator: hasAuth ? authenticator : nil) { gateway in
                var left = Dictionary(Self.rules.map { ($0.0, hasAuth ? $0.1 : $0.2) }) { first, _ in first }
                for name in Self.files { left[name] = .everybody }
                for endpoint in Responder(gateway: gateway.server.gateway).routes.endpoints {
                    for route in endpoint.routes {
                        let name = "\(route.method.rawValue) \(endpoint.path)"
                        let rule = left.removeValue(forKey: name)
                        #expect(rule == route.access, "\(name) has no rule in the table, or another")
                    }
                }
                #expect(left.isEmpty, "routes that are not there any more")
            }
        }

        @Test("where nobody may do anything, only what is for everybody answers, and it names no source")
        func closed() async throws {
            let authenticator = try Authenticator(
                AccessConfiguration(),
                ticketKey: .random(),
                fetch: { _ in KeyResponse(status: 404, body: []) },
                clock: { WallClock.now }
            )
            try await withGateway(authenticator: authenticator) { gateway in
                try gateway.publish(#"{"of":"wombats"}"#, of: try gateway.source("quokkas"))
                for endpoint in Responder(gateway: gateway.server.gateway).routes.endpoints {
                    for route in endpoint.routes {
                        let path = endpoint.path.replacing(":sources", with: "quokkas").replacing(
                            "*sources",
                            with: "quokkas"
                        )
                        .replacing(":source", with: "quokkas").replacing(":key", with: "1").replacing(
                            ":id",
                            with: "0-1"
                        )
                        let reply = try await RawHTTP.send(route.method.rawValue, path, to: gateway.endpoint)
                        let isOpen =
                            (route.access == .everybody && !path.hasPrefix("/v1/hooks/")) || route.access == .probe
                            || path == "/v1/me" || path == "/v1/gateway"
                        // A socket may say who it is later; what opens none is told so.
                        // Without `streamdata` there is nothing at the SDK's paths.
                        let status = path == "/v1/socket" ? 426 : path.hasPrefix("/http") ? 404 : isOpen ? 200 : 401
                        #expect(reply.status == status, "\(route.method.rawValue) \(path)")
                        #expect(!String(decoding: reply.body, as: UTF8.self).contains("wombats"))
                        #expect(!String(decoding: reply.body, as: UTF8.self).contains("quokkas"), "\(path)")
                    }
                }
            }
        }
    }
}
