// What waits for one subscriber's socket: never more than the unsent rest of one frame, or snapshots that others share.

import CLinux
import FreshetCore

/// A range of shared, immutable bytes.
struct OutgoingPart {
    let bytes: [UInt8]
    let range: Range<Int>
    /// An event begins with it. Where one does not, it belongs to what was sent before it, or has to be sent in any case.
    let beginsEvent: Bool

    /// Bytes around the events: the head of the answer, what ends the stream.
    init(_ bytes: [UInt8]) {
        self.init(bytes, bytes.indices, beginsEvent: false)
    }

    fileprivate init(_ bytes: [UInt8], _ range: Range<Int>, beginsEvent: Bool) {
        self.bytes = bytes
        self.range = range
        self.beginsEvent = beginsEvent
    }

    /// A frame from a byte of it on: in one part, or in three where the suffix of a ticket stands in it, so that the frame's
    /// bytes stay shared.
    static func parts(of frame: Frame, framing: Framing, mark: TicketMark?, skipping offset: Int = 0) -> [OutgoingPart]
    {
        let range = frame.range(in: framing)
        let start = min(range.lowerBound + offset, range.upperBound)
        let isWhole = offset == 0
        guard let mark, let place = frame.mark else {
            return [OutgoingPart(frame.bytes, start..<range.upperBound, beginsEvent: isWhole)]
        }
        let (first, second) = (max(start, place.lowerBound), max(start, place.upperBound))
        return [
            OutgoingPart(frame.bytes, start..<first, beginsEvent: isWhole),
            OutgoingPart(
                mark.suffix,
                min(first - place.lowerBound, mark.suffix.count)..<mark.suffix.count,
                beginsEvent: false
            ),
            OutgoingPart(frame.bytes, second..<range.upperBound, beginsEvent: false),
        ]
    }
}

/// A subscriber that is not live: what has to leave before anything else, and how it goes on then.
struct Backlog {
    /// Shared bytes that have to go out whole, in order.
    private(set) var parts: [OutgoingPart] = []
    /// The first of ``parts`` that was not sent whole.
    private var next = 0
    /// Bytes of that part that were sent.
    private var offset = 0
    /// Whether snapshots may take the place of a long backlog: the subscriber was live once, and lagged.
    var maySkip: Bool
    /// The shard's number of the last status that the subscriber was sent, or did not need.
    var statusMark: UInt64
    /// The tick in which the socket last took something.
    var progressTick: UInt32
    /// Changes of a source that is gone are missing, and the log is not asked about it any more: a gap is told before it is
    /// read again.
    var lacksChanges = false
    /// Set once `bye` is among the parts: the stream ends when they are sent.
    var closing: CloseReason?
    /// Counts what ``parts`` hold where that is much, until they are sent.
    var held: UnsentTicket?
    /// In the shard's list of those to be fed next, thus not waiting for its socket.
    var isQueued = false
    /// The read of the disk that is done for it, so that it does not wait for its socket either. Given up with the
    /// subscriber.
    var fetch: ReadTicket?
    var isFetching: Bool { self.fetch != nil }

    init(parts: [OutgoingPart] = [], maySkip: Bool, statusMark: UInt64, tick: UInt32) {
        self.parts = parts
        self.maySkip = maySkip
        self.statusMark = statusMark
        self.progressTick = tick
    }

    var isEmpty: Bool { self.next >= self.parts.count }

    /// What the parts keep in memory for a subscriber that does not read; `nil` where that is little.
    var largeParts: HeldBytes? {
        let parts = self.parts[self.next...]
        guard parts.reduce(0, { $0 + $1.range.count }) > UnsentLedger.smallBytes else { return nil }
        var held = HeldBytes()
        for part in parts { held.add(part.bytes[...]) }
        return held
    }

    /// How many of ``parts`` were not sent whole.
    var unsentCount: Int { self.parts.count - self.next }

    mutating func append(_ part: OutgoingPart) {
        guard !part.range.isEmpty else { return }
        self.parts.append(part)
    }

    /// Adds a frame from a byte of it on.
    mutating func append(_ frame: Frame, framing: Framing, mark: TicketMark?, skipping offset: Int = 0) {
        for part in OutgoingPart.parts(of: frame, framing: framing, mark: mark, skipping: offset) { self.append(part) }
    }

    /// Drops the events of which nothing was sent.
    mutating func dropEventsNotBegun() {
        guard !self.isEmpty else { return }
        let isInside = self.offset > 0 || !self.parts[self.next].beginsEvent
        let rest = self.parts[(self.next + (isInside ? 1 : 0))...]
        guard let first = rest.firstIndex(where: \.beginsEvent) else { return }
        self.parts.removeSubrange(first...)
    }

    /// Notes that the socket took `count` bytes.
    mutating func sent(_ count: Int) {
        self.offset += count
        while self.next < self.parts.count, self.offset >= self.parts[self.next].range.count {
            self.offset -= self.parts[self.next].range.count
            // Not kept for as long as those after it.
            self.parts[self.next] = OutgoingPart([])
            self.next += 1
        }
        guard self.isEmpty else { return }
        self.held = nil
        self.parts = []
        self.next = 0
        self.offset = 0
    }

    /// Calls `body` with the next bytes in one piece: a large part as it lies, small ones side by side in `scratch`.
    func withNextBytes<Result>(
        scratch: UnsafeMutableRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result? {
        guard self.next < self.parts.count else { return nil }
        let first = self.parts[self.next]
        let isAlone = self.next == self.parts.count - 1
        if isAlone || first.range.count - self.offset >= scratch.count / 2 {
            return first.bytes.withUnsafeBytes { bytes in
                body(UnsafeRawBufferPointer(rebasing: bytes[first.range.dropFirst(self.offset)]))
            }
        }
        var filled = 0
        var skipped = self.offset
        for part in self.parts[self.next...] where filled < scratch.count {
            let range = part.range.dropFirst(skipped).prefix(scratch.count - filled)
            part.bytes.withUnsafeBytes { bytes in
                UnsafeMutableRawBufferPointer(rebasing: scratch[filled...])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[range]))
            }
            filled += range.count
            skipped = 0
        }
        return body(UnsafeRawBufferPointer(rebasing: scratch[..<filled]))
    }
}

/// The bytes of some frames of ticket streams, in which each stream puts its own suffix before it sends them.
struct MarkableRun {
    let bytes: UnsafeMutableRawBufferPointer
    /// Where a suffix belongs.
    private let places: [Int]

    /// Lays frames side by side in `scratch`, which must hold them.
    init(of frames: ArraySlice<SequencedFrame>, framing: Framing, scratch: UnsafeMutableRawBufferPointer) {
        var filled = 0
        var places: [Int] = []
        for frame in frames.lazy.map(\.frame) {
            let range = frame.range(in: framing)
            frame.bytes.withUnsafeBytes { bytes in
                UnsafeMutableRawBufferPointer(rebasing: scratch[filled...])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[range]))
            }
            if let mark = frame.mark { places.append(filled + mark.lowerBound - range.lowerBound) }
            filled += range.count
        }
        self.bytes = UnsafeMutableRawBufferPointer(rebasing: scratch[..<filled])
        self.places = places
    }

    /// Makes the bytes those of one ticket's stream.
    func put(_ mark: TicketMark) {
        mark.suffix.withUnsafeBytes { suffix in
            for place in self.places {
                UnsafeMutableRawBufferPointer(rebasing: self.bytes[place...]).copyMemory(from: suffix)
            }
        }
    }
}

/// Frames that leave in one send, side by side.
enum FrameRun {
    /// How far a run came.
    struct Stop {
        /// Frames that were sent, the last of them perhaps in part.
        var count: Int
        /// Bytes of the last of them that were sent, or 0 where it was sent whole.
        var offsetInLast: Int
    }

    /// The bytes of `frames` on a connection of this framing.
    static func size(of frames: ArraySlice<SequencedFrame>, framing: Framing) -> Int {
        frames.reduce(0) { $0 + $1.frame.range(in: framing).count }
    }

    /// How many of `frames` fit into `limit` bytes; at least one.
    static func prefixCount(of frames: ArraySlice<SequencedFrame>, framing: Framing, limit: Int) -> Int {
        var size = 0
        for (count, frame) in frames.enumerated() {
            size += frame.frame.range(in: framing).count
            if size > limit { return max(1, count) }
        }
        return frames.count
    }

    /// Calls `body` with the bytes: a single frame as it lies, several side by side in `scratch`, which must hold them.
    static func withBytes<Result>(
        of frames: ArraySlice<SequencedFrame>,
        framing: Framing,
        scratch: UnsafeMutableRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        if frames.count == 1, let frame = frames.first?.frame {
            return frame.bytes.withUnsafeBytes { bytes in
                body(UnsafeRawBufferPointer(rebasing: bytes[frame.range(in: framing)]))
            }
        }
        var filled = 0
        for frame in frames {
            let range = frame.frame.range(in: framing)
            frame.frame.bytes.withUnsafeBytes { bytes in
                UnsafeMutableRawBufferPointer(rebasing: scratch[filled...])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[range]))
            }
            filled += range.count
        }
        return body(UnsafeRawBufferPointer(rebasing: scratch[..<filled]))
    }

    /// Where among `frames` the socket stopped when it took `sent` bytes of them.
    static func stop(in frames: ArraySlice<SequencedFrame>, framing: Framing, sent: Int) -> Stop {
        var left = sent
        for (count, frame) in frames.enumerated() {
            let size = frame.frame.range(in: framing).count
            if left == 0 { return Stop(count: count, offsetInLast: 0) }
            if left < size { return Stop(count: count + 1, offsetInLast: left) }
            left -= size
        }
        return Stop(count: frames.count, offsetInLast: 0)
    }
}
