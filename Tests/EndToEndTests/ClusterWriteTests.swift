import EventStream
import FreshetTesting
import Glibc
import JSON
import NATS
import Testing

/// Three gateways over one broker: what is written at any of them, once, what is known of it when the owner dies, and tickets
/// that open their stream anywhere. Takes some ten seconds.
@Suite(
    "Writes and tickets in a cluster",
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: NATSConnection.isAvailable && NATSServer.program != nil, "skipped: no nats-server, or no libnats")
)
struct ClusterWriteTests {
    /// A broker, an API of items, and gateways `a`, `b` and `c` with a key that may read and write.
    private final class Setting: Sendable {
        static let key = "canary-Qm4Zr8L2vXc7Yb1NwK5sDhUeGa3fJ9tq"

        let broker: NATSServer
        let upstream: WritableUpstream
        let folder: TemporaryFolder
        let gateways: [String: Gateway]
        /// The owner first, as it was at the start.
        let nodes: [String]

        init(broker configuration: String = "") async throws {
            let broker = try await NATSServer.started(configuration: configuration)
            let upstream = try WritableUpstream(WriteFixture.items)
            let folder = try TemporaryFolder()
            let secret = try folder.write(Self.key, to: "key")
            var gateways: [String: Gateway] = [:]
            for node in ["a", "b", "c"] {
                mkdir(folder.path(node), 0o700)
                let before = """
                    cluster: { servers: ["\(broker.url)"], node: \(node), replicas: 1, lease: 1s }
                    log: { path: "\(folder.path("\(node)/changes.db"))" }
                    auth:
                      anonymous: { read: ["*"] }
                      keys: [{ id: writer, secret_file: "\(secret)", read: ["*"], write: ["*"], admin: true }]
                    """
                let write = "conflict: overwrite, forward: [x-tenant]"
                gateways[node] = try Gateway(WriteFixture.configuration(upstream, write, before: before))
            }
            for gateway in gateways.values { try await gateway.waitForValues(of: ["orders"]) }
            (self.broker, self.upstream, self.folder, self.gateways) = (broker, upstream, folder, gateways)
            let owner = try await Self.owner(Array(gateways.values))
            self.nodes = [owner] + gateways.keys.filter { $0 != owner }.sorted()
        }

        /// The gateway that all of these name as the one that polls, as soon as they agree.
        static func owner(_ gateways: [Gateway]) async throws -> String {
            let deadline = ContinuousClock.now + .patience
            while ContinuousClock.now < deadline {
                var named: Set<String?> = []
                for gateway in gateways {
                    let endpoint = try await gateway.process.endpoint()
                    let reply = try await HTTPTestClient(endpoint, headers: ["X-API-Key": Self.key])
                        .get("/v1/sources/orders")
                    named.insert(try reply.member("owner")?.string)
                }
                if named.count == 1, let owner = named.first ?? nil { return owner }
            }
            throw TestingError(.missing, "the gateways do not agree who polls")
        }

        func client(_ node: String) async throws -> HTTPTestClient {
            let gateway = try #require(self.gateways[node])
            return HTTPTestClient(try await gateway.process.endpoint(), headers: ["X-API-Key": Self.key])
        }

        /// A POST with a key, sent again while nobody is ready to take it.
        func post(_ client: HTTPTestClient, _ body: String, key: String) async throws -> HTTPReply {
            let deadline = ContinuousClock.now + .patience
            while true {
                let reply = try await client.write("POST", "/v1/values/orders", body, key: key)
                guard try reply.status == 503 && reply.member("code")?.string == "not_owner",
                    ContinuousClock.now < deadline
                else { return reply }
            }
        }

        /// Kills the owner, and waits until the others agree on another one.
        func killOwner() async throws -> String {
            let process = try #require(self.gateways[self.nodes[0]]).process
            process.send(SIGKILL)
            #expect(try await process.exitStatus() == .killed(signal: SIGKILL))
            let others = self.nodes.dropFirst().compactMap { self.gateways[$0] }
            let deadline = ContinuousClock.now + .patience
            while ContinuousClock.now < deadline {
                let owner = try await Self.owner(others)
                if owner != self.nodes[0] { return owner }
            }
            throw TestingError(.missing, "nobody takes over")
        }
    }

    @Test("a write at any gateway goes upstream once, and is read at once where it was written")
    func anywhere() async throws {
        let setting = try await Setting()
        for (number, node) in setting.nodes.enumerated() {
            let client = try await setting.client(node)
            let tag = try #require(try await client.get("/v1/items/orders/a").headers["ETag"])
            let reply = try await client.write(
                "PATCH",
                "/v1/items/orders/a",
                #"{"n":\#(number + 2)}"#,
                match: tag,
                headers: ["X-Tenant": "7", "X-Other": "8"]
            )
            #expect(reply.status == 200 && reply.text == #"{"id":"a","n":\#(number + 2),"m":1}"#, "\(reply.text)")
            let cursor = try #require(reply.headers["Freshet-Cursor"])
            #expect(reply.headers["ETag"] == "\"\(cursor)\"")
            let item = try await client.get("/v1/items/orders/a")
            #expect(item.text == reply.text && item.headers["ETag"] == reply.headers["ETag"], "\(node)")
            // A tag that is not the newest, and a caller without the grant, are refused as they are at the owner.
            let late = try await client.write("PUT", "/v1/items/orders/a", #"{"id":"a"}"#, match: "\"\(cursor)x\"")
            #expect(try late.status == 412 && late.member("code")?.string == "precondition_failed", "\(late.text)")
            let endpoint = try await #require(setting.gateways[node]).process.endpoint()
            let anonymous = try await HTTPTestClient(endpoint).write("DELETE", "/v1/items/orders/b", nil)
            #expect(anonymous.status == 401)
        }
        #expect(setting.upstream.writes.count == 3)
        for write in setting.upstream.writes {
            #expect(write.headers["X-Tenant"] == "7" && write.headers["X-Other"] == nil)
            #expect(write.headers["X-API-Key"] == nil)
        }
        // Over a socket it is the same.
        let endpoint = try await #require(setting.gateways[setting.nodes[2]]).process.endpoint()
        let socket = try await SocketClient(endpoint, SocketClient.path, ["X-API-Key": Setting.key])
        let text = #"{"re":1,"op":"write","method":"POST","source":"orders","body":{"n":9}}"#
        let answer = try await socket.ask(text, re: 1)
        #expect(answer.contains(#""status":201"#), "\(answer)")
        #expect(setting.upstream.writes.count == 4)
    }

    @Test("a key that was used at one gateway is known at all, also after its owner is gone")
    func keys() async throws {
        let setting = try await Setting()
        let clients = [
            try await setting.client(setting.nodes[1]), try await setting.client(setting.nodes[2]),
            try await setting.client(setting.nodes[0]),
        ]
        let first = try await clients[0].write("POST", "/v1/values/orders", #"{"n":1}"#, key: "k1")
        #expect(first.status == 201, "\(first.text)")
        func isFirst(_ reply: HTTPReply) -> Bool {
            reply.status == 201 && reply.text == first.text
                && ["ETag", "Location", "Freshet-Cursor"].allSatisfy { reply.headers[$0] == first.headers[$0] }
        }
        for client in clients {
            let again = try await client.write("POST", "/v1/values/orders", #"{"n":1}"#, key: "k1")
            #expect(isFirst(again), "\(again.text)")
            let other = try await client.write("POST", "/v1/values/orders", #"{"n":2}"#, key: "k1")
            #expect(try other.status == 422 && other.member("code")?.string == "idempotency_key_reused")
        }
        #expect(setting.upstream.writes.count == 1)

        // The owner dies with a write in its hands, which has had its effect.
        setting.upstream.nextWrite(isApplied: true, [.stall])
        async let cut = clients[0].write("POST", "/v1/values/orders", #"{"n":3}"#, key: "k2")
        #expect(await setting.upstream.upstream.waitForRequest { $0.body == Array(#"{"n":3}"#.utf8) } != nil)
        let successor = try await setting.killOwner()
        let unknown = try await cut
        #expect(try unknown.status == 504 && unknown.member("code")?.string == "outcome_unknown", "\(unknown.text)")
        #expect(try unknown.member("outcome")?.string == "unknown")

        // Whoever owns the source now knows both, and sends neither again.
        for client in clients.prefix(2) {
            let again = try await setting.post(client, #"{"n":1}"#, key: "k1")
            #expect(isFirst(again), "\(successor): \(again.text)")
            let repeated = try await setting.post(client, #"{"n":3}"#, key: "k2")
            #expect(try repeated.status == 504 && repeated.member("code")?.string == "outcome_unknown")
        }
        #expect(setting.upstream.writes.count == 2)
        // A key that is new is carried out there.
        let fresh = try await setting.post(clients[1], #"{"n":4}"#, key: "k3")
        #expect(fresh.status == 201, "\(fresh.text)")
        #expect(setting.upstream.writes.count == 3)
    }

    @Test("a ticket that one gateway has issued opens one stream at any, resumes it at any, and is revoked at all")
    func tickets() async throws {
        let setting = try await Setting()
        var clients: [HTTPTestClient] = []
        var endpoints: [Endpoint] = []
        for node in setting.nodes {
            clients.append(try await setting.client(node))
            endpoints.append(try await #require(setting.gateways[node]).process.endpoint())
        }
        func path() async throws -> String {
            let body = Array(#"{"sources":"orders"}"#.utf8)
            let reply = try await clients[0].post("/v1/tickets", body: body)
            return "/v1/streams/orders?ticket=\(try #require(try reply.member("ticket")?.string, "\(reply.text)"))"
        }
        // Until all have the key of the first.
        let deadline = ContinuousClock.now + .patience
        var opened: (path: String, stream: EventStreamClient)?
        while opened == nil, ContinuousClock.now < deadline {
            let path = try await path()
            let stream = try EventStreamClient(endpoints[1], path: path)
            if try await stream.head().status == 200 { opened = (path, stream) }
        }
        let (path, stream) = try #require(opened)
        let snapshot = try #require(try await stream.next(2).last)
        #expect(snapshot.type == "snapshot")
        for endpoint in endpoints {
            #expect(try await EventStreamClient(endpoint, path: path).head().status == 401)
        }
        // The browser comes back to another gateway: the earlier stream ends.
        let resumed = try EventStreamClient(endpoints[2], path: path, lastEventID: snapshot.lastEventID)
        #expect(try await resumed.head().status == 200)
        #expect(try await resumed.next()?.type == "hello")
        _ = try await stream.end()

        let list = try await clients[2].get("/v1/admin/subscribers").member("subscribers")
        let id = try #require(list?[0]?["id"]?.string)
        #expect(try await clients[2].send("DELETE", "/v1/admin/subscribers/\(id)").status == 204)
        _ = try await resumed.end()
        // As soon as the others have heard of it.
        var statuses: [Int] = []
        while statuses.last != 204, ContinuousClock.now < deadline {
            let again = try EventStreamClient(endpoints[0], path: path, lastEventID: snapshot.lastEventID)
            statuses.append(try await again.head().status)
        }
        #expect(statuses.last == 204, "\(statuses)")
        for gateway in setting.gateways.values { #expect(!gateway.process.errors.contains("canary-")) }
    }

    @Test("what no message of the broker can hold is refused, and nothing is written")
    func large() async throws {
        let setting = try await Setting(broker: "max_payload: 65536")
        let pad = String(repeating: "x", count: 60_000)
        let client = try await setting.client(setting.nodes[1])
        let reply = try await client.write("POST", "/v1/values/orders", #"{"pad":"\#(pad)"}"#)
        #expect(try reply.status == 413 && reply.member("code")?.string == "too_large_for_cluster", "\(reply.text)")
        #expect(try reply.member("outcome")?.string == "not_applied")
        // With a key the owner cannot say either what it is about to do.
        let owner = try await setting.client(setting.nodes[0])
        let keyed = try await owner.write("POST", "/v1/values/orders", #"{"pad":"\#(pad)"}"#, key: "k")
        #expect(try keyed.status == 413 && keyed.member("code")?.string == "too_large_for_cluster", "\(keyed.text)")
        #expect(setting.upstream.writes.isEmpty)
    }
}
