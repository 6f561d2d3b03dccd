// What the connection's thread knows of the stream.

import DequeModule
import NATS
import Synchronization

/// The state of the stream and its readings.
///
/// `@unchecked Sendable`: the connection's thread alone calls it and has its fields; what others read is atomic.
final class NATSStreamDesk: @unchecked Sendable {
    let settings: NATSStreamSettings
    let connection: NATSConnection
    let requests: NATSRequests
    /// In bytes, as the broker says; 0 before it is known.
    let maxPayload = Atomic<Int>(0)
    /// The stream lets a message take the place of earlier ones.
    let allowsRollup = Atomic<Bool>(false)

    var notify: @Sendable (StreamState) -> Void = { _ in }
    var state: StreamState?
    var readings: [ObjectIdentifier: NATSReading] = [:]
    var isReady = false
    var readingCount: UInt64 = 0
    private struct Publication {
        var messages: [NATSOutgoing]
        var since: Int64
        var done: @Sendable (PublishOutcome) -> Void
    }

    /// Not sent yet, bounded by what the connection admits.
    private var waiting: Deque<Publication> = []
    private var batchesInFlight = 0
    private var isSweeping = false
    private var isSending = false
    private var created: String?
    private var isChecking = false
    /// Of the present connection: answers to a former one do not count.
    private var generation = 0

    init(_ settings: NATSStreamSettings, _ connection: NATSConnection) {
        self.settings = settings
        self.connection = connection
        self.requests = NATSRequests(settings: settings)
    }

    // MARK: the state

    func connection(_ loop: NATSLoop, _ event: NATSEvent, _ notify: @escaping @Sendable (StreamState) -> Void) {
        self.notify = notify
        self.generation += 1
        self.isChecking = false
        switch event {
        case .connected:
            self.maxPayload.store(loop.maxPayload, ordering: .relaxed)
            self.check(loop)
        case .disconnected(let failure):
            let told = StreamFailure(failure)
            self.unready(loop, told)
            self.become(told.reason == .denied ? .refused(told) : .disconnected(failure.message))
        }
    }

    private func become(_ state: StreamState) {
        guard state != self.state else { return }
        self.state = state
        self.notify(state)
    }

    private func unready(_ loop: NATSLoop, _ failure: StreamFailure) {
        self.isReady = false
        self.refuseWaiting(failure.message)
        for reading in Array(self.readings.values) { self.end(loop, reading, failure) }
    }

    /// Looks whether the stream is there and as it must be; makes it where it never was.
    func check(_ loop: NATSLoop) {
        guard !self.isChecking, loop.isConnected else { return }
        self.isChecking = true
        self.ask(loop, self.requests.info) { desk, loop, result in
            switch result {
            case .success(let info): desk.found(loop, info)
            case .failure(let failure) where failure.reason == .noStream && desk.isReady:
                desk.unready(loop, failure)
                desk.become(.noStream(StreamFailure(.noStream, "the stream \(desk.settings.stream) is gone")))
                desk.checkLater(loop)
            case .failure(let failure) where failure.reason == .noStream: desk.make(loop)
            case .failure(let failure): desk.unknown(loop, failure)
            }
        }
    }

    private func make(_ loop: NATSLoop) {
        self.isChecking = true
        self.ask(loop, self.requests.creation) { desk, loop, result in
            switch result {
            case .success(let info): desk.found(loop, info)
            case .failure(let failure) where failure.reason == .other: desk.unmade(loop, failure)
            case .failure(let failure): desk.unknown(loop, failure)
            }
        }
    }

    private func ask(
        _ loop: NATSLoop,
        _ question: NATSOutgoing,
        _ done: @escaping (NATSStreamDesk, NATSLoop, Result<JetStreamInfo, StreamFailure>) -> Void
    ) {
        let generation = self.generation
        loop.request([question], timeout: self.settings.questionTimeout) { loop, result in
            guard generation == self.generation else { return }
            self.isChecking = false
            let answer = result.mapError { StreamFailure($0) }.flatMap { message in
                Result { () throws(JetStreamError) in try JetStreamInfo(message.payload) }.mapError {
                    StreamFailure($0)
                }
            }
            done(self, loop, answer)
        }
    }

    private func found(_ loop: NATSLoop, _ info: JetStreamInfo) {
        if let problem = self.settings.problem(info) {
            self.unready(loop, problem)
            self.become(.noStream(problem))
            return self.checkLater(loop)
        }
        if self.isReady, info.created != self.created {
            let failure = StreamFailure(.noStream, "the stream \(self.settings.stream) was created again")
            self.unready(loop, failure)
            self.become(.noStream(failure))
        }
        self.created = info.created
        self.allowsRollup.store(info.allowsRollup, ordering: .relaxed)
        self.isReady = true
        self.become(.connected)
    }

    private func unknown(_ loop: NATSLoop, _ failure: StreamFailure) {
        self.checkLater(loop)
        // The stream may well be there: whoever reads it notices when it is not.
        guard !self.isReady else { return }
        let isDenied = failure.reason == .denied
        let hint = failure.reason == .noResponder ? "the broker has no JetStream, or no leader yet" : failure.message
        self.become(isDenied ? .refused(failure) : .disconnected(hint))
    }

    /// The broker is there, and does not make the stream.
    private func unmade(_ loop: NATSLoop, _ failure: StreamFailure) {
        self.become(.noStream(self.settings.unmade(failure)))
        self.checkLater(loop)
    }

    private func checkLater(_ loop: NATSLoop) {
        let generation = self.generation
        let pause = self.settings.checkPause
        loop.after(pause / 2 + pause / 2 * Double.random(in: 0...1)) { loop in
            if generation == self.generation { self.check(loop) }
        }
    }

    // MARK: publishing

    func publish(_ loop: NATSLoop, _ messages: [NATSOutgoing], _ done: @escaping @Sendable (PublishOutcome) -> Void) {
        guard self.isReady else {
            return done(.refused(.unavailable(loop.isConnected ? "there is no stream" : "there is no connection")))
        }
        self.waiting.append(Publication(messages: messages, since: loop.now, done: done))
        self.sendWaiting(loop)
        guard !self.waiting.isEmpty, !self.isSweeping else { return }
        self.isSweeping = true
        self.sweep(loop)
    }

    /// Sends what may be sent, in the order in which it came.
    private func sendWaiting(_ loop: NATSLoop) {
        // An answer that comes at once, since nothing can be sent, calls this again.
        guard !self.isSending else { return }
        self.isSending = true
        defer { self.isSending = false }
        while let next = self.waiting.first {
            let isBatch = next.messages.count > 1
            guard !isBatch || self.batchesInFlight < self.settings.maxBatchesInFlight else { return }
            self.waiting.removeFirst()
            self.batchesInFlight += isBatch ? 1 : 0
            loop.request(next.messages, timeout: self.settings.publishTimeout) { loop, result in
                self.batchesInFlight -= isBatch ? 1 : 0
                switch result {
                case .success(let message): next.done(self.outcome(message.payload, next.messages.count))
                case .failure(let failure):
                    if failure.reason == .noResponder { self.check(loop) }
                    next.done(Self.outcome(failure))
                }
                if isBatch { self.sendWaiting(loop) }
            }
        }
    }

    /// Refuses what has waited for too long.
    private func sweep(_ loop: NATSLoop) {
        while let next = self.waiting.first, loop.hasPassed(self.settings.publishTimeout, since: next.since) {
            self.waiting.removeFirst()
            next.done(.refused(.unavailable("the broker is too slow; nothing was sent")))
        }
        self.isSweeping = !self.waiting.isEmpty
        if self.isSweeping { loop.after(.milliseconds(250)) { loop in self.sweep(loop) } }
    }

    private func refuseWaiting(_ why: String) {
        let waiting = self.waiting
        self.waiting = []
        for publication in waiting { publication.done(.refused(.unavailable(why))) }
    }

    private func outcome(_ payload: [UInt8], _ count: Int) -> PublishOutcome {
        do throws(JetStreamError) {
            let ack = try JetStreamAck(payload)
            guard ack.stream == self.settings.stream, ack.count == count, ack.sequence >= UInt64(count) else {
                return .unknown("the broker acknowledged something else")
            }
            return .stored(sequence: ack.sequence, count: count)
        } catch {
            return PublishRefusal(error).map { .refused($0) } ?? .unknown(error.text)
        }
    }

    private static func outcome(_ failure: NATSFailure) -> PublishOutcome {
        switch failure.reason {
        case .unsent: .refused(.unavailable(failure.message))
        case .noResponder: .refused(.unavailable("no server accepts messages for the stream"))
        case .malformed: .refused(.other(code: 0, failure.message))
        case .noLibrary, .disconnected, .denied, .untrusted, .timedOut, .other: .unknown(failure.message)
        }
    }

    func stop(_ loop: NATSLoop) {
        self.generation += 1
        self.unready(loop, StreamFailure(.disconnected, "stopped"))
    }
}
