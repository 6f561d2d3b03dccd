import Foundation
import FreshetClient
import FreshetTesting
import JSON
import Synchronization
import System
import Testing

/// The client library before the program, over a network that cuts connections anywhere: what it holds is the model, and
/// what it hands out is the model's history.
///
/// `FRESHET_CUTS=1000` runs so many histories.
@Suite("Histories of the Swift client", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct SwiftClientHistoryTests {
    private static let count = Int(ProcessInfo.processInfo.environment["FRESHET_CUTS"] ?? "") ?? 30
    /// So many at a time, each with a source of its own.
    private static let parallel = 6
    private static let changes = 12

    @Test("after random cuts the client holds the model, in each mode, with nothing missed and nothing twice")
    func cuts() async throws {
        let names = (0..<Self.parallel).map { "s\($0)" }
        let gateway = try Self.gateway(names)
        let endpoint = try await gateway.process.endpoint()
        let cuts = try await withThrowingTaskGroup(of: Int.self) { group in
            for (lane, name) in names.enumerated() {
                group.addTask {
                    var cuts = 0
                    for number in stride(from: lane, to: Self.count, by: Self.parallel) {
                        let history = try ClientHistory(seed: UInt64(number), source: name, endpoint)
                        try await history.run(try Self.synthetic(seed: UInt64(number)), hasItems: true)
                        cuts += history.relay.cuts
                    }
                    return cuts
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(cuts > Self.count, "\(cuts) cuts in \(Self.count) histories")
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test(
        "recorded upstreams arrive whole over a network that cuts",
        .enabled(if: Suites.available, "the suites are not here"),
        arguments: Suites.histories
    )
    func recorded(name: String) async throws {
        let recording = try Suites.history(name)
        guard recording.fileExtension == "json" else { return }
        // Of large values a few are enough: what is cut is the same.
        let size = recording.versions.reduce(0) { $0 + $1.bytes.count } / max(1, recording.versions.count)
        var seen: [FreshetClient.JSONValue] = []
        let bodies = try recording.bodies.prefix(size > 500_000 ? 4 : Self.changes).filter { body in
            // A value that was there before would be taken for the last.
            let value = try FreshetClient.JSONValue(parsing: body)
            defer { seen.append(value) }
            return !seen.contains(value)
        }
        let gateway = try Self.gateway(["s"])
        let history = try ClientHistory(seed: 1, source: "s", try await gateway.process.endpoint())
        try await history.run(bodies)
        #expect(try await gateway.terminate() == .exited(0))
    }

    private static func gateway(_ names: [String]) throws -> Gateway {
        let sources = names.map { "  \($0): { items: /items, key: /id, max_body_bytes: 64MiB }" }.joined(
            separator: "\n"
        )
        // Nothing is evicted while a history runs: each gap would be a mistake.
        return try Gateway(
            """
            retry: 100ms
            shutdown: { drain: 100ms }
            cache: { max_bytes: 1GiB }
            auth: { anonymous: { read: ["*"], publish: ["*"] } }
            sources:
            \(sources)
            """
        )
    }

    /// A keyed collection whose last version alone has an item `last`, and that grows, shrinks, moves and changes.
    private static func synthetic(seed: UInt64) throws -> [[UInt8]] {
        var generator = SplitMix64(seed: seed)
        var items = (0..<20).map { (id: $0, text: "t\($0)") }
        var next = items.count
        return (0..<self.changes).map { version in
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0..<max(1, items.count), using: &generator)
                switch Int.random(in: 0..<5, using: &generator) {
                case 0:
                    items.insert((id: next, text: "new\u{E9}\(next)"), at: place)
                    next += 1
                case 1 where items.count > 5: items.remove(at: place)
                case 2: items.insert(items.remove(at: place), at: 0)
                case 3:
                    // Large enough to reach over many reads.
                    let count = Int.random(in: 1...20_000, using: &generator)
                    items[place].text = String(repeating: "x\(version)", count: count)
                default: items[place].text = "t\(version)-\(place)"
                }
            }
            if version == self.changes - 1 { items[0].text = "last" }
            let list = items.map { #"{"id":\#($0.id),"text":"\#($0.text)"}"# }.joined(separator: ",")
            return Array(#"{"version":\#(version),"items":[\#(list)]}"#.utf8)
        }
    }
}

/// One source whose value a test pushes, and a client that follows it over a relay that cuts.
private final class ClientHistory: Sendable {
    let relay: CuttingRelay
    private let source: String
    private let pushes: HTTPTestClient
    private let client: FreshetClient
    private let mode: FreshetClient.ValueMode
    private let generator: Mutex<SplitMix64>

    init(seed: UInt64, source: String, _ endpoint: Endpoint) throws {
        let generator = Mutex(SplitMix64(seed: seed &* 31 &+ 7))
        self.source = source
        self.pushes = HTTPTestClient(endpoint)
        self.mode = FreshetClient.ValueMode.allCases[Int(seed % 3)]
        self.relay = try CuttingRelay(to: endpoint) { request, _ in
            generator.withLock { generator in
                // One in four goes on; the others end somewhere in what comes, most soon and some late.
                guard request.contains("/v1/streams/"), Int.random(in: 0..<4, using: &generator) > 0 else { return nil }
                let magnitude = Int.random(in: 4..<15, using: &generator)
                return .init(after: "event: ", bytes: Int.random(in: 0..<(1 << magnitude), using: &generator))
            }
        }
        self.generator = Mutex(SplitMix64(seed: seed))
        self.client = try FreshetClient("http://127.0.0.1:\(self.relay.port)")
    }

    /// Pushes the values one after the other, and checks what the client makes of them.
    ///
    /// `hasItems`: whether the items of the last value are at `/items`, with the key `id`.
    func run(_ bodies: [[UInt8]], hasItems: Bool = false) async throws {
        var cursors: [FreshetClient.Cursor: FreshetClient.JSONValue] = [:]
        try await self.push(bodies[0], &cursors)
        let last = try FreshetClient.JSONValue(parsing: bodies[bodies.count - 1])
        let names = [self.source]
        let (client, mode) = (self.client, self.mode)
        let values = Task {
            var seen: [FreshetClient.Value] = []
            for try await value in client.values(of: names, mode: mode) {
                seen.append(value)
                if value.json == last { break }
            }
            return seen
        }
        let steps = Task { try await Self.replay(client.changes(of: names, mode: mode.changeMode), until: last) }
        let goal = hasItems ? Self.items(of: last) : nil
        let items = Task {
            guard let goal else { return }
            try await Self.collect(client.changes(of: names, mode: .items), until: goal)
        }
        for body in bodies.dropFirst() {
            try await self.push(body, &cursors)
            // Now and then the client has time to come back, and now and then it has not.
            let pause = self.generator.withLock { Int.random(in: 0..<3, using: &$0) }
            guard pause == 0 else { continue }
            let next = self.relay.requests.count + 1
            _ = await self.relay.waitForRequests(next, to: "GET", timeout: .milliseconds(50))
        }
        let (seen, all) = (try await values.value, try await steps.value)
        // Ends once the items are those of the last value.
        try await items.value
        #expect(seen.last?.json == last, "\(self.mode)")
        var before: FreshetClient.Cursor?
        for value in seen {
            let cursor = try #require(value.cursor)
            #expect(cursors[cursor] == value.json, "\(self.mode): at \(cursor) the value is what was pushed then")
            if let before { #expect(before.reaches(cursor) == false, "never back, and none twice") }
            before = cursor
        }
        #expect(all.last?.value == last, "\(self.mode)")
        for step in all { #expect(cursors[step.cursor] == step.value, "\(self.mode): \(step.cursor)") }
        // From the first on, every change is there: the log reaches back, so there is no gap.
        let expected = cursors.keys.sorted { $1.reaches($0) == true }
        let first = try #require(all.first?.cursor)
        #expect(all.map(\.cursor) == Array(expected.drop { $0 != first }), "\(self.mode): each once, in order")
    }

    private func push(_ body: [UInt8], _ cursors: inout [FreshetClient.Cursor: FreshetClient.JSONValue]) async throws {
        let reply = try await self.pushes.send(
            "POST",
            "/v1/sources/\(self.source)/value",
            body: body,
            timeout: .patience
        )
        try #require(reply.status == 200, "\(reply.text)")
        let cursor = try #require(try Document(parsing: reply.body).root["cursor"]?.string)
        cursors[try #require(FreshetClient.Cursor(cursor))] = try FreshetClient.JSONValue(parsing: body)
    }

    private static func items(of value: FreshetClient.JSONValue) -> [String: FreshetClient.JSONValue] {
        let list = value["items"]?.elements.map { (key: $0["id"]?.description ?? "", item: $0) } ?? []
        return Dictionary(list.map { ($0.key, $0.item) }, uniquingKeysWith: { $1 })
    }

    /// Follows by items until they are those that are wanted.
    private static func collect(
        _ changes: FreshetClient.Changes,
        until goal: [String: FreshetClient.JSONValue]
    ) async throws {
        var items: [String: FreshetClient.JSONValue] = [:]
        for try await change in changes {
            switch change.kind {
            case .snapshot(let value): items = Self.items(of: value)
            case .items(let changes):
                for item in changes.created + changes.updated {
                    let key = item["id"]?.description ?? ""
                    let isCreated = changes.created.contains(item)
                    #expect((items[key] == nil) == isCreated, "\(key): nothing twice, and nothing missed")
                    items[key] = item
                }
                for key in changes.deleted {
                    #expect(items.removeValue(forKey: key.description) != nil, "\(key)")
                }
            case .gap(let reason): Issue.record("a gap: \(reason)")
            default: continue
            }
            if items == goal { return }
        }
    }

    /// What the changes make of the value, step by step, by rules written apart from the client's own.
    private static func replay(
        _ changes: FreshetClient.Changes,
        until last: FreshetClient.JSONValue
    ) async throws -> [(cursor: FreshetClient.Cursor, value: FreshetClient.JSONValue)] {
        var value: Document?
        var steps: [(cursor: FreshetClient.Cursor, value: FreshetClient.JSONValue)] = []
        for try await change in changes {
            switch change.kind {
            case .snapshot(let json): value = try Document(parsing: json.bytes)
            case .patch(let json): value = try value?.applying(patch: Document(parsing: json.bytes))
            case .merge(let json): value = value?.applying(mergePatch: try Document(parsing: json.bytes))
            case .gap(let reason): Issue.record("a gap: \(reason)")
            default: continue
            }
            guard let cursor = change.cursor, let value else { continue }
            steps.append((cursor, try .init(parsing: value.text)))
            if steps.last?.value == last { break }
        }
        return steps
    }
}

extension FreshetClient.ValueMode {
    fileprivate var changeMode: FreshetClient.Mode {
        switch self {
        case .patch: .patch
        case .merge: .merge
        case .snapshot: .snapshot
        }
    }
}
