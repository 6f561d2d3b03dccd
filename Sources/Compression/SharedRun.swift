// Events compressed once for all who read the same: each refers back to those before it, which all of them have.

/// What a run gives for some events.
package struct RunPiece: Sendable {
    package var bytes: [UInt8]
    /// It refers to nothing before it: a reader may begin here, behind whatever it was sent, and has to be sent every piece
    /// from here on and nothing in between.
    package var isJoinPoint: Bool
}

/// One run of pieces for the readers of one source and view. Whoever owns it keeps it to one source: what stands in one
/// window can be told from the lengths of what comes later.
///
/// A reader is in step if it was sent the last join point and every piece since, with nothing in between: the decoder's
/// window holds what its own stream was, and a piece refers to distances in it.
package struct SharedRun {
    private let coder: BlockCoder
    private var pace = RunPace()

    /// `nil` where there is no memory for a compressor.
    package init?(_ coding: ContentCoding) {
        guard let coder = BlockCoder(coding) else { return nil }
        self.coder = coder
    }

    /// The next events, in one piece. `following`: how many readers are in step; `waiting`: how many others would be, with a
    /// join point.
    package mutating func append(_ plain: [UInt8], events: Int, waiting: Int, following: Int) -> RunPiece {
        let isFresh = self.pace.isJoinPoint(events: events, waiting: waiting, following: following)
        return self.piece(plain, isFresh: isFresh)
    }

    /// Something between events for readers in step: a heartbeat, a state. Never a join point, unless nothing came before.
    package mutating func append(between plain: [UInt8]) -> RunPiece {
        self.piece(plain, isFresh: self.pace.startsNow())
    }

    private mutating func piece(_ plain: [UInt8], isFresh: Bool) -> RunPiece {
        if let bytes = self.coder.piece(plain, isFresh: isFresh) { return RunPiece(bytes: bytes, isJoinPoint: isFresh) }
        // As they are, the bytes read right anywhere, and the next piece refers to nothing.
        self.pace.restart()
        return RunPiece(bytes: self.coder.coding.stored(plain), isJoinPoint: isFresh)
    }
}

/// When a run restarts. A restart drops the window of earlier events, so what follows compresses less for a while.
struct RunPace: Hashable {
    /// A run restarts after this many events in any case.
    static let maxEvents = 64
    /// A few who wait are let in no sooner than after so many, so that streams that come and go cost the others little.
    static let minEvents = 8

    /// Events since the run began or last restarted; `nil` where the next piece has to be a join point.
    private var events: Int?

    /// Decides for the next events.
    mutating func isJoinPoint(events: Int, waiting: Int, following: Int) -> Bool {
        guard let since = self.events, since < Self.maxEvents else { return self.begin(with: events) }
        // Where those who wait are the most, to let them in is cheaper than a piece for each of the two.
        if waiting > 0, since >= Self.minEvents || waiting >= following { return self.begin(with: events) }
        self.events = since + max(0, events)
        return false
    }

    private mutating func begin(with events: Int) -> Bool {
        self.events = max(0, events)
        return true
    }

    /// Whether nothing came before; from now on something did.
    mutating func startsNow() -> Bool {
        guard self.events == nil else { return false }
        return self.begin(with: 0)
    }

    /// Has the next piece be a join point.
    mutating func restart() {
        self.events = nil
    }
}
