import EventStream
import Foundation
import FreshetTesting
import JSON
import Testing

/// kill -9 at random moments and at the store's failpoints, with subscribers that come back: what they have seen in all
/// has to be what the upstream served and what the log holds, once, in order and unaltered.
@Suite("Crashes", .serialized, .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct CrashTests {
    /// `FRESHET_CRASH_LOOPS`; six by default.
    private static let loops = Int(ProcessInfo.processInfo.environment["FRESHET_CRASH_LOOPS"] ?? "") ?? 6
    private static let failpoints = ["before-commit", "after-commit", "after-mark", "before-checkpoint"]

    @Test("F61, F62: what subscribers have seen over kill -9 is what the upstream served, and what the log holds")
    func killed() async throws {
        let upstream = try ScriptedUpstream()
        let versions = Watched(0)
        upstream.on("/value") { _ in
            let number = versions.update { number -> Int in
                number += 1
                return number
            }
            let body = CrashWitness.body(number)
            return [.respond(UpstreamResponse(status: 200, headers: ["Content-Type": "application/json"], body: body))]
        }
        let folder = try TemporaryFolder()
        let file = try folder.write(
            """
            listen: 127.0.0.1:0
            log: { path: "\(folder.path("changes.db"))" }
            sources:
              value: { url: "\(upstream.url("/value"))", interval: 10ms }
            """,
            to: "freshet.yaml"
        )
        var generator = SystemRandomNumberGenerator()
        var witnesses = ["patch", "merge", "patch"].map { CrashWitness(mode: $0) }
        var contents: [String: Int] = [:]
        for life in 0..<Self.loops {
            // Every second life ends at a failpoint, every first at any moment.
            let failpoint = life % 2 == 0 ? nil : Self.failpoints.randomElement(using: &generator)
            let environment = failpoint.map {
                ["FRESHET_FAILPOINT": "\($0):\(Int.random(in: 1...30, using: &generator))"]
            }
            let process = try FreshetProcess(["serve", "--config", file], environment: environment ?? [:])
            // The last one stays away for two lives of three.
            let present = witnesses.indices.filter { $0 < 2 || life % 3 == 0 }
            try await self.live(process, present, &witnesses, &contents, killsItself: failpoint != nil)
            #expect(try await process.exitStatus() == .killed(signal: SIGKILL))
        }
        try await self.compare(witnesses[0].events, withLogOf: file)
        let seen = witnesses.map(\.events.count)
        print("crashes: \(Self.loops) kills, \(seen) events seen by each, \(contents.count) ids")
    }

    /// One life of the gateway, up to its last byte.
    private func live(
        _ process: FreshetProcess,
        _ present: [Int],
        _ witnesses: inout [CrashWitness],
        _ contents: inout [String: Int],
        killsItself: Bool
    ) async throws {
        let streams: [EventStreamClient]
        do {
            let endpoint = try await process.endpoint()
            streams = try present.map { index in
                let (mode, id) = (witnesses[index].mode, witnesses[index].lastEventID)
                return try EventStreamClient(endpoint, path: "/v1/streams/value?mode=\(mode)", lastEventID: id)
            }
        } catch {
            // It got to its failpoint before it listened.
            guard killsItself, !process.isRunning else { throw error }
            return
        }
        if killsItself {
            // A failpoint that is not reached, such as a second checkpoint, is no reason to wait for long.
            _ = try? await process.exitStatus(timeout: .seconds(3))
        } else {
            let wanted = Int.random(in: 2...12)
            for _ in 0..<wanted {
                guard let event = try await streams[0].next() else { break }
                try witnesses[present[0]].take(event, &contents)
            }
            // Waits for nothing: the kill is to come at any moment.
            try await Task.sleep(for: .microseconds(Int.random(in: 0...15_000)))
        }
        process.send(SIGKILL)
        for (stream, index) in zip(streams, present) {
            // What had left before the kill still arrives.
            while let event = try await stream.next() {
                try witnesses[index].take(event, &contents)
            }
        }
    }

    /// Reads the whole log from the program itself and holds it against what was seen.
    private func compare(_ seen: [StreamEvent], withLogOf file: String) async throws {
        let process = try FreshetProcess(["serve", "--config", file])
        let client = HTTPTestClient(try await process.endpoint())
        let first = try #require(seen.first)
        var held = try #require(try Document(parsing: first.data).extracting(Pointer().appending("value")))
        var cursor = first.lastEventID
        var index = 1
        while index < seen.count {
            let page = try Document(parsing: try await client.get("/v1/changes/value?since=\(cursor)&limit=500").body)
            #expect(page.root["gap"]?.bool == false)
            let events = try #require(page.root["events"])
            try #require(events.count > 0, "the log ends before \(seen[index].lastEventID)")
            for event in events.elements where index < seen.count {
                #expect(event["id"]?.string == seen[index].lastEventID)
                let data = try Document(parsing: seen[index].data)
                #expect(event["data"]?.document == data)
                held = try held.applying(patch: try #require(data.extracting(Pointer().appending("patch"))))
                index += 1
                cursor = seen[index - 1].lastEventID
            }
        }
        #expect(index > Self.loops / 2, "the first witness sees two changes in every second life")
        #expect(held.root["n"]?.int != nil)
        #expect(Set(seen.map(\.lastEventID)).count == seen.count, "no id twice")
        #expect(try await process.terminate() == .exited(0))
    }
}
