import EventStream
import Foundation
import FreshetTesting
import JSON
import Testing

/// The main job over real sockets: recorded upstreams are served step by step with entity tags, and every subscriber
/// has to end up with the upstream's value after each step.
@Suite(
    "Recorded upstreams",
    .serialized,
    .enabled(if: Suites.available, "the suites are not here"),
    .enabled(if: FreshetProcess.isBuilt, "the program is not built")
)
struct HistoryReplayTests {
    /// How many versions of a recording are replayed once more in other ways; `FRESHET_REPLAYS`, 20 by default.
    private static let count = Int(ProcessInfo.processInfo.environment["FRESHET_REPLAYS"] ?? "") ?? 20

    @Test("every version of the beginning, or of all, arrives exactly, in every mode", arguments: Suites.histories)
    func everyVersion(name: String) async throws {
        // The others are for `make test-long`.
        let replay = try await Replay(Suites.history(name), count: max(60, Self.count))
        var followers: [Follower] = []
        for mode in replay.modes {
            followers.append(try await replay.follow(mode: mode))
        }
        try await replay.run { value, changed in
            for index in followers.indices {
                // In the mode `items` a change may touch none of them, and is told by a checkpoint at times.
                if changed, try !followers[index].holds(value) { try await followers[index].takeChange() }
                #expect(
                    try followers[index].holds(value),
                    "\(name), \(followers[index].mode): version \(replay.version)"
                )
            }
            let answer = try await replay.value()
            #expect(answer.body == value.text, "the upstream's own text")
        }
        #expect(replay.upstreamCounts.notModified > 0, "unchanged polls are conditional")
        #expect(try await replay.gateway.terminate() == .exited(0))
        for follower in followers {
            #expect(try await follower.bye() == "drain")
        }
    }

    @Test(
        "every version of the beginning, or of all, arrives under `interval: adaptive`",
        arguments: Suites.histories
    )
    func adaptive(name: String) async throws {
        let replay = try await Replay(
            Suites.history(name),
            count: Self.count,
            interval: "adaptive, min_interval: 10ms, max_interval: 50ms, staleness: 10ms"
        )
        var followers: [Follower] = []
        for mode in replay.modes where mode == "patch" || mode == "items" {
            followers.append(try await replay.follow(mode: mode))
        }
        try await replay.run { value, changed in
            for index in followers.indices {
                if changed, try !followers[index].holds(value) { try await followers[index].takeChange() }
                #expect(try followers[index].holds(value), "\(name): version \(replay.version)")
            }
        }
    }

    @Test("a stream resumes from every tenth cursor with exactly what came after", arguments: Suites.histories)
    func resumes(name: String) async throws {
        let replay = try await Replay(Suites.history(name), count: Self.count)
        var first = try await replay.follow(mode: "patch")
        var cursors = [(id: first.lastEventID, value: first.value)]
        try await replay.run { _, changed in
            guard changed else { return }
            try await first.takeChange()
            cursors.append((first.lastEventID, first.value))
        }
        for start in stride(from: 0, to: cursors.count, by: 10) {
            var follower = try await replay.resume(mode: "patch", after: cursors[start])
            for later in cursors[(start + 1)...] {
                try await follower.takeChange()
                #expect(follower.lastEventID == later.id)
                #expect(follower.value == later.value)
            }
            await follower.close()
        }
    }

    @Test("F60: one stream over several sources resumes with one cursor")
    func severalSources() async throws {
        let rates = try VersionedResource(versions: Array(Suites.history("exchange-rates").bodies.prefix(40)))
        let stories = try VersionedResource(versions: Array(Suites.history("hn-by-domain").bodies.prefix(40)))
        let upstream = try ScriptedUpstream()
        upstream.serve(rates, at: "/rates")
        upstream.serve(stories, at: "/stories")
        let gateway = try Gateway(
            """
            sources:
              rates: { url: "\(upstream.url("/rates"))", interval: 20ms }
              stories: { url: "\(upstream.url("/stories"))", interval: 20ms }
            """
        )
        try await gateway.waitForValues(of: ["rates", "stories"])
        var lastID: String?
        var held: [String: Document] = [:]
        for step in 1...39 {
            // Each step a new connection: what it is sent has to join what the last one left, without a seam.
            var follower = try await gateway.follow("rates,stories", mode: "patch", after: lastID, holding: held)
            if lastID == nil {
                #expect(follower.values.count == 2)
            }
            rates.advance()
            if step % 2 == 0 { stories.advance() }
            try await follower.takeChanges(until: ["rates": rates.body, "stories": stories.body])
            (lastID, held) = (follower.lastEventID, follower.values)
            #expect(follower.lastEventID.utf8.count <= 64)
            await follower.close()
        }
    }
}
