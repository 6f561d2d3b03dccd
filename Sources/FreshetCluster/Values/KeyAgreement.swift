// One key of tickets for all nodes: that of the first to write its own into the stream, which the others take.

package import FreshetCore

/// Decides how a node comes to the key that all have. Performs no I/O and reads no clock. No description shows a key.
package struct KeyAgreement: Sendable, CustomStringConvertible {
    private enum State: Hashable, Sendable {
        /// Next: `.asking`, when it is time.
        case idle(until: MonotonicTime)
        /// The stream is asked for the key. Next: `.idle`, or `.publishing` where it has none.
        case asking
        /// The key is on its way into the stream. Next: `.idle`, or `.asking` where another node was faster.
        case publishing
    }

    package enum Action: Hashable, Sendable {
        case ask
        /// Where no message of the subject is there yet.
        case publish([UInt8])
        /// This is the key of all.
        case adopt([UInt8])
    }

    /// The length of a key.
    package static let keyBytes = 32
    /// After a failure, and between two looks: the broker removes the message when it is the oldest.
    static let retryInterval = Duration.seconds(1)
    static let lookInterval = Duration.seconds(60)

    private var state = State.idle(until: MonotonicTime(nanoseconds: .min))
    /// This node's own, until it has that of all.
    private var key: [UInt8]
    private var isAgreed = false

    package init(own key: [UInt8]) {
        self.key = key
    }

    package var description: String { "(redacted)" }

    /// The broker can be asked.
    package mutating func timePassed(now: MonotonicTime) -> Action? {
        guard case .idle(let until) = self.state, until <= now else { return nil }
        self.state = .asking
        return .ask
    }

    /// The last message of the subject.
    package mutating func answered(_ result: Result<StoredMessage?, StreamFailure>, now: MonotonicTime) -> Action? {
        guard self.state == .asking else { return nil }
        guard case .success(let message) = result else {
            self.state = .idle(until: now + Self.retryInterval)
            return nil
        }
        guard let message else {
            self.state = .publishing
            return .publish(Self.record(of: self.key))
        }
        self.state = .idle(until: now + Self.lookInterval)
        return Self.key(in: message.payload).flatMap { self.agree(on: $0) }
    }

    package mutating func published(_ outcome: PublishOutcome, now: MonotonicTime) -> Action? {
        guard self.state == .publishing else { return nil }
        switch outcome {
        case .stored:
            self.state = .idle(until: now + Self.lookInterval)
            return self.agree(on: self.key)
        case .refused(.fenced):
            self.state = .asking
            return .ask
        case .refused, .unknown:
            self.state = .idle(until: now + Self.retryInterval)
            return nil
        }
    }

    private mutating func agree(on key: [UInt8]) -> Action? {
        guard !self.isAgreed || key != self.key else { return nil }
        self.isAgreed = true
        self.key = key
        return .adopt(key)
    }

    private static func record(of key: [UInt8]) -> [UInt8] {
        var writer = RecordWriter()
        writer.put(RecordFormat.version)
        writer.put(key)
        return writer.bytes
    }

    /// `nil` for what ``record(of:)`` does not write.
    private static func key(in payload: [UInt8]) -> [UInt8]? {
        var reader = RecordReader(payload[...])
        guard reader.number(UInt8.self) == RecordFormat.version, let key = reader.text(atMost: self.keyBytes),
            key.count == self.keyBytes, reader.isAtEnd
        else { return nil }
        return Array(key)
    }
}
