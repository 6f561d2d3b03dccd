import FreshetStreaming
import FreshetTesting
import System
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Host names")
    struct HostRuleTests {
        @Test(
            "A03, S5: a loopback listener answers to its own names on every path, and to no others",
            arguments: [
                ("evil.test", false), ("evil.test:8080", false), ("127.0.0.1.evil.test", false),
                ("localhost.evil.test", false), ("evil.test.", false), ("evillocalhost", false), ("0x7f.1", false),
                ("127.1", false), ("[::1", false), ("localhost", true), ("LOCALHOST:1", true), ("127.0.0.1", true),
                ("127.0.0.1:8080", true), ("192.0.2.1:80", true), ("[::1]:8080", true), ("gate.example", true),
                ("GATE.example:8443", true),
            ]
        )
        func everyPath(name: String, isKnown: Bool) async throws {
            try await withGateway({ settings in
                settings.hostNames = ["gate.example"]
                settings.corsOrigins = ["*"]
            }) { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                for path in [
                    "/", "/page.js", "/client/freshet.js", "/v1/values/rates", "/v1/changes/rates", "/v1/sources",
                    "/v1/sources/rates", "/v1/streams/rates", "/metrics", "/livez", "/readyz", "/openapi.json",
                    "/v1/admin/subscribers", "/nothing",
                ] {
                    for method in ["GET", "HEAD", "OPTIONS", "POST"]
                    where method != "GET" || path != "/v1/streams/rates" {
                        let reply = try await gateway.send(method, path, ["Host": name])
                        #expect((reply.status == 421) == !isKnown, "\(method) \(path): \(reply.status)")
                        if !isKnown {
                            #expect(reply.headers["Access-Control-Allow-Origin"] == nil)
                            #expect(!reply.text.contains("[1]"))
                        }
                    }
                }
                let stream = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates", headers: ["Host": name])
                #expect(try await stream.head().status == (isKnown ? 200 : 421))
            }
        }

        @Test("A03: the host of an absolute target counts, and not the field beside it")
        func absoluteTarget() async throws {
            try await withGateway { gateway in
                let reply = try await RawHTTP.exchange(
                    gateway.endpoint,
                    sending: Array("GET http://evil.test/v1/sources HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".utf8)
                )
                #expect(try reply.statuses() == [421])
            }
        }

        @Test("A03: a unix socket answers to any name, and one for administration to its own")
        func unixSockets() async throws {
            let folder = try TemporaryFolder()
            try await withGateway({ settings in
                settings.listen = .unix(path: folder.path("main.sock"))
                settings.adminListen = .unix(path: folder.path("admin.sock"))
            }) { gateway in
                let headers: HeaderFields = ["Host": "gate.example"]
                #expect(try await gateway.get("/v1/sources", headers).status == 200)
                let admin = try #require(gateway.adminEndpoint)
                #expect(try await RawHTTP.get("/v1/sources", from: admin, headers: headers).status == 421)
                #expect(try await RawHTTP.get("/v1/sources", from: admin).status == 200)
            }
        }

        @Test("A03: a listener for every address is public, and answers to any name")
        func everyAddress() async throws {
            try await withGateway({ $0.listen = .tcp(host: "0.0.0.0", port: 0) }) { gateway in
                let reply = try await gateway.get("/v1/sources", ["Host": "gate.example"])
                #expect(reply.status == 200)
            }
        }

        @Test(
            "A03: addresses that no public client reaches",
            arguments: [
                ("127.0.0.1", true), ("127.9.9.9", true), ("10.0.0.1", true), ("172.16.0.1", true),
                ("172.31.255.255", true), ("192.168.1.1", true), ("169.254.1.1", true), ("100.64.0.1", true),
                ("::1", true), ("fc00::1", true), ("fd12::1", true), ("fe80::1%eth0", true), ("fec0::1", true),
                ("::ffff:10.0.0.1", true), ("0.0.0.0", false), ("::", false), ("172.15.0.1", false),
                ("172.32.0.1", false), ("192.169.0.1", false), ("100.128.0.1", false), ("8.8.8.8", false),
                ("2001:db8::1", false), ("fb00::1", false), ("ff02::1", false), ("", false),
            ]
        )
        func privateAddresses(address: String, isPrivate: Bool) {
            #expect(PeerAddress(address).isPrivate == isPrivate)
        }
    }
}
