import EventStream
import Foundation
import FreshetTesting
import JSON
import Testing

/// CloudEvents through the program: what names an event, and that it stays.
@Suite("CloudEvents", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct CloudEventTests {
    /// The events of the log, by `source` and `id`.
    private static func events(_ gateway: Gateway, count: Int) async throws -> [[String]: Document] {
        let reply = try await gateway.client.get("/v1/changes/a,b?envelope=cloudevents&since=earliest&limit=1000")
        let root = try Document(parsing: reply.body).root
        let events = Array(try #require(root["events"]).elements).compactMap { $0["data"] }
        #expect(events.count == count)
        var named: [[String]: Document] = [:]
        for event in events {
            let name = [event["source"]?.string ?? "", event["id"]?.string ?? ""]
            #expect(named[name] == nil, "\(name) names two events")
            named[name] = try Document(parsing: Array(event.text))
        }
        return named
    }

    @Test("id and source are those of one event alone, and stay over a restart", arguments: [true, false])
    func restart(hasLog: Bool) async throws {
        let upstream = try ScriptedUpstream()
        let versions = (1...20).map { Array(#"{"n":\#($0),"more":"\#(String(repeating: "x", count: 200))"}"#.utf8) }
        let (first, second) = (VersionedResource(versions: versions), VersionedResource(versions: versions))
        upstream.serve(first, at: "/a")
        upstream.serve(second, at: "/b")
        let folder = try TemporaryFolder()
        let configuration = """
            \(hasLog ? "log: { path: \"\(folder.path("changes.db"))\" }" : "")
            sources:
              a: { url: "\(upstream.url("/a"))", interval: 10ms }
              b: { url: "\(upstream.url("/b"))", interval: 10ms }
            """
        let gateway = try Gateway(configuration)
        try await gateway.waitForValues(of: ["a", "b"])
        for number in 2...20 {
            for (resource, name) in [(first, "a"), (second, "b")] {
                resource.advance()
                try await gateway.waitForValue({ $0.root["n"]?.int == number }, of: name)
            }
        }
        let before = try await Self.events(gateway, count: 40)
        #expect(try await gateway.terminate() == .exited(0))

        let again = try Gateway(configuration)
        try await again.waitForValues(of: ["a", "b"])
        let after = try await Self.events(again, count: hasLog ? 40 : 2)
        if hasLog {
            #expect(after == before)
        } else {
            // Another numbering: no id of the first process is one of the second.
            #expect(Set(after.keys).isDisjoint(with: before.keys))
        }
        _ = try await again.terminate()
    }
}
