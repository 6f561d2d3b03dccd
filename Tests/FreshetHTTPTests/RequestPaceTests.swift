// How often one address may ask.

import FreshetStreaming
import FreshetTesting
import System
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Requests of one address")
    struct RequestPaceTests {
        private static let second: Int64 = 1_000_000_000

        @Test("A12 a client has its rate, and ten seconds of it at once; each has its own", arguments: [1, 7, 100])
        func rate(perSecond: Int) {
            var buckets = RateBuckets<PeerAddress>(perSecond: perSecond)
            let (one, other) = (PeerAddress("192.0.2.1"), PeerAddress("192.0.2.2"))
            func taken(_ client: PeerAddress, at now: Int64) -> Int {
                var count = 0
                while buckets.take(client, at: now) { count += 1 }
                return count
            }
            #expect(taken(one, at: 0) == 10 * perSecond)
            #expect(taken(one, at: 0) == 0)
            #expect(taken(other, at: 0) == 10 * perSecond)
            // Whoever is refused has used nothing up.
            for _ in 0..<1000 { _ = buckets.take(one, at: Self.second / 2) }
            #expect(taken(one, at: 3 * Self.second) >= 3 * perSecond - perSecond / 2 - 1)
            #expect(taken(one, at: 100 * Self.second) == 10 * perSecond)
        }

        @Test("A12 a client whose bucket is full is forgotten, and there are never more than so many")
        func entries() {
            var buckets = RateBuckets<PeerAddress>(perSecond: 1, maxClients: 100)
            let clients = (0..<200).map { PeerAddress("192.0.2.\($0)") }
            var taken = 0
            for client in clients where buckets.take(client, at: 0) { taken += 1 }
            #expect(taken == 200 && buckets.count == 100)
            // Those that are counted are still refused.
            for _ in 0..<20 where buckets.take(clients[0], at: 0) { taken += 1 }
            #expect(taken == 209)
            let isFirstAgain = buckets.take(clients[199], at: 20 * Self.second)
            #expect(isFirstAgain && buckets.count == 1)
        }

        @Test("what a client has had is counted afterwards, and has to be paid off before it may have more")
        func debt() {
            var buckets = RateBuckets<Int>(perSecond: 1000)
            buckets.charge(1, 10_000, at: 0)
            #expect(buckets.wait(of: 1, at: 0) == nil)
            buckets.charge(1, 1, at: 0)
            #expect(buckets.wait(of: 1, at: 0) == 1 && buckets.wait(of: 2, at: 0) == nil)
            buckets.charge(1, 5000, at: 0)
            #expect(buckets.wait(of: 1, at: 0) == 6)
            #expect(buckets.wait(of: 1, at: 5 * Self.second) == 1)
            #expect(buckets.wait(of: 1, at: 6 * Self.second) == nil)
            // However much it was, an hour and what was there already is the most.
            for _ in 0..<3 { buckets.charge(1, .max, at: 6 * Self.second) }
            #expect(buckets.wait(of: 1, at: 6 * Self.second).map { $0 <= 7200 } == true)
            buckets.charge(1, -5, at: 6 * Self.second)
            #expect(buckets.count == 1)
        }

        /// Ten requests at once.
        private static func slow(_ settings: inout HTTPSettings) {
            settings.trustedProxies = TrustedProxies([TrustedProxies.Entry("127.0.0.1")].compactMap { $0 })
            settings.maxRequestsPerAddress = 1
        }

        private static func request(_ path: String, from client: String) -> String {
            "GET \(path) HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: \(client)\r\n\r\n"
        }

        @Test(
            "A12 above the rate: 429 with a Retry-After that differs, whatever is asked for, but for probes",
            arguments: [
                "/v1/values/rates", "/v1/changes/*?since=earliest", "/v1/streams/rates", "/metrics", "/nothing",
                "/v1/values/rates?wait=5m&since=latest",
            ]
        )
        func refused(path: String) async throws {
            try await withGateway(Self.slow) { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                let field: HeaderFields = ["X-Forwarded-For": "192.0.2.1"]
                var delays: Set<String> = []
                for _ in 0..<10 { #expect(try await gateway.get("/v1/sources/rates", field).status == 200) }
                for _ in 0..<12 {
                    let reply = try await gateway.get(path, field)
                    guard reply.status == 429 else { continue }
                    #expect(try code(reply) == "too_many_requests_from_address")
                    delays.insert(try #require(reply.headers["Retry-After"]))
                }
                #expect(delays.count > 2 && delays.allSatisfy { (1...10).contains(Int($0) ?? 0) })
                for probe in ["/livez", "/readyz", "/healthz"] {
                    #expect(try await gateway.get(probe, field).status == 200)
                }
                #expect(try await gateway.get("/v1/values/rates", ["X-Forwarded-For": "192.0.2.2"]).status == 200)
                // This machine is not counted.
                let metrics = try await gateway.get("/metrics").text
                let line = metrics.split(separator: "\n").first {
                    $0.hasPrefix("freshet_http_requests_over_rate_total ")
                }
                #expect(line.flatMap { $0.split(separator: " ").last }.flatMap { Int($0) } ?? 0 >= 12)
            }
        }

        @Test("A12 a connection whose request was refused is not read for a while, and then it is")
        func pause() async throws {
            try await withGateway({
                Self.slow(&$0)
                $0.overRatePause = .seconds(3600)
            }) { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                let client = try await RawConnection(gateway.endpoint)
                let requests = (0..<14).map { Self.request("/v1/values/rates?number=\($0)", from: "192.0.2.1") }
                try await client.send(requests.joined())
                let answers = try await client.receive(until: "too_many_requests_from_address")
                #expect(answers.ranges(of: "HTTP/1.1 200 ").count == 10)
                #expect(answers.ranges(of: "HTTP/1.1 429 ").count == 1)
                // The refused one is counted; what comes behind it is not looked at.
                for _ in 0..<20 { #expect(try await gateway.get("/livez").status == 200) }
                #expect(try await gateway.get("/metrics").text.contains("\nfreshet_http_requests_over_rate_total 1\n"))
                client.close()
            }
            try await withGateway({
                Self.slow(&$0)
                $0.overRatePause = .milliseconds(1)
            }) { gateway in
                let client = try await RawConnection(gateway.endpoint)
                try await client.send((0..<20).map { Self.request("/v1/sources?n=\($0)", from: "192.0.2.1") }.joined())
                client.halfClose()
                let answers = try await client.receiveToEnd().text
                #expect(answers.ranges(of: "HTTP/1.1 ").count == 20)
                #expect(answers.ranges(of: "HTTP/1.1 429 ").count > 5)
            }
        }

        @Test("A12 a refused request with a body ends its connection")
        func body() async throws {
            try await withGateway(Self.slow) { gateway in
                let field: HeaderFields = ["X-Forwarded-For": "192.0.2.1"]
                for _ in 0..<10 { #expect(try await gateway.get("/v1/sources", field).status == 200) }
                let client = try await RawConnection(gateway.endpoint)
                try await client.send(
                    "POST /v1/admin/sources/rates/value HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n"
                        + "Authorization: Bearer \(GatewayFixture.key.text)\r\nContent-Length: 5\r\n\r\n[1,2]"
                )
                let answer = try await client.receive(until: "}")
                #expect(answer.hasPrefix("HTTP/1.1 429 ") && answer.contains("\r\nConnection: close\r\n"))
            }
        }
    }
}
