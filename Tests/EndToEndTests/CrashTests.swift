import EventStream
import Foundation
import FreshetTesting
import JSON
import Testing

/// kill -9 at random moments, with a subscriber that comes back each time: what it has seen in all has to be what the
/// log holds, once, in order and unaltered.
@Suite("Crashes", .serialized, .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct CrashTests {
    /// `FRESHET_CRASH_LOOPS`; five by default.
    private static let loops = Int(ProcessInfo.processInfo.environment["FRESHET_CRASH_LOOPS"] ?? "") ?? 5

    @Test("F61, F62: what a subscriber has seen over kill -9 is what the log holds")
    func killed() async throws {
        let upstream = try ScriptedUpstream()
        let versions = Watched(0)
        upstream.on("/value") { _ in
            // Another value for every poll, so that there is a change to lose at every moment.
            let number = versions.update { number -> Int in
                number += 1
                return number
            }
            let pad = String(repeating: "x", count: 120)
            let body = Array(#"{"n":\#(number),"pad":"\#(pad)"}"#.utf8)
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
        var seen: [StreamEvent] = []
        for _ in 0..<Self.loops {
            let process = try FreshetProcess(["serve", "--config", file])
            let stream = try EventStreamClient(
                try await process.endpoint(),
                path: "/v1/streams/value",
                lastEventID: seen.last?.lastEventID
            )
            let wanted = Int.random(in: 2...12, using: &generator)
            for event in try await stream.next(wanted) {
                try self.take(event, into: &seen)
            }
            try await Task.sleep(for: .microseconds(Int.random(in: 0...15_000, using: &generator)))
            process.send(SIGKILL)
            // What had left before the kill still arrives.
            while let event = try await stream.next() {
                try self.take(event, into: &seen)
            }
            _ = try await process.exitStatus()
        }
        try await self.compare(seen, withLogOf: file)
    }

    private func take(_ event: StreamEvent, into seen: inout [StreamEvent]) throws {
        switch event.type {
        case "hello", "status": return
        case "snapshot" where seen.isEmpty: seen.append(event)
        case "patch": seen.append(event)
        case let type: Issue.record("a \(type) after \(seen.last?.lastEventID ?? "nothing"): \(event.text.prefix(200))")
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
        #expect(held.root["n"]?.int != nil)
        #expect(Set(seen.map(\.lastEventID)).count == seen.count, "no id twice")
        print("crashes: \(Self.loops) kills, \(seen.count) events seen, all as the log has them")
        #expect(try await process.terminate() == .exited(0))
    }
}
