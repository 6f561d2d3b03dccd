import EventStream
import FreshetTesting
import Glibc
import JSON
import NATS
import Testing

/// Three gateways over one broker, as programs: who polls, what subscribers of each see, and what becomes of both when the
/// gateway that polls is killed. Takes some ten seconds.
@Suite(
    "A cluster of gateways",
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: NATSConnection.isAvailable && NATSServer.program != nil, "skipped: no nats-server, or no libnats")
)
struct ClusterTests {
    /// What a subscriber saw of a change.
    private struct Seen: Equatable {
        let id: String
        let data: [UInt8]
    }

    /// A broker, an upstream whose value is another one at each poll, and gateways `a`, `b` and `c`.
    private final class Setting: Sendable {
        let broker: NATSServer
        let upstream: ScriptedUpstream
        let folder: TemporaryFolder
        let polls = Watched(0)
        let gateways: [String: Gateway]

        init() async throws {
            self.broker = try await NATSServer.started()
            self.upstream = try ScriptedUpstream()
            self.folder = try TemporaryFolder()
            let polls = self.polls
            self.upstream.on("/value") { _ in
                let number = polls.update { polls -> Int in
                    polls += 1
                    return polls
                }
                let headers: HeaderFields = ["Content-Type": "application/json"]
                let body = Array("{\"n\":\(number)}".utf8)
                return [.respond(UpstreamResponse(status: 200, headers: headers, body: body))]
            }
            var gateways: [String: Gateway] = [:]
            for node in ["a", "b", "c"] {
                gateways[node] = try Gateway(
                    """
                    cluster: { servers: ["\(self.broker.url)"], node: \(node), replicas: 1, lease: 1s }
                    log: { path: "\(self.folder.path("\(node).db"))" }
                    sources:
                      value: { url: "\(self.upstream.url("/value"))", interval: 100ms }
                    """
                )
            }
            self.gateways = gateways
            for gateway in gateways.values { try await gateway.waitForValues(of: ["value"]) }
        }

        /// The gateway that `/v1/sources` of all of these names as the one that polls, as soon as they agree. They may name one
        /// that is gone, `former`, for a while after another has polled.
        func owner(by nodes: [String], otherThan former: String? = nil) async throws -> String {
            let deadline = ContinuousClock.now + .patience
            while ContinuousClock.now < deadline {
                var named: Set<String?> = []
                for node in nodes {
                    let gateway = try #require(self.gateways[node])
                    named.insert(try await gateway.document("/v1/sources/value").root["owner"]?.string)
                }
                if named.count == 1, let owner = named.first ?? nil, owner != former { return owner }
            }
            throw TestingError(.missing, "the gateways do not agree who polls")
        }

        func stream(_ node: String, after id: String? = nil) async throws -> EventStreamClient {
            let gateway = try #require(self.gateways[node])
            let endpoint = try await gateway.process.endpoint()
            return try EventStreamClient(endpoint, path: "/v1/streams/value?mode=snapshot", lastEventID: id)
        }
    }

    /// Reads changes until the one after `count` of them.
    private static func read(_ count: Int, of stream: EventStreamClient) async throws -> [Seen] {
        var seen: [Seen] = []
        while seen.count < count {
            let event = try await stream.next { $0.type == "snapshot" }
            seen.append(Seen(id: event.lastEventID, data: event.data))
        }
        return seen
    }

    @Test("one gateway polls, all have the same events, another takes over from one that is killed, any resumes")
    func life() async throws {
        let setting = try await Setting()
        let owner = try await setting.owner(by: ["a", "b", "c"])

        let others = ["a", "b", "c"].filter { $0 != owner }
        let streams = try await [setting.stream(others[0]), setting.stream(others[1])]
        var seen: [[Seen]] = []
        for stream in streams { seen.append(try await Self.read(10, of: stream)) }

        let process = try #require(setting.gateways[owner]).process
        process.send(SIGKILL)
        #expect(try await process.exitStatus() == .killed(signal: SIGKILL))
        // What the dead one had on its way comes first; some of this is of its successor for certain.
        let polls = setting.polls.value
        for (index, stream) in streams.enumerated() {
            while true {
                seen[index] += try await Self.read(5, of: stream)
                let last = try #require(seen[index].last)
                let number = try #require(try Document(parsing: last.data).root["value"]?["n"]?.int)
                if number > polls + 5 { break }
            }
        }
        let successor = try await setting.owner(by: others, otherThan: owner)
        #expect(others.contains(successor))

        // From where both began to where the shorter one ends they are the same, each once and in order.
        let first = try #require(seen[0].first { event in seen[1].contains(event) })
        let parts = seen.map { events in events.drop { $0 != first } }
        let length = try #require(parts.map(\.count).min())
        #expect(length > 10)
        #expect(Array(parts[0].prefix(length)) == Array(parts[1].prefix(length)))
        for events in seen {
            let numbers = try events.map { try Document(parsing: $0.data).root["value"]?["n"]?.int ?? 0 }
            #expect(numbers == Array(Set(numbers)).sorted())
            #expect(Set(events.map(\.id)).count == events.count)
        }

        // What was seen at one gateway resumes at the other.
        let resumed = try await setting.stream(others[1], after: seen[0][2].id)
        #expect(try await Self.read(5, of: resumed) == Array(seen[0][3..<8]))

        // A graceful end hands over.
        let left = try #require(others.first { $0 != successor })
        #expect(try await #require(setting.gateways[successor]).terminate() == .exited(0))
        let before = setting.polls.value
        let goesOn = await setting.polls.wait(timeout: .patience) { $0 > before + 3 ? true : nil }
        #expect(goesOn == true)
        // Whose the source is comes to be known after it was polled.
        let deadline = ContinuousClock.now + .patience
        while try await setting.owner(by: [left]) != left {
            try #require(ContinuousClock.now < deadline, "\(left) does not say that it owns the source")
        }
    }
}
