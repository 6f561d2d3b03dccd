// The subscribers of one shard that get the very same bytes: same sources, same view, same format, same framing.

import Compression
import FreshetCore

/// One group. An event is gathered once for it and then sent to each live member. Belongs to its shard's thread.
final class SubscriberGroup {
    /// Replaced by a larger one when a source comes that ``pattern`` names.
    var subscription: Subscription
    let pattern: SourcePattern?
    /// ``Hub/additions`` up to which ``subscription`` has everything that ``pattern`` names.
    var additions: UInt64
    let framing: Framing
    /// What its bytes are compressed in; `nil` for none.
    let coding: ContentCoding?
    /// The group's place in the shard's list.
    let index: Int32
    /// Slots of members that are caught up. The others are fed from the log one by one.
    var live: [Int32] = []
    /// How many of ``live``, the first ones, are in step with ``sharedRun``: the others are sent pieces of their own until it
    /// begins anew.
    var inStep = 0
    /// What compresses the events for all members; `nil` where each piece stands for itself.
    var sharedRun: SharedRun?
    /// Counts the run's memory.
    var runTicket: RunTicket?
    /// One of the sources may be compressed no more: pieces hold its events as they are.
    var isStored = false
    /// Of the events in ``run``, where they are compressed.
    var runSources: [SourceID] = []
    /// Frames as pieces of their own, for members who are sent the same in this turn.
    var codedFrames: [CodedFrame] = []
    /// Members, live or not.
    var memberCount = 0

    /// Events of this wake-up, in order.
    var run: [SequencedFrame] = []
    /// An event of this wake-up came without a frame in this format, so that its members read the log.
    var mustRead = false
    /// The sequence of the last event of this wake-up, with a frame or without.
    var runEnd: UInt64 = 0
    var isGathered = false
    /// The last event of this wake-up, where it does nothing but move the cursor.
    var checkpoint: (source: SourceID, frame: SequencedFrame)?
    /// The tick in which the members were last sent a checkpoint, by source.
    var checkpointTicks: [SourceID: UInt32] = [:]

    /// Sources that exist no more.
    var removed: Set<SourceID> = []
    /// The last state that was reported of each source, numbered by the shard: for members who were behind then.
    var statuses: [SourceID: NumberedStatus] = [:]

    /// What its members have missed who are behind, where it reads a view; see ``RecentEvents``.
    var recent: RecentEvents
    /// The group's number in ``Delivery/wholeIndex``; `nil` where it reads a view.
    var wholeNumber: Int32?

    /// What the log gave in this turn: those who stand at one position share it (FAULTS F44, F59).
    ///
    /// What is published after a reading reaches the shard in its next turn, so that who was found complete by it
    /// may be live.
    var sharedReads: [ReadPosition: StreamFeed] = [:]

    struct NumberedStatus {
        var number: UInt64
        var frame: Frame
    }

    /// The most readings that are kept for a turn; each may hold references to a batch of events.
    static let maxSharedReads = 64

    /// What a reading of the log depends on.
    struct ReadPosition: Hashable {
        var after: UInt64
        var maySkip: Bool
    }

    init(
        subscription: Subscription,
        pattern: SourcePattern?,
        additions: UInt64,
        framing: Framing,
        coding: ContentCoding?,
        index: Int32,
        head: UInt64
    ) {
        self.recent = RecentEvents(after: head)
        self.subscription = subscription
        self.additions = additions
        self.pattern = pattern
        self.framing = framing
        self.coding = coding
        self.index = index
    }

    /// What makes subscribers get the same bytes.
    struct Key: Hashable {
        var subscription: ObjectIdentifier
        var pattern: SourcePattern?
        var framing: Framing
        var coding: ContentCoding?
    }

    /// What its members have in common.
    var key: Key {
        Key(
            subscription: ObjectIdentifier(self.subscription),
            pattern: self.pattern,
            framing: self.framing,
            coding: self.coding
        )
    }

    /// Whether it reads a part of the values: then it is asked only about changes that concern that.
    var isViewed: Bool { !self.subscription.view.isWhole }

    var wire: StreamWire { self.subscription.format.wire }

    /// Whether each member has a suffix of its own in its ids.
    var isMarked: Bool { self.wire.form == .markedEventStream }

    /// Whether every source is gone.
    var isOrphaned: Bool { self.removed.count == self.subscription.sources.count }
}
