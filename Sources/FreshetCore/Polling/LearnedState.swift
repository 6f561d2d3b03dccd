// What is known of a source beside its value, as bytes: what a restart must not make it learn again.

import XML

/// The learned state of a source in one piece, for the store.
///
/// What the schedule learned alone is stored as it is; with lists, a byte and the length of the schedule's part go
/// before both.
struct LearnedState: Hashable, Sendable {
    /// What ``PollSchedule/learned`` gave; empty where it learns nothing.
    var schedule: [UInt8] = []
    var lists = XMLLists()

    /// The first byte of the form with lists. The schedule's own begins with its version, 1.
    private static let marker: UInt8 = 0xF1
    private static let headerBytes = 5

    init(schedule: [UInt8], lists: XMLLists) {
        self.schedule = schedule
        self.lists = lists
    }

    /// Reads what ``encoded`` gave. What is cut or foreign is left to the schedule, which knows its own form.
    init(encoded: [UInt8]) {
        guard encoded.first == Self.marker, encoded.count >= Self.headerBytes else {
            self.schedule = encoded
            return
        }
        let length = encoded[1..<Self.headerBytes].reduce(0) { $0 << 8 | Int($1) }
        guard length <= encoded.count - Self.headerBytes else { return }
        self.schedule = Array(encoded[Self.headerBytes..<(Self.headerBytes + length)])
        self.lists = XMLLists(encoded: encoded[(Self.headerBytes + length)...])
    }

    var encoded: [UInt8] {
        guard !self.lists.isEmpty else { return self.schedule }
        let length = UInt32(clamping: self.schedule.count)
        let header =
            [Self.marker] + stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: length >> $0) }
        return header + self.schedule + self.lists.encoded
    }
}
