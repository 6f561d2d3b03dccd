// A shard of the gateway: the real delivery, on a simulated transport, in turns that the script gives it.

import FreshetCore
import FreshetStreaming
import FreshetTesting
import Synchronization

/// What the hub has told, and a shard has not yet heard.
///
/// A real shard takes its inbox at the start of a turn, and the hub publishes during the turn as well: such a change is
/// in the log that the turn reads, and its notice comes with the next. Here the script says what is told late.
private final class LateNotices: HubListener {
    private let notices = Mutex<[HubNotice]>([])
    private let bug: PlantedBug?

    init(bug: PlantedBug?) {
        self.bug = bug
    }

    func enqueue(_ notice: HubNotice) {
        if self.bug == .reloadKeepsStreams, case .removed = notice { return }
        self.notices.withLock { $0.append(notice) }
    }

    func wake() {}

    var count: Int { self.notices.withLock { $0.count } }

    /// The first `count`.
    func take(_ count: Int) -> [HubNotice] {
        self.notices.withLock { notices in
            defer { notices.removeFirst(min(count, notices.count)) }
            return Array(notices.prefix(count))
        }
    }
}

/// One shard. Confined to the simulation that made it.
final class SimulatedShard {
    let inbox: DeliveryInbox<SimulatedTransport>
    let transport: SimulatedTransport
    private let delivery: Delivery<SimulatedTransport>
    private let waker: SimulatedWaker
    private let late: LateNotices
    private let bug: PlantedBug?
    private var overflows: UInt64 = 0

    private static let maxNotices = 12

    private static let settings = {
        var settings = StreamSettings(shards: 1)
        settings.replayBatchEvents = 5
        settings.writeTimeout = .seconds(300)
        return settings
    }()

    init(number: Int, hub: Hub, ledger: Ledger, clock: SimulatedClock, seed: UInt64, bug: PlantedBug?) {
        self.waker = SimulatedWaker(now: clock.now.nanoseconds)
        self.transport = SimulatedTransport(waker: self.waker, seed: seed, bug: bug, ledger: ledger)
        self.inbox = DeliveryInbox(maxNotices: Self.maxNotices, waker: self.waker)
        self.delivery = Delivery(
            number: number,
            hub: hub,
            inbox: self.inbox,
            counters: ShardCounters(),
            settings: Self.settings,
            transport: self.transport
        )
        self.late = LateNotices(bug: bug)
        self.bug = bug
        hub.attach(self.late)
    }

    /// Nothing is on its way to it.
    var isEmpty: Bool { self.late.count == 0 && self.inbox.depth == 0 }

    /// How many notices wait for it.
    var lateCount: Int { self.late.count }

    func report(of socket: SimulatedSocket) -> SubscriberReport? {
        socket.key.flatMap { self.delivery.report(of: $0) }
    }

    /// Takes a turn, in which all but the last `late` notices are heard.
    func turn(late: Int, clock: SimulatedClock) {
        self.waker.now = clock.now.nanoseconds
        self.transport.wall = clock.wall
        for notice in self.late.take(max(0, self.late.count - late)) {
            self.inbox.enqueue(notice)
        }
        if self.inbox.overflows > self.overflows {
            self.overflows = self.inbox.overflows
            for socket in self.transport.open { socket.noteOverflow() }
        }
        if self.bug == .cursorRuleRepeats { self.turnForgetfully() } else { self.delivery.turn() }
        for socket in self.transport.open {
            socket.note(isLive: self.report(of: socket)?.state == .live)
        }
    }

    /// The planted bug: for the length of a turn those who are live have nothing, so that they are sent every run.
    private func turnForgetfully() {
        var sequences: [SlotKey: UInt64] = [:]
        for key in self.transport.open.compactMap(\.key) {
            self.delivery.updateMachine(of: key) { machine in
                guard machine.isLive else { return }
                sequences[key] = machine.sequence
                machine = Self.live(at: 0)
            }
        }
        self.delivery.turn()
        for (key, sequence) in sequences {
            self.delivery.updateMachine(of: key) { machine in
                if machine.isLive, machine.sequence == 0 { machine = Self.live(at: sequence) }
            }
        }
    }

    private static func live(at sequence: UInt64) -> SubscriberStateMachine {
        var machine = SubscriberStateMachine(after: sequence)
        _ = machine.replayed(through: sequence, isComplete: true)
        return machine
    }
}
