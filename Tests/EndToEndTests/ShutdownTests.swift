import EventStream
import FreshetTesting
import Glibc
import JSON
import Testing

/// SIGTERM and SIGINT to the program itself.
@Suite("Shutdown", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct ShutdownTests {
    private static let value = UpstreamResponse.json(#"{"n":1}"#)

    private func gateway(_ upstream: ScriptedUpstream, shutdown: String) throws -> Gateway {
        try Gateway(
            """
            shutdown: \(shutdown)
            sources:
              value: { url: "\(upstream.url("/value"))", interval: 50ms }
            """
        )
    }

    private func streams(_ count: Int, of gateway: Gateway) async throws -> [EventStreamClient] {
        let endpoint = try await gateway.process.endpoint()
        let streams = try (0..<count).map { _ in try EventStreamClient(endpoint, path: "/v1/streams/value") }
        for stream in streams {
            _ = try await stream.next(timeout: .seconds(30)) { $0.type == "snapshot" }
        }
        return streams
    }

    @Test("F70: a drain says no at once, serves on, spreads the ends with jittered retries, and ends with 0")
    func drain() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/value", respond: Self.value)
        let gateway = try self.gateway(upstream, shutdown: "{ delay: 2s, drain: 4s }")
        try await gateway.waitForValues(of: ["value"])
        let streams = try await self.streams(120, of: gateway)
        // One that reads nothing: it must not hold up the end.
        await streams[0].pauseReading()
        let client = try await gateway.client
        gateway.process.send(SIGTERM)
        #expect(await gateway.process.waitForOutput(containing: "shutting down", timeout: .seconds(30)))
        #expect(try await client.get("/readyz").status == 503)
        #expect(try await client.get("/livez").status == 200)
        #expect(try await client.get("/v1/values/value").status == 200)

        let byes = await self.byes(of: Array(streams.dropFirst()))
        #expect(byes.count == streams.count - 1)
        let retries = Set(byes.compactMap(\.retry))
        #expect(retries.count > 30, "each is told a retry of its own")
        #expect(retries.allSatisfy { (1500...2500).contains($0) })
        let times = byes.map(\.at).sorted()
        let (first, last) = (try #require(times.first), try #require(times.last))
        #expect(first.duration(to: last) > .seconds(1), "the ends are spread over the drain")
        // After the delay nothing is polled any more.
        let polls = upstream.requests.count
        streams[0].resumeReading()
        // 0, and not 3: the end came within `delay` + `drain` + 2 s.
        #expect(try await gateway.process.exitStatus(timeout: .seconds(30)) == .exited(0))
        #expect(upstream.requests.count == polls)
    }

    private struct Bye: Sendable {
        var at: ContinuousClock.Instant
        var retry: Int?
    }

    /// When and with what each stream was told its end, by `drain` and by an end in order.
    private func byes(of streams: [EventStreamClient]) async -> [Bye] {
        await withTaskGroup(of: Bye?.self) { group in
            for stream in streams {
                group.addTask {
                    let bye = try? await stream.next(timeout: .seconds(30)) { $0.type == "bye" }
                    guard bye?.text == #"{"reason":"drain"}"# else { return nil }
                    let at = ContinuousClock.now
                    guard (try? await stream.end(timeout: .seconds(30))) == .complete else { return nil }
                    let lines = String(decoding: stream.bodyBytes, as: UTF8.self).split(separator: "\n")
                    let retry = lines.last { $0.hasPrefix("retry: ") }?.dropFirst("retry: ".count)
                    return Bye(at: at, retry: retry.flatMap { Int($0) })
                }
            }
            return await group.reduce(into: []) { if let bye = $1 { $0.append(bye) } }
        }
    }

    @Test(
        "F71: the second signal ends it at once, with 2",
        arguments: [[SIGTERM, SIGTERM], [SIGINT, SIGINT], [SIGTERM, SIGINT]]
    )
    func twice(signals: [Int32]) async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/value", respond: Self.value)
        let gateway = try self.gateway(upstream, shutdown: "{ drain: 10m }")
        try await gateway.waitForValues(of: ["value"])
        let streams = try await self.streams(2, of: gateway)
        gateway.process.send(signals[0])
        #expect(await gateway.process.waitForOutput(containing: "shutting down", timeout: .seconds(30)))
        #expect(gateway.process.isRunning)
        gateway.process.send(signals[1])
        #expect(try await gateway.process.exitStatus(timeout: .seconds(30)) == .exited(2))
        for stream in streams {
            _ = try await stream.end(timeout: .seconds(30))
        }
    }

    @Test("F71: one SIGINT drains as SIGTERM does")
    func interrupted() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/value", respond: Self.value)
        let gateway = try self.gateway(upstream, shutdown: "{ drain: 100ms }")
        try await gateway.waitForValues(of: ["value"])
        let streams = try await self.streams(2, of: gateway)
        gateway.process.send(SIGINT)
        #expect(await self.byes(of: streams).count == 2)
        #expect(try await gateway.process.exitStatus(timeout: .seconds(30)) == .exited(0))
    }
}
