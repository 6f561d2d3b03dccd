// The log backwards: the newest changes before a sequence.

import FreshetCore
import GRDB

extension LogReading {
    func changes(of names: [String], before: UInt64, limit: Int, maxBytes: Int) throws -> [StoredChange] {
        let sources = try self.sources(names)
        guard limit > 0, before > 0, !sources.rows.isEmpty else { return [] }
        var check = BackwardCheck(
            try sources.rows.map { ($0, try self.newest(of: $0, before: Int64(clamping: before))) }
        )
        let filter = sources.isEverySource ? nil : sources.rows.map(\.id)
        var changes: [StoredChange] = []
        var bytes = 0
        var upper = Int64(clamping: min(before, try LogHead.read(self.database).head &+ 1))
        var window = Int64(clamping: limit)
        while upper > 1 {
            let (difference, overflow) = upper.subtractingReportingOverflow(window)
            let lower = filter == nil || overflow ? 1 : max(difference, 1)
            let found = try self.sequences(of: filter, from: lower, before: upper, limit: limit - changes.count)
            for sequence in found {
                let row = try self.change(sequence, valueWithoutPatchOnly: true)
                guard let name = check.pass(row) else {
                    throw DamagedRow(what: "a change after \(sequence) is missing")
                }
                changes.append(row.stored(source: name, value: row.value))
                bytes += row.byteCount
                if bytes >= maxBytes || changes.count >= limit {
                    guard check.isComplete(downTo: sequence) else {
                        throw DamagedRow(what: "a change after \(sequence) is missing")
                    }
                    return changes
                }
            }
            upper = lower
            window = window.multipliedReportingOverflow(by: 4).overflow ? .max : window * 4
        }
        guard check.isComplete(downTo: 0) else { throw DamagedRow(what: "the oldest change of a source is missing") }
        return changes
    }

    /// The last change of a source before a sequence, by what the change after it says; 0 where none is kept.
    private func newest(of source: SourceRow, before: Int64) throws -> Int64 {
        guard source.last >= before else { return source.last }
        let following = "SELECT min(sequence) FROM change WHERE source = ? AND sequence >= ? AND sequence <= ?"
        let statement = try self.database.cachedStatement(sql: following)
        let row = try Row.fetchOne(statement, arguments: [source.id, before, source.last])
        guard let next = try row?.optionalInteger(0) else {
            guard source.prunedThrough >= source.last else { throw DamagedRow(what: "the newest change is missing") }
            return 0
        }
        return try self.change(next, valueWithoutPatchOnly: true).previous
    }

    private func sequences(of ids: [Int64]?, from lower: Int64, before: Int64, limit: Int) throws -> [Int64] {
        let filter = ids.map { "source IN (\($0.map { "\($0)" }.joined(separator: ","))) AND " } ?? ""
        let sql = """
            SELECT sequence FROM change WHERE \(filter)sequence >= ? AND sequence < ? ORDER BY sequence DESC LIMIT ?
            """
        let rows = try Row.fetchCursor(
            try self.database.makeStatement(sql: sql),
            arguments: [lower, before, limit]
        )
        var found: [Int64] = []
        while let row = try rows.next() {
            found.append(try row.integer(0))
        }
        return found
    }
}

/// Sees that of each source every change comes, the newest first, by what each says to be the one before it.
private struct BackwardCheck {
    private struct Link {
        var source: SourceRow
        /// The change that has to come next; nothing is kept at or below ``SourceRow/prunedThrough``.
        var next: Int64
    }

    private var links: [Int64: Link] = [:]

    init(_ sources: [(row: SourceRow, newest: Int64)]) {
        for source in sources {
            self.links[source.row.id] = Link(source: source.row, next: source.newest)
        }
    }

    /// The name of the row's source, where the row is the one that had to come.
    mutating func pass(_ row: ChangeRow) -> String? {
        guard var link = self.links[row.source], row.sequence == link.next, row.previous < row.sequence else {
            return nil
        }
        link.next = row.previous
        self.links[row.source] = link
        return link.source.name
    }

    /// Whether all came that is kept from `sequence` on.
    func isComplete(downTo sequence: Int64) -> Bool {
        self.links.values.allSatisfy { $0.next <= max($0.source.prunedThrough, sequence) }
    }
}
