// A change as a row.

import FreshetCore
import GRDB

/// One row of `change`.
struct ChangeRow: Hashable {
    var sequence: Int64
    var source: Int64
    /// The change before this one of the same source; 0 where there was none.
    var previous: Int64
    var at: Int64
    var patch: [UInt8]?
    var merge: [UInt8]?
    var items: [UInt8]?
    /// Kept where ``patch`` is absent and in a base.
    var value: [UInt8]?

    /// The columns that ``init(_:value:)`` reads, without the value.
    static let columns = "sequence, source, previous, at, checksum, value_checksum, patch, merge, items"

    private var checksum: Int64 {
        var sum = Checksum(2)
        sum.add(self.sequence)
        sum.add(self.source)
        sum.add(self.previous)
        sum.add(self.at)
        sum.add(self.patch)
        sum.add(self.merge)
        sum.add(self.items)
        return sum.stored
    }

    private func checksum(of value: [UInt8]) -> Int64 {
        var sum = Checksum(3)
        sum.add(self.sequence)
        sum.add(self.source)
        sum.add(value)
        return sum.stored
    }

    init(
        _ change: StoredChange,
        sequence: Int64,
        source: Int64,
        previous: Int64,
        value: [UInt8]?
    ) {
        self.sequence = sequence
        self.source = source
        self.previous = previous
        self.at = change.at.milliseconds
        self.patch = change.patch
        self.merge = change.merge
        self.items = change.items
        self.value = value
    }

    /// Reads ``columns``, and the value from the column after them where there is one.
    ///
    /// - Throws: ``DamagedRow`` where they do not match their checksum.
    init(_ row: Row, withValue: Bool) throws {
        self.sequence = try row.integer(0)
        self.source = try row.integer(1)
        self.previous = try row.integer(2)
        self.at = try row.integer(3)
        self.patch = try row.bytes(6)
        self.merge = try row.bytes(7)
        self.items = try row.bytes(8)
        let expected = try row.optionalInteger(5)
        guard try row.integer(4) == self.checksum, self.patch != nil || expected != nil else {
            throw DamagedRow(what: "change \(self.sequence) does not match its checksum")
        }
        guard withValue else { return }
        self.value = try row.bytes(9)
        guard self.value.map({ self.checksum(of: $0) }) == expected else {
            throw DamagedRow(what: "the value of change \(self.sequence) does not match its checksum")
        }
    }

    private static let insertion = "INSERT INTO change (\(columns), value) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

    func insert(_ database: Database) throws {
        let statement = try database.cachedStatement(sql: Self.insertion)
        // As many as there are places, by ``insertion``: nothing to be checked for every change.
        statement.setUncheckedArguments([
            self.sequence, self.source, self.previous, self.at, self.checksum,
            self.value.map { self.checksum(of: $0) },
            self.patch.data, self.merge.data, self.items.data, self.value.data,
        ])
        try statement.execute()
    }

    /// The change as the core knows it.
    func stored(source: String, value: [UInt8]?) -> StoredChange {
        StoredChange(
            sequence: UInt64(bitPattern: self.sequence),
            source: source,
            at: WallTime(milliseconds: self.at),
            patch: self.patch,
            merge: self.merge,
            items: self.items,
            value: value
        )
    }

    var byteCount: Int {
        (self.patch?.count ?? 0) + (self.merge?.count ?? 0) + (self.items?.count ?? 0) + (self.value?.count ?? 0)
    }
}
