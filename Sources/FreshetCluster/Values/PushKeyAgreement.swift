// One key of Web Push for all nodes: devices take messages of the key that they have subscribed with, and of no other.

package import FreshetCore

/// Decides whether this node's key is that of the cluster. Performs no I/O and reads no clock.
///
/// The public key is in the stream: that of the first node, which stays as long as a node lives that has it. One that comes to
/// others with another key is refused; where all that live have another one, it becomes that of the cluster.
package struct PushKeyAgreement: Sendable {
    private enum State: Hashable, Sendable {
        /// Next: `.asking`, when it is time.
        case idle(until: MonotonicTime)
        /// The stream is asked for the key. Next: `.idle`, `.publishing`, or `.refused`.
        case asking
        /// The key is on its way into the stream. Next: `.idle`, or `.asking` where another node was faster.
        case publishing
        /// Final: the others have another key.
        case refused
    }

    package enum Action: Hashable, Sendable {
        case ask
        /// Where the last message of the subject has this sequence; 0 for none.
        case publish([UInt8], expecting: UInt64)
        /// The others sign with this key.
        case refuse(String)
    }

    /// What is known when an answer arrives.
    package struct Circumstances: Hashable, Sendable {
        /// Whether no other node that lives has another key; `nil` while that is not known.
        package var isFree: Bool?
        /// Messages before it may soon be removed by the broker.
        package var oldBefore: UInt64

        package init(isFree: Bool?, oldBefore: UInt64) {
            self.isFree = isFree
            self.oldBefore = oldBefore
        }
    }

    static let maxKey = 256
    static let retryInterval = Duration.seconds(1)
    static let lookInterval = Duration.seconds(60)

    private let key: String
    private var state = State.idle(until: MonotonicTime(nanoseconds: .min))
    /// The stream has this node's key.
    package private(set) var isAgreed = false

    /// `key`: the public key of this node, as pages get it.
    package init(own key: String) {
        self.key = key
    }

    /// The broker can be asked.
    package mutating func timePassed(now: MonotonicTime) -> Action? {
        guard case .idle(let until) = self.state, until <= now else { return nil }
        self.state = .asking
        return .ask
    }

    /// The last message of the subject.
    package mutating func answered(
        _ result: Result<StoredMessage?, StreamFailure>,
        _ circumstances: Circumstances,
        now: MonotonicTime
    ) -> Action? {
        guard self.state == .asking else { return nil }
        guard case .success(let found) = result else {
            self.state = .idle(until: now + Self.retryInterval)
            return nil
        }
        guard let message = found, let theirs = Self.key(in: message.payload) else {
            return self.publish(after: found?.sequence ?? 0)
        }
        guard theirs != self.key else {
            self.isAgreed = true
            if message.sequence < circumstances.oldBefore { return self.publish(after: message.sequence) }
            self.state = .idle(until: now + Self.lookInterval)
            return nil
        }
        // Whoever was there first stays: its subscriptions are made with its key.
        if self.isAgreed || circumstances.isFree == true { return self.publish(after: message.sequence) }
        guard circumstances.isFree == false else {
            self.state = .idle(until: now + Self.retryInterval)
            return nil
        }
        self.state = .refused
        return .refuse(theirs)
    }

    private mutating func publish(after sequence: UInt64) -> Action {
        self.state = .publishing
        var writer = RecordWriter()
        writer.put(RecordFormat.version)
        writer.put(self.key.utf8)
        return .publish(writer.bytes, expecting: sequence)
    }

    package mutating func published(_ outcome: PublishOutcome, now: MonotonicTime) -> Action? {
        guard self.state == .publishing else { return nil }
        switch outcome {
        case .stored:
            self.isAgreed = true
            self.state = .idle(until: now + Self.lookInterval)
            return nil
        case .refused(.fenced):
            self.state = .asking
            return .ask
        case .refused, .unknown:
            self.state = .idle(until: now + Self.retryInterval)
            return nil
        }
    }

    /// `nil` for bytes that are no such record.
    private static func key(in payload: [UInt8]) -> String? {
        var reader = RecordReader(payload[...])
        guard reader.number(UInt8.self) == RecordFormat.version, let key = reader.string(atMost: self.maxKey),
            reader.isAtEnd
        else { return nil }
        return key
    }
}
