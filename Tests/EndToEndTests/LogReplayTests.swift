import EventStream
import Foundation
import FreshetTesting
import JSON
import Testing

/// The whole log through the program: far more changes than memory holds, read back from the disk in every way.
@Suite("The log on disk", .serialized, .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct LogReplayTests {
    private static let changes = 400
    private static let pad = String(repeating: "x", count: 900)

    private static func value(_ number: Int) -> [UInt8] {
        Array(#"{"n":\#(number),"pad":"\#(Self.pad)"}"#.utf8)
    }

    /// A gateway with the least memory for changes, to which the test pushes the values.
    private func start(_ folder: TemporaryFolder) throws -> FreshetProcess {
        let file = try folder.write(
            """
            listen: 127.0.0.1:0
            cache: { max_bytes: 64KiB }
            log: { path: "\(folder.path("changes.db"))" }
            sources:
              pushed: { url: "http://127.0.0.1:1/", interval: 1h }
              other: { url: "http://127.0.0.1:1/", interval: 1h }
            """,
            to: "freshet.yaml"
        )
        return try FreshetProcess(["serve", "--config", file])
    }

    /// Pushes every version, and one of another source after every tenth.
    ///
    /// - Returns: The cursors of the versions, from the first.
    private func push(to client: HTTPTestClient) async throws -> [String] {
        var cursors: [String] = []
        for number in 1...Self.changes {
            let reply = try await client.post(
                "/v1/admin/sources/pushed/value",
                headers: Self.json,
                body: Self.value(number)
            )
            cursors.append(try #require(Document(parsing: reply.body).root["cursor"]?.string, "\(reply.text)"))
            if number % 10 == 0 {
                let body = Array("[\(number)]".utf8)
                _ = try await client.post("/v1/admin/sources/other/value", headers: Self.json, body: body)
            }
        }
        return cursors
    }

    private static let json: HeaderFields = ["Content-Type": "application/json"]

    /// A figure of `/metrics` without labels.
    private func metric(_ name: String, _ client: HTTPTestClient) async throws -> Int? {
        let text = try await client.get("/metrics").text
        return text.split(separator: "\n").first { $0.hasPrefix(name + " ") }.flatMap {
            Int($0.dropFirst(name.count + 1))
        }
    }

    @Test("F54, F55: what memory has long lost is read from the disk, before and after a restart")
    func replay() async throws {
        let folder = try TemporaryFolder()
        let first = try self.start(folder)
        let client = try await first.client()
        let cursors = try await self.push(to: client)
        let evicted = try #require(try await self.metric("freshet_cache_evictions_total", client))
        #expect(evicted > Self.changes / 2, "memory holds too much to show anything")
        try await self.readEverything(first, cursors)
        #expect(try await first.terminate() == .exited(0))

        let second = try self.start(folder)
        try await self.readEverything(second, cursors)
        let metrics = try await HTTPTestClient(second.endpoint()).get("/metrics").text
        #expect(metrics.contains(#"freshet_resume_gaps_total{reason="evicted"} 0"#))
        #expect(try await second.terminate() == .exited(0))
    }

    private func readEverything(_ process: FreshetProcess, _ cursors: [String]) async throws {
        try await self.resume(process, cursors)
        try await self.earliest(process, cursors)
        try await self.pages(process, cursors)
        try await self.backwards(process, cursors)
        try await self.values(process, cursors)
    }

    /// The next changes. The upstream of these sources is not there, which is told in between.
    private func changes(_ count: Int, of stream: EventStreamClient) async throws -> [StreamEvent] {
        #expect(try await stream.next()?.type == "hello")
        var events: [StreamEvent] = []
        while events.count < count {
            let event = try #require(try await stream.next(timeout: .seconds(30)))
            if event.type != "status" { events.append(event) }
        }
        return events
    }

    /// From a cursor that memory does not reach back to.
    private func resume(_ process: FreshetProcess, _ cursors: [String]) async throws {
        let stream = try EventStreamClient(
            try await process.endpoint(),
            path: "/v1/streams/pushed",
            lastEventID: cursors[4]
        )
        let events = try await self.changes(Self.changes - 5, of: stream)
        #expect(events.map(\.lastEventID) == Array(cursors.dropFirst(5)))
        var held = try Document(parsing: Self.value(5))
        for event in events {
            try #require(event.type == "patch")
            let patch = try #require(Document(parsing: event.data).extracting(Pointer().appending("patch")))
            held = try held.applying(patch: patch)
        }
        #expect(try held == Document(parsing: Self.value(Self.changes)))
    }

    private func earliest(_ process: FreshetProcess, _ cursors: [String]) async throws {
        for since in ["earliest", "1h"] {
            let stream = try EventStreamClient(
                try await process.endpoint(),
                path: "/v1/streams/pushed?mode=snapshot&since=\(since)"
            )
            let events = try await self.changes(Self.changes, of: stream)
            #expect(events.map(\.lastEventID) == cursors, "since \(since)")
            for (index, event) in events.enumerated() {
                #expect(try Document(parsing: event.data).root["value"]?["n"]?.int == index + 1)
            }
        }
    }

    private func pages(_ process: FreshetProcess, _ cursors: [String]) async throws {
        let client = try await process.client()
        var since = "earliest"
        var ids: [String] = []
        while true {
            let page = try Document(parsing: try await client.get("/v1/changes/pushed?since=\(since)&limit=37").body)
            #expect(page.root["gap"]?.bool == false)
            let events = try #require(page.root["events"])
            since = try #require(page.root["cursor"]?.string)
            guard events.count > 0 else { break }
            ids += events.elements.compactMap { $0["id"]?.string }
        }
        #expect(ids == cursors)
        let lines = try await client.get(
            "/v1/changes/pushed?since=\(since)",
            headers: ["Accept": "application/x-ndjson"]
        )
        #expect(lines.text == #"{"event":"checkpoint","data":{"cursor":"\#(since)"}}"# + "\n")
        let all = try Document(parsing: try await client.get("/v1/changes/*?since=1h&limit=1000").body)
        #expect(all.root["gap"]?.bool == false)
        #expect(all.root["events"]?.count == Self.changes + Self.changes / 10)
    }

    private func backwards(_ process: FreshetProcess, _ cursors: [String]) async throws {
        let client = try await process.client()
        var path = "/v1/changes/pushed?descending&limit=41"
        var ids: [String] = []
        while true {
            let page = try Document(parsing: try await client.get(path).body)
            ids += page.root["events"]?.elements.compactMap { $0["id"]?.string } ?? []
            guard let before = page.root["before"]?.string else { break }
            path = "/v1/changes/pushed?descending&limit=41&before=\(before)"
        }
        #expect(ids == cursors.reversed())
    }

    private func values(_ process: FreshetProcess, _ cursors: [String]) async throws {
        let client = try await process.client()
        for number in stride(from: 1, through: Self.changes, by: 7) {
            let reply = try await client.get("/v1/values/pushed?at=\(cursors[number - 1])")
            #expect(try Document(parsing: reply.body) == Document(parsing: Self.value(number)))
            #expect(reply.headers["Freshet-Cursor"] == cursors[number - 1])
            let known = try await client.get(
                "/v1/values/pushed?at=\(cursors[number - 1])",
                headers: ["If-None-Match": reply.headers["ETag"] ?? ""]
            )
            #expect(known.status == 304)
        }
        #expect(try await client.get("/v1/values/other?at=\(cursors[0])").status == 404)
        #expect(try await client.get("/v1/values/pushed?at=zz-1").status == 410)
    }
}
