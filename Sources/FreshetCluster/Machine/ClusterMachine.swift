// Everything that a node of a cluster decides: what it owns, what it writes, what it reads, and which epoch it is.

import DequeModule
package import FreshetCore
import System

/// One node. Takes what happened and the time, and leaves in ``actions`` what is to be done, in order. Performs no I/O, reads
/// no clock, and is confined to one thread.
///
/// The stream is read in order, and nothing counts before it was read: an owner record makes an owner when it is read, a
/// change is in the log when it is read. What the broker answers to a publish is only used to go on.
package struct ClusterMachine {
    package struct Settings: Hashable, Sendable {
        package var node: String
        package var incarnation: Incarnation
        /// How long a node owns its sources after its last heartbeat.
        package var lease: Duration
        package var subjects = ClusterSubjects()
        /// What a message may hold.
        package var maxPayloadBytes = (1 << 20) - (16 << 10)

        package init(node: String, incarnation: Incarnation, lease: Duration = .seconds(3)) {
            self.node = node
            self.incarnation = incarnation
            self.lease = lease
        }

        /// The time by which a node stops before others may take its sources over.
        var margin: Duration { self.lease / 5 }
        var heartbeat: Duration { self.lease / 3 }
    }

    /// Which publish an outcome belongs to.
    package typealias PublishID = UInt64

    package enum Action: Sendable {
        case publish(PublishID, [StreamMessage], expecting: StreamExpectation?)
        case readFacts
        case readEpoch
        case readMessage(UInt64)
        case readOwner(String)
        case read(from: UInt64)
        case stopReading
        /// A change of this node is in the stream.
        case commit(LogRecord, position: UInt64)
        /// A change of another node is.
        case take(ChangeRecord, position: UInt64)
        /// Numbering goes on after this position; what was before is a gap.
        case renumber(Cursor)
        /// The node owns the source: it polls it, once all before this is committed.
        case own(String, OwnerRecord)
        /// The node owns it no more, or may not know. To be answered by ``released(_:now:)``.
        case release(String)
        /// Another node knows this of an idempotency key.
        case learn(KeyRecord)
        /// Another node says this of a ticket.
        case ticket(TicketNotice)
        /// An instance of a template has come or gone.
        case instance(String, InstanceChange)
        /// What the stream says of a subscription of Web Push, this node's own words too.
        case subscription(PushID, [UInt8], sequence: UInt64)
        /// What became of ``keySubmitted(_:_:of:now:)`` or ``rowsSubmitted(_:_:of:now:)``.
        case keyStored(UInt64, isStored: Bool)
        /// These will not be in the log.
        case drop([LogRecord])
        /// The value of an owned source is to be submitted as a change, whole.
        case republish(String)
        /// The state of a unit is in the stream as of this number, or a later one is.
        case kept(String, through: UInt64)
        /// It is not, and will not be.
        case unkept(String, through: UInt64)
        case note(ClusterNote)
        /// All is handed over.
        case left
    }

    /// Where the node stands towards the broker.
    enum Link: Equatable {
        case down
        /// Finding out what the stream is.
        case syncing
        /// Comparing the message at the node's own last position.
        case comparing
        /// Beginning a numbering.
        case founding(PublishID)
        case reading
        /// The stream is of a version that this node does not understand.
        case foreign
    }

    struct Member: Equatable {
        var record: NodeRecord
        var seenAt: MonotonicTime
    }

    package let settings: Settings
    package var actions: [Action] = []
    package internal(set) var figures = ClusterFigures()
    var link = Link.down
    var nextPublish: PublishID = 1
    var nextNumber: UInt64 = 1
    var generator: SplitMix64

    // The stream.
    var facts: StreamFacts?
    /// The present numbering; that of the log on disk until the stream was read.
    var epoch: Epoch
    var base: UInt64?
    var epochSequence: UInt64 = 0
    var epochBegins: UInt64 = 0
    /// The last position that was given to the log, and what tells its content.
    package internal(set) var head: UInt64
    var headDigest: ChangeDigest?
    var headNumber: ChangeNumber?
    /// Messages through this sequence were read.
    package internal(set) var readThrough: UInt64 = 0
    var assembly = ChangeAssembly()

    // The nodes.
    var members: [String: Member] = [:]
    var placement = Placement(sources: [], nodes: [])
    /// Those of them that do not leave, and this one where it does not, ascending.
    package internal(set) var nodes: [String] = []
    /// By the name of a source, or of the template of instances: of those that are polled at hosts that are known.
    var rules: [String: PlacementRule] = [:]
    /// What nodes of the same configuration have in common.
    var sourcesHash: UInt64 = 0
    /// Nodes that were there before the connection was lost, and did not say since that the stream is what they know. Until then
    /// nothing is written: one of them may find out that the broker has lost what it had read.
    var awaited: Set<String> = []
    /// The end of the stream when the node connected. Nothing is decided before that was read.
    var syncedLast: UInt64 = 0
    /// When the machine was asked last.
    var lastTime: MonotonicTime?
    /// Since when all heartbeats are read as they come.
    var listensSince: MonotonicTime?
    var isLeaving = false
    var hasLeft = false

    // This node's lease.
    var heartbeat: (id: PublishID, sentAt: MonotonicTime)?
    var nextHeartbeat = MonotonicTime(nanoseconds: .min)
    var leaseUntil = MonotonicTime(nanoseconds: .min)
    /// The node may not act on what it owns before it has read so far.
    var entitledAfter: UInt64 = .max
    var isEntitled = false
    /// Why the last heartbeat, or record of an epoch, was not acknowledged; `nil` where it was.
    var refusal: String?
    var nextRefusalNote = MonotonicTime(nanoseconds: .min)

    // The sources.
    var sources: [String: ClusterSource] = [:]
    /// Their names in order: what is done to all is done in the same order in every process.
    var names: [String] = []
    /// Instances of which no record was read yet.
    var unconfirmed: Set<String> = []
    /// What each publish under way is for.
    var publishes: [PublishID: Purpose] = [:]
    var retryAt = MonotonicTime.distantFuture
    /// Rises with whatever ``ClusterSnapshot`` tells of sources, nodes and the lease.
    var version: UInt64 = 0
    var nextFacts = MonotonicTime.distantFuture

    enum Purpose: Equatable {
        case heartbeat
        case epoch
        case owner(String)
        case batch(String)
        case key(UInt64)
    }

    /// After a publish that was refused for a while.
    static let retryInterval = Duration.milliseconds(200)
    /// How often the node looks how far the broker has pruned the stream.
    static let factsInterval = Duration.seconds(60)
    /// Between notes that nothing is acknowledged.
    static let refusalInterval = Duration.seconds(60)

    /// `log` is where the log on disk stands, or that of an empty memory; `last` is its last change, if there is one.
    package init(_ settings: Settings, log: Cursor, last: ChangeDigest?, seed: UInt64) {
        self.settings = settings
        self.epoch = log.epoch
        self.head = log.sequence
        self.headDigest = last
        self.generator = SplitMix64(seed: seed)
    }

    package mutating func takeActions() -> [Action] {
        defer { self.actions = [] }
        return self.actions
    }

    /// When ``timePassed(now:)`` is to be called at the latest.
    package var nextTime: MonotonicTime {
        var time = min(self.retryAt, self.nextFacts)
        if self.link == .reading, self.heartbeat == nil { time = min(time, self.nextHeartbeat) }
        if self.isEntitled { time = min(time, self.leaseUntil) }
        if let settled = self.settlesAt, !self.isSettled { time = min(time, settled) }
        for member in self.members.values { time = min(time, member.seenAt + self.settings.lease) }
        if let listensSince, self.link == .reading, !self.knowsTheGone {
            time = min(time, listensSince + self.settings.lease)
        }
        return time
    }

    /// Changes that are submitted and not read yet.
    package var pendingCount: Int { self.sources.values.reduce(0) { $0 + $1.pending.count } }
    package var ownedCount: Int { self.sources.values.reduce(0) { $0 + ($1.isPolled ? 1 : 0) } }
    package var isReading: Bool { self.link == .reading }
    /// What is added to a sequence of the stream; `nil` before it is known.
    package var streamBase: UInt64? { self.base }
    package var cursor: Cursor { Cursor(epoch: self.epoch, sequence: self.head) }

    /// The nodes of which a heartbeat was heard within the lease, those that leave included.
    package var heard: Set<String> { Set(self.members.keys) }

    /// The owner of a source, by the records read so far; `nil` where it has none.
    package func owner(of source: String) -> String? {
        self.sources[source]?.owner.flatMap { $0.record.node.isEmpty ? nil : $0.record.node }
    }

    /// Whether this node may write for a source at this moment.
    package func owns(_ source: String, now: MonotonicTime) -> Bool {
        self.isEntitled && now < self.leaseUntil && self.sources[source]?.isPolled == true
    }

    /// What this node is to a source, for diagnosis.
    package func role(of source: String) -> String {
        guard let source = self.sources[source] else { return "unknown" }
        return
            "\(source.role), polled \(source.isPolled), releasing \(source.isReleasing), pending \(source.pending.count), "
            + "owner \(source.owner?.record.node ?? "-") at \(source.owner?.sequence ?? 0), asked \(source.isOwnerAsked)"
    }

    var knowsTheGone = false
    var isSettled = false
    /// Others have told by then that they are there.
    var settlesAt: MonotonicTime? { self.listensSince.map { $0 + self.settings.heartbeat } }

    /// The stream was read as far as it went when the node connected.
    var isCaughtUp: Bool { self.link == .reading && self.readThrough >= self.syncedLast }
    /// Changes and owners may be written.
    var mayWrite: Bool { self.isCaughtUp && (self.awaited.isEmpty || self.knowsTheGone) }

    mutating func publish(
        _ messages: [StreamMessage],
        expecting: StreamExpectation?,
        for purpose: Purpose
    ) -> PublishID {
        let id = self.nextPublish
        self.nextPublish += 1
        self.publishes[id] = purpose
        self.actions.append(.publish(id, messages, expecting: expecting))
        return id
    }

    mutating func note(_ note: ClusterNote) {
        self.actions.append(.note(note))
    }

    mutating func retry(now: MonotonicTime) {
        self.retryAt = min(self.retryAt, now + Self.retryInterval)
    }
}

/// One source, as a node sees it.
struct ClusterSource {
    /// What this node is to the source.
    enum Role: Equatable {
        /// Not its owner, as far as was read.
        case other
        /// An owner record of this node is on its way.
        case acquiring(ClusterMachine.PublishID)
        case owned(fence: UInt64)
        /// An outcome is unknown: nothing is written before a new owner record of this node was read.
        case refencing(ClusterMachine.PublishID?)
        /// An owner record of another is on its way.
        case handing(ClusterMachine.PublishID)
    }

    struct Keeping: Equatable {
        var state: [UInt8]
        var number: UInt64
    }

    struct Pending {
        enum State: Equatable {
            case waiting
            case sent(ClusterMachine.PublishID)
            case stored
            /// Acknowledged over a connection that was lost: it will be read, or the broker has lost it.
            case doubtful
        }

        var number: ChangeNumber
        var record: LogRecord
        /// It goes without patches: what is before it is not known to all.
        var isWhole: Bool
        var state = State.waiting
    }

    var role = Role.other
    /// `nil` for a source of the configuration, and other units of it.
    var instance: ClusterInstance?
    /// The last owner record, and its sequence.
    var owner: (record: OwnerRecord, sequence: UInt64)?
    /// An owner record was read at any time.
    var hadOwner = false
    /// Whether ``owner`` is what the stream says, since the node connected.
    var isOwnerKnown = false
    /// The last owner record of this node under which changes were sent: read again, it does not make an owner.
    var lastFence: UInt64 = 0
    var isOwnerAsked = false
    /// There is no owner record any more, and whoever wrote the last one may not know.
    var isForgotten = false
    /// The source is not polled by this node before.
    var pollsFrom = MonotonicTime(nanoseconds: .min)
    /// The source was given to the poller.
    var isPolled = false
    /// It was taken from the poller, which may be about to publish a change all the same.
    var isReleasing = false
    /// Changes that were not read yet, oldest first.
    var pending = Deque<Pending>()
    var batch: ClusterMachine.PublishID?
    /// The last change that was read: its sequence, position and number.
    var lastSequence: UInt64 = 0
    var lastPosition: UInt64 = 0
    var lastNumber: ChangeNumber?
    /// Where the log on disk had the value at the start, in whatever numbering.
    var restoredPosition: UInt64 = 0
    /// A change was dropped: the next one says all.
    var needsWhole = false
    /// What the poller has learned, for the next owner; the state of a unit that keeps one.
    var learned: [UInt8] = []
    /// A state of the unit that was not read in an owner record yet.
    var keeping: Keeping?
    /// Hashes of the states that this node has put into owner records of its own since it read one: the next one that it reads
    /// has one of them, or another node wrote it.
    var writtenStates: Set<UInt64> = []
    /// Who acts for the unit is letting go of it, and what it says of the state is older than what was read since.
    var isStateOld = false
    var validators = Validators()
}

/// What a node counts.
package struct ClusterFigures: Hashable, Sendable {
    package var published: UInt64 = 0
    package var taken: UInt64 = 0
    /// Writes of a stale owner that the broker refused.
    package var fenced: UInt64 = 0
    package var unknown: UInt64 = 0
    package var dropped: UInt64 = 0
    package var unreadable: UInt64 = 0
    package var heartbeats: UInt64 = 0
    package var takeovers: UInt64 = 0
    package var handovers: UInt64 = 0
    package var lapses: UInt64 = 0
    package var rewinds: UInt64 = 0
    package var epochs: UInt64 = 0

    package init() {}
}

/// Something for the log.
package enum ClusterNote: Hashable, Sendable {
    case joined(nodes: [String])
    case lapsed
    case regained
    case fenced(source: String)
    case tooLarge(source: String, bytes: Int)
    case rewound
    case epochBegan(Epoch)
    case historyLost(through: UInt64)
    case unreadable(source: String, sequence: UInt64)
    case foreignFormat
    /// Heartbeats, or the record of an epoch, are not acknowledged; why.
    case notAcknowledged(String)
    case full
    case sourcesDiffer(node: String)
    /// Another process has this node's name.
    case nameTaken
}
