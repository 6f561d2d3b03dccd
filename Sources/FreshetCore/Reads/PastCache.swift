// Values of the past that were read or rebuilt, for those who ask for the same soon after.

import DequeModule

/// Values by source and cursor, and the frames that streams begin with, within a bound; the oldest goes first.
///
/// Whoever took a value shares its bytes with the cache and with everybody else who took it.
struct PastCache: Sendable {
    /// How a value is written as an event.
    struct Form: Hashable, Sendable {
        var wire: StreamWire
        var hasID: Bool
        /// What of the value is shown.
        var view = View.whole
    }

    private struct Key: Hashable, Sendable {
        var source: SourceID
        var cursor: Cursor
    }

    private struct Entry: Sendable {
        var value: PastValue
        var frames: [Form: Frame] = [:]
        var bytes: Int
    }

    /// By the cursor of the change that made the value.
    private var entries: [Key: Entry] = [:]
    private var order = Deque<Key>()
    /// Positions that were asked for, and the cursors of the values that held there.
    private var positions: [Key: Cursor] = [:]
    /// Held at this moment.
    private(set) var bytes = 0

    /// The bound on ``bytes``, but for a single value that is larger.
    static let maxBytes = 16 << 20
    private static let maxPositions = 4096

    /// The value that a source had at a position.
    func value(of source: SourceID, at cursor: Cursor) -> PastValue? {
        let key = Key(source: source, cursor: cursor)
        if let entry = self.entries[key] { return entry.value }
        guard let made = self.positions[key] else { return nil }
        return self.entries[Key(source: source, cursor: made)]?.value
    }

    func frame(of source: SourceID, at cursor: Cursor, _ form: Form) -> Frame? {
        self.entries[Key(source: source, cursor: cursor)]?.frames[form]
    }

    /// Adds the value that a source had at the position `cursor`.
    ///
    /// - Returns: The one that is kept, which may have been there before.
    mutating func keep(_ value: PastValue, of source: SourceID, at cursor: Cursor) -> PastValue {
        let key = Key(source: source, cursor: value.cursor)
        if cursor != value.cursor {
            if self.positions.count >= Self.maxPositions { self.positions = [:] }
            self.positions[Key(source: source, cursor: cursor)] = value.cursor
        }
        if let entry = self.entries[key] { return entry.value }
        self.entries[key] = Entry(value: value, bytes: value.text.count)
        self.order.append(key)
        self.bytes += value.text.count
        self.shrink()
        return value
    }

    /// Adds the frame of a value, where that is still kept.
    ///
    /// - Returns: The one to use: where another was added meanwhile, that one.
    mutating func keep(_ frame: Frame, of source: SourceID, at cursor: Cursor, _ form: Form) -> Frame {
        let key = Key(source: source, cursor: cursor)
        guard let entry = self.entries[key] else { return frame }
        if let known = entry.frames[form] { return known }
        self.entries[key]?.frames[form] = frame
        self.entries[key]?.bytes += frame.bytes.count
        self.bytes += frame.bytes.count
        self.shrink()
        return frame
    }

    /// Whether something of this source is kept.
    func holds(_ source: SourceID) -> Bool {
        self.entries.keys.contains { $0.source == source } || self.positions.keys.contains { $0.source == source }
    }

    mutating func removeAll() {
        self = PastCache()
    }

    private mutating func shrink() {
        while self.bytes > Self.maxBytes, self.order.count > 1, let oldest = self.order.popFirst() {
            self.bytes -= self.entries.removeValue(forKey: oldest)?.bytes ?? 0
        }
    }
}
