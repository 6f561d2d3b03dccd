// Views by number, for as long as somebody reads them.

/// A view inside this process. Numbers are never given out twice.
package struct ViewID: Hashable, Sendable {
    package var rawValue: UInt64

    /// No view, and that of the whole value.
    package static let none = ViewID(rawValue: 0)
}

/// Numbers the views that are read, one number for equal ones. A value; whoever holds it confines it.
struct ViewNumbers: Sendable {
    private struct Entry: Sendable {
        var id: ViewID
        var count: Int
    }

    private var entries: [View: Entry] = [:]
    private var last: UInt64 = 0

    var count: Int { self.entries.count }

    /// Counts readers in.
    mutating func join(_ view: View, _ count: Int) -> ViewID {
        guard !view.isWhole else { return .none }
        if let entry = self.entries[view] {
            self.entries[view]?.count += count
            return entry.id
        }
        self.last += 1
        let id = ViewID(rawValue: self.last)
        self.entries[view] = Entry(id: id, count: count)
        return id
    }

    /// Counts readers out.
    mutating func leave(_ view: View, _ count: Int) {
        guard let entry = self.entries[view] else { return }
        if entry.count > count { self.entries[view]?.count -= count } else { self.entries[view] = nil }
    }
}
