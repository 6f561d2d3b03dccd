import EventStream
import FreshetCore
import FreshetStreaming
import FreshetTesting
import System
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Trusted proxies")
    struct TrustedProxyTests {
        private static let proxies = TrustedProxies(
            ["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48", "unix"].compactMap { TrustedProxies.Entry($0) }
        )

        @Test(
            "A02: the client is the last address that no trusted proxy has, whatever stands before it",
            arguments: [
                ("192.0.2.1", ["198.51.100.1"], "192.0.2.1"), ("127.0.0.1", [], "127.0.0.1"),
                ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"), ("unix", ["198.51.100.1"], "198.51.100.1"),
                ("127.0.0.1", ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
                ("127.0.0.1", ["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
                ("127.0.0.1", ["203.0.113.9, 198.51.100.1, 10.1.2.3"], "198.51.100.1"),
                ("127.0.0.1", ["203.0.113.9", "198.51.100.1,10.1.2.3"], "198.51.100.1"),
                ("::ffff:10.9.9.9", ["198.51.100.1"], "198.51.100.1"), ("11.0.0.1", ["198.51.100.1"], "11.0.0.1"),
                ("2001:db8:1::5", ["2001:db8:2::1"], "2001:db8:2::1"), ("2001:db8:2::5", ["x"], "2001:db8:2::5"),
                ("127.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
                ("127.0.0.1", ["[2001:db8::1]:80"], "2001:db8::1"),
                ("127.0.0.1", ["10.0.0.1, 10.0.0.2"], "10.0.0.1"), ("127.0.0.1", ["", " , "], "127.0.0.1"),
                ("127.0.0.1", ["198.51.100.1, unknown"], ""), ("127.0.0.1", ["198.51.100.1, _hidden"], ""),
                ("127.0.0.1", ["198.51.100.1, evil"], ""), ("127.0.0.1", ["198.51.100.1, unix:"], ""),
                ("127.0.0.1", ["198.51.100.1, 1.2.3"], ""),
            ] as [(String, [String], String)]
        )
        func clients(peer: String, values: [String], client: String) throws {
            let peer = peer == "unix" ? PeerAddress.local : PeerAddress(peer)
            let fields = values.map { RequestHead.Field(name: "x-forwarded-for", value: $0) }
            let head = try RequestHeadFixture.head("/v1/streams/rates", fields)
            #expect(Self.proxies.client(of: head, from: peer).countedNetwork == PeerAddress(client).countedNetwork)
        }

        @Test("A02: what a proxy says is counted, a loopback address as well")
        func counted() {
            #expect(PeerAddress("127.0.0.1").countedNetwork == nil)
            #expect(PeerAddress(forwarded: "127.0.0.1").countedNetwork != nil)
            #expect(PeerAddress(forwarded: "192.0.2.1").countedNetwork == PeerAddress("192.0.2.1").countedNetwork)
        }

        @Test(
            "blocks of addresses",
            arguments: [
                ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.0", false), ("10.1.2.3/8", "10.9.9.9", true),
                ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false),
                ("192.0.2.0/31", "192.0.2.1", true),
                ("10.0.0.0/8", "::ffff:10.1.1.1", true), ("::ffff:10.0.0.0/104", "10.1.1.1", true),
                ("2001:db8::/32", "2001:db8:ffff::1", true), ("2001:db8::/32", "2001:db9::1", false),
                ("2001:db8::1", "2001:db8::1", true), ("2001:db8::/65", "2001:db8::8000:0:0:1", false),
                ("128.0.0.0/1", "192.0.2.1", true), ("128.0.0.0/1", "127.0.0.1", false), ("10.0.0.0/8", "", false),
            ]
        )
        func blocks(block: String, address: String, contains: Bool) throws {
            #expect(try #require(AddressBlock(block)).contains(PeerAddress(address)) == contains)
        }

        @Test(
            "what is no block",
            arguments: [
                "", "/", "/8", "10.0.0.0/", "10.0.0.0/0", "10.0.0.0/33", "::/129", "10.0.0.0/8/8", "10.0.0.0/+8",
                "10.0.0/8", "fe80::1%eth0", "host", "10.0.0.0/ 8", "10.0.0.0/256",
            ]
        )
        func noBlocks(text: String) {
            #expect(AddressBlock(text) == nil)
        }

        /// An address that counts its own streams and connections.
        private static func from(_ address: String) -> HeaderFields { ["X-Forwarded-For": "203.0.113.1, \(address)"] }

        @Test("A02: streams through a trusted proxy are limited by the client's address")
        func streams() async throws {
            var streams = StreamSettings(shards: 1)
            streams.maxSubscribersPerAddress = 2
            try await withGateway(streams: streams, { $0.trustedProxies = Self.proxies }) { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                var held: [EventStreamClient] = []
                func open(_ address: String) async throws -> Int {
                    let client = try EventStreamClient(
                        gateway.endpoint,
                        path: "/v1/streams/rates",
                        headers: Self.from(address)
                    )
                    held.append(client)
                    return try await client.head().status
                }
                #expect(try await open("198.51.100.1") == 200)
                #expect(try await open("198.51.100.1") == 200)
                #expect(try await open("198.51.100.1") == 503)
                #expect(try await open("198.51.100.2") == 200)
                #expect(try await open("127.0.0.1") == 200)
                #expect(try await open("127.0.0.1") == 200)
                #expect(try await open("127.0.0.1") == 503)
                #expect(try await open("nonsense") == 200)
                #expect(try await open("other nonsense") == 200)
                #expect(try await open("more nonsense") == 503)
            }
        }

        @Test(
            "A02: connections of a trusted proxy count for the client whose request they carry, and only while they do"
        )
        func connections() async throws {
            try await withGateway({ settings in
                settings.trustedProxies = Self.proxies
                settings.maxConnectionsPerAddress = 2
            }) { gateway in
                let cursor = try gateway.publish("[1]", of: gateway.source("rates"))
                func wait(_ address: String) async throws -> RawConnection {
                    let connection = try await RawConnection(gateway.endpoint)
                    try await connection.send(
                        "GET /v1/values/rates?wait=5m&since=\(cursor) HTTP/1.1\r\nHost: a\r\n"
                            + "X-Forwarded-For: \(address)\r\n\r\n"
                    )
                    return connection
                }
                var held = [try await wait("198.51.100.1"), try await wait("198.51.100.1")]
                try await gateway.waitForWaiters(2)
                let refused = try await wait("198.51.100.1")
                try await refused.receive(until: "too_many_connections")
                held.append(try await wait("198.51.100.2"))
                try await gateway.waitForWaiters(3)
                // The kept connections serve others once they are answered.
                try gateway.publish("[2]", of: gateway.hub.sources()[0].id)
                for connection in held { try await connection.receive(until: "[2]") }
                for connection in held {
                    try await connection.send(
                        "GET /v1/sources HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n"
                    )
                    try await connection.receive(until: "\"cursor\"")
                }
            }
        }
    }
}
