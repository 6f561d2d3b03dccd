import EventStream
import Foundation
import FreshetTesting
import JSON
import Testing

/// A gateway of many sources that is killed and started again: it asks nobody for what it has, and loses nobody.
@Suite("A restart with many sources", .serialized, .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct RestartAtScaleTests {
    private static let groups = 50
    private static let sourcesPerGroup = 10
    /// `FRESHET_RESTART_SUBSCRIBERS`; 150 by default. Each follows a group.
    private static let subscribers =
        Int(ProcessInfo.processInfo.environment["FRESHET_RESTART_SUBSCRIBERS"] ?? "") ?? 150

    private static let names = (0..<groups).flatMap { group in
        (0..<sourcesPerGroup).map { "g\(group + 100)-\($0)" }
    }

    private static func body(_ name: String, _ version: Int) -> String {
        #"{"name":"\#(name)","version":\#(version),"pad":"\#(String(repeating: "x", count: 200))"}"#
    }

    private static func configuration(_ upstream: ScriptedUpstream, _ folder: TemporaryFolder) throws -> String {
        let sources = self.names.map { "  \($0): { url: \"\(upstream.url("/\($0)"))\", interval: 3s }" }
        let log = "log: { path: \"\(folder.path("changes.db"))\" }"
        let text = "listen: 127.0.0.1:0\n\(log)\nsources:\n\(sources.joined(separator: "\n"))\n"
        return try folder.write(text, to: "freshet.yaml")
    }

    @Test("F54, F60, F61: every poll after it is conditional, and every subscriber resumes by one id without a gap")
    func restart() async throws {
        let upstream = try ScriptedUpstream()
        let version = Watched(1)
        for name in Self.names {
            upstream.on("/\(name)") { request in
                let tag = "\"\(name)-\(version.value)\""
                guard request.headers["If-None-Match"] != tag else { return [.respond(.status(304))] }
                return [.respond(.json(Self.body(name, version.value), headers: ["ETag": tag]))]
            }
        }
        let folder = try TemporaryFolder()
        let file = try Self.configuration(upstream, folder)
        let first = try FreshetProcess(["serve", "--config", file])
        let endpoint = try await first.endpoint()
        let all = try EventStreamClient(endpoint, path: "/v1/streams/*")
        let cursor = try await Self.changes(Self.names.count, of: all).last?.lastEventID ?? ""
        #expect(cursor.utf8.count <= 64 && cursor.hasSuffix("-\(Self.names.count)"), "one id for all of them")
        let cursors = try await Self.follow(endpoint)
        #expect(cursors.count == Self.subscribers && cursors.allSatisfy { !$0.isEmpty })

        first.send(SIGKILL)
        _ = try await first.exitStatus()
        let polls = upstream.requests.count
        version.update { $0 = 2 }
        let start = ContinuousClock.now
        let second = try FreshetProcess(["serve", "--config", file])
        let again = try await second.endpoint()
        let whole = try EventStreamClient(again, path: "/v1/streams/*", lastEventID: cursor)
        let streams = try cursors.enumerated().map { index, id in
            try EventStreamClient(again, path: Self.path(ofSubscriber: index), lastEventID: id)
        }
        try await self.expectEachOnce(Self.names.count, of: whole, after: cursor)
        for stream in streams {
            try await self.expectEachOnce(Self.sourcesPerGroup, of: stream, after: cursor)
        }
        let later = upstream.requests.dropFirst(polls)
        #expect(Set(later.map(\.path)).count == Self.names.count)
        #expect(later.allSatisfy { $0.headers["If-None-Match"] != nil }, "no poll asks for what is there")
        let taken = ContinuousClock.now - start
        print(
            "restart: \(Self.names.count) sources, \(streams.count + 1) subscribers resumed, all polls conditional, \(taken)"
        )
        #expect(try await second.terminate() == .exited(0))
    }

    private static func path(ofSubscriber index: Int) -> String { "/v1/streams/g\(index % self.groups + 100)-*" }

    /// Opens the streams of all, and returns the cursor of each once it has the snapshots.
    private static func follow(_ endpoint: Endpoint) async throws -> [String] {
        let streams = try (0..<self.subscribers).map { index in
            try EventStreamClient(endpoint, path: self.path(ofSubscriber: index))
        }
        var cursors: [String] = []
        for stream in streams {
            cursors.append(try await self.changes(self.sourcesPerGroup, of: stream).last?.lastEventID ?? "")
        }
        return cursors
    }

    /// The next so many events but `hello` and `status`.
    private static func changes(_ count: Int, of stream: EventStreamClient) async throws -> [StreamEvent] {
        var events: [StreamEvent] = []
        while events.count < count {
            let event = try #require(try await stream.next(timeout: .seconds(90)), "the stream ended")
            if event.type != "hello", event.type != "status" { events.append(event) }
        }
        return events
    }

    private func expectEachOnce(_ count: Int, of stream: EventStreamClient, after cursor: String) async throws {
        let events = try await Self.changes(count, of: stream)
        #expect(events.allSatisfy { $0.type == "patch" }, "no gap, no snapshot: \(Set(events.map(\.type)))")
        let sources = try events.map { try Document(parsing: $0.data).root["source"]?.string }
        #expect(Set(sources).count == count, "each source once")
        let epoch = cursor.prefix { $0 != "-" }
        #expect(events.allSatisfy { $0.lastEventID.hasPrefix("\(epoch)-") }, "the numbering goes on")
        #expect(Set(events.map(\.lastEventID)).count == count)
    }
}
