import EventStream
import FreshetAccess
import FreshetCore
import FreshetStreaming
import FreshetTesting
import System
import TLS
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("A listener that speaks TLS", .ownTransport)
    struct TLSListenerTests {
        /// Pairs in a folder, as an operator has them.
        struct Store {
            let folder: TemporaryFolder

            init() throws { self.folder = try TemporaryFolder() }

            /// Writes a certificate and its key, over those that were there.
            @discardableResult
            func write(_ certificate: TestCertificate, to name: String = "a") throws -> TLSFiles.Pair {
                TLSFiles.Pair(
                    certificate: try self.folder.write(certificate.chain, to: "\(name).pem"),
                    key: try self.folder.write(certificate.key, to: "\(name).key")
                )
            }
        }

        private static func endpoint(
            _ gateway: GatewayFixture,
            _ options: TLSClientOptions = TLSClientOptions()
        ) throws -> Endpoint {
            guard case .tcp(let host, let port) = gateway.endpoint else { throw TestingError(.missing, "no port") }
            return .tls(host: host, port: port, options: options)
        }

        private static func metric(_ name: String, at endpoint: Endpoint) async throws -> String? {
            let lines = try await RawHTTP.get("/metrics", from: endpoint).text.split(separator: "\n")
            return lines.first { $0.hasPrefix("\(name) ") }.map { String($0.dropFirst(name.count + 1)) }
        }

        /// The common name of the certificate that a new connection is shown.
        private static func served(_ endpoint: Endpoint) async throws -> String {
            let connection = try await RawConnection(endpoint)
            return connection.serverName
        }

        @Test(
            "requests and streams are as they are without, in TLS 1.2 and 1.3, detached and not",
            arguments: [(true, true), (true, false), (false, true)]
        )
        func versions(isTLS13: Bool, detaches: Bool) async throws {
            let store = try Store()
            let pair = try store.write(TestCertificate("localhost"))
            try await withGateway(tls: TLSFiles(pairs: [pair], detaches: detaches)) { gateway in
                let rates = try gateway.source("rates")
                try gateway.publish("[1]", of: rates)
                let endpoint = try Self.endpoint(gateway, TLSClientOptions(isTLS13: isTLS13))
                let client = HTTPTestClient(endpoint)
                for _ in 0..<20 { #expect(try await client.get("/v1/values/rates").text == "[1]") }
                #expect(client.connectionCount == 1)
                let stream = try EventStreamClient(endpoint, path: "/v1/streams/rates")
                #expect(try await stream.next(2).map(\.type) == ["hello", "snapshot"])
                try gateway.publish("[2]", of: rates)
                #expect(try await stream.next()?.lastEventID == "\(gateway.cursor(2))")
                let detached = try await Self.metric("freshet_tls_detached_sessions", at: endpoint)
                #expect(detached == (isTLS13 && detaches ? "1" : "0"))
                let name = #"freshet_tls_handshakes_total{version="\#(isTLS13 ? "1.3" : "1.2")"}"#
                #expect(try await Self.metric(name, at: endpoint).flatMap { Int($0) } ?? 0 >= 2)
            }
        }

        @Test(
            "A14: who does not shake hands in the time of a header is closed",
            arguments: [
                "", "\u{16}\u{3}\u{1}\u{1}\0\u{1}\0",
            ]
        )
        func handshakeDeadline(bytes: String) async throws {
            let store = try Store()
            let pair = try store.write(TestCertificate("localhost"))
            try await withGateway({ $0.headerTimeout = .milliseconds(200) }, tls: TLSFiles(pairs: [pair])) { gateway in
                let connection = try await RawConnection(gateway.endpoint)
                try await connection.send(bytes)
                let reply = try await connection.receiveToEnd()
                #expect(reply.end == .closed)
                #expect(reply.bytes.isEmpty)
                try await eventually { gateway.server.connectionCount == 0 }
            }
        }

        @Test(
            "plain HTTP, and what is no TLS at all, ends at once and is counted by its kind",
            arguments: [
                ("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", "plaintext"),
                ("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "version"),
            ]
        )
        func plaintext(bytes: String, reason: String) async throws {
            let store = try Store()
            let pair = try store.write(TestCertificate("localhost"))
            try await withGateway(tls: TLSFiles(pairs: [pair])) { gateway in
                let connection = try await RawConnection(gateway.endpoint)
                try await connection.send(bytes)
                #expect(try await connection.receiveToEnd().end != .timedOut)
                let name = #"freshet_tls_handshake_failures_total{reason="\#(reason)"}"#
                #expect(try await Self.metric(name, at: Self.endpoint(gateway)) == "1")
            }
        }

        @Test("the certificate is chosen by the name that is asked for")
        func serverName() async throws {
            let store = try Store()
            let pairs = [
                try store.write(TestCertificate("a", alternatives: "DNS:a.example"), to: "a"),
                try store.write(TestCertificate("b", alternatives: "DNS:b.example"), to: "b"),
            ]
            try await withGateway(tls: TLSFiles(pairs: pairs)) { gateway in
                for (asked, expected) in [("a.example", "a"), ("b.example", "b"), ("c.example", "a"), (nil, "a")] {
                    let endpoint = try Self.endpoint(gateway, TLSClientOptions(name: asked))
                    #expect(try await Self.served(endpoint) == expected)
                }
            }
        }

        @Test("renewed files are served to new connections, open streams go on, and a bad pair keeps the old one")
        func renewal() async throws {
            let store = try Store()
            let pair = try store.write(TestCertificate("first"))
            try await withGateway(tls: TLSFiles(pairs: [pair])) { gateway in
                let rates = try gateway.source("rates")
                let endpoint = try Self.endpoint(gateway)
                let stream = try EventStreamClient(endpoint, path: "/v1/streams/rates")
                #expect(try await stream.next()?.type == "hello")
                #expect(try await Self.served(endpoint) == "first")
                let expiry = #"freshet_tls_certificate_expiry_timestamp_seconds{certificate="0"}"#
                let before = try #require(try await Self.metric(expiry, at: endpoint).flatMap { Int($0) })

                try store.write(TestCertificate("second", endingIn: 7200))
                try await eventually { try await Self.served(endpoint) == "second" }
                let after = try #require(try await Self.metric(expiry, at: endpoint).flatMap { Int($0) })
                #expect(after < before)

                let outcome = #"freshet_tls_certificate_reloads_total{outcome="refused"}"#
                #expect(try await Self.metric(outcome, at: endpoint) == "0")
                try store.folder.write(TestCertificate("third").chain, to: "a.pem")
                try await eventually { try await Self.metric(outcome, at: endpoint) == "1" }
                #expect(try await Self.served(endpoint) == "second")
                #expect(try await Self.metric("freshet_tls_certificates_last_reload_successful", at: endpoint) == "0")
                try store.write(TestCertificate("fourth"))
                try await eventually { try await Self.served(endpoint) == "fourth" }
                #expect(try await Self.metric("freshet_tls_certificates_last_reload_successful", at: endpoint) == "1")

                try gateway.publish("[1]", of: rates)
                #expect(try await stream.next()?.lastEventID == "\(gateway.cursor(1))")
            }
        }

        @Test("a client's certificate says who calls; a foreign one, or none, ends the handshake")
        func clientCertificates() async throws {
            let store = try Store()
            let authority = try TestCertificate("authority")
            let files = TLSFiles(
                pairs: [try store.write(TestCertificate("localhost"))],
                clientAuthorities: try store.folder.write(authority.chain, to: "ca.pem")
            )
            let holder = CertificateHolder(
                subject: "CN=backend",
                grants: Grants(read: SourcePattern(try #require(SourceSelector("rates"))))
            )
            let authenticator = try Authenticator(
                AccessConfiguration(certificates: [holder]),
                ticketKey: .random(),
                fetch: { _ in KeyResponse(status: 404, body: []) },
                clock: { WallClock.now }
            )
            try await withGateway(authenticator: authenticator, tls: files) { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                func endpoint(_ identity: TestCertificate?) throws -> Endpoint {
                    try Self.endpoint(gateway, TLSClientOptions(identity: identity))
                }
                let backend = try endpoint(TestCertificate("backend", by: authority))
                #expect(try await RawHTTP.get("/v1/values/rates", from: backend).text == "[1]")
                let caller = try await RawHTTP.get("/v1/me", from: backend)
                #expect(try text(caller, "/kind") == "certificate")
                #expect(try text(caller, "/id") == "CN=backend")
                let relay = try HTTP2Relay(to: backend)
                let same = try await RawHTTP.get("/v1/me", from: .port(relay.port))
                #expect(same.text == caller.text, "over HTTP/2")
                let stream = try EventStreamClient(backend, path: "/v1/streams/rates")
                #expect(try await stream.next(2).map(\.type) == ["hello", "snapshot"])

                let unlisted = try endpoint(TestCertificate("another", by: authority))
                let refused = try await RawHTTP.get("/v1/values/rates", from: unlisted)
                #expect(refused.status == 401)
                #expect(try code(refused) == "invalid_credential")

                for identity in [try TestCertificate("backend"), nil] {
                    let foreign = try endpoint(identity)
                    await #expect(throws: TestingError.self) { try await RawHTTP.get("/livez", from: foreign) }
                }
                let name = #"freshet_tls_handshake_failures_total{reason="untrusted"}"#
                // A client of TLS 1.3 may have had its answer before the server has looked at its certificate.
                try await eventually {
                    var metrics: [UInt8] = []
                    gateway.server.gateway.tlsCounters.write(to: &metrics)
                    return String(decoding: metrics, as: UTF8.self).contains("\(name) 2\n")
                }
            }
        }

        @Test("a listener of its own speaks TLS, and the main one plain HTTP")
        func ownListener() async throws {
            let store = try Store()
            let files = TLSFiles(pairs: [try store.write(TestCertificate("localhost"))])
            let address = ListenAddress.tcp(host: "127.0.0.1", port: 0)
            try await withGateway({ $0.tlsListen = address }, tls: files) { gateway in
                let plain = try await RawHTTP.get("/livez", from: gateway.endpoint)
                #expect(plain.text == "ok\n")
                guard case .tcp(let host, let port)? = await gateway.server.boundTLSAddress else {
                    Issue.record("no listener for TLS")
                    return
                }
                let endpoint = Endpoint.tls(host: host, port: UInt16(port), options: TLSClientOptions())
                #expect(try await RawHTTP.get("/livez", from: endpoint).text == "ok\n")
            }
        }

        @Test("a stream that the gateway ends has its bye and close_notify")
        func end() async throws {
            let store = try Store()
            let files = TLSFiles(pairs: [try store.write(TestCertificate("localhost"))])
            try await withGateway(tls: files) { gateway in
                try gateway.source("rates")
                let connection = try await RawConnection(Self.endpoint(gateway))
                try await connection.send("GET /v1/streams/rates HTTP/1.1\r\nHost: a\r\n\r\n")
                try await connection.receive(until: "event: hello")
                await gateway.streams.drain(over: .zero)
                let reply = try await connection.receiveToEnd()
                #expect(reply.end == .closed)
                #expect(reply.text.contains("event: bye"))
                #expect(reply.text.hasSuffix("\r\n0\r\n\r\n"))
                #expect(connection.hasHeardEnd)
            }
        }
    }
}
