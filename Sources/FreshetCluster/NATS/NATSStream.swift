// The shared stream at a NATS broker.

package import NATS
import Synchronization
package import System

/// One JetStream stream, as the cluster uses it.
///
/// What changes is in ``NATSStreamDesk``, which the connection's thread alone has.
package final class NATSStream: SharedStream {
    /// Of a message, for headers: names, sequences, the subject.
    private static let headerRoom = 16 << 10
    private static let assumedPayload = 1 << 20

    private let settings: NATSStreamSettings
    private let connection: NATSConnection
    private let requests: NATSRequests
    private let desk: NATSStreamDesk
    private let batches = Atomic<UInt64>(0)
    private let batchPrefix: String

    /// - Throws: ``SystemError`` where no descriptor is left.
    package init(_ settings: NATSStreamSettings) throws(SystemError) {
        self.settings = settings
        self.connection = try NATSConnection(settings.connection)
        self.requests = NATSRequests(settings: settings)
        self.desk = NATSStreamDesk(settings, self.connection)
        var random = SystemRandomNumberGenerator()
        self.batchPrefix = String(random.next() as UInt64, radix: 36)
    }

    /// Counts of the connection.
    package var figures: NATSFigures.Values { self.connection.figures.values }
    /// What waits for the broker.
    package var waiting: (count: Int, bytes: Int) { self.connection.waiting }

    package var maxPayloadBytes: Int {
        let known = self.desk.maxPayload.load(ordering: .relaxed)
        return max((known == 0 ? Self.assumedPayload : known) - Self.headerRoom, 0)
    }

    package func start(_ notify: @escaping @Sendable (StreamState) -> Void) {
        let desk = self.desk
        do throws(SystemError) {
            try self.connection.start { loop, event in desk.connection(loop, event, notify) }
        } catch {
            notify(.disconnected(error.description))
        }
    }

    package func publish(
        _ messages: [StreamMessage],
        expecting: StreamExpectation?,
        done: @escaping @Sendable (PublishOutcome) -> Void
    ) {
        let limit = self.maxPayloadBytes
        guard let last = messages.last else {
            return self.later { done(.refused(.other(code: 0, "there is nothing to store"))) }
        }
        guard messages.count <= SharedStreamLimits.maxBatch, messages.allSatisfy({ $0.payload.count <= limit }) else {
            return self.later { done(.refused(.tooLarge)) }
        }
        let batch = "\(self.batchPrefix).\(self.batches.add(1, ordering: .relaxed).newValue)"
        let rollsUp = self.desk.allowsRollup.load(ordering: .relaxed)
        let outgoing = self.requests.publication(messages, expecting: expecting, batch: batch, rollsUp: rollsUp)
        let isFit = outgoing.allSatisfy { $0.byteCount <= limit + Self.headerRoom }
        guard isFit else { return self.later { done(.refused(.tooLarge)) } }
        guard self.belongs(messages) else {
            return self.later { done(.refused(.other(code: 0, "\(last.subject) is no subject of the stream"))) }
        }
        let bytes = outgoing.reduce(0) { $0 + $1.byteCount }
        guard self.connection.admit(bytes: bytes) else {
            return self.later { done(.refused(.unavailable("too much waits for the broker"))) }
        }
        let (connection, desk) = (self.connection, self.desk)
        let finish: @Sendable (PublishOutcome) -> Void = { outcome in
            connection.release(bytes: bytes)
            done(outcome)
        }
        guard !connection.perform({ loop in desk.publish(loop, outgoing, finish) }) else { return }
        self.later { finish(.refused(.unavailable("stopped"))) }
    }

    private func belongs(_ messages: [StreamMessage]) -> Bool {
        messages.allSatisfy { message in
            message.subject.hasPrefix("\(self.settings.prefix).") && NATSOutgoing.isSubject(message.subject)
                && !message.subject.utf8.contains { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: ">") }
        }
    }

    package func read(
        from sequence: UInt64,
        window: Int,
        deliver: @escaping @Sendable ([StoredMessage]) -> Void,
        ended: @escaping @Sendable (StreamFailure) -> Void
    ) -> any StreamReading {
        let reading = NATSReading(window: max(1, window), from: max(1, sequence), deliver: deliver, ended: ended)
        let (connection, desk) = (self.connection, self.desk)
        reading.attach(connection) { loop, reading in desk.settle(loop, reading) }
        if !connection.perform({ loop in desk.begin(loop, reading) }) {
            self.later { ended(StreamFailure(.disconnected, "stopped")) }
        }
        return reading
    }

    package func message(at sequence: UInt64, done: @escaping @Sendable (Result<StoredMessage?, StreamFailure>) -> Void)
    {
        self.ask(self.requests.message(at: sequence), done, Self.stored)
    }

    package func lastMessage(
        of subject: String,
        done: @escaping @Sendable (Result<StoredMessage?, StreamFailure>) -> Void
    ) {
        self.ask(self.requests.lastMessage(of: subject), done, Self.stored)
    }

    private static let noMessage = 10037

    private static func stored(_ payload: [UInt8]) throws(JetStreamError) -> StoredMessage? {
        do {
            let message = try JetStreamMessage(payload)
            return StoredMessage(
                sequence: message.sequence,
                subject: message.subject,
                headers: StoredMessage.headers(message.headers),
                payload: message.payload
            )
        } catch  where error.code == Self.noMessage {
            return nil
        }
    }

    package func facts(_ done: @escaping @Sendable (Result<StreamFacts, StreamFailure>) -> Void) {
        self.ask(self.requests.info, done) { payload throws(JetStreamError) in
            let info = try JetStreamInfo(payload)
            return StreamFacts(
                first: info.firstSequence,
                last: info.lastSequence,
                bytes: info.bytes,
                created: info.created
            )
        }
    }

    private func ask<Answer: Sendable>(
        _ question: NATSOutgoing,
        _ done: @escaping @Sendable (Result<Answer, StreamFailure>) -> Void,
        _ read: @escaping @Sendable ([UInt8]) throws(JetStreamError) -> Answer
    ) {
        self.exchange(question, timeout: self.settings.questionTimeout) { result in
            done(
                result.flatMap { payload in
                    Result { () throws(JetStreamError) in try read(payload) }.mapError { StreamFailure($0) }
                }
            )
        }
    }

    package func request(
        _ subject: String,
        _ payload: [UInt8],
        timeout: Duration,
        done: @escaping @Sendable (Result<[UInt8], StreamFailure>) -> Void
    ) {
        self.exchange(NATSOutgoing(subject, payload: payload), timeout: timeout, done: done)
    }

    private func exchange(
        _ message: NATSOutgoing,
        timeout: Duration,
        done: @escaping @Sendable (Result<[UInt8], StreamFailure>) -> Void
    ) {
        let connection = self.connection
        let bytes = message.byteCount
        guard connection.admit(bytes: bytes) else {
            return self.later { done(.failure(StreamFailure(.unsent, "too much waits for the broker"))) }
        }
        let finish: @Sendable (Result<[UInt8], StreamFailure>) -> Void = { result in
            connection.release(bytes: bytes)
            done(result)
        }
        let isPosted = connection.perform { loop in
            loop.request([message], timeout: timeout) { _, result in
                finish(result.map(\.payload).mapError { StreamFailure($0) })
            }
        }
        if !isPosted { self.later { finish(.failure(StreamFailure(.unsent, "stopped"))) } }
    }

    package func send(_ subject: String, _ payload: [UInt8]) {
        let message = NATSOutgoing(subject, payload: payload)
        let (connection, bytes) = (self.connection, message.byteCount)
        guard connection.admit(bytes: bytes) else { return }
        let isPosted = connection.perform { loop in
            connection.release(bytes: bytes)
            if loop.hasRoom { _ = loop.send([message]) }
        }
        if !isPosted { connection.release(bytes: bytes) }
    }

    package func serve(_ subject: String, _ handle: @escaping @Sendable (StreamRequest) -> Void) {
        let connection = self.connection
        connection.perform { loop in
            _ = loop.subscribe(subject) { _, messages in
                for message in messages {
                    let reply = message.reply
                    handle(
                        StreamRequest(subject: message.subject, payload: message.payload) { answer in
                            guard let reply else { return }
                            let message = NATSOutgoing(reply, payload: answer)
                            let bytes = message.byteCount
                            guard connection.admit(bytes: bytes) else { return }
                            let isPosted = connection.perform { loop in
                                connection.release(bytes: bytes)
                                if loop.hasRoom { _ = loop.send([message]) }
                            }
                            if !isPosted { connection.release(bytes: bytes) }
                        }
                    )
                }
            }
        }
    }

    package func stop() {
        let desk = self.desk
        self.connection.perform { loop in desk.stop(loop) }
        self.connection.stop()
    }

    /// Calls back after this call: on the connection's thread, or on one of its own when that has ended.
    private func later(_ body: @escaping @Sendable () -> Void) {
        guard !self.connection.perform({ _ in body() }) else { return }
        do throws(SystemError) {
            try SystemThread.detach(name: "freshet-nats-la", stackBytes: 1 << 18, body)
        } catch {
            body()
        }
    }
}
