import FreshetTesting
import Testing

/// Streams of which each names another set of sources, so that they share nothing.
@Suite("Distinct source sets", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct DistinctSetsTests {
    private static let sources = 200
    private static let streams = 500

    /// All sources but three; another three for each number below 8,000.
    private func request(_ number: Int) -> String {
        let left = [number % 20, 20 + number / 20 % 20, 40 + number / 400 % 20]
        let names = (0..<Self.sources).filter { !left.contains($0) }.map { "s\($0)" }
        return "GET /v1/streams/\(names.joined(separator: ",")) HTTP/1.1\r\nHost: localhost\r\n\r\n"
    }

    private func wait(for subscribers: Int, _ client: HTTPTestClient) async throws {
        let deadline = ContinuousClock.now + .patience
        while try await !client.get("/metrics").text.contains("\nfreshet_subscribers \(subscribers)\n") {
            try #require(ContinuousClock.now < deadline, "not \(subscribers) subscribers")
        }
    }

    @Test(
        "A08: to close hundreds of streams over distinct sets costs less than to open them, and others get their events"
    )
    func close() async throws {
        let numbers = VersionedResource(versions: (0..<10).map { Array(#"{"n":\#($0)}"#.utf8) })
        let upstream = try ScriptedUpstream()
        upstream.serve(numbers, at: "/numbers")
        upstream.serve(VersionedResource(versions: [Array("1".utf8)]), at: "/fixed")
        let names = (0..<Self.sources).map { "s\($0)" }
        let lines = names.map { "  \($0): { url: \"\(upstream.url("/fixed"))\", interval: 1h }" }
        let gateway = try Gateway(
            """
            sources:
              numbers: { url: "\(upstream.url("/numbers"))", interval: 50ms }
            \(lines.joined(separator: "\n"))
            """
        )
        try await gateway.waitForValues(of: ["numbers"] + names)
        var follower = try await gateway.follow("numbers", mode: "patch")
        let client = try await gateway.client
        let endpoint = try await gateway.process.endpoint()
        let start = try gateway.process.usage().cpu
        var held: [RawConnection] = []
        for number in 0..<Self.streams {
            let connection = try await RawConnection(endpoint)
            try await connection.send(self.request(number))
            held.append(connection)
        }
        for connection in held.suffix(20) {
            try await connection.receive(until: "event: snapshot")
        }
        try await self.wait(for: Self.streams + 1, client)
        let opened = try gateway.process.usage().cpu
        for connection in held { connection.close() }
        numbers.advance()
        try await follower.takeChange()
        try await self.wait(for: 1, client)
        let closed = try gateway.process.usage().cpu
        #expect(closed - opened < opened - start, "to close took more than to open")
        await follower.close()
        #expect(try await gateway.terminate() == .exited(0))
    }
}
