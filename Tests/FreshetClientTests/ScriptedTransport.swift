// A transport whose answers a test gives, and a clock that a test moves.

import Synchronization
import Testing

@testable import FreshetClient

/// Hands each request to the test, which answers it when and as it likes.
final class ScriptedTransport: FreshetTransport {
    private let connections = Mailbox<ScriptedConnection>(maxCount: .max, maxBytes: .max)
    private let count = Mutex(0)

    /// How many requests there were.
    var requestCount: Int { self.count.withLock { $0 } }

    /// Waits for the next request.
    func next() async throws -> ScriptedConnection {
        try #require(try await self.connections.take())
    }

    func send(_ request: FreshetClient.Request) async throws -> FreshetClient.Response {
        let connection = ScriptedConnection(request)
        self.count.withLock { $0 += 1 }
        _ = self.connections.put(connection, bytes: 0)
        return try await connection.response()
    }
}

/// One request, and what becomes of it.
final class ScriptedConnection: Sendable {
    let request: FreshetClient.Request
    private let heads = Mailbox<FreshetClient.Response>(maxCount: 1, maxBytes: 0)
    private let chunks: ChunkQueue
    private let ends = Mailbox<Bool>(maxCount: 1, maxBytes: 0)

    init(_ request: FreshetClient.Request) {
        self.request = request
        let ends = self.ends
        self.chunks = ChunkQueue(maxBytes: .max, resume: {}, cancel: { _ = ends.put(true, bytes: 0) })
    }

    fileprivate func response() async throws -> FreshetClient.Response {
        do {
            return try #require(try await self.heads.take())
        } catch is CancellationError {
            _ = self.ends.put(true, bytes: 0)
            throw CancellationError()
        }
    }

    func header(_ name: String) -> String? { self.request.headers.last { $0.name == name }?.value }

    /// Path and query.
    var path: String { String(self.request.url.dropFirst("http://gateway".count)) }

    func answer(_ status: Int = 200, _ headers: [String: String] = ["content-type": "text/event-stream"]) {
        _ = self.heads.put(.init(status: status, headers: headers, body: .init(self.chunks.stream)), bytes: 0)
    }

    /// Answers with this body, whole.
    func answer(_ status: Int, _ headers: [String: String] = [:], body: String) {
        self.answer(status, headers)
        self.send(body)
        self.end()
    }

    /// There is no answer.
    func fail(_ error: FreshetTransportError) { self.heads.finish(error) }

    func send(_ text: String) { _ = self.chunks.put(Array(text.utf8)) }

    /// Answers and begins as a gateway does.
    func open(at cursor: String = "e-0", retry: Int? = nil) {
        self.answer()
        self.send(retry.map { "retry: \($0)\n\n" } ?? "")
        self.send("event: hello\ndata: {\"cursor\":\"\(cursor)\",\"heartbeat\":2}\n\n")
    }

    func event(_ name: String, id: String? = nil, source: String = "s", _ members: String = "") {
        let data = "{\"source\":\"\(source)\"\(members.isEmpty ? "" : ",")\(members)}"
        self.send("\(id.map { "id: \($0)\n" } ?? "")event: \(name)\ndata: \(data)\n\n")
    }

    func snapshot(_ value: String, id: String?, source: String = "s") {
        self.event("snapshot", id: id, source: source, "\"at\":\"2026-11-23T06:00:00.123Z\",\"value\":\(value)")
    }

    func patch(_ operations: String, id: String, source: String = "s") {
        self.event("patch", id: id, source: source, "\"patch\":[\(operations)]")
    }

    func bye(_ reason: String) { self.send("event: bye\ndata: {\"reason\":\"\(reason)\"}\n\n") }

    /// The connection ends, in order.
    func end() { self.chunks.finish() }
    func cut() { self.chunks.finish(FreshetTransportError("cut", isUnsent: false)) }

    /// Waits until the client has let go of the exchange.
    func waitUntilReleased() async throws {
        _ = try await self.ends.take()
    }
}

/// Time that passes when a test says so. Waits before another try pass at once, and are noted.
final class ManualTiming: Sendable {
    private struct State: Sendable {
        var now = ContinuousClock.now
        var delays: [Duration] = []
        var sleepers: [(due: ContinuousClock.Instant, box: Mailbox<Bool>)] = []
        var chance = 1.0
    }

    private let state = Mutex(State())

    /// The waits before another try, in order.
    var delays: [Duration] { self.state.withLock { $0.delays } }

    func setChance(_ chance: Double) { self.state.withLock { $0.chance = chance } }

    func advance(by duration: Duration) {
        let due = self.state.withLock { state in
            state.now += duration
            defer { state.sleepers.removeAll { $0.due <= state.now } }
            return state.sleepers.filter { $0.due <= state.now }.map(\.box)
        }
        for box in due { _ = box.put(true, bytes: 0) }
    }

    var timing: Timing {
        Timing(
            now: { self.state.withLock { $0.now } },
            sleep: { duration, purpose in
                try Task.checkCancellation()
                guard purpose != .backOff else {
                    self.state.withLock { $0.delays.append(duration) }
                    return
                }
                let box = Mailbox<Bool>(maxCount: 1, maxBytes: 0)
                self.state.withLock { $0.sleepers.append(($0.now + duration, box)) }
                _ = try await box.take()
            },
            chance: { self.state.withLock { $0.chance } }
        )
    }
}

/// A client before a scripted gateway.
struct Fixture {
    let transport = ScriptedTransport()
    let timing = ManualTiming()
    let client: FreshetClient

    init(_ change: (inout FreshetClient.Configuration) -> Void = { _ in }) throws {
        var configuration = FreshetClient.Configuration(transport: self.transport)
        change(&configuration)
        self.client = FreshetClient(
            core: try ClientCore(url: "http://gateway", configuration: configuration, timing: self.timing.timing)
        )
    }

    var source: FreshetClient.Source { self.client.source("s") }
}

func json(_ text: String) throws -> FreshetClient.JSONValue { try .init(parsing: text) }

extension FreshetClient.Change {
    /// For comparison: name and cursor.
    var summary: String {
        let name =
            switch self.kind {
            case .snapshot(let value): "snapshot \(value)"
            case .patch(let patch): "patch \(patch)"
            case .merge(let patch): "merge \(patch)"
            case .items(let items): "items +\(items.created) ~\(items.updated) -\(items.deleted)"
            case .checkpoint: "checkpoint"
            case .status(let state, let reason): "status \(state) \(reason ?? "-")"
            case .gap(let reason): "gap \(reason.rawValue)"
            case .opened: "opened"
            case .closing(let reason): "closing \(reason)"
            case .interrupted(let reason, _): "interrupted: \(reason)"
            case .other(let name): "other \(name)"
            }
        return name + (self.cursor.map { " @\($0)" } ?? "")
    }
}

/// Iterates a sequence from any task, one element at a time.
actor Consumer<Base: AsyncSequence & Sendable> where Base.Element: Sendable {
    private var iterator: Base.AsyncIterator

    init(_ base: Base) {
        self.iterator = base.makeAsyncIterator()
    }

    func next() async throws -> Base.Element? {
        var iterator = self.iterator
        return try await iterator.next(isolation: self)
    }
}

extension Consumer where Base.Element == FreshetClient.Change {
    /// The next changes, in short.
    func take(_ count: Int) async throws -> [String] {
        var summaries: [String] = []
        for _ in 0..<count {
            guard let change = try await self.next() else { break }
            summaries.append(change.summary)
        }
        return summaries
    }
}
