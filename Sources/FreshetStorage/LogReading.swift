// Questions to the log: changes after a sequence, values of the past, positions in time.

import FreshetCore
import GRDB
import JSON

/// Answers from one read transaction. Nothing that does not match its checksum, and no series of changes with a row
/// missing, ever gets out: both are a ``DamagedRow``.
struct LogReading {
    let database: Database
    /// As in ``StoreSettings/maxPatchesPerBase``; more can only be damage.
    let maxPatches: Int

    // MARK: - Changes

    func changes(of names: [String], after: UInt64, limit: Int, maxBytes: Int) throws -> [StoredChange] {
        let sources = try self.sources(names)
        guard limit > 0, !sources.rows.isEmpty else { return [] }
        let head = try LogHead.read(self.database).head
        var check = ChainCheck(sources.rows, after: Int64(clamping: after))
        var changes: [StoredChange] = []
        var bytes = 0
        var lower = Int64(clamping: after)
        var window = Int64(clamping: limit)
        let filter = sources.isEverySource ? nil : sources.rows.map(\.id)
        while lower < Int64(clamping: head) {
            let (sum, overflow) = lower.addingReportingOverflow(window)
            let upper = filter == nil || overflow ? Int64.max : sum
            let found = try self.sequences(of: filter, after: lower, through: upper, limit: limit - changes.count)
            for sequence in found {
                let row = try self.change(sequence, valueWithoutPatchOnly: true)
                guard let name = check.pass(row) else {
                    throw DamagedRow(what: "a change before \(sequence) is missing")
                }
                changes.append(row.stored(source: name, value: row.value))
                bytes += row.byteCount
                if bytes >= maxBytes { return changes }
            }
            if changes.count >= limit { return changes }
            lower = upper
            window = window.multipliedReportingOverflow(by: 4).overflow ? .max : window * 4
        }
        guard check.isComplete else { throw DamagedRow(what: "the newest change of a source is missing") }
        return changes
    }

    func sources(_ names: [String]) throws -> (rows: [SourceRow], isEverySource: Bool) {
        guard names.count > 16 else {
            return (try Set(names).compactMap { try SourceRow.named($0, self.database) }, false)
        }
        let all = try SourceRow.all(self.database)
        let wanted = Set(names)
        let rows = all.filter { $0.name.map { wanted.contains($0) } ?? false }
        return (rows, rows.count == all.count)
    }

    /// From the index alone, so that no text is read before it is known to be wanted.
    private func sequences(of ids: [Int64]?, after: Int64, through: Int64, limit: Int) throws -> [Int64] {
        let filter = ids.map { "source IN (\($0.map { "\($0)" }.joined(separator: ","))) AND " } ?? ""
        let sql = "SELECT sequence FROM change WHERE \(filter)sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?"
        let statement = try self.database.makeStatement(sql: sql)
        let rows = try Row.fetchCursor(statement, arguments: [after, through, limit])
        var found: [Int64] = []
        while let row = try rows.next() {
            found.append(try row.integer(0))
        }
        return found
    }

    func change(_ sequence: Int64, valueWithoutPatchOnly: Bool) throws -> ChangeRow {
        let value = valueWithoutPatchOnly ? ", CASE WHEN patch IS NULL THEN value END" : ", value"
        let sql = "SELECT \(ChangeRow.columns)\(value) FROM change WHERE sequence = ?"
        let rows = try Row.fetchCursor(self.database.cachedStatement(sql: sql), arguments: [sequence])
        guard let row = try rows.next() else {
            throw DamagedRow(what: "the index of changes names one that is not there, \(sequence)")
        }
        return try ChangeRow(row, withValue: !valueWithoutPatchOnly || row.hasNull(atIndex: 6))
    }

    // MARK: - Values

    func value(of name: String, at sequence: UInt64) throws -> StoredChange? {
        guard let source = try SourceRow.named(name, self.database) else { return nil }
        return try self.value(of: source, at: sequence)
    }

    func eachValue(of names: [String], at sequence: UInt64, _ body: (StoredChange) -> Bool) throws {
        for source in try self.sources(names).rows {
            guard let value = try self.value(of: source, at: sequence) else { continue }
            guard body(value) else { return }
        }
    }

    private func value(of source: SourceRow, at sequence: UInt64) throws -> StoredChange? {
        let target = Int64(clamping: sequence)
        let newest = "SELECT max(sequence) FROM change WHERE source = ? AND sequence <= ?"
        let found = try self.number(newest, source.id, target)
        if source.last > 0, source.last <= target {
            return try self.latest(of: source, change: found == source.last ? found : nil)
        }
        try self.verify(newest: found, of: source, at: target)
        guard let found else { return nil }
        return try self.rebuilt(found, of: source)
    }

    /// That no change lies between the one that was found and the one after the asked for position, by what the
    /// latter says; otherwise a damaged index would give an older value.
    private func verify(newest found: Int64?, of source: SourceRow, at target: Int64) throws {
        let following = "SELECT min(sequence) FROM change WHERE source = ? AND sequence > ?"
        guard let next = try self.number(following, source.id, target) else {
            // Nothing is kept of a source whose changes are all pruned.
            guard source.prunedThrough >= source.last else { throw DamagedRow(what: "the newest change is missing") }
            return
        }
        let previous = try self.change(next, valueWithoutPatchOnly: true).previous
        guard previous == found || found == nil && previous <= source.prunedThrough else {
            throw DamagedRow(what: "a change before \(next) is missing")
        }
    }

    private func latest(of source: SourceRow, change: Int64?) throws -> StoredChange {
        guard let snapshot = try SnapshotRow.of(source.id, self.database) else {
            throw DamagedRow(what: "a snapshot is missing")
        }
        guard snapshot.sequence == source.last else {
            throw DamagedRow(what: "a snapshot is not that of the last change")
        }
        let row = try change.map { try self.change($0, valueWithoutPatchOnly: true) }
        return StoredChange(
            sequence: UInt64(bitPattern: snapshot.sequence),
            source: source.name ?? "",
            at: WallTime(milliseconds: snapshot.at),
            patch: row?.patch,
            merge: row?.merge,
            items: row?.items,
            value: snapshot.value
        )
    }

    /// The value after a change: the base before it with the patches in between.
    private func rebuilt(_ sequence: Int64, of source: SourceRow) throws -> StoredChange {
        let newestBase = """
            SELECT sequence FROM change WHERE source = ? AND sequence <= ? AND value_checksum IS NOT NULL
            ORDER BY sequence DESC LIMIT 1
            """
        guard let base = try self.number(newestBase, source.id, sequence) else {
            throw DamagedRow(what: "change \(sequence) has no base")
        }
        let statement = try self.database.cachedStatement(
            sql: "SELECT sequence FROM change WHERE source = ? AND sequence >= ? AND sequence <= ? ORDER BY sequence"
        )
        let steps = try Row.fetchAll(statement, arguments: [source.id, base, sequence]).map { try $0.integer(0) }
        var row = try self.change(base, valueWithoutPatchOnly: false)
        guard steps.first == base, steps.count <= self.maxPatches + 1, let text = row.value else {
            throw DamagedRow(what: "change \(sequence) is too far from its base")
        }
        guard steps.count > 1 else { return row.stored(source: source.name ?? "", value: text) }
        var document = try self.document(text)
        for step in steps.dropFirst() {
            let next = try self.change(step, valueWithoutPatchOnly: true)
            guard next.previous == row.sequence, next.source == source.id, let patch = next.patch else {
                throw DamagedRow(what: "a change between \(base) and \(sequence) is missing")
            }
            document = try self.apply(self.document(patch), to: document)
            row = next
        }
        return row.stored(source: source.name ?? "", value: document.text)
    }

    private func document(_ text: [UInt8]) throws -> Document {
        // Written by this program after it was parsed once: any limits that held then are below these.
        do throws(ParseError) {
            return try Document(parsing: text, limits: .widest)
        } catch {
            throw UnusableText(what: "a stored text is not JSON")
        }
    }

    private func apply(_ patch: Document, to document: Document) throws -> Document {
        do throws(PatchError) {
            return try document.applying(patch: patch, limits: .widest)
        } catch {
            throw UnusableText(what: "a stored patch does not apply")
        }
    }

    func number(_ sql: String, _ first: Int64, _ second: Int64) throws -> Int64? {
        try Row.fetchOne(self.database.cachedStatement(sql: sql), arguments: [first, second])?.optionalInteger(0)
    }

    // MARK: - Time

    /// Searches by halves. Where the wall clock was set back, this finds one of the places where it passed `time`.
    func sequence(at time: WallTime) throws -> UInt64 {
        let head = Int64(clamping: try LogHead.read(self.database).head)
        let sql = "SELECT sequence, at FROM change WHERE sequence <= ? ORDER BY sequence DESC LIMIT 1"
        let statement = try self.database.cachedStatement(sql: sql)
        func newest(_ sequence: Int64) throws -> (sequence: Int64, at: Int64)? {
            try Row.fetchOne(statement, arguments: [sequence]).map { (try $0.integer(0), try $0.integer(1)) }
        }
        var (low, high) = (Int64(0), head)
        while low < high {
            let middle = low + (high - low + 1) / 2
            if let row = try newest(middle), row.at > time.milliseconds {
                high = max(row.sequence - 1, low)
            } else {
                low = middle
            }
        }
        guard low < head else { return UInt64(bitPattern: head) }
        return try newest(low).map { UInt64(bitPattern: $0.sequence) } ?? 0
    }

    // MARK: - Pruning

    /// From the index alone: whoever reads from there on sees whether a row is missing.
    func firstChanges(after sequences: [String: UInt64]) throws -> [String: UInt64] {
        let sql = "SELECT min(sequence) FROM change WHERE source = ? AND sequence > ?"
        var first: [String: UInt64] = [:]
        for source in try self.sources(Array(sequences.keys)).rows {
            guard let name = source.name, let sequence = sequences[name] else { continue }
            let found = try self.number(sql, source.id, Int64(clamping: sequence))
            first[name] = found.map { UInt64(bitPattern: $0) }
        }
        return first
    }

    func prunedThrough() throws -> [String: UInt64] {
        var pruned: [String: UInt64] = [:]
        let removedThrough = try LogHead.read(self.database).removedThrough
        if removedThrough > 0 { pruned[StoreContents.others] = removedThrough }
        for source in try SourceRow.all(self.database) where source.prunedThrough > 0 || removedThrough > 0 {
            if let name = source.name {
                pruned[name] = UInt64(bitPattern: source.prunedThrough)
            }
        }
        return pruned
    }
}

/// Sees that of each source every change comes, by what each says to be the one before it.
private struct ChainCheck {
    private struct Link {
        var source: SourceRow
        var last: Int64
    }

    private var links: [Int64: Link] = [:]

    /// `after`: where reading begins; what is pruned beyond that is not missing.
    init(_ sources: [SourceRow], after: Int64) {
        for source in sources {
            self.links[source.id] = Link(source: source, last: max(after, source.prunedThrough))
        }
    }

    /// The name of the row's source, where the row follows the one before it.
    mutating func pass(_ row: ChangeRow) -> String? {
        guard var link = self.links[row.source], row.previous <= link.last, row.sequence > link.last else { return nil }
        link.last = row.sequence
        self.links[row.source] = link
        return link.source.name
    }

    /// Whether the last change of each source came, or none was due.
    var isComplete: Bool {
        self.links.values.allSatisfy { $0.last >= $0.source.last }
    }
}
