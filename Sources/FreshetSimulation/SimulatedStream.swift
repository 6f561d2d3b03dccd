// One stream: the gateway's side of it, which holds a cursor, and the wire to its client.

import FreshetCore

/// A frame on its way, with what the checks have to know of it.
struct Delivery: Sendable {
    var frame: Frame
    /// The subscriber did not keep up, so that a snapshot may stand for several events.
    var maySkip = false
    /// Where the stream stands after an event that begins anew and the snapshots that follow it.
    var start: Start?

    struct Start: Sendable {
        var cursor: Cursor
        var hasSnapshots: Bool
    }
}

/// A connection: bytes that the gateway has handed to its socket arrive in order, later, or not at all.
struct SimulatedConnection: Sendable {
    /// Frames that the socket holds at most.
    let capacity: Int
    var inFlight: [Delivery] = []
    /// The client is gone, and the gateway has not heard of it.
    var isCut = false

    var room: Int { max(0, self.capacity - self.inFlight.count) }
}

/// One subscriber of a shard: the state machine of the core, with every full socket and every delay by the script.
struct SimulatedStream: Sendable {
    /// Names this stream and none after it.
    let id: Int
    let client: Int
    let shard: Int
    private(set) var subscription: Subscription
    var connection: SimulatedConnection
    let bug: PlantedBug?

    var machine = SubscriberStateMachine(after: 0)
    /// Goes out before anything of the log: an opening, or what takes the place of events.
    private(set) var pending: [Delivery] = []
    /// Sources that are gone.
    var removed: Set<SourceID> = []
    private(set) var isClosing = false
    private var maySkip = false
    /// What the disk was asked for; an answer for other sources is none.
    private var fetching: Subscription?

    init(
        id: Int,
        client: Int,
        shard: Int,
        subscription: Subscription,
        capacity: Int,
        bug: PlantedBug?
    ) {
        self.id = id
        self.client = client
        self.shard = shard
        self.subscription = subscription
        self.connection = SimulatedConnection(capacity: capacity)
        self.bug = bug
    }

    /// Nothing waits any more on a stream that ends.
    var hasEnded: Bool { self.isClosing && self.pending.isEmpty }

    var isOrphaned: Bool { self.removed.count == self.subscription.sources.count }

    /// Everything in its frames that a disk has to be asked for.
    struct Fetch: Sendable {
        var after: UInt64
        var limit: Int
    }
}

// MARK: - Events

extension SimulatedStream {
    /// Opens the stream.
    mutating func join(_ hub: Hub, at position: StreamPosition) -> Fetch? {
        let opening = hub.open(self.subscription, at: position)
        self.machine = SubscriberStateMachine(after: opening.cursor.sequence)
        self.removed = Set(self.subscription.sources.filter { hub.report(of: $0) == nil })
        let start =
            opening.isComplete
            ? Delivery.Start(cursor: opening.cursor, hasSnapshots: !opening.snapshots.isEmpty) : nil
        let hello = ControlFrame.hello(
            cursor: opening.cursor,
            heartbeat: .seconds(15),
            retry: 2000,
            wire: .eventStream
        )
        self.pending.append(Delivery(frame: hello, start: start))
        if let gap = opening.gap {
            if self.bug == .evictionIsSilent, gap == .evicted, case .after(let cursor) = position {
                self.machine = SubscriberStateMachine(after: cursor.sequence)
                return self.drain(hub)
            }
            self.pending.append(Delivery(frame: ControlFrame.gap(gap, wire: .eventStream), start: start))
        }
        self.pending += opening.snapshots.map { Delivery(frame: $0) }
        self.flush()
        guard self.pending.isEmpty else { return nil }
        if opening.isComplete {
            _ = self.machine.replayed(through: self.machine.sequence, isComplete: true)
            return nil
        }
        return self.drain(hub)
    }

    /// Takes a run of published events of its sources.
    mutating func published(_ run: [SequencedFrame], _ hub: Hub) -> Fetch? {
        guard let first = run.first, let last = run.last else { return nil }
        let before = self.machine.sequence
        switch self.action(from: first.sequence, through: last.sequence) {
        case .ignore:
            return nil
        case .replay:
            self.maySkip = false
            return self.drain(hub)
        case .write:
            for (index, event) in run.enumerated() {
                guard self.send(Delivery(frame: event.frame)) else {
                    self.maySkip = true
                    let stop = index == 0 ? before : run[index - 1].sequence
                    self.machine.writeStopped(after: self.bug == .cursorRuleForgets ? last.sequence : stop)
                    return nil
                }
            }
            return nil
        }
    }

    private mutating func action(from first: UInt64, through last: UInt64) -> SubscriberStateMachine.PublishAction {
        if self.bug == .cursorRuleRepeats, self.machine.isLive {
            _ = self.machine.eventsPublished(from: first, through: last)
            return .write
        }
        return self.machine.eventsPublished(from: first, through: last)
    }

    /// Its shard has no frames for it: it reads the log.
    mutating func sentToTheLog(_ hub: Hub, unlessAt sequence: UInt64, maySkip: Bool) -> Fetch? {
        guard self.machine.isLive, self.machine.sequence < sequence else { return nil }
        self.machine.writeStopped(after: self.machine.sequence)
        self.maySkip = maySkip
        return self.drain(hub)
    }

    /// What the disk had for it, if it still stands where it did.
    mutating func fetched(_ fetched: SimulatedShard.Fetched, _ hub: Hub) -> Fetch? {
        guard let asked = self.fetching else { return nil }
        self.fetching = nil
        let isInPlace = self.machine.sequence == fetched.after && asked === self.subscription
        return self.drain(hub, with: isInPlace ? fetched : nil)
    }

    /// It gets the changes of one more source.
    mutating func grow(by source: SourceID, _ hub: Hub) {
        guard !self.subscription.sources.contains(source) else { return }
        let old = self.subscription
        self.subscription = hub.subscribe(to: (old.sources + [source]).sorted(), format: old.format)
        hub.unsubscribe(old)
    }

    /// Its last words, after what waits already.
    mutating func end(_ reason: CloseReason) {
        guard !self.isClosing else { return }
        self.isClosing = true
        self.pending.append(Delivery(frame: ControlFrame.bye(reason, retry: 2000, wire: .eventStream)))
        self.machine.closed()
        self.flush()
    }
}

// MARK: - Feeding

extension SimulatedStream {
    /// Hands a frame to the socket.
    ///
    /// - Returns: `false` where it is full.
    private mutating func send(_ delivery: Delivery) -> Bool {
        guard self.connection.room > 0 else { return false }
        self.connection.inFlight.append(delivery)
        return true
    }

    private mutating func flush() {
        while let first = self.pending.first, self.send(first) {
            self.pending.removeFirst()
        }
    }

    /// Sends what waits, then what the log has, as far as there is room.
    ///
    /// - Returns: What a disk has to be asked for, after which ``fetched(_:after:_:)`` goes on.
    mutating func drain(_ hub: Hub, with fetched: SimulatedShard.Fetched? = nil) -> Fetch? {
        var fetched = fetched
        while true {
            self.flush()
            guard self.pending.isEmpty, !self.isClosing, self.fetching == nil, self.connection.room > 0,
                case .replay(let after) = self.machine.writabilityChanged()
            else { return nil }
            let limit = min(self.connection.room, 5)
            let epoch = fetched?.epoch ?? hub.cursor.epoch
            let feed = fetched?.feed ?? hub.read(self.subscription, after: after, limit: limit, maySkip: self.maySkip)
            fetched = nil
            if let fetch = self.take(feed, after: after, limit: limit, epoch) { return fetch }
        }
    }

    private mutating func take(_ feed: StreamFeed, after: UInt64, limit: Int, _ epoch: Epoch) -> Fetch? {
        switch feed {
        case .stored:
            self.fetching = self.subscription
            return Fetch(after: after, limit: limit)
        case .frames(let frames, let through, let isComplete):
            for (index, event) in frames.enumerated() {
                guard self.send(Delivery(frame: event.frame, maySkip: self.maySkip)) else {
                    self.machine.writeStopped(after: index == 0 ? after : frames[index - 1].sequence)
                    return nil
                }
            }
            _ = self.machine.replayed(through: through, isComplete: isComplete)
        case .snapshots(let frames, let through):
            self.pending = frames.map { Delivery(frame: $0, maySkip: true) }
            self.machine.snapshotsSent(through: through)
        case .gap(let reason, let frames, let through):
            self.machine.snapshotsSent(through: through)
            if self.bug == .evictionIsSilent, reason == .evicted { return nil }
            let cursor = Cursor(epoch: epoch, sequence: through)
            let start = Delivery.Start(cursor: cursor, hasSnapshots: !frames.isEmpty)
            self.pending = [Delivery(frame: ControlFrame.gap(reason, wire: .eventStream), start: start)]
            self.pending += frames.map { Delivery(frame: $0) }
        }
        return nil
    }
}
