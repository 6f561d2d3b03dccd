// What is known of a source beside its value, as bytes: what a restart must not make it learn again.

import JSON
import XML

/// The learned state of a source in one piece, for the store.
///
/// What the schedule learned alone is stored as it is. With more, a byte goes first, then the parts, each but the last
/// after its length.
struct LearnedState: Hashable, Sendable {
    /// What ``PollSchedule/learned`` gave; empty where it learns nothing.
    var schedule: [UInt8] = []
    var lists = XMLLists()
    /// The collection and key that were guessed: the value at a restart may not suggest them.
    var guess: ItemRule?

    /// The first byte of the form with lists, and of the one with a guess. The schedule's own begins with its version, 1.
    private static let listMarker: UInt8 = 0xF1
    private static let guessMarker: UInt8 = 0xF2
    private static let lengthBytes = 4
    /// A guess whose pointers are longer than this is not stored.
    static let maxGuessBytes = 4096

    init(schedule: [UInt8], lists: XMLLists, guess: ItemRule?) {
        self.schedule = schedule
        self.lists = lists
        self.guess = guess
    }

    /// Reads what ``encoded`` gave. What is cut or foreign is left to the schedule, which knows its own form.
    init(encoded: [UInt8]) {
        guard let first = encoded.first, first == Self.listMarker || first == Self.guessMarker else {
            self.schedule = encoded
            return
        }
        var rest = encoded.dropFirst()
        guard let schedule = Self.part(&rest) else { return }
        self.schedule = schedule
        guard first == Self.guessMarker else {
            self.lists = XMLLists(encoded: rest)
            return
        }
        guard let lists = Self.part(&rest), let items = Self.part(&rest).flatMap({ Pointer(utf8: $0) }) else { return }
        self.lists = XMLLists(encoded: lists)
        // A key is a pointer into an item and therefore begins with a slash; an object's members have none.
        let key = rest.isEmpty ? nil : Pointer(utf8: rest)
        guard rest.isEmpty || key != nil else { return }
        self.guess = ItemRule(items: items, key: key)
    }

    var encoded: [UInt8] {
        guard let (items, key) = self.guessBytes else {
            guard !self.lists.isEmpty else { return self.schedule }
            return [Self.listMarker] + Self.measured(self.schedule) + self.lists.encoded
        }
        return [Self.guessMarker] + Self.measured(self.schedule) + Self.measured(self.lists.encoded)
            + Self.measured(items) + key
    }

    private var guessBytes: (items: [UInt8], key: [UInt8])? {
        guard let guess = self.guess else { return nil }
        let items = Array(guess.items.description.utf8)
        let key = guess.key.map { Array($0.description.utf8) } ?? []
        // The bytes of a name that is no text would come back as others.
        guard items.count + key.count <= Self.maxGuessBytes, Pointer(utf8: items) == guess.items,
            guess.key == nil ? key.isEmpty : Pointer(utf8: key) == guess.key && !key.isEmpty
        else { return nil }
        return (items, key)
    }

    /// A part after its length.
    private static func measured(_ part: [UInt8]) -> [UInt8] {
        let length = UInt32(clamping: part.count)
        return stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: length >> $0) } + part
    }

    /// Takes the next part; `nil` where it is cut.
    private static func part(_ bytes: inout ArraySlice<UInt8>) -> [UInt8]? {
        guard bytes.count >= Self.lengthBytes else { return nil }
        let length = bytes.prefix(Self.lengthBytes).reduce(0) { $0 << 8 | Int($1) }
        bytes = bytes.dropFirst(Self.lengthBytes)
        guard length <= bytes.count else { return nil }
        defer { bytes = bytes.dropFirst(length) }
        return Array(bytes.prefix(length))
    }
}
