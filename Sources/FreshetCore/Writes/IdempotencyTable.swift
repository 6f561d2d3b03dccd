// What is known of writes by their `Idempotency-Key`: one effect a key, and the same answer however often it is asked for.

import DequeModule

/// A key, and whose it is: the same key of two callers is two keys.
package struct IdempotencyScope: Hashable, Sendable {
    package var account: Principal.Account
    package var key: String

    package init(account: Principal.Account, key: String) {
        self.account = account
        self.key = key
    }
}

/// All that outlives a request with a key.
package struct IdempotencyRecord: Hashable, Sendable {
    /// Where the write stands.
    package enum State: Hashable, Sendable {
        /// Nothing that changes anything was sent.
        case begun
        /// This was sent and may have been carried out.
        case attempted(WriteAttempt)
        case answered(WriteAnswer)
    }

    /// Of the request: what another one with the same key must have as well.
    package var fingerprint: [UInt8]
    /// When the key was first used. It is forgotten ``IdempotencyTable/lifetime`` later.
    package var madeAt: WallTime
    package var state: State

    package init(fingerprint: [UInt8], madeAt: WallTime, state: State = .begun) {
        self.fingerprint = fingerprint
        self.madeAt = madeAt
        self.state = state
    }

    /// About the bytes that it takes.
    package var cost: Int {
        switch self.state {
        case .begun: Self.overhead
        case .attempted(let attempt):
            Self.overhead + attempt.exchange.body.count + (attempt.intended?.count ?? 0)
        case .answered(let answer):
            Self.overhead + (answer.value?.count ?? 0) + (answer.problem?.members.reduce(0) { $0 + $1.json.count } ?? 0)
        }
    }

    /// What a record takes beside its texts, its key included.
    private static let overhead = 768
}

/// The keys of the last 24 hours. A value without I/O: whoever holds it writes its records to the disk.
package struct IdempotencyTable: Sendable {
    /// How long a key is known, by the clock.
    package static let lifetime = Duration.seconds(86_400)

    package struct Limits: Hashable, Sendable {
        /// The most keys. The default is 100,000.
        package var keys = Defaults.Writes.keys
        /// The most bytes of answers and attempts. The default is 64 MiB.
        package var bytes = Defaults.Writes.keyBytes

        package init() {}
    }

    /// What is to be done with a request.
    package enum Finding: Hashable, Sendable {
        /// Carry it out. The record is to be on the disk before the upstream is asked for anything.
        case new(IdempotencyRecord)
        /// It was sent, and nobody knows what came of it: resolve that.
        case resume(WriteAttempt)
        case answer(WriteAnswer)
        /// 409.
        case underWay
        /// 422: the key was another request's.
        case otherRequest
        /// 503: nothing is forgotten early.
        case full
    }

    private struct Entry: Sendable {
        var record: IdempotencyRecord
        var isUnderWay: Bool
    }

    private let limits: Limits
    private var entries: [IdempotencyScope: Entry] = [:]
    /// In the order of their first use; some are gone already.
    private var ages: Deque<(scope: IdempotencyScope, madeAt: WallTime)> = []
    package private(set) var bytes = 0

    package init(limits: Limits = Limits(), restoring records: [(IdempotencyScope, IdempotencyRecord)] = []) {
        self.limits = limits
        for (scope, record) in records.sorted(by: { $0.1.madeAt < $1.1.madeAt }) {
            self.entries[scope] = Entry(record: record, isUnderWay: false)
            self.ages.append((scope, record.madeAt))
            self.bytes += record.cost
        }
    }

    package var count: Int { self.entries.count }

    /// All records, for a disk that begins anew.
    package var records: [(IdempotencyScope, IdempotencyRecord)] { self.entries.map { ($0.key, $0.value.record) } }

    /// A request with a key comes. Where it is to be carried out, it is under way until ``end(_:_:)``.
    package mutating func begin(_ scope: IdempotencyScope, fingerprint: [UInt8], now: WallTime) -> Finding {
        guard let entry = self.entries[scope], !Self.isOver(entry, now: now) else {
            if self.entries[scope] != nil { self.remove(scope) }
            guard self.entries.count < self.limits.keys, self.bytes < self.limits.bytes else { return .full }
            let record = IdempotencyRecord(fingerprint: fingerprint, madeAt: now)
            self.entries[scope] = Entry(record: record, isUnderWay: true)
            self.ages.append((scope, now))
            self.bytes += record.cost
            return .new(record)
        }
        guard entry.record.fingerprint == fingerprint else { return .otherRequest }
        guard !entry.isUnderWay else { return .underWay }
        switch entry.record.state {
        case .answered(let answer):
            return .answer(answer)
        case .begun:
            // An earlier process had begun, and had sent nothing.
            self.entries[scope]?.isUnderWay = true
            return .new(entry.record)
        case .attempted(let attempt):
            self.entries[scope]?.isUnderWay = true
            return .resume(attempt)
        }
    }

    /// What is known of a key.
    package func record(of scope: IdempotencyScope) -> IdempotencyRecord? { self.entries[scope]?.record }

    /// Another gateway says what it knows of a key; `nil`: nothing any more. Beyond twice the bounds it is not taken: each
    /// gateway begins nothing new beyond them.
    ///
    /// - Returns: Whether that is what is known now.
    package mutating func learn(_ scope: IdempotencyScope, _ record: IdempotencyRecord?, now: WallTime) -> Bool {
        let known = self.entries[scope]
        // What comes of the request that is under way here is newer.
        guard known?.isUnderWay != true else { return false }
        self.remove(scope)
        guard var record else { return true }
        // One that seems to be of the future would outlive all others, and keep them from being forgotten.
        record.madeAt = min(record.madeAt, now)
        guard !Self.isOver(madeAt: record.madeAt, now: now), self.entries.count / 2 < self.limits.keys,
            self.bytes / 2 < self.limits.bytes
        else { return false }
        self.entries[scope] = Entry(record: record, isUnderWay: false)
        if known?.record.madeAt != record.madeAt { self.ages.append((scope, record.madeAt)) }
        self.bytes += record.cost
        return true
    }

    /// A request is about to be sent that may have an effect.
    ///
    /// - Returns: The record, to be on the disk before.
    package mutating func attempted(_ scope: IdempotencyScope, _ attempt: WriteAttempt) -> IdempotencyRecord? {
        self.set(scope, .attempted(attempt))
    }

    /// A request has ended.
    ///
    /// - Returns: The record to keep; `nil` where the key is free again.
    package mutating func end(_ scope: IdempotencyScope, _ end: WritePlan.End, _ answer: WriteAnswer)
        -> IdempotencyRecord?
    {
        self.entries[scope]?.isUnderWay = false
        switch end {
        case .settled: return self.set(scope, .answered(answer))
        case .unknown(let attempt): return self.set(scope, .attempted(attempt))
        case .forgotten:
            self.remove(scope)
            return nil
        }
    }

    private mutating func set(_ scope: IdempotencyScope, _ state: IdempotencyRecord.State) -> IdempotencyRecord? {
        guard var entry = self.entries[scope] else { return nil }
        self.bytes -= entry.record.cost
        entry.record.state = state
        self.bytes += entry.record.cost
        self.entries[scope] = entry
        return entry.record
    }

    private mutating func remove(_ scope: IdempotencyScope) {
        guard let entry = self.entries.removeValue(forKey: scope) else { return }
        self.bytes -= entry.record.cost
    }

    /// Forgets the keys whose time is over.
    ///
    /// - Returns: Those keys, for the disk.
    package mutating func expire(now: WallTime) -> [IdempotencyScope] {
        var gone: [IdempotencyScope] = []
        while let oldest = self.ages.first, Self.isOver(madeAt: oldest.madeAt, now: now) {
            guard let entry = self.entries[oldest.scope], entry.record.madeAt == oldest.madeAt else {
                self.ages.removeFirst()
                continue
            }
            // What is under way ends first.
            guard !entry.isUnderWay else { break }
            self.ages.removeFirst()
            self.remove(oldest.scope)
            gone.append(oldest.scope)
        }
        return gone
    }

    private static func isOver(_ entry: Entry, now: WallTime) -> Bool {
        !entry.isUnderWay && self.isOver(madeAt: entry.record.madeAt, now: now)
    }

    private static func isOver(madeAt: WallTime, now: WallTime) -> Bool {
        now - madeAt >= self.lifetime
    }
}

/// Where the records are kept so that they outlive the process. Implemented by FreshetStorage.
package protocol IdempotencyStore: AnyObject, Sendable {
    /// Commits a record, over an earlier one of its key. `done` is called once it is on the disk, or cannot be.
    func keep(
        _ scope: IdempotencyScope,
        _ record: IdempotencyRecord,
        done: @escaping @Sendable (Result<Void, StoreError>) -> Void
    )
    /// Forgets keys, some time.
    func forget(_ scopes: [IdempotencyScope])
}
