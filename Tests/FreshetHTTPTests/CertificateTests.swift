import EventStream
import FreshetAccess
import FreshetCore
import FreshetTesting
import JSON
import NIOCore
import NIOPosix
import Testing

@testable import FreshetHTTP

/// Stands for a listener with TLS: says of each of its connections which certificate the handshake verified.
private final class PlantedCertificate: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    private let subject: String?

    init(_ subject: String?) {
        self.subject = subject
    }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        if let subject { context.fireUserInboundEventTriggered(ClientCertificateEvent(subject: subject)) }
    }
}

extension GatewayFixture {
    /// Serves the gateway at another port, to connections whose clients have proved a certificate with this subject.
    func withCertificate(_ subject: String?, _ body: (Endpoint) async throws -> Void) async throws {
        try await self.withHandler({ PlantedCertificate(subject) }, body)
    }

    /// Serves the gateway at another port, to connections whose bytes another handler sees first.
    func withHandler(
        _ first: @escaping @Sendable () -> any ChannelHandler,
        _ body: (Endpoint) async throws -> Void
    ) async throws {
        let gateway = self.server.gateway
        let responder = Responder(gateway: gateway)
        let registry = ConnectionRegistry(settings: gateway.settings, streams: self.streams)
        let listener = IncomingRequest.Listener(purpose: .main, isUnixSocket: false, checksHost: true)
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = ConnectionHandler(
                        gateway: gateway,
                        responder: responder,
                        registry: registry,
                        listener: listener
                    )
                    try channel.pipeline.syncOperations.addHandler(first())
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        defer { channel.close(promise: nil) }
        try await body(.port(UInt16(clamping: try #require(channel.localAddress?.port))))
    }
}

extension HTTPTests {
    @Suite("Client certificates")
    struct CertificateTests {
        private static let key = "mobile-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa"

        private static func authenticator() throws -> Authenticator {
            let orders = SourcePattern([.exact("orders")])
            return try Authenticator(
                AccessConfiguration(
                    anonymous: Grants(read: SourcePattern([.exact("open")])),
                    keys: [APIKey(id: "mobile", secret: Secret(self.key), grants: Grants(read: .all))],
                    certificates: [
                        CertificateHolder(subject: "CN=backend,O=Ä", grants: Grants(read: orders, publish: orders)),
                        CertificateHolder(subject: "CN=chief", grants: .administrator),
                    ]
                ),
                ticketKey: .random(),
                fetch: { _ in KeyResponse(status: 404, body: []) },
                clock: { WallClock.now }
            )
        }

        private func withGateway(_ body: (GatewayFixture) async throws -> Void) async throws {
            try await FreshetHTTPTests.withGateway(authenticator: Self.authenticator()) { gateway in
                for name in ["open", "orders", "salaries"] {
                    try gateway.publish(#"{"of":"\#(name)"}"#, of: try gateway.source(name))
                }
                try await body(gateway)
            }
        }

        @Test("a certificate is its subject's caller; one without an entry proves nothing, and none is anonymous")
        func subjects() async throws {
            try await self.withGateway { gateway in
                try await gateway.withCertificate("CN=backend,O=Ä") { endpoint in
                    let client = HTTPTestClient(endpoint)
                    let me = try Document(parsing: try await client.get("/v1/me").body).root
                    #expect(me["id"]?.string == "CN=backend,O=Ä" && me["kind"]?.string == "certificate")
                    #expect(try await client.get("/v1/values/orders").status == 200)
                    #expect(try await client.get("/v1/values/open").status == 404)
                    #expect(try await client.get("/v1/values/salaries").status == 404)
                    #expect(try await client.get("/metrics").status == 403)
                    let stream = try EventStreamClient(endpoint, path: "/v1/streams/*")
                    #expect(try await stream.next(2).map(\.type) == ["hello", "snapshot"])
                    // What a client chooses to send counts more than what its connection always has.
                    let field: HeaderFields = ["X-API-Key": Self.key]
                    #expect(try await client.get("/v1/values/salaries", headers: field).status == 200)
                    #expect(try await client.get("/v1/values/orders", headers: ["X-API-Key": "none"]).status == 401)
                }
                for subject in ["CN=backend", "CN=backend,O=A\u{308}", ""] {
                    try await gateway.withCertificate(subject) { endpoint in
                        let reply = try await HTTPTestClient(endpoint).get("/v1/values/open")
                        #expect(reply.status == 401, "\(subject)")
                    }
                }
                try await gateway.withCertificate(nil) { endpoint in
                    let client = HTTPTestClient(endpoint)
                    let (open, orders) = (
                        try await client.get("/v1/values/open"), try await client.get("/v1/values/orders")
                    )
                    #expect(open.status == 200 && orders.status == 401)
                }
            }
        }

        @Test(
            "S4: a browser lends its certificate to any page, so that other pages neither publish nor administer by it"
        )
        func crossSite() async throws {
            try await self.withGateway { gateway in
                try await gateway.withCertificate("CN=backend,O=Ä") { endpoint in
                    func publish(_ fields: HeaderFields) async throws -> Int {
                        try await HTTPTestClient(endpoint)
                            .post("/v1/sources/orders/value", headers: fields, body: Array("[1]".utf8)).status
                    }
                    let simple = try await publish(["Origin": "https://evil.example", "Content-Type": "text/plain"])
                    #expect(simple == 403)
                    #expect(try await publish(["Sec-Fetch-Site": "cross-site"]) == 403)
                    #expect(try await publish(["Origin": "null"]) == 403)
                    #expect(gateway.control.log.isEmpty)
                    #expect(try await publish([:]) == 200)
                }
                try await gateway.withCertificate("CN=chief") { endpoint in
                    let client = HTTPTestClient(endpoint)
                    let evil: HeaderFields = ["Origin": "https://evil.example"]
                    let foreign = try await client.post("/v1/admin/sources/open/poll", headers: evil, body: [])
                    #expect(foreign.status == 403)
                    #expect(try await client.post("/v1/admin/sources/open/poll", body: []).status == 200)
                    #expect(try await client.get("/readyz?verbose").status == 200)
                }
            }
        }
    }
}
