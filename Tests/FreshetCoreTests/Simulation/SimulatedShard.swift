import FreshetCore
import Synchronization

/// A shard without sockets: takes notices as a real one does and drives the same state machine, with every delay and
/// every full socket decided by the script.
final class SimulatedShard: HubListener {
    private let inbox = Mutex<[HubNotice]>([])

    func enqueue(_ notice: HubNotice) {
        self.inbox.withLock { $0.append(notice) }
    }

    func wake() {}

    /// Takes out the first `count` notices.
    func take(_ count: Int) -> [HubNotice] {
        self.inbox.withLock { inbox in
            let taken = Array(inbox.prefix(count))
            inbox.removeFirst(taken.count)
            return taken
        }
    }

    var backlog: Int { self.inbox.withLock { $0.count } }
}

extension SimulatedSubscriber {
    /// Opens the stream.
    mutating func join(_ hub: Hub, at position: StreamPosition) {
        let opening = hub.open(self.subscription, at: position)
        self.machine = SubscriberStateMachine(after: opening.cursor.sequence)
        if let gap = opening.gap {
            self.pending.append(ControlFrame.gap(gap, wire: .eventStream))
        }
        self.pending.append(contentsOf: opening.snapshots)
        self.drain(hub, isComplete: opening.isComplete)
    }

    /// Hands over a run of published events of this subscriber's sources.
    mutating func published(_ run: [SequencedFrame], hub: Hub) {
        guard let first = run.first, let last = run.last else { return }
        switch self.machine.eventsPublished(from: first.sequence, through: last.sequence) {
        case .ignore: return
        case .replay: self.drain(hub, isComplete: false)
        case .write:
            self.wasLive = true
            for (index, event) in run.enumerated() {
                guard self.room > 0 else {
                    self.machine.writeStopped(after: index == 0 ? first.sequence - 1 : run[index - 1].sequence)
                    return
                }
                self.room -= 1
                self.receive(event.frame)
            }
        }
    }

    /// The socket has room again.
    mutating func writable(_ hub: Hub, room: Int) {
        self.room = room
        self.drain(hub, isComplete: false)
    }

    /// Sends what is pending, then what the log has, as far as there is room.
    private mutating func drain(_ hub: Hub, isComplete: Bool) {
        while self.room > 0, !self.pending.isEmpty {
            self.room -= 1
            self.receive(self.pending.removeFirst())
        }
        guard self.pending.isEmpty else { return }
        if isComplete {
            _ = self.machine.replayed(through: self.machine.sequence, isComplete: true)
            return
        }
        guard self.room > 0, case .replay(let after) = self.machine.writabilityChanged() else { return }
        var feed = hub.read(self.subscription, after: after, limit: min(self.room, 5), maySkip: self.wasLive)
        if case .stored = feed {
            feed = Self.fetched(hub, self.subscription, after: after, limit: min(self.room, 5))
        }
        switch feed {
        case .frames(let frames, let through, let isComplete):
            for (index, frame) in frames.enumerated() {
                guard self.room > 0 else {
                    // A read of the store that another subscriber with more room asked for.
                    self.machine.writeStopped(after: index == 0 ? after : frames[index - 1].sequence)
                    return
                }
                self.room -= 1
                self.receive(frame.frame)
            }
            if case .replay = self.machine.replayed(through: through, isComplete: isComplete) {
                self.drain(hub, isComplete: false)
            }
        case .stored:
            preconditionFailure("fetch answered .stored")
        case .snapshots(let frames, let through):
            self.pending = frames
            self.machine.snapshotsSent(through: through)
            self.drain(hub, isComplete: false)
        case .gap(let reason, let frames, let through):
            self.pending = [ControlFrame.gap(reason, wire: .eventStream)] + frames
            self.machine.snapshotsSent(through: through)
            self.drain(hub, isComplete: false)
        }
    }

    /// What the store has: the simulated reader answers at once.
    private static func fetched(_ hub: Hub, _ subscription: Subscription, after: UInt64, limit: Int) -> StreamFeed {
        let box = Box()
        hub.fetch(subscription, after: after, limit: limit) { feed in box.feed.withLock { $0 = feed } }
        return box.feed.withLock { $0 } ?? .frames([], through: after, isComplete: true)
    }

    private final class Box: Sendable {
        let feed = Mutex<StreamFeed?>(nil)
    }
}
