// One thread that owns a part of the subscribers: their sockets, their cursors, and everything written to them.

import CLinux
import FreshetCore

/// A shard. Made, run and let go on its own thread; others reach it through its ``ShardInbox``.
///
/// A turn takes what the inbox and epoll have, sends each group its events, feeds some of those who are behind, lets
/// some newcomers in, and looks after time limits. Nothing in it blocks but the wait at its start.
final class Shard {
    let number: Int
    let hub: Hub
    let inbox: ShardInbox
    let counters: ShardCounters
    let settings: StreamSettings
    let epoll: Int32
    var clock: TickClock
    var random: SystemRandomNumberGenerator

    var table = SubscriberTable()
    /// By ``SubscriberGroup/index``; `nil` where a number is free.
    var groups: [SubscriberGroup?] = []
    var groupNumbers: [GroupKey: Int32] = [:]
    /// The numbers of the groups that get a source's events.
    var groupIndex = SourceIndex()
    /// Groups that have something gathered in this turn.
    var gathered: [SubscriberGroup] = []
    /// Groups with ``SubscriberGroup/sharedReads``, which live until the end of the turn.
    var sharing: [SubscriberGroup] = []

    /// Subscribers that are not live, by slot.
    var backlogs: [Int32: Backlog] = [:]
    /// Slots to feed in the next turns, without waiting for their sockets.
    var ready: [Int32] = []
    /// Connections to take over in the next turns, the first at ``nextArrival``.
    var arrivals: [StreamHandover] = []
    var nextArrival = 0
    /// Status events with which streams were opened since the inbox was last taken: the notice of such a status may
    /// be in it, and must not be told twice.
    var toldAtOpening: [Int32: [Frame]] = [:]
    /// By slot, when a subscriber was last sent a checkpoint from the log; few are.
    var checkpointTicks: [Int32: UInt32] = [:]
    /// Numbers the status notices.
    var statusNumber: UInt64 = 0
    /// Of the sources whose state has changed.
    var statusPaces: [SourceID: StatusPace] = [:]
    /// The last state of each source that flaps, while it is not told.
    var heldStatuses: [SourceID: StatusNotice] = [:]

    /// Subscribers to be ended in the next turns, the first at ``nextEnd``.
    var pendingEnds: [PendingEnd] = []
    var nextEnd = 0
    var drain: DrainPlan?
    var isStopping = false

    /// Members that did not take what they were sent, gathered while a group is iterated.
    var stalled: [Stall] = []
    var tally = ShardTally()
    /// When the oldest notice of this turn came into the inbox, in nanoseconds of the monotonic clock.
    var oldestNotice: Int64 = 0
    let heartbeats: HeartbeatFrames
    /// Where frames are laid side by side for one send.
    let scratch: UnsafeMutableRawBufferPointer

    private var content = ShardInbox.Content()
    private let events: UnsafeMutablePointer<clinux_event>

    static let maxEvents: Int32 = 256
    /// Bounds of a turn: what healthy subscribers wait for at most while others are let in or fed.
    static let maxJoinsPerTurn = 64
    static let maxFeedsPerTurn = 64
    static let maxEndsPerTurn = 128
    /// The most bytes of several frames that leave in one send.
    static let minScratchBytes = 64 << 10

    /// What makes subscribers get the same bytes.
    struct GroupKey: Hashable {
        var subscription: ObjectIdentifier
        var pattern: SourcePattern?
        var framing: Framing
    }

    /// `epoll`: owned from now on.
    init(number: Int, hub: Hub, inbox: ShardInbox, counters: ShardCounters, settings: StreamSettings, epoll: Int32) {
        self.number = number
        self.hub = hub
        self.inbox = inbox
        self.counters = counters
        self.settings = settings
        self.epoll = epoll
        self.clock = TickClock(settings: settings)
        self.random = SystemRandomNumberGenerator()
        self.heartbeats = HeartbeatFrames()
        self.scratch = .allocate(byteCount: max(Self.minScratchBytes, settings.replayBatchBytes), alignment: 16)
        self.events = .allocate(capacity: Int(Self.maxEvents))
    }

    deinit {
        self.scratch.deallocate()
        self.events.deallocate()
        _ = clinux_close(self.epoll)
    }

    /// Works until told to stop.
    func run() {
        while !self.isStopping {
            let ready = self.wait()
            self.clock.update()
            self.takeInbox()
            self.handleSockets(ready)
            self.feedReady()
            self.admitArrivals()
            self.forgetSharedReads()
            if self.clock.hasTicked() { self.keepTime() }
            self.continueEnds()
            self.continueDrain()
            self.publishFigures()
        }
        self.abandonEverything()
    }

    /// Marks epoll's report of the inbox. No slot has it: a slot's number is below 2^31.
    static let inboxMark = UInt64.max

    private func wait() -> Int {
        let hasWork =
            !self.ready.isEmpty || self.nextArrival < self.arrivals.count || self.nextEnd < self.pendingEnds.count
        let timeout = hasWork ? 0 : self.clock.milliseconds(untilNextTickOr: self.drain?.step)
        return max(0, Int(clinux_epoll_wait(self.epoll, self.events, Self.maxEvents, timeout)))
    }

    private func takeInbox() {
        self.inbox.take(into: &self.content)
        self.oldestNotice = self.content.oldest
        self.publish(self.content.notices, hasOverflowed: self.content.hasOverflowed)
        self.toldAtOpening.removeAll(keepingCapacity: true)
        for message in self.content.messages {
            self.handle(message)
        }
        self.content.notices.removeAll(keepingCapacity: self.content.notices.count < 1024)
        self.content.messages.removeAll(keepingCapacity: self.content.messages.count < 1024)
        self.content.hasOverflowed = false
    }

    private func handle(_ message: ShardMessage) {
        switch message {
        case .adopt(let handover): self.arrivals.append(handover)
        case .drain(let duration, let done): self.startDrain(over: duration, done: done)
        case .list(let limit, let reply): reply(self.list(limit: limit))
        case .close(let id, let reason, let reply): reply(self.close(id, reason))
        case .fetched(let feed, let subscription, let sequence, let slot, let generation):
            self.takeFetched(feed, of: subscription, after: sequence, for: slot, generation: generation)
        case .stop: self.isStopping = true
        }
    }

    private func handleSockets(_ count: Int) {
        for position in 0..<count {
            let event = self.events[position]
            guard event.data != Self.inboxMark else { continue }
            let index = Int32(truncatingIfNeeded: event.data & 0xFFFF_FFFF)
            let generation = UInt32(truncatingIfNeeded: event.data >> 32)
            guard self.table.isUsed(index), self.table.slot(index).pointee.generation == generation else { continue }
            self.handle(event.events, of: index)
        }
    }

    private func handle(_ events: UInt32, of index: Int32) {
        if events & (CLINUX_EPOLLERR | CLINUX_EPOLLHUP | CLINUX_EPOLLRDHUP) != 0 {
            return self.release(index, .gone)
        }
        if events & CLINUX_EPOLLIN != 0, let end = self.discardInput(of: index) {
            return self.release(index, end)
        }
        guard events & CLINUX_EPOLLOUT != 0, let backlog = self.backlogs[index], !backlog.isQueued else { return }
        self.feed(index)
    }

    private func forgetSharedReads() {
        for group in self.sharing {
            group.sharedReads.removeAll(keepingCapacity: true)
        }
        self.sharing.removeAll(keepingCapacity: true)
    }

    func publishFigures() {
        self.tally.publish(to: self.counters)
        self.counters.set(subscribers: self.table.count, blocked: self.backlogs.count)
    }
}

/// The heartbeat in each wire format, encoded once.
struct HeartbeatFrames {
    private let eventStream = ControlFrame.heartbeat(wire: .eventStream)
    private let jsonLines = ControlFrame.heartbeat(wire: .jsonLines)

    subscript(wire: StreamWire) -> Frame {
        switch wire {
        case .eventStream: self.eventStream
        case .jsonLines: self.jsonLines
        }
    }
}
