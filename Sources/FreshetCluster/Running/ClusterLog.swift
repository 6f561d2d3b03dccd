// The log that the nodes of a cluster share: the broker's stream first, then this node's disk, then its subscribers.

import DequeModule
import Dispatch
package import FreshetCore
import Synchronization

/// One node's part of the shared log. Any thread may call.
///
/// A ``ClusterMachine`` decides, on one queue. Changes are committed by this node's store in the order in which they are read;
/// without a store they are handed on by a queue of their own, so that heartbeats never wait for subscribers.
package final class ClusterLog: LogBackend {
    /// Something that was asked for, in order.
    enum Order: Sendable {
        case submit(LogRecord)
        case republish(LogRecord)
        case remove(String)
        case keep(String, Validators, [UInt8])
    }

    struct Shared: Sendable {
        var head: Cursor
        weak var receiver: (any LogReceiver)?
        var orders = Deque<Order>()
        /// Changes that were given to the store, and those that came out of it.
        var issued: UInt64 = 0
        var completed: UInt64 = 0
        /// What waits for changes to come out: run on the queue.
        var barriers: [(after: UInt64, run: @Sendable () -> Void)] = []
        /// Messages whose room the stream has not got back yet.
        var owed = 0
        var reading: (any StreamReading)?
        var snapshot = ClusterSnapshot()
        var drained: DispatchSemaphore?
        var left: [@Sendable () -> Void] = []
        /// By unit: who waits until its state is in the stream, or will not be.
        var keeps: [String: [(number: UInt64, done: @Sendable (Bool) -> Void)]] = [:]
        var nextKeep: UInt64 = 1
        /// What the configuration names: sources, and other units.
        var sources: Set<String> = []
        var units: Set<String> = []
        var rules: [String: PlacementRule] = [:]
        var control = ClusterControl()
        /// Calls of other nodes without an answer yet.
        var calls: [UInt64: (node: String, done: @Sendable (Result<ClusterReply, StreamFailure>) -> Void)] = [:]
        var lastCall: UInt64 = 0
        /// Records of keys that are on their way into the stream.
        var keys: [UInt64: @Sendable (Bool) -> Void] = [:]
        var lastKey: UInt64 = 0
        /// What waits until the log has come so far.
        var readers: [UInt64: (cursor: Cursor, done: @Sendable (Bool) -> Void)] = [:]
        var lastReader: UInt64 = 0
    }

    /// Confined to ``queue``.
    final class Confined {
        var machine: ClusterMachine
        var readings = 0
        /// The version of the machine that was told last.
        var told = UInt64.max
        var timer = MonotonicTime.distantFuture

        init(_ machine: ClusterMachine) {
            self.machine = machine
        }
    }

    /// The most messages that are on their way from the broker to the disk.
    package static let window = 1024

    package let settings: ClusterMachine.Settings
    let stream: any SharedStream
    let store: (any ChangeStore)?
    let shared: Mutex<Shared>
    let queue = DispatchQueue(label: "freshet-cluster")
    let commits = DispatchQueue(label: "freshet-cluster-commits")
    private let confined: QueueConfined<Confined>

    /// `store` commits what the stream has, and is `nil` to keep it in memory. `log` is where it stands, and `last` its last
    /// change, if there is one.
    package init(
        _ settings: ClusterMachine.Settings,
        stream: any SharedStream,
        store: (any ChangeStore)?,
        log: Cursor,
        last: StoredChange?
    ) {
        self.settings = settings
        self.stream = stream
        self.store = store
        self.shared = Mutex(Shared(head: log))
        var generator = SystemRandomNumberGenerator()
        let machine = ClusterMachine(settings, log: log, last: last.map(ChangeDigest.init), seed: generator.next())
        self.confined = QueueConfined(Confined(machine), queue: self.queue)
    }

    /// Connects. `sources` are those of the configuration, `rules` say where they and templates may be, and `instances` those that the log on disk has; `stored` is what is
    /// known of them, and `prunedThrough` up to where, by name, the log on disk has no changes of them; `units` is what else one
    /// gateway at a time is to do (``ClusterUnit``).
    package func run(
        sources: Set<String>,
        units: Set<String> = [],
        rules: [String: PlacementRule] = [:],
        instances: [String] = [],
        stored: [StoredSource],
        prunedThrough: [String: UInt64] = [:],
        control: ClusterControl
    ) {
        self.shared.withLock { shared in
            shared.control = control
            shared.sources = sources
            shared.units = units
            shared.rules = rules
        }
        self.perform { machine, now in
            machine.sourcesChanged(sources.union(units), rules: rules, now: now)
            machine.instancesRestored(instances)
            for source in stored {
                machine.restored(source, isChange: source.sequence > prunedThrough[source.name] ?? 0)
            }
        }
        self.stream.start { [weak self] state in self?.streamChanged(state) }
    }

    /// The configuration has other sources now.
    package func update(sources: Set<String>, rules: [String: PlacementRule]) {
        self.update { shared in
            shared.sources = sources
            shared.rules = rules
        }
    }

    /// The other units of the configuration have changed.
    package func update(units: Set<String>) {
        self.update { $0.units = units }
    }

    private func update(_ change: (inout Shared) -> Void) {
        let (all, rules) = self.shared.withLock { shared in
            change(&shared)
            return (shared.sources.union(shared.units), shared.rules)
        }
        self.perform { machine, now in machine.sourcesChanged(all, rules: rules, now: now) }
    }

    /// Hands all sources over. `done` is called once, when that is done or cannot be.
    package func leave(_ done: @escaping @Sendable () -> Void) {
        self.shared.withLock { $0.left.append(done) }
        self.perform { machine, now in machine.leave(now: now) }
    }

    /// Ends the connection.
    package func stop() {
        self.stream.stop()
    }

    /// What the node knows at this moment.
    package var snapshot: ClusterSnapshot { self.shared.withLock { $0.snapshot } }

    /// Whether this node may act for a source at this moment: it owns it, and its lease holds.
    package func owns(_ source: String) -> Bool {
        self.shared.withLock { shared in
            shared.snapshot.polled.contains(source) && Self.now < shared.snapshot.leaseUntil
        }
    }

    // MARK: - LogBackend

    package var head: Cursor { self.shared.withLock { $0.head } }
    package var isShared: Bool { true }

    package func start(telling receiver: any LogReceiver) {
        self.shared.withLock { $0.receiver = receiver }
    }

    package func submit(_ record: LogRecord) {
        self.order(.submit(record))
    }

    package func remove(source name: String) {
        self.order(.remove(name))
    }

    package func keep(source name: String, validators: Validators, learned: [UInt8]) {
        self.order(.keep(name, validators, learned))
        self.flush()
    }

    /// Submits the value of a source as it is, where a new numbering needs it.
    package func republish(_ record: LogRecord) {
        self.order(.republish(record))
        self.flush()
    }

    private func order(_ order: Order) {
        self.shared.withLock { $0.orders.append(order) }
    }

    package func flush() {
        self.perform { _, _ in }
    }

    /// A shared log is not given up: what it holds goes on into the stream.
    package func withdraw() -> [LogRecord] { [] }

    // MARK: - On the queue

    static var now: MonotonicTime { MonotonicTime(nanoseconds: Int64(clamping: DispatchTime.now().uptimeNanoseconds)) }

    /// Has the machine do something, and carries out what it decides.
    func perform(_ body: @escaping @Sendable (inout ClusterMachine, MonotonicTime) -> Void) {
        self.confined.run { [weak self] confined in
            guard let self else { return }
            let now = Self.now
            confined.machine.timePassed(now: now)
            body(&confined.machine, now)
            self.takeOrders(confined, now: now)
            self.carryOut(confined)
        }
    }

    private func takeOrders(_ confined: Confined, now: MonotonicTime) {
        let orders = self.shared.withLock { shared in
            defer { shared.orders = [] }
            return shared.orders
        }
        for order in orders {
            switch order {
            case .submit(let record): confined.machine.submitted(record, now: now)
            case .republish(let record): confined.machine.republished(record, now: now)
            case .remove(let name): self.store?.remove(source: name)
            case .keep(let name, let validators, let learned):
                confined.machine.learned(validators, learned, of: name)
            }
        }
    }

    private func carryOut(_ confined: Confined) {
        var actions = confined.machine.takeActions()
        while !actions.isEmpty {
            for action in actions { self.carryOut(action, confined) }
            actions = confined.machine.takeActions()
        }
        let isNew = confined.machine.version != confined.told
        confined.told = confined.machine.version
        let state = self.snapshot.state
        let snapshot = isNew ? ClusterSnapshot(confined.machine, state: state) : nil
        let before = self.shared.withLock { shared -> ClusterSnapshot? in
            guard var snapshot else {
                shared.snapshot.refresh(confined.machine)
                return nil
            }
            snapshot.state = shared.snapshot.state
            defer { shared.snapshot = snapshot }
            return shared.snapshot
        }
        if let before, let snapshot {
            if snapshot.share != before.share { self.control.share(snapshot.share) }
            self.endCalls(to: before.heard.subtracting(snapshot.heard))
        }
        self.setTimer(confined)
    }

    private func setTimer(_ confined: Confined) {
        let time = confined.machine.nextTime
        let now = Self.now
        // One that is set already, and earlier, sets the next.
        guard time < .distantFuture, time < confined.timer || confined.timer <= now else { return }
        confined.timer = max(time, now + .milliseconds(1))
        let (delay, due) = (confined.timer - now, confined.timer)
        self.queue.asyncAfter(deadline: .now() + .nanoseconds(Int(clamping: delay.clampedNanoseconds))) { [weak self] in
            self?.confined.assumeRun { if $0.timer == due { $0.timer = .distantFuture } }
            self?.perform { _, _ in }
        }
    }

    private func carryOut(_ action: ClusterMachine.Action, _ confined: Confined) {
        switch action {
        case .publish(let id, let messages, let expecting):
            self.stream.publish(messages, expecting: expecting) { [weak self] outcome in
                self?.perform { machine, now in machine.published(id, outcome, now: now) }
            }
        case .readFacts:
            self.stream.facts { [weak self] result in
                self?.perform { machine, now in machine.factsReceived(result, now: now) }
            }
        case .readEpoch:
            self.stream.lastMessage(of: self.settings.subjects.subject(of: .epoch)) { [weak self] result in
                self?.perform { machine, now in machine.epochReceived(result, now: now) }
            }
        case .readMessage(let sequence):
            self.stream.message(at: sequence) { [weak self] result in
                self?.perform { machine, now in machine.messageReceived(result, now: now) }
            }
        case .readOwner(let source):
            self.stream.lastMessage(of: self.settings.subjects.subject(of: .owner(source: source))) {
                [weak self] result in
                self?.perform { machine, now in machine.ownerReceived(source, result, now: now) }
            }
        case .read(let sequence): self.read(from: sequence, confined)
        case .stopReading: self.stopReading(confined)
        case .commit(let record, let position):
            self.commit(record, at: position, confined)
        case .take(let record, let position):
            self.commit(
                LogRecord(name: record.name, identity: record.identity, change: record.change),
                at: position,
                confined
            )
        case .renumber(let cursor):
            self.renumber(to: cursor)
            self.control.renumbered()
        case .own(let source, let record):
            self.afterCommits { [weak self] in
                // It may have been lost meanwhile.
                guard let self, self.isPolled(source) else { return }
                self.control.own(source, record)
            }
        case .release(let source):
            self.control.release(source) { [weak self] in
                self?.perform { machine, now in machine.released(source, now: now) }
            }
        case .learn(let record): self.control.learn(record.scope, record.record)
        case .ticket(let notice): self.control.ticket(notice)
        case .instance(let name, let change):
            self.control.instance(name, change)
            // What is removed goes from the disk before the next change of the name comes to it.
            self.takeOrders(confined, now: Self.now)
        case .subscription(let id, let row, let sequence): self.control.subscription(id, row, sequence)
        case .keyStored(let request, let isStored): self.keyStored(request, isStored)
        case .drop(let records):
            for record in records { record.done(nil) }
        case .republish(let source): self.afterCommits { [weak self] in self?.republishValue(of: source) }
        case .kept(let unit, let number): self.settleKeeps(of: unit, through: number, isKept: true)
        case .unkept(let unit, let number): self.settleKeeps(of: unit, through: number, isKept: false)
        case .note(let note): self.control.note(note)
        case .left:
            let waiting = self.shared.withLock { shared in
                defer { shared.left = [] }
                return shared.left
            }
            for done in waiting { done() }
        }
    }

    private func isPolled(_ source: String) -> Bool {
        self.shared.withLock { $0.snapshot.polled.contains(source) }
    }

    private var control: ClusterControl { self.shared.withLock { $0.control } }

    private func republishValue(of source: String) {
        guard let hub = self.shared.withLock({ $0.receiver }) as? Hub, let id = hub.id(of: source),
            let record = hub.wholeRecord(of: id)
        else { return }
        self.republish(record)
    }

    // MARK: - The stream

    private func streamChanged(_ state: StreamState) {
        self.shared.withLock { $0.snapshot.state = state }
        self.control.state(state)
        self.perform { machine, now in
            if state == .connected { machine.connected(now: now) } else { machine.disconnected(now: now) }
        }
    }

    private func read(from sequence: UInt64, _ confined: Confined) {
        self.stopReading(confined)
        let number = confined.readings
        let reading = self.stream.read(
            from: sequence,
            window: Self.window,
            deliver: { [weak self] messages in self?.delivered(messages, by: number) },
            ended: { [weak self] _ in
                self?.confined.run { [weak self] confined in
                    guard confined.readings == number else { return }
                    self?.perform { machine, now in machine.readingEnded(now: now) }
                }
            }
        )
        self.shared.withLock { shared in
            shared.reading = reading
            shared.owed = 0
        }
    }

    private func stopReading(_ confined: Confined) {
        confined.readings += 1
        let reading = self.shared.withLock { shared in
            defer { shared.reading = nil }
            return shared.reading
        }
        reading?.cancel()
    }

    private func delivered(_ messages: [StoredMessage], by reading: Int) {
        self.confined.run { [weak self] confined in
            guard let self, confined.readings == reading else { return }
            let now = Self.now
            confined.machine.timePassed(now: now)
            confined.machine.delivered(messages, now: now)
            self.takeOrders(confined, now: now)
            self.carryOut(confined)
            self.giveBack(messages.count)
        }
    }
}
