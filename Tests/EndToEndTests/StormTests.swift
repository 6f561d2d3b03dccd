import FreshetTesting
import Testing

/// What happens to the program itself when very many come, leave and come back, or only knock.
@Suite("Storms", .serialized, .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct StormTests {
    private static let crowd = 600

    /// A gateway with a source of which the versions are the numbers from 0.
    private func gateway(_ more: String = "") async throws -> (Gateway, VersionedResource, ScriptedUpstream) {
        let pad = String(repeating: "x", count: 300)
        let numbers = VersionedResource(versions: (0..<100).map { Array(#"{"n":\#($0),"pad":"\#(pad)"}"#.utf8) })
        let upstream = try ScriptedUpstream()
        upstream.serve(numbers, at: "/numbers")
        let gateway = try Gateway(
            """
            \(more)
            sources:
              numbers: { url: "\(upstream.url("/numbers"))", interval: 20ms }
            """
        )
        try await gateway.waitForValues(of: ["numbers"])
        return (gateway, numbers, upstream)
    }

    private func request(_ fields: String = "") -> [UInt8] {
        Array("GET /v1/streams/numbers HTTP/1.1\r\nHost: localhost\r\n\(fields)\r\n".utf8)
    }

    /// Waits until the gateway holds so many streams.
    private func waitForSubscribers(_ count: Int, of gateway: Gateway) async throws {
        let deadline = ContinuousClock.now + .patience
        let client = try await gateway.client
        while try await !client.get("/metrics").text.contains("\nfreshet_subscribers \(count)\n") {
            try #require(ContinuousClock.now < deadline, "not \(count) subscribers")
        }
    }

    @Test("F43, F44: hundreds who connect at once are live, and those who resume at once get what they missed, once")
    func stormAndResume() async throws {
        let (gateway, numbers, upstream) = try await self.gateway()
        let endpoint = try await gateway.process.endpoint()
        let first = try await Crowd(Self.crowd, to: endpoint, sending: self.request())
        let openings = try await first.receive(until: #""value":{"n":0,"#)
        #expect(openings.allSatisfy { $0.hasPrefix("HTTP/1.1 200 OK\r\n") && $0.contains("event: hello") })
        let cursors = Set(openings.map { $0.split(separator: #"{"cursor":""#).last?.prefix { $0 != "\"" } ?? "" })
        let cursor = try #require(cursors.first)
        #expect(cursors.count == 1 && !cursor.isEmpty)
        numbers.advance()
        #expect(
            try await first.receive(until: #""path":"/n","value":1}"#).count { $0.contains("event: patch") }
                == Self.crowd
        )
        // All are cut off at once, miss three changes, and are back at once.
        first.leave()
        var follower = try await gateway.follow("numbers", mode: "patch")
        for _ in 0..<3 {
            numbers.advance()
            try await follower.takeChange()
        }
        let again = try await Crowd(Self.crowd, to: endpoint, sending: self.request("Last-Event-ID: \(cursor)\r\n"))
        for text in try await again.receive(until: #""path":"/n","value":4}"#) {
            let numbers = text.split(separator: #""path":"/n","value":"#).dropFirst().map { $0.prefix { $0 != "}" } }
            #expect(numbers == ["1", "2", "3", "4"])
            #expect(!text.contains("event: gap") && !text.contains("event: snapshot"))
        }
        again.leave()
        await follower.close()
        try await self.waitForSubscribers(0, of: gateway)
        #expect(upstream.failures.isEmpty)
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("F45: streams that come and go leave neither a descriptor nor memory behind")
    func churn() async throws {
        let (gateway, _, upstream) = try await self.gateway()
        let endpoint = try await gateway.process.endpoint()
        func churn(rounds: Int) async throws {
            for _ in 0..<rounds {
                let crowd = try await Crowd(200, to: endpoint, sending: self.request())
                _ = try await crowd.receive(until: "event: snapshot")
                crowd.leave()
            }
            try await self.waitForSubscribers(0, of: gateway)
        }
        try await churn(rounds: 10)
        let before = try gateway.process.usage()
        try await churn(rounds: 20)
        let after = try gateway.process.usage()
        // What 4,000 streams took is given back: half a kilobyte of each would be seen.
        #expect(after.residentBytes - before.residentBytes < 2 << 20)
        #expect(after.descriptors <= before.descriptors + 8)
        #expect(after.threads <= before.threads + 2)
        #expect(upstream.failures.isEmpty)
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("S13: who only knocks by the hundred is shown out at the deadline, and others are served meanwhile")
    func knocking() async throws {
        let (gateway, numbers, upstream) = try await self.gateway("limits: { header_timeout: 2s }")
        let endpoint = try await gateway.process.endpoint()
        let before = try gateway.process.usage()
        var follower = try await gateway.follow("numbers", mode: "patch")
        let knocking = try await Crowd(Self.crowd, to: endpoint, sending: Array("GET /v1/streams/numbers HT".utf8))
        numbers.advance()
        try await follower.takeChange()
        #expect(try await HTTPTestClient(endpoint).get("/livez").text == "ok\n")
        #expect(try await knocking.receiveToEnd() == Self.crowd)
        numbers.advance()
        try await follower.takeChange()
        let deadline = ContinuousClock.now + .patience
        while try gateway.process.usage().descriptors > before.descriptors + 8 {
            try #require(ContinuousClock.now < deadline, "descriptors stay")
        }
        #expect(upstream.failures.isEmpty)
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test(
        "A14: with 1,500 half requests at 1,024 files probes, requests and streams are answered, long before any deadline",
        arguments: [
            "GET /v1/streams/numbers HT",
            "POST /v1/values/numbers HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1",
        ]
    )
    func halfRequests(start: String) async throws {
        let numbers = VersionedResource(versions: (0..<9).map { Array(#"{"n":\#($0)}"#.utf8) })
        let upstream = try ScriptedUpstream()
        upstream.serve(numbers, at: "/numbers")
        let gateway = try Gateway(
            """
            limits: { header_timeout: 1h }
            sources:
              numbers: { url: "\(upstream.url("/numbers"))", interval: 20ms }
            """,
            openFiles: 1024
        )
        try await gateway.waitForValues(of: ["numbers"])
        let endpoint = try await gateway.process.endpoint()
        var follower = try await gateway.follow("numbers", mode: "patch")
        let half = try await Crowd(1500, to: endpoint, sending: Array(start.utf8))
        for path in ["/livez", "/readyz", "/v1/values/numbers", "/livez"] {
            #expect(try await RawHTTP.get(path, from: endpoint).status == 200)
        }
        let port = try await gateway.process.listeningPort()
        let check = try FreshetProcess(["healthcheck", "--gateway", "http://127.0.0.1:\(port)"])
        #expect(try await check.exitStatus() == .exited(0))
        numbers.advance()
        try await follower.takeChange()
        var second = try await gateway.follow("numbers", mode: "patch")
        numbers.advance()
        try await second.takeChange()
        half.leave()
        await follower.close()
        await second.close()
        #expect(try await gateway.terminate() == .exited(0))
    }
}
