// Web Push of a cluster: subscriptions at any gateway, kept in the stream, and one gateway that sends.

import FreshetCluster
import FreshetConfiguration
import FreshetCore
import FreshetPush
import Logging
import Synchronization

/// Knows all subscriptions of the cluster, sends their messages while this gateway has ``ClusterUnit/push``, and asks the one that
/// has it otherwise. Any thread may call.
final class ClusterPush: PushDesk {
    /// What a sender of this gateway begins with.
    struct Start: Sendable {
        var rows: [PushRow]
        /// `nil` where nobody has sent anything yet.
        var progress: PushProgress?
        var store: any PushStore
        var sharing: PushSender.Sharing
    }

    struct Known: Sendable {
        /// ``PushRow/state``.
        var row: [UInt8]
        /// Of the message that has it; 0 where only the disk says so.
        var sequence: UInt64
    }

    /// The time in which this gateway has the unit.
    private struct Term: Sendable {
        var number: Int
        /// Where the sender before was.
        var state: [UInt8]
        /// `nil` before the key was agreed on.
        var task: Task<Void, Never>?
        var sender: PushSender?
    }

    private struct State: Sendable {
        var known: [PushID: Known] = [:]
        var term: Term?
        var terms = 0
        var agreement: PushKeyAgreement
        /// The cluster signs with another key than this gateway: why it cannot go on.
        var failure: StartFailure?
        var nextRenewal = MonotonicTime(nanoseconds: .min)
    }

    let publicKey: String
    private let log: ClusterLog
    /// `nil` without a log on disk.
    private let disk: (any PushStore)?
    private let settings: PushSender.Configuration
    private let make: @Sendable (Start) throws(UpstreamError) -> PushSender
    private let logger: Logger
    private let state: Mutex<State>

    /// How long the gateway that sends may take to answer.
    private static let patience = Duration.seconds(5)
    /// How often rows are looked at that the broker will remove as the oldest, and the most that are written again at once.
    private static let renewalInterval = Duration.seconds(60)
    private static let maxRenewed = 5000
    /// How often it is kept how far the subscriptions are: what was sent since is sent again after a crash.
    static let keepInterval = Duration.milliseconds(500)

    /// `restored`: what the log on disk has. `make`: makes the sender of a term.
    init(
        log: ClusterLog,
        settings: PushSender.Configuration,
        disk: (any PushStore)?,
        restored: [PushRow],
        logger: Logger,
        make: @escaping @Sendable (Start) throws(UpstreamError) -> PushSender
    ) {
        self.log = log
        self.settings = settings
        self.publicKey = settings.key.publicText
        self.disk = disk
        self.logger = logger
        self.make = make
        var state = State(agreement: PushKeyAgreement(own: settings.key.publicText))
        for row in restored {
            guard let id = PushID(String(decoding: row.key, as: UTF8.self)) else { continue }
            state.known[id] = Known(row: row.state, sequence: 0)
        }
        self.state = Mutex(state)
    }

    /// Why this gateway cannot be one of the cluster; `nil` where it can.
    var failure: StartFailure? { self.state.withLock { $0.failure } }

    /// Of the sender of this gateway; without one there is nothing to count.
    var metrics: PushMetrics { self.sender?.metrics ?? PushMetrics(counts: PushBook.Counts()) }

    private var sender: PushSender? { self.state.withLock { $0.term?.sender } }

    // MARK: - What the cluster says

    /// The stream says this of a subscription.
    func heard(_ id: PushID, _ row: [UInt8], sequence: UInt64) {
        self.state.withLock { state in
            state.known[id] = row.isEmpty ? nil : Known(row: row, sequence: sequence)
        }
        if row.isEmpty {
            self.disk?.forget([PushRow.key(of: id)])
        } else {
            self.disk?.keep([PushRow(key: PushRow.key(of: id), state: row)], done: { _ in })
        }
    }

    /// The stream does not reach back to what this gateway knows: what it still has is read anew.
    func historyLost() {
        let ids = self.state.withLock { state in
            defer { state.known = [:] }
            return Array(state.known.keys)
        }
        self.disk?.forget(ids.map { PushRow.key(of: $0) })
    }

    /// The file of the log has begun anew.
    func rewriteRows() {
        let rows = self.rows
        if !rows.isEmpty { self.disk?.keep(rows, done: { _ in }) }
    }

    private var rows: [PushRow] {
        self.state.withLock { state in
            state.known.map { PushRow(key: PushRow.key(of: $0.key), state: $0.value.row) }
        }
    }

    /// This gateway is to send. `state`: where the one before was; empty for none.
    func own(state record: [UInt8]) {
        self.state.withLock { state in
            state.terms += 1
            state.term = Term(number: state.terms, state: record)
        }
        self.begin()
    }

    /// Another gateway is to send. `done` is called once this one has stopped.
    func release(done: @escaping @Sendable () -> Void) {
        let task = self.state.withLock { state in
            defer { state.term = nil }
            return state.term?.task
        }
        guard let task else { return done() }
        task.cancel()
        Task {
            await task.value
            done()
        }
    }

    /// Begins to send, where that is this gateway's and it has the key of all.
    private func begin() {
        self.state.withLock { state in
            guard state.agreement.isAgreed, let term = state.term, term.task == nil else { return }
            let number = term.number
            // Rows are read on a thread that may take its time.
            state.term?.task = Task { [weak self] in await self?.send(in: number, after: term.state) }
        }
    }

    private func send(in number: Int, after record: [UInt8]) async {
        let store = ClusterPushStore(log: self.log, lifetime: { [weak self] in self?.lifetime(of: $0) ?? .seconds(60) })
        let start = Start(
            rows: self.rows,
            progress: PushProgress(text: record),
            store: store,
            sharing: PushSender.Sharing(
                maySend: { [weak log] in log?.owns(ClusterUnit.push) ?? false },
                keep: { [weak log] progress in await log?.keep(progress) ?? false }
            )
        )
        let sender: PushSender
        do throws(UpstreamError) {
            sender = try self.make(start)
        } catch {
            return self.logger.error("nothing can be pushed", metadata: ["reason": "\(error.message)"])
        }
        let isPresent = self.state.withLock { state in
            guard state.term?.number == number else { return false }
            state.term?.sender = sender
            return true
        }
        guard isPresent else { return }
        await sender.run()
        await store.settle()
    }

    /// How long others may have a subscription on their disks that has ended.
    private func lifetime(of id: PushID) -> Duration {
        let known = self.state.withLock { $0.known[id] }
        let row = known.flatMap { PushSubscription.read(PushRow(key: PushRow.key(of: id), state: $0.row)) }
        let end = row.map { $0.0.expiresAt.milliseconds - WallTime.now.milliseconds } ?? 0
        return .milliseconds(min(max(0, end), 1 << 40)) + .seconds(3600)
    }

    // MARK: - Every second

    /// To be called when the broker can be asked, and then every second. `isFree`: whether no other gateway signs with another
    /// key; `nil` while that is not known.
    func tick(isFree: Bool?) {
        self.carryOut(self.state.withLock { $0.agreement.timePassed(now: .now) }, isFree)
        self.renew()
    }

    private func carryOut(_ action: PushKeyAgreement.Action?, _ isFree: Bool?) {
        switch action {
        case nil: self.begin()
        case .ask:
            let oldBefore = self.log.snapshot.facts.map { $0.oldBefore } ?? 0
            let circumstances = PushKeyAgreement.Circumstances(isFree: isFree, oldBefore: oldBefore)
            self.log.readPushKey { [weak self] result in
                guard let self else { return }
                let next = self.state.withLock { $0.agreement.answered(result, circumstances, now: .now) }
                self.carryOut(next, isFree)
            }
        case .publish(let record, let sequence):
            self.log.writePushKey(record, expecting: sequence) { [weak self] outcome in
                guard let self else { return }
                self.carryOut(self.state.withLock { $0.agreement.published(outcome, now: .now) }, isFree)
            }
        case .refuse(let theirs):
            let failure = StartFailure(
                "push.key_file holds another key (\(self.publicKey)) than that of the cluster's other gateways (\(theirs)): devices that subscribed with it would refuse this gateway's messages. Copy the file of another gateway, or stop all of them to begin with another key."
                    .escapingControls()
            )
            self.state.withLock { $0.failure = failure }
        }
    }

    /// Writes rows again that the broker would soon remove as the oldest.
    private func renew() {
        let snapshot = self.log.snapshot
        guard snapshot.sendsPush, let facts = snapshot.facts else { return }
        let old = self.state.withLock { state -> [PushID] in
            guard state.term?.sender != nil, state.nextRenewal <= .now else { return [] }
            state.nextRenewal = .now + Self.renewalInterval
            let old = state.known.filter { $0.value.sequence < max(1, facts.oldBefore) }
            return Array(old.keys.prefix(Self.maxRenewed))
        }
        // In the order of what the sender writes itself: what has ended by then is not written again.
        if !old.isEmpty { self.sender?.rewrite(old) }
    }

    // MARK: - PushDesk

    func subscribe(
        _ request: PushRequest,
        for caller: Principal,
        from network: ReadClient?
    ) async -> Result<PushReport, PushRefusal> {
        if let sender, self.log.owns(ClusterUnit.push) {
            return await sender.subscribe(request, for: caller, from: network)
        }
        do throws(PushRefusal) {
            let subscription = try PushSender.subscription(request, for: caller, self.settings, since: self.log.head)
            let call = PushCall.subscribe(subscription.row(), network: network)
            guard case .subscribed(let report) = try await self.ask(call) else { throw Self.otherAnswer }
            return .success(report)
        } catch {
            return .failure(error)
        }
    }

    func reports(for caller: Principal, id: PushID?, after: PushID?, limit: Int) async -> [PushReport] {
        if let sender, self.log.owns(ClusterUnit.push) {
            return sender.reports(for: caller, id: id, after: after, limit: limit)
        }
        var reports: [PushReport] = []
        var last = after
        while reports.count < limit {
            let count = min(PushCall.maxListed, limit - reports.count)
            do throws(PushRefusal) {
                let call = PushCall.list(by: PushCall.Caller(caller), id: id, after: last, limit: count)
                guard case .list(let part) = try await self.ask(call) else { throw Self.otherAnswer }
                reports += part
                last = part.last?.id
                if part.count < count || id != nil { return reports }
            } catch {
                // As the stream says.
                return self.known(to: caller, id: id, after: after, limit: limit)
            }
        }
        return reports
    }

    private func known(to caller: Principal, id: PushID?, after: PushID?, limit: Int) -> [PushReport] {
        guard id != nil || caller.kind != .anonymous else { return [] }
        let known = self.state.withLock { $0.known }.sorted { $0.key < $1.key }
        var reports: [PushReport] = []
        for (key, value) in known where reports.count < limit {
            guard id == nil || key == id else { continue }
            if let after, key <= after { continue }
            let row = PushRow(key: PushRow.key(of: key), state: value.row)
            guard let (subscription, _) = PushSubscription.read(row),
                caller.grants.admin || subscription.isOwned(by: caller)
            else { continue }
            let hasPresentKey = subscription.serverKey == self.publicKey
            reports.append(PushReport(subscription, hasPresentKey: hasPresentKey))
        }
        return reports
    }

    func unsubscribe(_ id: PushID, by caller: Principal) async throws(PushRefusal) -> Bool {
        if let sender, self.log.owns(ClusterUnit.push) { return try await sender.unsubscribe(id, by: caller) }
        guard case .ended(let isEnded) = try await self.ask(.unsubscribe(id, by: PushCall.Caller(caller))) else {
            throw Self.otherAnswer
        }
        return isEnded
    }

    private static let otherAnswer = PushRefusal.unavailable("Another gateway gave an answer to something else.")

    /// Asks the gateway that sends.
    private func ask(_ call: PushCall) async throws(PushRefusal) -> PushReply {
        let snapshot = self.log.snapshot
        guard let owner = snapshot.owners[ClusterUnit.push], owner != snapshot.node else {
            throw .unavailable("No gateway of the cluster sends messages of Web Push at the moment. Try again.")
        }
        let result = await withCheckedContinuation { continuation in
            self.log.call(.subscription(call), of: ClusterUnit.push, at: owner, timeout: Self.patience) {
                continuation.resume(returning: $0)
            }
        }
        switch result {
        case .success(.subscription(.refused(let refusal))): throw refusal
        case .success(.subscription(let reply)): return reply
        case .success(.notOwner):
            throw .unavailable("\(owner) does not send messages of Web Push any more. Try again.")
        case .success: throw Self.otherAnswer
        case .failure(let failure):
            throw .unavailable("\(owner), which sends messages of Web Push, did not answer: \(failure.message).")
        }
    }

    /// Answers what another gateway asks.
    func answer(_ call: PushCall) async -> ClusterReply {
        guard let sender = self.sender, self.log.owns(ClusterUnit.push) else { return .notOwner }
        switch call {
        case .subscribe(let row, let network):
            guard let (subscription, _) = PushSubscription.read(row), subscription.serverKey == self.publicKey else {
                let detail = "The gateway that sends has another key than the one that was asked."
                return .subscription(.refused(.unavailable(detail)))
            }
            switch await sender.subscribe(subscription, from: network) {
            case .success(let report): return .subscription(.subscribed(report))
            case .failure(let refusal): return .subscription(.refused(refusal))
            }
        case .unsubscribe(let id, let caller):
            do throws(PushRefusal) {
                return .subscription(.ended(try await sender.unsubscribe(id, by: caller.principal)))
            } catch {
                return .subscription(.refused(error))
            }
        case .list(let caller, let id, let after, let limit):
            let reports = sender.reports(for: caller.principal, id: id, after: after, limit: limit)
            return .subscription(.list(reports))
        }
    }
}

/// Keeps the rows of the sender of one term in the stream, in the order in which it says so.
private final class ClusterPushStore: PushStore {
    private let log: ClusterLog
    private let lifetime: @Sendable (PushID) -> Duration
    private let last = Mutex<Task<Void, Never>?>(nil)

    /// After a try that the broker did not take.
    private static let retryInterval = Duration.milliseconds(500)

    init(log: ClusterLog, lifetime: @escaping @Sendable (PushID) -> Duration) {
        self.log = log
        self.lifetime = lifetime
    }

    func keep(_ rows: [PushRow], done: @escaping @Sendable (Result<Void, StoreError>) -> Void) {
        let changes = rows.compactMap { row in
            PushID(String(decoding: row.key, as: UTF8.self)).map { PushRowChange($0, row: row.state) }
        }
        self.enqueue { [log] in
            let isStored = await log.storeRows(changes)
            done(isStored ? .success(()) : .failure(StoreError(.closed, "this gateway may not write at the moment")))
        }
    }

    func forget(_ keys: [[UInt8]]) {
        self.forget(keys, done: { _ in })
    }

    /// Tries until it is so, or this gateway is not the one that sends: the next one would send to them again.
    func forget(_ keys: [[UInt8]], done: @escaping @Sendable (Bool) -> Void) {
        let changes = keys.compactMap { key -> PushRowChange? in
            guard let id = PushID(String(decoding: key, as: UTF8.self)) else { return nil }
            return PushRowChange(id, row: nil, lifetime: self.lifetime(id))
        }
        self.enqueue { [log] in
            var isStored = await log.storeRows(changes)
            while !isStored, log.owns(ClusterUnit.push), !Task.isCancelled {
                // The broker is asked again after a pause: it says nothing when it can store once more.
                try? await Task.sleep(for: Self.retryInterval)
                isStored = await log.storeRows(changes)
            }
            done(isStored)
        }
    }

    private func enqueue(_ job: @escaping @Sendable () async -> Void) {
        self.last.withLock { last in
            let before = last
            last = Task {
                await before?.value
                await job()
            }
        }
    }

    /// Waits for what was asked for.
    func settle() async {
        await self.last.withLock { $0 }?.value
    }
}

extension ClusterLog {
    fileprivate func keep(_ progress: PushProgress) async -> Bool {
        await withCheckedContinuation { continuation in
            self.keep(progress.text, of: ClusterUnit.push) { continuation.resume(returning: $0) }
        }
    }
}
