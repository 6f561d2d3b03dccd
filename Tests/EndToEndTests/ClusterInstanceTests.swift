import EventStream
import Foundation
import FreshetTesting
import Glibc
import JSON
import NATS
import Testing

/// Three gateways over one broker, and sources with parameters: one poller for each instance that anybody reads anywhere, one log of
/// it at all gateways, and nothing of it once nobody reads it. Takes some fifteen seconds.
@Suite(
    "Sources with parameters in a cluster",
    .serialized,
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: NATSConnection.isAvailable && NATSServer.program != nil, "skipped: no nats-server, or no libnats")
)
struct ClusterInstanceTests {
    private static let nodes = ["a", "b", "c"]
    private static let token = "a-token-of-this-test"

    /// What a subscriber saw of a change.
    private struct Seen: Equatable {
        let id: String
        let data: String
        let number: Int
    }

    /// A broker, an upstream whose values are others at each poll, and gateways `a`, `b` and `c`.
    private final class Setting: Sendable {
        let broker: NATSServer
        let upstream: ScriptedUpstream
        let folder: TemporaryFolder
        /// By path.
        let polls = Watched<[String: Int]>([:])
        private let started = Watched<[String: Gateway]>([:])
        private let configuration: String

        /// `template`: further keys of the source `user`; `rest`: sections after `sources`.
        init(template: String = "", rest: (Setting.Places) throws -> String = { _ in "" }) async throws {
            self.broker = try await NATSServer.started()
            self.upstream = try ScriptedUpstream()
            self.folder = try TemporaryFolder()
            let polls = self.polls
            self.upstream.on("*") { request in
                let number = polls.update { polls -> Int in
                    polls[request.path, default: 0] += 1
                    return polls[request.path] ?? 0
                }
                guard !request.path.hasPrefix("/u/absent") else { return [.respond(.status(404))] }
                // A patch is shorter than that.
                let rest = String(repeating: "x", count: 200)
                return [.respond(.json("{\"n\":\(number),\"rest\":\"\(rest)\"}"))]
            }
            let source = "url: \"\(self.upstream.url("/u/{id}"))\", interval: 100ms, linger: 1s\(template)"
            self.configuration = """
                sources: { user: { \(source) } }
                \(try rest(Places(upstream: self.upstream.url(""), folder: self.folder)))
                """
            for node in ClusterInstanceTests.nodes { try self.start(node) }
            for node in ClusterInstanceTests.nodes {
                try await self[node].waitForCluster { $0.hasPrefix("ok, node \(node) of a, b, c") }
            }
        }

        struct Places {
            let upstream: String
            let folder: TemporaryFolder
        }

        func start(_ node: String) throws {
            let gateway = try Gateway(
                """
                cluster: { servers: ["\(self.broker.url)"], node: \(node), replicas: 1, lease: 1s }
                log: { path: "\(self.folder.path("\(node).db"))" }
                \(self.configuration)
                """
            )
            self.started.update { $0[node] = gateway }
        }

        subscript(_ node: String) -> Gateway {
            get throws { try #require(self.started.value[node]) }
        }

        func open(_ path: String, at node: String, after id: String? = nil) async throws -> EventStreamClient {
            try EventStreamClient(try await self[node].process.endpoint(), path: path, lastEventID: id)
        }

        /// The gateway that all of these name as the owner, as soon as they agree.
        func owner(of name: String, by nodes: [String], otherThan former: String? = nil) async throws -> String {
            let path = "/v1/sources/\(name.replacing("/", with: "%2F"))"
            let deadline = ContinuousClock.now + .patience
            while ContinuousClock.now < deadline {
                var named: Set<String?> = []
                for node in nodes { named.insert(try await self[node].document(path).root["owner"]?.string) }
                if named.count == 1, let owner = named.first ?? nil, owner != former { return owner }
                // Gateways learn of an owner one by one, without an event: they are asked again, within `.patience`.
                try await Task.sleep(for: .milliseconds(5))
            }
            throw TestingError(.timedOut, "the gateways do not agree on the owner of \(name)")
        }

        /// Waits until no gateway has an instance of a template.
        func waitUntilGone(_ template: String) async throws {
            for node in ClusterInstanceTests.nodes {
                let deadline = ContinuousClock.now + .patience
                while try await self[node].metric("freshet_instances{source=\"\(template)\"}") != 0 {
                    try #require(ContinuousClock.now < deadline, "instances of \(template) stay at \(node)")
                    // Nothing tells when the last instance is forgotten: the gauge is read again.
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
        }
    }

    /// Reads changes of a stream in mode `snapshot`.
    private static func read(_ count: Int, of stream: EventStreamClient) async throws -> [Seen] {
        var seen: [Seen] = []
        while seen.count < count {
            let event = try await stream.next { $0.type == "snapshot" || $0.type == "bye" || $0.type == "gap" }
            try #require(event.type == "snapshot", "\(event.type): \(event.text)")
            let number = try Document(parsing: event.data).root["value"]?["n"]?.int
            seen.append(Seen(id: event.lastEventID, data: event.text, number: try #require(number)))
        }
        return seen
    }

    /// From where all began to where the shortest ends they are the same, each once and in order.
    private static func check(_ seen: [[Seen]], atLeast count: Int) throws {
        let (starts, ends) = (seen.compactMap(\.first).map(\.number), seen.compactMap(\.last).map(\.number))
        let (start, end) = (try #require(starts.max()), try #require(ends.min()))
        let parts = seen.map { events in events.filter { (start...end).contains($0.number) } }
        #expect(parts.allSatisfy { $0 == parts[0] && $0.count >= count }, "\(parts.map { $0.map(\.number) })")
        for events in seen {
            #expect(events.map(\.number) == Set(events.map(\.number)).sorted())
            #expect(Set(events.map(\.id)).count == events.count)
        }
    }

    @Test("one poller, the same events at all gateways, a takeover after a crash, and an end once nobody reads it")
    func life() async throws {
        let setting = try await Setting()
        let path = "/v1/streams/user/42?mode=snapshot"
        var streams: [String: EventStreamClient] = [:]
        for node in Self.nodes { streams[node] = try await setting.open(path, at: node) }
        var seen: [String: [Seen]] = [:]
        for (node, stream) in streams { seen[node] = try await Self.read(1, of: stream) }
        let goal = 10 + (seen.values.compactMap(\.last?.number).max() ?? 0)
        for (node, stream) in streams {
            while seen[node]?.last.map({ $0.number < goal }) ?? true {
                seen[node, default: []] += try await Self.read(1, of: stream)
            }
        }
        try Self.check(Array(seen.values), atLeast: 5)
        // The upstream counts polls: with two pollers each gateway would miss numbers. The first change is confirmed by a second
        // poll.
        for events in seen.values.map({ $0.dropFirst(2) }) {
            let isUnbroken = zip(events, events.dropFirst()).allSatisfy { $1.number == $0.number + 1 }
            #expect(isUnbroken, "\(events.map(\.number))")
        }
        let owner = try await setting.owner(of: "user/42", by: Self.nodes)
        let others = Self.nodes.filter { $0 != owner }

        let process = try setting[owner].process
        process.send(SIGKILL)
        #expect(try await process.exitStatus() == .killed(signal: SIGKILL))
        let polls = setting.polls.value["/u/42"] ?? 0
        for node in others {
            let stream = try #require(streams[node])
            while seen[node]?.last.map({ $0.number < polls + 5 }) ?? true {
                seen[node, default: []] += try await Self.read(1, of: stream)
            }
        }
        let parts = others.compactMap { seen[$0] }
        try Self.check(parts, atLeast: 10)
        #expect(try await setting.owner(of: "user/42", by: others, otherThan: owner) != owner)

        // The dead one comes back with its log, and serves what it missed.
        try setting.start(owner)
        let known = try #require(parts.first?[2])
        let resumed = try await setting.open(path, at: owner, after: known.id)
        let rest = try await Self.read(10, of: resumed)
        let expected = parts[0].filter { $0.number > known.number }
        #expect(Array(rest.prefix(expected.count)) == Array(expected.prefix(rest.count)))

        for stream in streams.values { await stream.close() }
        await resumed.close()
        try await setting.waitUntilGone("user")
        let last = setting.polls.value["/u/42"]
        for node in Self.nodes {
            #expect(try await setting[node].client.get("/v1/sources/user%2F42").status == 404)
        }
        // Wanted again, it is there again, with a value that is polled anew.
        #expect(try await setting[others[0]].client.get("/v1/values/user/42").status == 200)
        #expect(setting.polls.value["/u/42"] ?? 0 > last ?? 0)
    }

    @Test("a value is read at any gateway at once, and a failure told; a write and a poll go to the owner")
    func requests() async throws {
        let setting = try await Setting(template: ", write: { methods: [PUT], conflict: overwrite, guard: none }")
        for node in Self.nodes {
            let client = try await setting[node].client
            let reply = try await client.get("/v1/values/user/\(node)")
            #expect(reply.status == 200 && reply.text.contains(#""n":"#), "\(reply.text)")
            let absent = try await client.get("/v1/values/user/absent-\(node)")
            #expect(absent.status == 503 && absent.text.contains(#""state":"failing""#), "\(node): \(absent.text)")
            #expect(try await client.get("/v1/values/other/1").status == 404)
        }
        let stream = try await setting.open("/v1/streams/user/7?mode=snapshot", at: "a")
        _ = try await Self.read(1, of: stream)
        for node in Self.nodes {
            let client = try await setting[node].client
            #expect(try await client.post("/v1/admin/sources/user%2F7/poll", body: []).status == 200)
            let before = setting.upstream.requests.count { $0.method == "PUT" }
            let written = try await client.write("PUT", "/v1/values/user%2F7", #"{"n":0}"#)
            #expect((200..<300).contains(written.status), "\(written.status) \(written.text)")
            #expect(setting.upstream.requests.count { $0.method == "PUT" } == before + 1)
        }
        await stream.close()
    }

    @Test("bounds hold over all gateways, and what nobody reads makes room")
    func bounds() async throws {
        let setting = try await Setting(template: ", max_instances: 3")
        var streams: [EventStreamClient] = []
        for (index, node) in Self.nodes.enumerated() {
            let stream = try await setting.open("/v1/streams/user/\(index)?mode=snapshot", at: node)
            _ = try await Self.read(1, of: stream)
            streams.append(stream)
        }
        for node in Self.nodes {
            let gateway = try setting[node]
            let reply = try await gateway.client.get("/v1/values/user/9")
            #expect(reply.status == 503 && reply.text.contains("too_many_instances"), "\(node): \(reply.text)")
            // What there is can be read.
            #expect(try await gateway.client.get("/v1/values/user/0").status == 200)
        }
        #expect(setting.polls.value["/u/9"] == nil)
        await streams[1].close()
        let deadline = ContinuousClock.now + .patience
        while try await setting["a"].client.get("/v1/values/user/9").status != 200 {
            try #require(ContinuousClock.now < deadline, "no room is made")
            // That nobody reads it any more is said once a second.
            try await Task.sleep(for: .milliseconds(50))
        }
        for stream in [streams[0], streams[2]] { await stream.close() }
        try await setting.waitUntilGone("user")
    }

    @Test("an address of streamdata has one poller too, and what it is asked with is nowhere in the stream")
    func streamdata() async throws {
        let secret = "canary-Zr8QmL2vXc7Yb1NwK5sDhUeGa3fJ9t"
        let setting = try await Setting { places in
            let file = try places.folder.write("\(Self.token)\n", to: "tokens")
            return """
                defaults: { interval: 100ms, linger: 1s }
                streamdata: { tokens_file: "\(file)", allow: ["\(places.upstream)/s/"] }
                """
        }
        let url = setting.upstream.url("/s/x?key=\(secret)")
        let path = "/\(url)&X-Sd-Header=Authorization%3ABearer%20\(secret)&X-Sd-Token=\(Self.token)"
        var streams: [EventStreamClient] = []
        for node in Self.nodes { streams.append(try await setting.open(path, at: node)) }
        var seen: [[String]] = []
        for stream in streams {
            seen.append(try await stream.next(10).map { "\($0.type) \($0.lastEventID) \($0.text)" })
        }
        let polls = setting.upstream.requests(to: "/s/x")
        #expect(polls.allSatisfy { $0.headers["Authorization"] == "Bearer \(secret)" })
        let patches = seen.map { $0.filter { $0.hasPrefix("patch") } }
        let first = try #require(patches[0].first { event in patches.allSatisfy { $0.contains(event) } })
        let parts = patches.map { events in events.drop { $0 != first } }
        let length = try #require(parts.map(\.count).min())
        #expect(length >= 5 && parts.allSatisfy { $0.prefix(length) == parts[0].prefix(length) }, "\(seen)")

        let list = try await setting["a"].document("/v1/sources")
        let rows = try #require(list.root["sources"]).elements
        let names = rows.compactMap { $0["name"]?.string }
        let name = try #require(names.first { $0.hasPrefix("streamdata/") })
        let owner = try await setting.owner(of: name, by: Self.nodes)
        try setting[owner].process.send(SIGKILL)
        let asked = setting.polls.value["/s/x"] ?? 0
        let goesOn = await setting.polls.wait(timeout: .patience) { $0["/s/x"] ?? 0 > asked + 5 ? true : nil }
        #expect(goesOn == true)
        for (node, stream) in zip(Self.nodes, streams) where node != owner { _ = try await stream.next(5) }
        #expect(setting.upstream.requests(to: "/s/x").allSatisfy { $0.headers["Authorization"] == "Bearer \(secret)" })

        let files = FileManager.default.enumerator(atPath: "\(setting.broker.folder.path)/store")
        var bytes = 0
        for case let file as String in try #require(files) {
            guard let data = FileManager.default.contents(atPath: "\(setting.broker.folder.path)/store/\(file)") else {
                continue
            }
            bytes += data.count
            #expect(data.firstRange(of: Data(secret.utf8)) == nil && data.firstRange(of: Data(Self.token.utf8)) == nil)
        }
        #expect(bytes > 1000)
        for stream in streams { await stream.close() }
    }
}
