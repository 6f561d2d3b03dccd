import FreshetTesting
import JSON
import Testing

/// The program as its memory fills up.
@Suite("Short of memory", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct MemoryTests {
    /// A gateway that follows small numbers, and a source of which every poll gives a new value of half a megabyte.
    private func gateway(_ limits: String, _ numbers: VersionedResource, _ upstream: ScriptedUpstream) throws -> Gateway
    {
        upstream.serve(numbers, at: "/numbers")
        upstream.on("/big") { request in
            [.respond(.json(#"["\#(request.number)\#(String(repeating: "x", count: 500_000))"]"#))]
        }
        return try Gateway(
            """
            cache: { max_bytes: 1GiB }
            limits: { \(limits) }
            sources:
              numbers: { url: "\(upstream.url("/numbers"))", interval: 20ms }
              big: { url: "\(upstream.url("/big"))", interval: 20ms, when: subscribed }
            """
        )
    }

    private func figure(_ name: String, _ client: HTTPTestClient) async throws -> Int {
        let lines = try await client.get("/metrics").text.split(separator: "\n")
        let line = try #require(lines.first { $0.hasPrefix(name + " ") })
        return try #require(Int(line.dropFirst(name.count + 1)))
    }

    @Test(
        "A24, F77: as memory fills new streams are refused and events dropped; who reads is served, and polling goes on"
    )
    func filling() async throws {
        let numbers = VersionedResource(versions: (0..<200).map { Array(#"{"n":\#($0)}"#.utf8) })
        let upstream = try ScriptedUpstream()
        // What the process takes before anything fills it.
        let idle = try self.gateway("max_body_bytes: 8MiB", numbers, upstream)
        try await idle.waitForValues(of: ["numbers"])
        let own = try idle.process.usage().residentBytes
        #expect(try await idle.terminate() == .exited(0))

        let gateway = try self.gateway("max_memory: \((own * 3 / 2) >> 20)MiB", numbers, upstream)
        try await gateway.waitForValues(of: ["numbers"])
        let client = try await gateway.client
        var follower = try await gateway.follow("numbers", mode: "patch")
        #expect(try await self.figure("freshet_memory_pressure", client) == 0)
        // One who reads big values has them polled.
        let reader = try await RawConnection(try await gateway.process.endpoint())
        try await reader.send("GET /v1/streams/big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let reading = Task { while try await reader.receive(atMost: 1 << 20) {} }
        defer { reading.cancel() }

        let deadline = ContinuousClock.now + .patience
        while try await self.figure("freshet_memory_pressure", client) == 0 {
            try #require(ContinuousClock.now < deadline, "no pressure is seen")
        }
        var refusal = try await RawHTTP.exchangeStart("/v1/streams/numbers", of: gateway)
        while !refusal.contains("short_of_memory") {
            try #require(ContinuousClock.now < deadline, "no stream is refused: \(refusal)")
            refusal = try await RawHTTP.exchangeStart("/v1/streams/numbers", of: gateway)
        }
        #expect(refusal.hasPrefix("HTTP/1.1 503 ") && refusal.contains("\r\nRetry-After: "))
        while try await self.figure("freshet_cache_evictions_total", client) == 0 {
            try #require(ContinuousClock.now < deadline, "events stay in memory")
        }
        for _ in 0..<20 {
            numbers.advance()
            try await follower.takeChange()
        }
        let goal = try Document(parsing: numbers.body)
        #expect(follower.values["numbers"] == goal, "who was there and reads is served")
        #expect(try await gateway.document("/v1/values/numbers") == goal)
        reader.close()
        await follower.close()
        #expect(try await gateway.terminate() == .exited(0))
    }
}

extension RawHTTP {
    /// The beginning of what a GET is answered, as far as its first body bytes; the connection is closed then.
    fileprivate static func exchangeStart(_ path: String, of gateway: Gateway) async throws -> String {
        let connection = try await RawConnection(try await gateway.process.endpoint())
        try await connection.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return try await connection.receive(until: "\"")
    }
}
