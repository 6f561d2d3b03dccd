import EventStream
import FreshetCore
import FreshetHTTP
import FreshetStreaming
import FreshetTesting
import Testing

@testable import freshet

/// What the gateway gives up, step by step, as the memory of its control group fills.
@Suite("The order of the memory relief")
struct MemoryReliefTests {
    private static func text(_ number: Int) -> String {
        #"{"n":\#(number),"pad":"\#(String(repeating: "x", count: 3 << 20))"}"#
    }

    /// Waits for a condition that shows within a few seconds.
    private func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .patience
        while try await !condition() { try #require(ContinuousClock.now < deadline, "never: \(what)") }
    }

    @Test(
        "A09, F77: first stalled answers and second streams, then events, then streams that are behind; who reads stays"
    )
    func order() async throws {
        let group = try TemporaryFolder()
        try group.write("1000000000\n", to: "memory.max")
        try group.write("100000000\n", to: "memory.current")
        let watch = MemoryWatch(configured: nil, root: group.path(""), membership: "0::/\n")
        // Nothing is polled: values are pushed.
        let upstream = try ScriptedUpstream()
        upstream.on("*") { _ in [.stall] }
        let source = "{ url: '\(upstream.url("/"))', interval: 1h, timeout: 1h }"
        let gateway = try await EmbeddedGateway(
            "sources: { big: \(source), other: \(source) }",
            in: TemporaryFolder(),
            memory: watch
        )
        let (streams, memory) = (gateway.composition.streams, gateway.composition.memory)
        for number in 1...4 { _ = try await gateway.push(Self.text(number), to: "big") }
        let reader = try EventStreamClient(gateway.endpoint, path: "/v1/streams/big?since=latest")
        #expect(try await reader.next()?.type == "hello")
        func stalled(_ path: String) async throws -> RawConnection {
            let connection = try await RawConnection(gateway.endpoint, receiveBufferBytes: 4096)
            try await connection.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return connection
        }
        let behind = try await stalled("/v1/streams/big")
        try await self.eventually("a stream is behind") { streams.statistics.blocked == 1 }
        let unread = try await stalled("/v1/values/big")
        #expect(try await gateway.metric("freshet_http_unread_answers", is: 1))
        let cached = gateway.composition.hub.statistics.cacheBytes
        #expect(cached > 9 << 20)

        try group.write("850000000\n", to: "memory.current")
        #expect(await gateway.log.line(containing: "admitting one stream per address") != nil)
        let refused = try await gateway.client.get("/v1/streams/other")
        #expect(refused.status == 503 && refused.text.contains("short_of_memory"))
        #expect(gateway.composition.hub.statistics.cacheBytes == cached)
        #expect(try await gateway.metric("freshet_http_answers_ended_total", is: 1), "the stalled answer ends")

        try group.write("920000000\n", to: "memory.current")
        #expect(await gateway.log.line(containing: "dropping events from memory") != nil)
        try await self.eventually("half of the events") { gateway.composition.hub.statistics.cacheBytes <= cached / 2 }
        #expect(memory.figures.ended == 0 && streams.statistics.blocked == 1)

        try group.write("970000000\n", to: "memory.current")
        try await self.eventually("the stream that is behind ends") { memory.figures.ended == 1 }
        try await self.eventually("it alone ends") { streams.statistics.subscribers == 1 }
        // Values stay, and go to who reads.
        #expect(try await gateway.client.get("/v1/values/big").status == 200)
        _ = try await gateway.push(Self.text(5), to: "big")
        #expect(try await reader.next()?.type == "patch")

        try group.write("100000000\n", to: "memory.current")
        #expect(await gateway.log.line(containing: "accepting new streams") != nil)
        let newcomer = try EventStreamClient(gateway.endpoint, path: "/v1/streams/other?since=latest")
        #expect(try await newcomer.next()?.type == "hello")
        _ = (behind, unread)
        try await gateway.end()
    }
}
