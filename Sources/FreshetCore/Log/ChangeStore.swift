// The seam between the change log and the disk. Implemented by FreshetStorage; absent where no `log` is configured.

/// One change as it is kept: the texts that its frames are made of.
package struct StoredChange: Hashable, Sendable {
    package var sequence: UInt64
    package var source: String
    package var at: WallTime
    /// RFC 6902, RFC 7396 and item changes, as in ``Change``.
    package var patch: [UInt8]?
    package var merge: [UInt8]?
    package var items: [UInt8]?
    /// The whole value. Always given to the store; kept where ``patch`` is absent, and now and then as the base
    /// from which values of the past are rebuilt.
    package var value: [UInt8]?

    package init(
        sequence: UInt64,
        source: String,
        at: WallTime,
        patch: [UInt8]?,
        merge: [UInt8]?,
        items: [UInt8]?,
        value: [UInt8]?
    ) {
        self.sequence = sequence
        self.source = source
        self.at = at
        self.patch = patch
        self.merge = merge
        self.items = items
        self.value = value
    }
}

/// The latest value of a source as it is kept, so that a restart polls conditionally and sends no false change.
package struct StoredSource: Hashable, Sendable {
    package var name: String
    /// What the value depends on beside the upstream: URL, root, format. Where the configuration's differs, the value
    /// is not taken over.
    package var identity: String
    package var sequence: UInt64
    package var at: WallTime
    package var value: [UInt8]
    package var validators: Validators
    /// What the adaptive policy has learned; opaque.
    package var learned: [UInt8]

    package init(
        name: String,
        identity: String,
        sequence: UInt64,
        at: WallTime,
        value: [UInt8],
        validators: Validators,
        learned: [UInt8] = []
    ) {
        self.name = name
        self.identity = identity
        self.sequence = sequence
        self.at = at
        self.value = value
        self.validators = validators
        self.learned = learned
    }
}

/// Why the disk could not do what it was asked to. Never carries a value.
package struct StoreError: Error, Hashable, Sendable {
    package enum Kind: String, CaseIterable, Sendable {
        /// No space, or over a quota. Passes when space is made.
        case full
        /// The file cannot be written: permissions, a read-only file system.
        case readOnly = "read_only"
        /// Another process holds the file.
        case locked
        /// The file is damaged; it was or has to be set aside.
        case corrupt
        /// Written by a newer version.
        case newerFormat = "newer_format"
        /// Reading, writing or syncing failed. What was written last may be lost.
        case io
        /// This value cannot be had from what is kept, which is not damaged.
        case unusable
        /// The store is closed.
        case closed
    }

    package var kind: Kind
    /// Names the path, what happened and the fix.
    package var message: String

    package init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }
}

/// What a store held when it was opened.
package struct StoreContents: Sendable {
    package var epoch: Epoch
    /// The last sequence that was committed.
    package var head: UInt64
    package var sources: [StoredSource]
    /// By name: changes up to this sequence are pruned; 0 or absent where all are there.
    package var prunedThrough: [String: UInt64]
    /// The epoch was drawn anew because an earlier numbering could not be continued: why.
    package var newEpochReason: String?
    /// Idempotency keys of writes.
    package var writeKeys: [(IdempotencyScope, IdempotencyRecord)] = []
    /// When the process before this one closed the log in order; `nil` where it did not, or where nothing says when.
    package var closedAt: WallTime?
    /// Subscriptions of Web Push, and how far the log has been pushed.
    package var push: [PushRow] = []
    /// Where webhooks stand.
    package var webhooks: [StoredWebhook] = []

    /// The name under which ``prunedThrough`` speaks of every source that is not in it.
    package static let others = ""

    package init(
        epoch: Epoch,
        head: UInt64 = 0,
        sources: [StoredSource] = [],
        prunedThrough: [String: UInt64] = [:],
        newEpochReason: String? = nil
    ) {
        self.epoch = epoch
        self.head = head
        self.sources = sources
        self.prunedThrough = prunedThrough
        self.newEpochReason = newEpochReason
    }
}

/// A durable change log.
///
/// Appending never blocks: changes are collected and committed in one transaction a tick, on the store's own thread.
/// A change may be sent to subscribers only after its commit, so that no cursor ever names two contents.
/// Reading blocks for the time of a query and is done by callers that may: never by a poll thread or a shard.
package protocol ChangeStore: AnyObject, Sendable {
    /// Queues a change and the source's new value. `done` is called once, on the store's thread, in the order of
    /// appending: after the commit, or with the reason why there will be none.
    func append(
        _ change: StoredChange,
        snapshot: StoredSource,
        done: @escaping @Sendable (Result<Void, StoreError>) -> Void
    )

    /// Keeps validators and what was learned of a source whose value did not change. Best effort; may be coalesced.
    func update(source: String, validators: Validators, learned: [UInt8])

    /// Forgets a source and its changes.
    func remove(source: String)

    /// The changes of these sources after `sequence`, in order: at most `limit`, and about `maxBytes` of text.
    func changes(
        of sources: [String],
        after sequence: UInt64,
        limit: Int,
        maxBytes: Int
    ) throws(StoreError) -> [StoredChange]

    /// The changes of these sources before `sequence`, the newest first: at most `limit`, and about `maxBytes` of text.
    func changes(
        of sources: [String],
        before sequence: UInt64,
        limit: Int,
        maxBytes: Int
    ) throws(StoreError) -> [StoredChange]

    /// The value of a source after the change with this or the last earlier sequence; `nil` where it is not kept.
    func value(of source: String, at sequence: UInt64) throws(StoreError) -> StoredChange?

    /// The same of several sources, as of one moment and in no particular order. `body` is called for each whose value is
    /// kept, until it returns `false`.
    func eachValue(
        of sources: [String],
        at sequence: UInt64,
        _ body: (StoredChange) -> Bool
    ) throws(StoreError)

    /// By name, the sequence of the first change of each source after the sequence that is given for it; absent where
    /// there is none.
    func firstChanges(after sequences: [String: UInt64]) throws(StoreError) -> [String: UInt64]

    /// The last sequence committed at or before `time`; 0 where all are later.
    func sequence(at time: WallTime) throws(StoreError) -> UInt64

    /// By name, as in ``StoreContents/prunedThrough``; under ``StoreContents/others`` what holds for the rest, which may
    /// have been there and were removed.
    func prunedThrough() throws(StoreError) -> [String: UInt64]

    /// Begins a new numbering on a file that can be written again, with these values as its start.
    func restart(epoch: Epoch, head: UInt64, sources: [StoredSource]) throws(StoreError)

    /// Commits what is queued and closes. Further calls fail with `.closed`.
    func close()
}

extension ChangeStore {
    /// One read a source: for stores that are small.
    package func eachValue(
        of sources: [String],
        at sequence: UInt64,
        _ body: (StoredChange) -> Bool
    ) throws(StoreError) {
        for source in sources {
            guard let value = try self.value(of: source, at: sequence) else { continue }
            guard body(value) else { return }
        }
    }

    /// One read a source: for stores that are small.
    package func firstChanges(after sequences: [String: UInt64]) throws(StoreError) -> [String: UInt64] {
        var first: [String: UInt64] = [:]
        for (source, sequence) in sequences {
            let changes = try self.changes(of: [source], after: sequence, limit: 1, maxBytes: 1)
            first[source] = changes.first?.sequence
        }
        return first
    }

    /// Reads everything forwards: for stores that are small.
    package func changes(
        of sources: [String],
        before sequence: UInt64,
        limit: Int,
        maxBytes: Int
    ) throws(StoreError) -> [StoredChange] {
        let all = try self.changes(of: sources, after: 0, limit: .max, maxBytes: .max)
        return all.filter { $0.sequence < sequence }.suffix(limit).reversed()
    }
}
