import EventStream
import Foundation
import FreshetTesting
import Glibc
import JSON
import NATS
import Testing

/// Three gateways over three brokers, as programs, through many deaths and pauses of the one that polls, and subscribers that
/// move between them. `FRESHET_CLUSTER_KILLS`, `FRESHET_CLUSTER_PAUSES` and `FRESHET_CLUSTER_MOVES` say how often. Some 20 s.
@Suite(
    "A cluster of gateways, again and again",
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: NATSConnection.isAvailable && NATSServer.program != nil, "skipped: no nats-server, or no libnats")
)
struct ClusterLoopTests {
    private static let nodes = ["a", "b", "c"]
    private static let kills = Self.count("KILLS", 3)
    private static let pauses = Self.count("PAUSES", 1)
    private static let moves = Self.count("MOVES", 30)
    /// How long a pause lasts at least, in seconds: longer than the lease of one second. It always lasts until another gateway
    /// has taken over.
    private static let pauseSeconds = Self.count("PAUSE_SECONDS", 2)

    private static func count(_ name: String, _ standard: Int) -> Int {
        ProcessInfo.processInfo.environment["FRESHET_CLUSTER_\(name)"].flatMap { Int($0) } ?? standard
    }

    private static func cluster() async throws -> ClusterFixture {
        let fixture = try ClusterFixture(try await NATSServer.cluster(of: 3))
        for node in Self.nodes { try fixture.start(node) }
        for node in Self.nodes { try await fixture[node].waitForValues(of: ["value"]) }
        for node in Self.nodes { try await fixture[node].waitForCluster { $0.contains("of a, b, c,") } }
        return fixture
    }

    @Test("over kill -9 of the gateway that polls, subscribers at each see every change once and in order")
    func killed() async throws {
        let fixture = try await Self.cluster()
        var subscribers = try await Self.subscribers(fixture)
        var waits: [Duration] = []
        for _ in 0..<Self.kills {
            let owner = try await fixture.owner(by: Self.nodes)
            let process = try fixture[owner].process
            process.send(SIGKILL)
            #expect(try await process.exitStatus() == .killed(signal: SIGKILL))
            // What it had asked the upstream for has arrived there: whatever comes after is its successor's.
            let (polls, dead) = (fixture.polls.value, ContinuousClock.now)
            #expect(await fixture.polls.wait(timeout: .patience) { $0 > polls ? true : nil } == true)
            waits.append(ContinuousClock.now - dead)
            try fixture.start(owner)
            try await fixture[owner].waitForCluster { $0.contains("of a, b, c,") }
            for node in Self.nodes {
                // Those at the others were not interrupted.
                if node == owner { try await subscribers[node]?.open(node, fixture) }
                try await subscribers[node]?.read(beyond: polls + 3)
            }
        }
        try await Self.compare(Array(subscribers.values), fixture)
        let longest = waits.max() ?? .zero
        print("cluster: \(Self.kills) kills of the gateway that polls; the next poll came after \(longest) at most")
        #expect(waits.count == Self.kills)
    }

    @Test("what a gateway had in hand when it was paused is in no log, and its refusals are counted")
    func paused() async throws {
        let fixture = try await Self.cluster()
        var subscribers = try await Self.subscribers(fixture)
        for _ in 0..<Self.pauses {
            let stale = try await fixture.owner(by: Self.nodes)
            let others = Self.nodes.filter { $0 != stale }
            let lapses = try await fixture[stale].metric("freshet_cluster_lapses_total") ?? 0
            let process = try fixture[stale].process
            process.send(SIGSTOP)
            do {
                defer { process.send(SIGCONT) }
                _ = try await fixture.owner(by: others, otherThan: stale)
                try await fixture.waitForNews(others)
                // The source may have changed hands for another reason meanwhile: only time ends a lease.
                try await Task.sleep(for: .seconds(Self.pauseSeconds))
            }
            try await fixture[stale].waitForCluster { $0.hasPrefix("ok, ") }
            let polls = fixture.polls.value
            for node in Self.nodes {
                // A stream that its gateway left without a word for so long may have been given up by either side.
                if node == stale { try await subscribers[node]?.open(node, fixture) }
                try await subscribers[node]?.read(beyond: polls + 3)
            }
            let after = try await fixture[stale].metric("freshet_cluster_lapses_total") ?? 0
            #expect(after > lapses, "the end of the lease was not noticed")
        }
        try await Self.compare(Array(subscribers.values), fixture)
    }

    @Test("a subscriber that moves between gateways by its cursor reads what one that stays reads")
    func moves() async throws {
        let fixture = try await Self.cluster()
        var generator = SystemRandomNumberGenerator()
        var mover = Subscriber()
        for _ in 0..<Self.moves {
            try await mover.open(Self.nodes.randomElement(using: &generator) ?? "a", fixture)
            try await mover.read(Int.random(in: 1...4, using: &generator))
            await mover.close()
        }
        #expect(mover.events.count > Self.moves)
        try await Self.compare([mover], fixture)
    }

    // MARK: Subscribers

    /// One at each gateway.
    private static func subscribers(_ fixture: ClusterFixture) async throws -> [String: Subscriber] {
        var subscribers: [String: Subscriber] = [:]
        for node in Self.nodes {
            var subscriber = Subscriber()
            try await subscriber.open(node, fixture)
            try await subscriber.read(2)
            subscribers[node] = subscriber
        }
        return subscribers
    }

    /// Each has read exactly what the log holds from its first event to its last, at every gateway.
    private static func compare(_ subscribers: [Subscriber], _ fixture: ClusterFixture) async throws {
        for node in Self.nodes {
            for subscriber in subscribers {
                let first = try #require(subscriber.events.first), last = try #require(subscriber.events.last)
                let log = try await fixture.patches(node, from: first.lastEventID, to: last.lastEventID)
                let read = subscriber.events.dropFirst().map { Patch(id: $0.lastEventID, data: $0.data) }
                let isSame = read.elementsEqual(log)
                #expect(read.count > 2 && isSame, "\(node): \(read.count) events, \(log.count) in the log")
            }
        }
    }
}

/// A change as a stream and the log give it.
private struct Patch: Equatable {
    let id: String
    let data: [UInt8]
}

/// Who reads one source's patches, at one gateway after the other.
private struct Subscriber {
    private(set) var events: [StreamEvent] = []
    private var stream: EventStreamClient?
    /// The number of the value that the events add up to.
    private var number = 0

    /// Goes on at this gateway, after what was read.
    mutating func open(_ node: String, _ fixture: ClusterFixture) async throws {
        await self.close()
        self.stream = try await fixture.stream(node, mode: "patch", after: self.events.last?.lastEventID)
    }

    mutating func close() async {
        await self.stream?.close()
        self.stream = nil
    }

    /// Reads as many events.
    mutating func read(_ count: Int) async throws {
        let goal = self.events.count + count
        while self.events.count < goal { try await self.takeNext() }
    }

    /// Reads until the value is one that the upstream gave after its `number`-th.
    mutating func read(beyond number: Int) async throws {
        while self.number <= number { try await self.takeNext() }
    }

    private mutating func takeNext() async throws {
        let event = try #require(try await self.stream?.next(), "the stream ended")
        let data = ["snapshot", "patch"].contains(event.type) ? try Document(parsing: event.data).root : nil
        switch event.type {
        case "hello", "status", "checkpoint": return
        case "snapshot" where self.events.isEmpty: self.number = Int(data?["value"]?["n"]?.int ?? 0)
        case "patch": self.number = Int(data?["patch"]?.elements.first { _ in true }?["value"]?.int ?? 0)
        case let type:
            Issue.record("a \(type) after \(self.events.last?.lastEventID ?? "nothing"): \(event.text.prefix(200))")
            return
        }
        self.events.append(event)
    }
}

extension ClusterFixture {
    /// The patches of a gateway's log after one cursor and up to another.
    fileprivate func patches(_ node: String, from first: String, to last: String) async throws -> [Patch] {
        var patches: [Patch] = []
        var cursor = first
        while cursor != last {
            let lines = try await self.lines(node, after: cursor, mode: "patch")
            try #require(!lines.isEmpty, "the log of \(node) does not reach \(last)")
            for line in lines where cursor != last {
                let document = try Document(parsing: Array(line.utf8))
                cursor = try #require(document.root["id"]?.string)
                patches.append(Patch(id: cursor, data: Array(try #require(document.root["data"]).text)))
            }
        }
        return patches
    }
}
