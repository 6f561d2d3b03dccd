import Crypto
import Foundation
import FreshetTesting
import Glibc
import JSON
import NATS
import Testing

/// Web Push of three gateways over three servers of NATS: subscriptions at any of them, and one that sends. Takes some twelve
/// seconds.
@Suite(
    "Web Push of a cluster",
    .serialized,
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: NATSConnection.isAvailable && NATSServer.program != nil, "skipped: no nats-server, or no libnats")
)
struct ClusterPushTests {
    private static let nodes = ["a", "b", "c"]

    /// Gateways of one cluster, a push service, and who publishes.
    private final class Scene: Sendable {
        let push: PushScene
        let brokers: [NATSServer]
        private let started = Watched<[String: Gateway]>([:])

        init(_ brokers: [NATSServer]) throws {
            self.brokers = brokers
            self.push = try PushScene()
            _ = try self.push.folder.write("", to: "denied")
            try self.makeKey("vapid.pem")
        }

        func makeKey(_ name: String) throws {
            let path = try self.push.folder.write(P256.Signing.PrivateKey().pemRepresentation, to: name)
            try #require(chmod(path, 0o600) == 0)
        }

        func configuration(_ node: String, key: String = "vapid.pem", push: String = "") -> String {
            let servers = self.brokers.map { "\"\($0.url)\"" }.joined(separator: ", ")
            let cluster = "{ servers: [\(servers)], node: \(node), replicas: \(self.brokers.count), lease: 1s }"
            let log = self.push.folder.path("\(node).db")
            return self.push.configuration(
                push: push,
                top: "heartbeat: 1s\ncluster: \(cluster)\nlog: { path: \"\(log)\" }"
            ).replacing("vapid.pem", with: key)
        }

        func start(_ node: String, key: String = "vapid.pem", push: String = "") throws {
            let gateway = try Gateway(self.configuration(node, key: key, push: push))
            self.started.update { $0[node] = gateway }
        }

        subscript(_ node: String) -> Gateway {
            get throws { try #require(self.started.value[node]) }
        }

        /// The one of these gateways that sends, as soon as all have joined.
        func sender(of nodes: [String]) async throws -> String {
            for node in nodes {
                let all = "of \(nodes.joined(separator: ", ")),"
                try await self[node].waitForCluster { $0.hasPrefix("ok, ") && $0.contains(all) }
            }
            let end = ContinuousClock.now + .patience
            while ContinuousClock.now < end {
                for node in nodes {
                    let text = try await self[node].client.get("/readyz?verbose").text
                    if text.contains(", push") { return node }
                }
                // Gateways learn of an owner without an event: they are asked again, within `.patience`.
                try await Task.sleep(for: .milliseconds(5))
            }
            throw TestingError(.timedOut, "no gateway sends")
        }

        /// Publishes at a gateway, which may take until the source has an owner again.
        func publish(_ number: Int, at node: String) async throws {
            let end = ContinuousClock.now + .patience
            while true {
                let reply = try await RawHTTP.send(
                    "POST",
                    "/v1/sources/orders/value",
                    to: try await self[node].process.endpoint(),
                    headers: ["X-API-Key": PushScene.feeder, "Content-Type": "application/json"],
                    body: Array(PushScene.orders("\(number)").utf8)
                )
                if reply.status == 200 { return }
                guard ContinuousClock.now < end else { throw TestingError(.timedOut, "\(reply.text)") }
                // That there is an owner is seen in the answer alone: the request is made again.
                try await Task.sleep(for: .milliseconds(20))
            }
        }

        /// Subscribes a device at a gateway, which may take until one has begun to send.
        func subscribe(_ device: PushedDevice, at node: String) async throws -> HTTPReply {
            let end = ContinuousClock.now + .patience
            while true {
                let reply = try await self.push.subscribe(device, at: try self[node])
                if reply.status != 503 { return reply }
                #expect(reply.text.contains(#""code":"no_owner""#))
                guard ContinuousClock.now < end else { throw TestingError(.timedOut, "\(reply.text)") }
                // That there is an owner is seen in the answer alone: the request is made again.
                try await Task.sleep(for: .milliseconds(20))
            }
        }

        /// The numbers that a device was sent, in order.
        func numbers(_ device: PushedDevice) async throws -> [Int] {
            var numbers: [Int] = []
            for number in 0..<self.push.count(for: device) {
                let event = try device.decrypt(try await self.push.message(number + 1, for: device).body)
                if let item = event["data"]?["items"]?["updated"]?[0]?["a"]?.int { numbers.append(item) }
            }
            return numbers
        }

        /// Waits until a device was sent a number.
        func wait(for number: Int, at device: PushedDevice) async throws {
            var count = 0
            while try await self.numbers(device).last != number {
                count += 1
                _ = try await self.push.message(count, for: device)
            }
        }
    }

    @Test("a subscription is known to all, each change is sent once, and kill -9 and a restart lose none")
    func life() async throws {
        let scene = try Scene(try await NATSServer.cluster(of: 3))
        for node in Self.nodes { try scene.start(node) }
        let sender = try await scene.sender(of: Self.nodes)
        let others = Self.nodes.filter { $0 != sender }
        try await scene.publish(1, at: others[0])
        let (device, ended) = (PushedDevice("/kept"), PushedDevice("/ended"))
        let made = try await scene.subscribe(device, at: others[0])
        try #require(made.status == 201, "\(made.text)")
        let second = try await scene.subscribe(ended, at: others[1])
        let id = try #require(try Document(parsing: second.body).root["id"]?.string)
        for node in Self.nodes {
            let list = try await PushScene.list(try scene[node])
            #expect(list.count == 2 && list.contains { $0["id"]?.string == id })
            let key = try await PushScene.send("GET", "/v1/push/key", to: try scene[node], as: PushScene.mobile)
            #expect(try Document(parsing: key.body).root["key"]?.string == (try self.key(scene)))
        }
        for number in 2...6 {
            try await scene.publish(number, at: Self.nodes[number % 3])
            try await scene.wait(for: number, at: device)
            try await scene.wait(for: number, at: ended)
        }
        #expect(try await scene.numbers(device) == Array(2...6))
        // The third gateway ends it, and nobody sends to it again.
        let deleted = try await PushScene.send(
            "DELETE",
            "/v1/push/subscriptions/\(id)",
            to: try scene[others[0]],
            as: PushScene.mobile
        )
        #expect(deleted.status == 204, "\(deleted.text)")
        for node in Self.nodes { #expect(try await PushScene.list(try scene[node]).count == 1) }

        let process = try scene[sender].process
        process.send(SIGKILL)
        #expect(try await process.exitStatus() == .killed(signal: SIGKILL))
        for number in 7...9 {
            try await scene.publish(number, at: others[number % 2])
            try await scene.wait(for: number, at: device)
        }
        let next = try await scene.sender(of: others)
        // What was sent in the last moment may come twice, and nothing else.
        let numbers = try await scene.numbers(device)
        #expect(numbers == numbers.sorted() && Set(numbers) == Set(2...9), "\(numbers)")
        #expect(numbers.count <= 9, "\(numbers)")
        #expect(scene.push.count(for: ended) == 5)

        // In order, nothing comes twice; and one that comes back knows what there is.
        try scene.start(sender)
        _ = try await scene.sender(of: Self.nodes)
        let before = scene.push.count(for: device)
        #expect(try await scene[next].terminate() == .exited(0))
        let rest = Self.nodes.filter { $0 != next }
        for number in 10...11 {
            try await scene.publish(number, at: rest[number % 2])
            try await scene.wait(for: number, at: device)
        }
        #expect(scene.push.count(for: device) == before + 2)
        for node in rest { #expect(try await PushScene.list(try scene[node]).count == 1) }
        #expect(scene.push.count(for: ended) == 5)
    }

    private func key(_ scene: Scene) throws -> String {
        let pem = try String(contentsOfFile: scene.push.folder.path("vapid.pem"), encoding: .utf8)
        let key = try P256.Signing.PrivateKey(pemRepresentation: pem).publicKey.x963Representation
        return key.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    @Test("bounds hold over all gateways, and one with another key is refused, until all have it")
    func bounds() async throws {
        let scene = try Scene([try await NATSServer.started()])
        let bounds = "max_subscriptions_per_caller: 2"
        for node in ["a", "b"] { try scene.start(node, push: bounds) }
        _ = try await scene.sender(of: ["a", "b"])
        let devices = (1...3).map { PushedDevice("/device/\($0)") }
        var statuses: [Int] = []
        for (index, device) in devices.enumerated() {
            let reply = try await scene.subscribe(device, at: ["a", "b"][index % 2])
            statuses.append(reply.status)
            if index == 2 { #expect(reply.text.contains("too_many_push_subscriptions_of_caller")) }
        }
        #expect(statuses == [201, 201, 429])

        try scene.makeKey("other.pem")
        try scene.start("c", key: "other.pem", push: bounds)
        let process = try scene["c"].process
        #expect(try await process.exitStatus() != .exited(0))
        #expect(process.errors.contains("push.key_file holds another key"), "\(process.errors)")
        #expect(!process.errors.contains("BEGIN"))
        for node in ["a", "b"] { #expect(try await scene[node].terminate() == .exited(0)) }
        // All with the other one: it is the cluster's, and what was made with the former says so.
        for node in ["a", "b"] { try scene.start(node, key: "other.pem", push: bounds) }
        _ = try await scene.sender(of: ["a", "b"])
        try await PushScene.waitForList(try scene["a"]) { list in
            list.count == 2 && list.allSatisfy { $0["key"]?.string == "former" }
        }
    }

    @Test("without a key file the gateway does not start, and says how to make one for all")
    func noKey() async throws {
        let scene = try Scene([try await NATSServer.started()])
        try scene.start("a", key: "none.pem")
        let process = try scene["a"].process
        #expect(try await process.exitStatus() != .exited(0))
        #expect(process.errors.contains("all gateways of a cluster need the same"), "\(process.errors)")
    }
}
