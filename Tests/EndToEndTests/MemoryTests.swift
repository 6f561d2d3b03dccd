import FreshetTesting
import JSON
import Testing

/// The program with less memory than it has taken already.
@Suite("Short of memory", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct MemoryTests {
    @Test("F77: no new streams, nothing in memory to replay; who reads is served, and polling goes on")
    func short() async throws {
        let numbers = VersionedResource(versions: (0..<200).map { Array(#"{"n":\#($0)}"#.utf8) })
        let upstream = try ScriptedUpstream()
        upstream.serve(numbers, at: "/numbers")
        let gateway = try Gateway(
            """
            limits: { max_memory: 16MiB }
            sources:
              numbers: { url: "\(upstream.url("/numbers"))", interval: 20ms }
            """
        )
        // Before the first measurement, a second after the start, the door is open.
        var follower = try await gateway.follow("numbers", mode: "patch")
        let client = try await gateway.client
        let deadline = ContinuousClock.now + .patience
        while try await !client.get("/metrics").text.contains("\nfreshet_memory_pressure 3\n") {
            try #require(ContinuousClock.now < deadline, "no pressure is seen")
        }
        let refusal = try await client.get("/v1/streams/numbers")
        #expect(refusal.status == 503 && refusal.text.contains("short_of_memory"))
        #expect(refusal.headers["Retry-After"] != nil)
        for _ in 0..<20 {
            numbers.advance()
            try await follower.takeChange()
        }
        let goal = try Document(parsing: numbers.body)
        #expect(follower.values["numbers"] == goal, "who was there and reads is served")
        #expect(try await gateway.document("/v1/values/numbers") == goal)
        while try await !client.get("/metrics").text.contains("\nfreshet_cache_events 0\n") {
            try #require(ContinuousClock.now < deadline, "events stay in memory")
        }
        await follower.close()
        #expect(try await gateway.terminate() == .exited(0))
    }
}
