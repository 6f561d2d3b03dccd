import FreshetAccess
import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Who may on a WebSocket")
    struct SocketAccessTests {
        private static let mobile = "mobile-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa"
        private static let other = "other-Yb1NwK5sDhUeGa3fJ9tqQm4Zr8L2vXc7"
        private static let secret = Secret("socket-Zk3vQ9xWm2Lr7Tn5Yb8Hc1Qm4Zr8L2vXc7")

        private static func pattern(_ text: String) throws -> SourcePattern {
            SourcePattern(try #require(SourceSelector(text)))
        }

        private static func authenticator(anonymous: String? = nil) throws -> Authenticator {
            func key(_ id: String, _ secret: String, _ read: String) throws -> APIKey {
                APIKey(id: id, secret: Secret(secret), grants: Grants(read: try self.pattern(read)))
            }
            return try Authenticator(
                AccessConfiguration(
                    anonymous: Grants(read: try anonymous.map(self.pattern) ?? .none),
                    keys: [try key("mobile", self.mobile, "a,b"), try key("other", self.other, "*")],
                    issuers: [
                        TokenIssuer(issuer: "us", audience: "freshet", algorithms: [.hs256], keys: .secret(self.secret))
                    ]
                ),
                ticketKey: .random(),
                fetch: { _ in KeyResponse(status: 404, body: []) },
                clock: { WallClock.now }
            )
        }

        private static func token(_ subject: String, _ read: String, milliseconds: Int64 = 3_600_000) async throws
            -> String
        {
            let now = WallClock.now
            let token = NewToken(
                issuer: "us",
                audience: "freshet",
                subject: subject,
                issuedAt: now,
                expiresAt: WallTime(milliseconds: now.milliseconds + milliseconds),
                grants: Grants(read: try self.pattern(read))
            )
            return try await token.signed(by: try #require(SigningKey(self.secret)), with: .hs256)
        }

        private static func withSources(
            anonymous: String? = nil,
            _ configure: (inout HTTPSettings) -> Void = { _ in },
            _ body: (GatewayFixture) async throws -> Void
        ) async throws {
            try await withGateway(configure, authenticator: self.authenticator(anonymous: anonymous)) { gateway in
                for name in ["a", "b", "c"] { try gateway.publish("[0]", of: try gateway.source(name)) }
                try await body(gateway)
            }
        }

        private static func subscribe(_ client: SocketClient, _ sources: String, re: Int) async throws -> Int {
            let message = #"{"re":\#(re),"op":"subscribe","sources":"\#(sources)"}"#
            let answer = try Document(parsing: Array(try await client.ask(message, re: re).utf8)).root
            return answer["problem"]?["status"]?.int ?? 200
        }

        private static func authenticate(_ client: SocketClient, _ token: String, re: Int) async throws -> Value {
            let text = try await client.ask(#"{"re":\#(re),"op":"auth","token":"\#(token)"}"#, re: re)
            return try Document(parsing: Array(text.utf8)).root
        }

        @Test("is said in the handshake, or in the first message")
        func credentials() async throws {
            try await Self.withSources { gateway in
                let known = try await SocketClient(gateway.endpoint, SocketClient.path, ["X-API-Key": Self.mobile])
                #expect(try await Self.subscribe(known, "a", re: 1) == 200)
                #expect(try await Self.subscribe(known, "c", re: 2) == 404)
                let client = try await SocketClient(gateway.endpoint)
                #expect(try await Self.subscribe(client, "a", re: 1) == 401)
                #expect(try await client.ask(#"{"re":2,"op":"ping"}"#, re: 2).contains(#""status":401"#))
                #expect(try await Self.authenticate(client, "wrong", re: 3)["problem"]?["status"]?.int == 401)
                #expect(try await Self.authenticate(client, Self.mobile, re: 4)["ok"]?["id"]?.string == "mobile")
                #expect(try await Self.subscribe(client, "a", re: 5) == 200)
                #expect(try await Self.subscribe(client, "c", re: 6) == 404)
                // What comes behind waits for the token to be verified.
                let token = try await Self.token("ida", "c")
                let third = try await SocketClient(gateway.endpoint)
                try await third.send(#"{"re":1,"op":"auth","token":"\#(token)"}"#)
                #expect(try await Self.subscribe(third, "c", re: 2) == 200)
                for fields in [["X-API-Key": "wrong"], ["Authorization": "Basic x"]] as [HeaderFields] {
                    let handshake = SocketClient.handshake(fields, to: gateway.endpoint)
                    #expect(try await gateway.get(SocketClient.path, handshake).status == 401)
                }
                for client in [known, client, third] { client.close() }
            }
        }

        @Test(
            "is said in time, or the socket closes with 1008; where everybody may read something, nothing need be said"
        )
        func deadline() async throws {
            try await Self.withSources({ $0.sockets.authTimeout = .milliseconds(300) }) { gateway in
                let client = try await SocketClient(gateway.endpoint)
                #expect(try await client.receiveClose() == 1008)
            }
            try await Self.withSources(anonymous: "a", { $0.sockets.authTimeout = .milliseconds(1) }) { gateway in
                let client = try await SocketClient(gateway.endpoint)
                #expect(try await Self.subscribe(client, "a", re: 1) == 200)
                #expect(try await Self.subscribe(client, "b", re: 2) == 401)
                #expect(try await Self.authenticate(client, Self.mobile, re: 3)["ok"]?["id"]?.string == "mobile")
                #expect(try await Self.subscribe(client, "b", re: 4) == 200)
                try gateway.publish("[1]", of: try #require(gateway.hub.source(named: "a")))
                try await client.receive(#""id":"\#(gateway.cursor(4))""#)
                client.close()
            }
        }

        @Test(
            "keeps its subject; what a later token does not cover ends, and the rest goes on past the earlier one's end",
            .ownTransport
        )
        func renewal() async throws {
            try await Self.withSources { gateway in
                let client = try await SocketClient(gateway.endpoint)
                // Long enough for a busy machine to get to the second token.
                let end = ContinuousClock.now + .seconds(5)
                let first = try await Self.token("ida", "a,b,c", milliseconds: 5000)
                _ = try await Self.authenticate(client, first, re: 1)
                #expect(try await Self.subscribe(client, "a,b", re: 2) == 200)
                #expect(try await Self.subscribe(client, "c", re: 3) == 200)
                let foreign = try await Self.authenticate(client, Self.other, re: 4)
                #expect(foreign["problem"]?["code"]?.string == "other_subject")
                let second = try await Self.token("ida", "a")
                #expect(try await Self.authenticate(client, second, re: 5)["ok"]?["id"]?.string == "ida")
                let texts = client.texts
                let gone = texts.filter { $0.contains(#""state":"removed""#) }
                #expect(gone.contains { $0.contains(#""source":"b""#) })
                #expect(texts.contains { $0.hasPrefix(#"{"re":3,"problem":"#) && $0.contains("subscription_ended") })
                // The first token has to have expired: that it brings nothing is what is tested.
                try await Task.sleep(until: end + .milliseconds(200))
                for name in ["c", "b", "a"] {
                    try gateway.publish("[1]", of: try #require(gateway.hub.source(named: name)))
                }
                try await client.receive(#""id":"\#(gateway.cursor(6))""#)
                #expect(!client.texts.contains { $0.contains(#""id":"\#(gateway.cursor(5))""#) })
                #expect(try await Self.subscribe(client, "c", re: 6) == 404)
                client.close()
            }
        }

        @Test("ends with the credential: bye, then 1008, with subscriptions or without", .ownTransport)
        func expiry() async throws {
            try await Self.withSources { gateway in
                let token = try await Self.token("ida", "*", milliseconds: 3000)
                let fields: HeaderFields = ["Authorization": "Bearer \(token)"]
                let busy = try await SocketClient(gateway.endpoint, SocketClient.path, fields)
                for (re, name) in [(1, "a"), (2, "b,c")] {
                    #expect(try await Self.subscribe(busy, name, re: re) == 200)
                }
                let quiet = try await SocketClient(gateway.endpoint, SocketClient.path, fields)
                for client in [busy, quiet] {
                    #expect(try await client.receiveClose() == 1008)
                    #expect(
                        client.texts.filter { $0.contains("bye") } == [#"{"event":"bye","data":{"reason":"expired"}}"#]
                    )
                }
                let keyed = try await SocketClient(gateway.endpoint, SocketClient.path, ["X-API-Key": Self.mobile])
                #expect(try await Self.subscribe(keyed, "a", re: 1) == 200)
                gateway.streams.review { _ in .ends(.revoked) }
                #expect(try await keyed.receiveClose() == 1008)
                #expect(keyed.texts.last == #"{"event":"bye","data":{"reason":"revoked"}}"#)
            }
        }

        @Test("is told by a ticket, once, and for its sources alone")
        func tickets() async throws {
            try await Self.withSources { gateway in
                let reply = try await gateway.send(
                    "POST",
                    "/v1/tickets",
                    ["X-API-Key": Self.mobile],
                    body: #"{"sources":"a"}"#
                )
                let ticket = try text(reply, "/ticket")
                let path = "\(SocketClient.path)?ticket=\(ticket)"
                let client = try await SocketClient(gateway.endpoint, path)
                #expect(try await Self.subscribe(client, "a", re: 1) == 200)
                #expect(try await Self.subscribe(client, "b", re: 2) == 404)
                // It gives streams and nothing else, whatever its owner may.
                let write = #"{"re":9,"op":"write","method":"PUT","source":"a","body":1}"#
                #expect(try await client.ask(write, re: 9).contains(#""status":401,"code":"invalid_credential""#))
                let again = try await gateway.get(path, SocketClient.handshake(to: gateway.endpoint))
                #expect(again.status == 401)
                // Its subject may come with a credential of its own, and then may what that says.
                #expect(try await Self.authenticate(client, Self.mobile, re: 3)["ok"] != nil)
                #expect(try await Self.subscribe(client, "b", re: 4) == 200)
                client.close()
            }
        }

        @Test("is told by a cookie where the page is ours or listed; others open no socket at all")
        func origins() async throws {
            try await Self.withSources({
                $0.credentialCookie = "id"
                $0.corsOrigins = ["https://app.example"]
            }) { gateway in
                let cookie = "id=\(Self.mobile)"
                for origin in ["https://app.example", "http://\(gateway.endpoint.authorityText)", nil] {
                    var fields: HeaderFields = ["Cookie": cookie]
                    if let origin { fields.appendDefault("Origin", origin) }
                    let client = try await SocketClient(gateway.endpoint, SocketClient.path, fields)
                    #expect(try await Self.subscribe(client, "a", re: 1) == 200)
                    client.close()
                }
                for origin in ["https://evil.example", "null", "https://app.example.evil"] {
                    let fields: HeaderFields = ["Cookie": cookie, "Origin": origin]
                    let handshake = SocketClient.handshake(fields, to: gateway.endpoint)
                    let reply = try await gateway.get(SocketClient.path, handshake)
                    #expect(reply.status == 403 && reply.text.contains("cross_origin"))
                }
            }
        }
    }
}

extension Endpoint {
    fileprivate var authorityText: String {
        switch self {
        case .tcp(let host, let port), .tls(let host, let port, _): "\(host):\(port)"
        case .unix(let path): path
        }
    }
}
