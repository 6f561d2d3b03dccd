// A hub with one source that is pushed to as a poll would, and readers of views that see frames and nothing else.

import FreshetCore
import JSON
import Synchronization
import Testing

/// A source whose values come through the machine that compares polls.
final class ViewedSource {
    let hub: Hub
    let id: SourceID
    private var machine: SourceStateMachine
    private var wall = WallTime(milliseconds: 1_800_000_000_000)

    init(items: String? = "/orders", key: String? = "/id", cacheBytes: Int = 64 << 20, name: String = "s") throws {
        let log = ChangeLog(epoch: Epoch(rawValue: 3), cache: ChangeCache(maxBytes: cacheBytes))
        self.hub = Hub(log: log)
        var configuration = SourceConfiguration(name: name)
        configuration.items = items.flatMap { Pointer($0) }
        configuration.key = key.flatMap { Pointer($0) }
        let now = MonotonicTime(nanoseconds: 0)
        self.machine = SourceStateMachine(configuration: configuration, phase: 0, now: now, wall: self.wall)
        self.id = try #require(self.hub.addSource(name, status: self.machine.status))
    }

    /// - Returns: Whether it is a change.
    @discardableResult
    func push(_ text: String) -> Bool {
        self.wall = self.wall + .seconds(1)
        let now = MonotonicTime(nanoseconds: 0)
        let verdict = self.machine.valuePushed(body: Array(text.utf8), contentType: nil, now: now, wall: self.wall)
        guard let change = verdict.change else { return false }
        self.hub.publish(change, of: self.id)
        self.hub.report(self.machine.status, of: self.id)
        return true
    }

    var value: Document? { self.hub.version(of: self.id)?.document }

    func reader(_ view: View, _ mode: StreamMode) -> ViewReader { ViewReader(self, view, mode) }
}

/// An event as a client gets it, from a JSON line.
struct ViewedLine {
    var name: String
    var sequence: UInt64?
    var data: Value

    init(_ frame: Frame) throws {
        let line = try Document(parsing: Array(frame.bytes[frame.payload]))
        self.name = try #require(line.root["event"]?.string)
        self.sequence = line.root["id"]?.string.flatMap { Cursor($0)?.sequence }
        self.data = try #require(line.root["data"])
    }
}

/// Reads one view of a source: its opening, what is published, and what the log gives.
final class ViewReader: HubListener {
    let subscription: Subscription
    private let hub: Hub
    private let published = Mutex<[PublishedEvent]>([])
    static let wire = StreamWire.jsonLines

    init(_ source: ViewedSource, _ view: View, _ mode: StreamMode) {
        self.hub = source.hub
        let format = StreamFormat(mode: mode, wire: Self.wire)
        self.subscription = source.hub.subscribe(to: [source.id], format: format, view: view)
        source.hub.attach(self)
    }

    func end() {
        self.hub.detach(self)
        self.hub.unsubscribe(self.subscription)
    }

    func enqueue(_ notice: HubNotice) {
        if case .published(let event) = notice { self.published.withLock { $0.append(event) } }
    }

    func wake() {}

    /// The snapshots that it begins with.
    func opening() throws -> [ViewedLine] {
        try self.hub.open(self.subscription, at: .snapshot).snapshots.map { try ViewedLine($0) }
    }

    /// What was published since the last call: `nil` for an event that does nothing in the view.
    func live() throws -> [(sequence: UInt64, line: ViewedLine?)] {
        let events = self.published.withLock { events in
            defer { events = [] }
            return events
        }
        return try events.map { event in
            let part = event.parts.first { $0.view == self.subscription.viewID }
            let frame = try part.map { try #require($0.frames[self.subscription.format], "no frame in the format") }
            return (event.sequence, try frame.map { try ViewedLine($0) })
        }
    }

    /// What the log gives after a position, in parts of `limit`; `nil` for a gap.
    func resumed(after sequence: UInt64, limit: Int) throws -> [ViewedLine]? {
        var lines: [ViewedLine] = []
        var position = sequence
        for _ in 0..<100_000 {
            switch self.hub.read(self.subscription, after: position, limit: limit, maySkip: false) {
            case .frames(_, _, isComplete: true): return lines
            case .frames, .snapshots, .gap: return nil
            case .stored: break
            }
            let feed = Fetched()
            let ticket = self.hub.fetch(self.subscription, after: position, limit: limit) { feed.set($0) }
            _ = ticket
            guard case .frames(let frames, let through, _)? = feed.value else { return nil }
            try #require(through > position, "it does not come on")
            lines += try frames.filter { !$0.isCheckpoint }.map { try ViewedLine($0.frame) }
            position = through
        }
        return nil
    }
}

/// What a fetch gave.
final class Fetched: Sendable {
    private let feed = Mutex<StreamFeed?>(nil)

    func set(_ feed: StreamFeed) { self.feed.withLock { $0 = feed } }
    var value: StreamFeed? { self.feed.withLock { $0 } }
}

/// What a client that applies its events holds.
struct ViewedValue {
    var document: Document?

    mutating func apply(_ line: ViewedLine) throws {
        switch line.name {
        case "snapshot": self.document = try #require(line.data["value"]).document
        case "patch":
            let held = try #require(self.document, "a patch to nothing")
            self.document = try held.applying(patch: try #require(line.data["patch"]).document)
        case "merge":
            let held = try #require(self.document, "a merge to nothing")
            self.document = held.applying(mergePatch: try #require(line.data["merge"]).document)
        default: Issue.record("an event \(line.name)")
        }
    }
}
