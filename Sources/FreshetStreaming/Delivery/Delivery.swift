// A part of the subscribers: what each of them gets next, when it is fed, and when it ends.

import Compression
package import FreshetCore

/// What a shard does. Made, run and let go on the shard's thread; others reach it through its ``DeliveryInbox``.
///
/// A turn takes what the inbox and the transport have, sends each group its events, feeds some of those who are behind,
/// lets some newcomers in, and looks after time limits. Nothing in it blocks but the transport's wait at its start.
///
/// It decides; the transport carries out. Whoever makes one for a transport of this module gets a copy that the compiler
/// made for that transport, without a call through a table in the loop over the subscribers.
package final class Delivery<Carrier: Transport> {
    let number: Int
    let hub: Hub
    let inbox: DeliveryInbox<Carrier>
    let counters: ShardCounters
    let settings: StreamSettings
    /// Counts what is kept for those who do not read.
    let unsent: UnsentDesk
    /// Counts the memory of runs.
    let runs: RunLedger
    let transport: Carrier
    var clock: TickClock

    var table = SubscriberTable<Carrier.Connection>()
    /// By ``SubscriberGroup/index``; `nil` where a number is free.
    var groups: [SubscriberGroup?] = []
    var groupNumbers: [SubscriberGroup.Key: Int32] = [:]
    /// The numbers of the groups that get a source's events.
    var groupIndex = SourceIndex()
    /// The same of those that get each of them: who reads a view is found by ``viewGroups``.
    var wholeIndex = SourceIndex()
    /// By number in ``wholeIndex``, the number of the group.
    var wholeGroups: [Int32] = []
    /// The numbers of the groups that read a view.
    var viewGroups: [ViewID: [Int32]] = [:]
    /// The last event of which this shard has taken notice.
    var lastNotice: UInt64 = 0
    var rota = CheckpointRota()
    /// Groups that have something gathered in this turn.
    var gathered: [SubscriberGroup] = []
    /// Groups with ``SubscriberGroup/sharedReads``, which live until the end of the turn.
    var sharing: [SubscriberGroup] = []

    /// Subscribers that are not live, by slot.
    var backlogs: [Int32: Backlog] = [:]
    /// Slots to feed in the next turns, without waiting for their sockets.
    var ready: [Int32] = []
    /// Connections to take over in the next turns, the first at ``nextArrival``.
    var arrivals: [StreamHandover<Carrier.Arrival>] = []
    var nextArrival = 0
    /// Status events with which streams were opened since the inbox was last taken: the notice of such a status may
    /// be in it, and must not be sent twice.
    var sentAtOpening: [Int32: [Frame]] = [:]
    /// Whose streams they are, by slot, where they end with a credential.
    var owners: [Int32: StreamOwner] = [:]
    var expiries = ExpiryQueue()
    /// When those who were told that their right has ended are closed, whether they have taken it or not.
    var lastCalls = ExpiryQueue()
    /// The stream of each ticket that has one here.
    var ticketStreams: [Fingerprint: SlotKey] = [:]
    /// By slot, when a subscriber was last sent a checkpoint from the log; few are.
    var checkpointTicks: [Int32: UInt32] = [:]
    /// Numbers the status notices.
    var statusNumber: UInt64 = 0
    /// Of the sources whose state has changed.
    var statusPaces: [SourceID: StatusPace] = [:]
    /// The last state of each source that flaps, while it is held.
    var heldStatuses: [SourceID: StatusNotice] = [:]

    /// Subscribers to be ended in the next turns, the first at ``nextEnd``.
    var pendingEnds: [PendingEnd] = []
    var nextEnd = 0
    /// Sources that may not be compressed.
    var uncompressed = SourcePattern.none
    /// What codes pieces that stand for themselves.
    var coders: [IndependentCoder] = []
    /// Groups with ``SubscriberGroup/codedFrames``, which live until the end of the turn.
    var coding: [SubscriberGroup] = []

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

    private var content: DeliveryInbox<Carrier>.Content

    /// `number`: of the shard, which the names of its subscribers begin with.
    package init(
        number: Int,
        hub: Hub,
        inbox: DeliveryInbox<Carrier>,
        counters: ShardCounters,
        settings: StreamSettings,
        unsent: UnsentDesk = UnsentDesk(),
        runs: RunLedger = RunLedger(),
        transport: Carrier
    ) {
        self.number = number
        self.hub = hub
        self.inbox = inbox
        self.counters = counters
        self.settings = settings
        self.unsent = unsent
        self.runs = runs
        self.transport = transport
        self.clock = TickClock(settings: settings, now: transport.now)
        self.heartbeats = HeartbeatFrames()
        self.scratch = .allocate(byteCount: max(TurnLimits.scratchBytes, settings.replayBatchBytes), alignment: 16)
        self.content = DeliveryInbox<Carrier>.Content()
    }

    deinit {
        self.scratch.deallocate()
    }

    /// Works until stopped.
    func run() {
        while !self.isStopping {
            self.turn()
        }
        self.abandonEverything()
    }

    /// Waits for something to do, and does a bounded part of it.
    package func turn() {
        let reports = self.transport.wait(milliseconds: self.waitingTime)
        self.clock.update(self.transport.now)
        self.takeInbox()
        self.transport.flush()
        self.handleReports(reports)
        self.feedReady()
        self.admitArrivals()
        self.forgetSharedReads()
        self.endExpired()
        if self.clock.hasTicked() { self.keepTime() }
        self.continueEnds()
        self.continueDrain()
        self.transport.flush()
        self.publishFigures()
    }

    /// Milliseconds until there is something to do without being woken.
    private var waitingTime: Int32 {
        let hasWork =
            !self.ready.isEmpty || self.nextArrival < self.arrivals.count || self.nextEnd < self.pendingEnds.count
            || self.drain?.isBehind(at: self.clock.now) == true
        guard !hasWork else { return 0 }
        let time = self.clock.milliseconds(from: self.transport.now, untilNextTickOr: self.drain?.step)
        return self.millisecondsToExpiry.map { min(time, $0) } ?? time
    }

    private func takeInbox() {
        self.inbox.take(into: &self.content)
        self.oldestNotice = self.content.oldest
        self.publish(self.content.notices, hasOverflowed: self.content.hasOverflowed)
        self.sentAtOpening.removeAll(keepingCapacity: true)
        for message in self.content.messages {
            self.handle(message)
        }
        self.content.notices.removeAll(keepingCapacity: self.content.notices.count < 1024)
        self.content.messages.removeAll(keepingCapacity: self.content.messages.count < 1024)
        self.content.hasOverflowed = false
    }

    private func handle(_ message: DeliveryMessage<Carrier.Arrival>) {
        switch message {
        case .adopt(let handover): self.arrivals.append(handover)
        case .drain(let duration, let hasSuccessor, let done):
            self.startDrain(over: duration, hasSuccessor: hasSuccessor, done: done)
        case .list(let limit, let reply): reply(self.list(limit: limit))
        case .close(let id, let reason, let first, let reply): reply(self.close(id, reason, first: first))
        case .review(let decide): self.review(decide)
        case .supersede(let ticket): self.supersede(ticket)
        case .renew(let keys, let principal, let done):
            self.renew(keys, for: principal)
            done()
        case .drop(let key, let pattern, let done):
            self.drop(key, keeping: pattern)
            done()
        case .fetched(let feed, let subscription, let sequence, let key):
            self.takeFetched(feed, of: subscription, after: sequence, for: key)
        case .compression(let uncompressed): self.setUncompressed(uncompressed)
        case .stop: self.isStopping = true
        }
    }

    private func handleReports(_ count: Int) {
        for number in 0..<count {
            guard let report = self.transport.report(number), self.table.holds(report.key) else { continue }
            self.handle(report.events, of: report.key.index)
        }
    }

    private func handle(_ events: TransportReport.Events, of index: Int32) {
        if events.contains(.broken) { return self.release(index, .gone) }
        if events.contains(.left) { return self.end(index, .unsubscribed) }
        if events.contains(.readable), let end = self.discardInput(of: index) { return self.release(index, end) }
        guard events.contains(.writable), let backlog = self.backlogs[index], !backlog.isQueued else { return }
        self.feed(index)
    }

    private func forgetSharedReads() {
        for group in self.sharing {
            group.sharedReads.removeAll(keepingCapacity: true)
        }
        self.sharing.removeAll(keepingCapacity: true)
        for group in self.coding {
            group.codedFrames = []
        }
        self.coding.removeAll(keepingCapacity: true)
    }

    func publishFigures() {
        self.tally.publish(to: self.counters)
        self.counters.set(subscribers: self.table.count, blocked: self.backlogs.count)
    }
}

/// Bounds of a turn: what healthy subscribers wait for at most while others are let in, fed or ended.
enum TurnLimits {
    static let joins = 64
    static let feeds = 64
    /// An end costs as much as some ten events: it is told, shut down, and closed.
    static let ends = 16
    /// The most bytes that one subscriber is sent in a turn while it is behind.
    static let bytesPerFeed = 1 << 20
    /// The most bytes of several frames that leave in one send, unless a replayed batch may have more.
    static let scratchBytes = 64 << 10
    /// Bytes that a client may send while its stream is held.
    static let inputBytes = 16 << 10
}

/// The heartbeat in each wire format, encoded once.
struct HeartbeatFrames {
    private let eventStream = ControlFrame.heartbeat(wire: .eventStream)
    private let jsonLines = ControlFrame.heartbeat(wire: .jsonLines)

    /// `nil` where the transport beats by itself.
    subscript(wire: StreamWire) -> Frame? {
        switch wire.form {
        case .eventStream, .markedEventStream: self.eventStream
        case .jsonLines: self.jsonLines
        case .messages, .deflatedMessages: nil
        }
    }
}
