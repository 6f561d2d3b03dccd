// What the hub tells, and who listens.

/// What the hub tells its listeners, in the order of the log.
package enum HubNotice: Sendable {
    /// A change, with its frames in the formats that somebody listens in.
    case published(PublishedEvent)
    /// A source's state changed.
    case status(SourceID, SourceState, eventStream: Frame, jsonLine: Frame)
    /// There is a new source. Streams that name it, or names like it, get its changes too.
    case added(SourceID, name: String)
    /// A source is gone; its subscribers get no more of it.
    case removed(SourceID)
    /// The log goes on behind a gap: whoever reads has to read the log.
    case interrupted
}

/// A change as it goes to the shards.
package struct PublishedEvent: Sendable {
    package var sequence: UInt64
    package var source: SourceID
    /// Absent for a format without a subscriber at that moment: such a reader reads the log.
    package var frames: FrameSet
    /// In the mode `items` the frame is a checkpoint (``ChangeEvent/touchesNoItem``).
    package var touchesNoItem = false
    /// What it is in the views that it concerns. In any other it does no more than move the cursor.
    package var parts: [ViewPart] = []
    /// By wire, what moves the cursors of readers of other views; empty where nobody reads one.
    package var checkpoints = FrameSet()
}

/// A change in one view.
package struct ViewPart: Sendable {
    package var view: ViewID
    /// Absent for a format without a subscriber at that moment: such a reader reads the log. Empty for a view that came at
    /// that moment.
    package var frames: FrameSet
}

/// Receives every change: a shard.
package protocol HubListener: AnyObject, Sendable {
    /// Takes a notice into an inbox, and does nothing else: the hub's lock is held, so that notices come in the order of
    /// the log.
    func enqueue(_ notice: HubNotice)
    /// There is something in the inbox. No lock is held; any thread. It may call the hub, and must not wait for anybody:
    /// changes of all sources wait for it.
    func wake()
}
