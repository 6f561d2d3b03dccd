// The seam between the cluster and its broker: one stream of messages that all nodes write and read in one order.

/// A message to be stored.
package struct StreamMessage: Hashable, Sendable {
    package var subject: String
    /// Names are ASCII tokens and values hold no line breaks. Names that begin with `Nats-` are the implementation's.
    package var headers: [StreamHeader]
    package var payload: [UInt8]
    /// The broker removes the message so long after it was stored; whole seconds, at least one. `nil` to keep it.
    package var timeToLive: Duration?
    /// The broker removes the earlier messages of the subject once this one is stored, where the stream allows it.
    package var replacesEarlier: Bool

    package init(
        subject: String,
        headers: [StreamHeader] = [],
        payload: [UInt8] = [],
        timeToLive: Duration? = nil,
        replacesEarlier: Bool = false
    ) {
        self.subject = subject
        self.headers = headers
        self.payload = payload
        self.timeToLive = timeToLive
        self.replacesEarlier = replacesEarlier
    }
}

/// A header of a message.
package struct StreamHeader: Hashable, Sendable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// A message as the broker stored it.
package struct StoredMessage: Hashable, Sendable {
    /// Its position in the stream; the first is 1. Ascending, with holes where messages were removed.
    package var sequence: UInt64
    package var subject: String
    /// Without those of the broker, except for what tells why a message was removed.
    package var headers: [StreamHeader]
    package var payload: [UInt8]

    package init(sequence: UInt64, subject: String, headers: [StreamHeader] = [], payload: [UInt8] = []) {
        self.sequence = sequence
        self.subject = subject
        self.headers = headers
        self.payload = payload
    }
}

extension StoredMessage {
    /// The broker wrote it in the place of messages that it removed: it says nothing but that they are gone.
    package var isMarker: Bool { self.headers.contains { $0.name == "Nats-Marker-Reason" } }
}

/// What must hold at the broker for a message to be stored: the last message of `subject` has this sequence; 0 for none.
package struct StreamExpectation: Hashable, Sendable {
    package var subject: String
    package var sequence: UInt64

    package init(_ subject: String, at sequence: UInt64) {
        self.subject = subject
        self.sequence = sequence
    }
}

/// What became of a publish.
package enum PublishOutcome: Hashable, Sendable {
    /// Stored and replicated. `sequence` is that of the last message; the others come directly before it.
    case stored(sequence: UInt64, count: Int)
    /// Certainly not stored.
    case refused(PublishRefusal)
    /// The answer did not come in time, or the connection was lost: it may be stored, or be stored yet.
    case unknown(String)
}

/// Why a publish was refused. None of its messages was stored.
package enum PublishRefusal: Hashable, Sendable {
    /// The expectation does not hold.
    case fenced
    /// More messages than a batch may have, or one longer than the broker takes.
    case tooLarge
    /// The stream or the broker's disk is full.
    case full
    /// There is no connection, no stream or no leader; nothing was sent.
    case unavailable(String)
    /// Anything else, as the broker words it.
    case other(code: Int, String)
}

/// Why a question to the broker has no answer.
package struct StreamFailure: Error, Hashable, Sendable {
    package enum Reason: String, CaseIterable, Sendable {
        /// No connection, or it was lost before the answer came.
        case disconnected
        /// Nothing was sent: there is no connection, too much waits for it, or the message is too long.
        case unsent
        /// Whoever was asked is gone.
        case gone
        /// No answer in time.
        case timedOut = "timed_out"
        /// The broker has no such stream.
        case noStream = "no_stream"
        /// Nobody serves the subject.
        case noResponder = "no_responder"
        /// The broker refuses this user.
        case denied
        /// Anything else.
        case other
    }

    package var reason: Reason
    /// Fit for a log; without secrets.
    package var message: String

    package init(_ reason: Reason, _ message: String) {
        self.reason = reason
        self.message = message
    }
}

/// What the stream is at one moment.
package struct StreamFacts: Hashable, Sendable {
    /// The sequence of the first message that is still there; one more than `last` where there is none.
    package var first: UInt64
    /// The last sequence that was given out; 0 for none.
    package var last: UInt64
    package var bytes: UInt64
    /// When the stream was made, as the broker writes it: another time is another stream of the same name.
    package var created: String

    package init(first: UInt64, last: UInt64, bytes: UInt64 = 0, created: String = "") {
        self.first = first
        self.last = last
        self.bytes = bytes
        self.created = created
    }

    /// What is to be kept and stands before this sequence is to be written again, before the broker removes it as the oldest; 0
    /// where nothing was removed yet.
    package var oldBefore: UInt64 {
        self.first > 1 && self.last > self.first ? self.first + (self.last - self.first) / 4 : 0
    }
}

/// Whether the broker can be used.
package enum StreamState: Hashable, Sendable {
    /// Not yet, or not any more; why. The implementation goes on trying.
    case disconnected(String)
    /// Connected, and the stream is there. Every reading has ended and is to be begun again.
    case connected
    /// Connected, and refused for good until somebody acts: wrong credentials, a broker that is too old.
    case refused(StreamFailure)
    /// Connected, and the stream is gone, or is not as it must be.
    case noStream(StreamFailure)
}

/// A request of another node, or of this one.
package struct StreamRequest: Sendable {
    package var subject: String
    package var payload: [UInt8]
    /// Answers; to be called at most once, from any thread. Does nothing for a message that asked for no answer.
    package var answer: @Sendable ([UInt8]) -> Void

    package init(subject: String, payload: [UInt8], answer: @escaping @Sendable ([UInt8]) -> Void) {
        self.subject = subject
        self.payload = payload
        self.answer = answer
    }
}

/// A reading of the stream that is under way.
package protocol StreamReading: AnyObject, Sendable {
    /// So many messages were worked off: as many more may come.
    func consumed(_ count: Int)

    /// No message comes after this call has returned, but for one that is being delivered.
    func cancel()
}

/// One stream of messages at a broker, and messages between nodes that nobody stores.
///
/// No call blocks, and all may be made from any thread. Callbacks come on threads of the implementation, never inside the
/// call that they belong to, and must not block either. Each `done` is called exactly once, also after ``stop()``.
package protocol SharedStream: AnyObject, Sendable {
    /// The longest payload that the broker takes, with some room for headers left. Before it is known: 1 MiB less 16 KiB.
    var maxPayloadBytes: Int { get }

    /// Connects, makes the stream where it is not there, and goes on connecting until ``stop()``. Called once. `notify` is
    /// called in order, one call at a time.
    func start(_ notify: @escaping @Sendable (StreamState) -> Void)

    /// Stores messages, all or none, in this order and with nothing in between; at most ``SharedStreamLimits/maxBatch``.
    ///
    /// `expecting` is checked when the first message is stored, so that whoever changes the last message of its subject
    /// before that has these messages refused.
    func publish(
        _ messages: [StreamMessage],
        expecting: StreamExpectation?,
        done: @escaping @Sendable (PublishOutcome) -> Void
    )

    /// Delivers every message from `sequence` on, in order, each once, and goes on with those that are stored later. At most
    /// `window` messages are delivered that were not ``StreamReading/consumed(_:)``. Removed messages are passed over.
    ///
    /// Messages come in lists of one or more, one call at a time. `ended` is called once, after the last of them, when the
    /// reading cannot go on: it is to be begun again where it ended.
    func read(
        from sequence: UInt64,
        window: Int,
        deliver: @escaping @Sendable ([StoredMessage]) -> Void,
        ended: @escaping @Sendable (StreamFailure) -> Void
    ) -> any StreamReading

    /// The message with this sequence; `nil` where it was removed or never was. Of the stream's leader, not of a replica that
    /// may be behind.
    func message(at sequence: UInt64, done: @escaping @Sendable (Result<StoredMessage?, StreamFailure>) -> Void)

    /// The last message of a subject; `nil` for none. Of the stream's leader.
    func lastMessage(of subject: String, done: @escaping @Sendable (Result<StoredMessage?, StreamFailure>) -> Void)

    /// Of the stream's leader.
    func facts(_ done: @escaping @Sendable (Result<StreamFacts, StreamFailure>) -> Void)

    /// Asks whoever serves the subject. Nothing is stored.
    func request(
        _ subject: String,
        _ payload: [UInt8],
        timeout: Duration,
        done: @escaping @Sendable (Result<[UInt8], StreamFailure>) -> Void
    )

    /// Tells all who serve the subject, this node too. Nothing is stored, and nobody answers.
    func send(_ subject: String, _ payload: [UInt8])

    /// Has `handle` called for what is requested or sent at this subject, also after connecting again; one call at a time.
    func serve(_ subject: String, _ handle: @escaping @Sendable (StreamRequest) -> Void)

    /// Sends what was published and disconnects. No call after this has an effect; what is asked for fails.
    func stop()
}

/// Bounds that a broker sets.
package enum SharedStreamLimits {
    /// The most messages of one atomic publish.
    package static let maxBatch = 1_000
    /// The broker's subjects of a stream are `PREFIX.>`.
    package static let defaultPrefix = "fr"
}
