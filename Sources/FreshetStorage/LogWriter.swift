// What is written for a change, and what the writer remembers between transactions.

import FreshetCore
import GRDB

/// One call of ``ChangeStore/append(_:snapshot:done:)``.
struct Append: Sendable {
    var change: StoredChange
    var snapshot: StoredSource
    var done: @Sendable (Result<Void, StoreError>) -> Void

    /// Bytes of text, as a bound on memory and on transactions.
    var byteCount: Int {
        let texts = [self.change.patch, self.change.merge, self.change.items, self.change.value, self.snapshot.value]
        return texts.reduce(256) { $0 + ($1?.count ?? 0) }
    }
}

/// The newest validators of a source whose value did not change.
struct ValidatorsUpdate: Sendable {
    var validators: Validators
    var learned: [UInt8]
}

/// Turns changes into rows. Belongs to the store's thread. After an error it no longer matches the file, and is
/// given up.
struct LogWriter {
    private(set) var head: LogHead
    /// By name.
    private(set) var sources: [String: WrittenSource] = [:]
    /// Removed sources whose changes are not all deleted.
    private(set) var removed: [Int64] = []
    /// Of the rows of `source` as they are in the file, by id.
    private var checksums: [Int64: Int64] = [:]
    private var names: [Int64: String] = [:]
    private var nextID: Int64 = 1
    /// Bytes of changes written since the log was opened: how far apart two changes lie in the file.
    private(set) var writtenBytes = 0
    let settings: StoreSettings
    private var pending: [Int64: StoredSource] = [:]

    /// A source as far as the writer needs to know it.
    struct WrittenSource {
        var row: SourceRow
        /// Since when patches build on a whole value; `nil` where the next change has to be kept whole.
        var base: Base?
    }

    /// The newest change of a source that is kept whole.
    struct Base {
        var patches = 0
        var patchBytes = 0
        var at: Int64
        /// Of ``LogWriter/writtenBytes``.
        var position: Int
    }

    init(head: LogHead, sources: [SourceRow], settings: StoreSettings) {
        self.head = head
        self.settings = settings
        for row in sources {
            self.nextID = max(self.nextID, row.id &+ 1)
            self.checksums[row.id] = row.checksum
            if let name = row.name {
                self.sources[name] = WrittenSource(row: row)
                self.names[row.id] = name
            } else {
                self.removed.append(row.id)
            }
        }
    }

    /// Writes a change. Its snapshot follows in ``finish(_:_:)``, one per source and transaction.
    mutating func write(_ append: Append, _ database: Database) throws {
        let change = append.change
        guard let sequence = Int64(exactly: change.sequence), change.sequence > self.head.head else {
            throw StoreError(.io, "change \(change.sequence) was appended after \(self.head.head)")
        }
        var source = self.source(named: change.source, identity: append.snapshot.identity)
        let value = change.value ?? append.snapshot.value
        let isBase = self.mustKeepValue(of: change, value: value, after: source.base)
        let row = ChangeRow(
            change,
            sequence: sequence,
            source: source.row.id,
            previous: source.row.last,
            value: isBase ? value : nil
        )
        try row.insert(database)
        self.writtenBytes += row.byteCount + 64
        if isBase {
            source.base = Base(at: row.at, position: self.writtenBytes)
        } else {
            source.base?.patches += 1
            source.base?.patchBytes += change.patch?.count ?? 0
        }
        source.row.last = sequence
        source.row.identity = append.snapshot.identity
        self.sources[change.source] = source
        self.head.head = change.sequence
        self.pending[source.row.id] = append.snapshot
    }

    /// Whether a change is kept whole: its patch builds on nothing, or on too much, or on something so much older that
    /// keeping one would mean keeping all in between from being pruned.
    private func mustKeepValue(of change: StoredChange, value: [UInt8], after base: Base?) -> Bool {
        guard change.patch != nil, let base else { return true }
        if base.patches >= self.settings.maxPatchesPerBase || base.patchBytes >= value.count { return true }
        if self.writtenBytes - base.position > self.settings.maxBytes / 8 { return true }
        guard let maxAge = self.settings.maxAge else { return false }
        let (age, overflow) = change.at.milliseconds.subtractingReportingOverflow(base.at)
        return overflow || age > maxAge.clampedNanoseconds / 8_000_000
    }

    private mutating func source(named name: String, identity: String) -> WrittenSource {
        if let source = self.sources[name] { return source }
        defer { self.nextID += 1 }
        self.names[self.nextID] = name
        let through = Int64(clamping: self.head.removedThrough)
        let row = SourceRow(id: self.nextID, name: name, identity: identity, last: through, prunedThrough: through)
        return WrittenSource(row: row)
    }

    /// Makes a source nameless; ``Retention`` deletes its changes bit by bit.
    mutating func remove(_ name: String, _ database: Database) throws {
        guard var row = self.sources.removeValue(forKey: name)?.row else { return }
        row.name = nil
        self.names[row.id] = nil
        try self.write(row, database)
        self.pending[row.id] = nil
        try database.cachedStatement(sql: "DELETE FROM snapshot WHERE source = ?").execute(arguments: [row.id])
        try database.cachedStatement(sql: "DELETE FROM validators WHERE source = ?").execute(arguments: [row.id])
        self.removed.append(row.id)
        self.head.removedThrough = self.head.head
    }

    /// Writes what is written once per transaction: the sources that changed, updates of others, the head.
    mutating func finish(_ updates: [String: ValidatorsUpdate], _ database: Database) throws {
        for snapshot in self.pending.values {
            guard let source = self.sources[snapshot.name]?.row else { continue }
            try self.write(source, database)
            try SnapshotRow(source, snapshot).write(database)
            try ValidatorsRow(source, ValidatorsUpdate(snapshot)).write(database)
        }
        self.pending.removeAll(keepingCapacity: true)
        for (name, update) in updates {
            guard let source = self.sources[name]?.row else { continue }
            try ValidatorsRow(source, update).write(database)
        }
        try self.head.write(database)
    }

    /// Notes how far a source's changes are gone, and that its next one has to be kept whole where none is left.
    mutating func prune(_ id: Int64, through sequence: Int64, isEmpty: Bool, _ database: Database) throws {
        guard let name = self.names[id], var source = self.sources[name] else { return }
        source.row.prunedThrough = max(source.row.prunedThrough, sequence)
        if isEmpty {
            source.base = nil
        }
        try self.write(source.row, database)
        self.sources[name] = source
    }

    /// Forgets a removed source, of which nothing is left but its row.
    mutating func forget(_ id: Int64, _ database: Database) throws {
        try database.cachedStatement(sql: "DELETE FROM source WHERE id = ?").execute(arguments: [id])
        self.removed.removeAll { $0 == id }
        self.head.sources &-= self.checksums.removeValue(forKey: id) ?? 0
    }

    private mutating func write(_ row: SourceRow, _ database: Database) throws {
        let checksum = row.checksum
        self.head.sources &+= checksum &- (self.checksums.updateValue(checksum, forKey: row.id) ?? 0)
        try row.write(database)
    }

    /// Notes whether nothing is in the write-ahead log alone.
    mutating func setClosed(_ isClosed: Bool, _ database: Database) throws {
        self.head.isClosed = isClosed
        try self.head.write(database)
    }
}

extension SnapshotRow {
    /// The sequence is the source's own: a snapshot is that of its last change.
    init(_ source: SourceRow, _ snapshot: StoredSource) {
        self.init(source: source.id, sequence: source.last, at: snapshot.at.milliseconds, value: snapshot.value)
    }
}

extension ValidatorsRow {
    init(_ source: SourceRow, _ update: ValidatorsUpdate) {
        self.init(source: source.id, sequence: source.last, validators: update.validators, learned: update.learned)
    }
}

extension ValidatorsUpdate {
    init(_ source: StoredSource) {
        self.init(validators: source.validators, learned: source.learned)
    }
}
