// Everything that happens on the one thread of a connection.

import CLinux
import CNATS
import System

/// What became of a connection.
package enum NATSEvent: Hashable, Sendable {
    case connected
    case disconnected(NATSFailure)
}

/// The state of a connection, which its thread alone has: what is asked for, subscriptions, and the connection itself.
///
/// Others have it called by ``NATSConnection/perform(_:)``. Callbacks come on the thread, and must not block it.
package final class NATSLoop {
    struct Request {
        var deadline: Int64
        var done: (NATSLoop, Result<NATSMessage, NATSFailure>) -> Void
    }

    struct Subscription {
        var subject: String
        /// Of the present connection.
        var handle: OpaquePointer?
        var received: (NATSLoop, [NATSMessage]) -> Void
    }

    enum Stopping: Hashable { case no, sending(deadline: Int64), done }

    let settings: NATSSettings
    let inbox: Inbox<NATSConnection.Command>
    let notify: (NATSLoop, NATSEvent) -> Void
    /// Answers come to this subject with a number, and so to this connection alone.
    package let address: String
    var link: NATSLink?
    var isConnecting = false
    /// When to try again; `nil` while connected, and while an attempt is under way.
    var nextAttempt: Int64?
    var attempts = 0
    var random = SplitMix64()
    /// The subscription for answers.
    var answers: OpaquePointer?
    var requests: [UInt64: Request] = [:]
    var lastRequest: UInt64 = 0
    var subscriptions: [UInt64: Subscription] = [:]
    /// Their keys, oldest first.
    var order: [UInt64] = []
    var lastSubscription: UInt64 = 0
    var timers: [(due: Int64, body: (NATSLoop) -> Void)] = []
    /// When something was received last, and when a sign of life was asked for last.
    var lastReceived: Int64 = 0
    var lastProbe: Int64 = 0
    var stopping = Stopping.no
    let figures: NATSFigures

    /// What is taken from one subscription at a time.
    private static let maxBatch = 1024
    /// How precise time-outs are.
    private static let tick: Int32 = 50
    private static let idleTick: Int32 = 250

    init(
        _ settings: NATSSettings,
        _ inbox: Inbox<NATSConnection.Command>,
        _ figures: NATSFigures,
        _ notify: @escaping (NATSLoop, NATSEvent) -> Void
    ) {
        self.settings = settings
        self.inbox = inbox
        self.figures = figures
        self.notify = notify
        var system = SystemRandomNumberGenerator()
        let (first, second) = (UInt64.random(in: .min ... .max, using: &system), system.next() as UInt64)
        self.address = "_INBOX.\(String(first, radix: 36))\(String(second, radix: 36))"
        self.nextAttempt = clinux_monotonic_ns()
    }

    package var isConnected: Bool { self.link.map { !$0.isClosed } ?? false }
    package var maxPayload: Int { self.link?.maxPayload ?? 0 }
    /// In nanoseconds, of a clock that only goes forward.
    package var now: Int64 { clinux_monotonic_ns() }

    package func hasPassed(_ duration: Duration, since moment: Int64) -> Bool {
        self.now &- moment > duration.nanoseconds
    }

    /// Until ``NATSConnection/stop()``.
    func run() {
        while self.stopping != .done {
            self.wait()
            for command in self.inbox.take() { command(self) }
            self.drain()
            self.keepTime()
            self.sendNow()
            if let link, link.isClosed { self.lost(link) }
        }
        self.end()
    }

    private func wait() {
        let isBusy = !self.requests.isEmpty || !self.timers.isEmpty || self.stopping != .no || self.nextAttempt != nil
        let milliseconds = isBusy ? Self.tick : Self.idleTick
        let seen =
            if let link { link.wait(wake: self.inbox.wakeUp.descriptor, milliseconds: milliseconds) } else {
                Int(cnats_wait_for(self.inbox.wakeUp.descriptor, milliseconds))
            }
        if seen & Int(CNATS_WOKEN) != 0 { self.inbox.wakeUp.drain() }
        guard let link else { return }
        if seen & Int(CNATS_READABLE) != 0 {
            self.lastReceived = self.now
            link.receive()
        }
        if seen & Int(CNATS_WRITABLE) != 0 { link.send() }
    }

    /// Without waiting to be told that there is room.
    private func sendNow() {
        if let link, link.wantsToSend { link.send() }
    }

    private func drain() {
        guard let link else { return }
        while let answers, let message = link.next(answers) { self.answer(message) }
        for id in self.order {
            // Whoever receives may end subscriptions, and with them their handles.
            while let subscription = self.subscriptions[id], let handle = subscription.handle {
                var messages: [NATSMessage] = []
                while messages.count < Self.maxBatch, let message = link.next(handle) { messages.append(message) }
                guard !messages.isEmpty else { break }
                subscription.received(self, messages)
                guard messages.count == Self.maxBatch else { break }
            }
        }
    }

    private func keepTime() {
        let now = self.now
        if !self.timers.isEmpty {
            let due = self.timers.filter { $0.due <= now }
            self.timers.removeAll { $0.due <= now }
            for timer in due { timer.body(self) }
        }
        let late = self.requests.filter { $0.value.deadline <= now }
        for id in late.keys.sorted() {
            guard let request = self.requests.removeValue(forKey: id) else { continue }
            request.done(self, .failure(self.lateFailure))
        }
        if let nextAttempt, nextAttempt <= now, self.stopping == .no { self.connect() }
        self.probe(now)
        if case .sending(let deadline) = self.stopping {
            let isSent = self.link.map { $0.isClosed || $0.unsentBytes == 0 } ?? true
            if isSent || deadline <= now { self.stopping = .done }
        }
    }

    /// What the broker forbids it says by the way, and answers nothing.
    private var lateFailure: NATSFailure {
        let error = self.link?.lastError ?? ""
        return error.lowercased().contains("permissions violation")
            ? NATSFailure(.denied, error) : NATSFailure(.timedOut, "the broker did not answer in time")
    }

    // MARK: for those on the thread

    /// Appends messages to what is to be sent, with nothing in between; the last may ask for an answer.
    ///
    /// - Returns: `false` where there is no connection, or not all of them can be sent; the last one was not.
    package func send(_ messages: [NATSOutgoing], reply: String? = nil) -> Bool {
        guard let link, !link.isClosed, messages.allSatisfy(\.canBeSent) else { return false }
        for (index, message) in messages.enumerated() {
            guard link.publish(message, reply: index == messages.count - 1 ? reply : nil) else { return false }
        }
        return true
    }

    /// Sends messages and waits for the answer to the last. `done` is called once, and in this call
    /// where nothing can be sent.
    package func request(
        _ messages: [NATSOutgoing],
        timeout: Duration,
        done: @escaping (NATSLoop, Result<NATSMessage, NATSFailure>) -> Void
    ) {
        self.lastRequest += 1
        let id = self.lastRequest
        if self.stopping == .no, self.send(messages, reply: "\(self.address).\(String(id, radix: 36))") {
            self.requests[id] = Request(deadline: self.now &+ timeout.nanoseconds, done: done)
        } else if !messages.allSatisfy(\.canBeSent) {
            done(self, .failure(NATSFailure(.malformed, "a subject or a header cannot be sent")))
        } else {
            let isConnected = self.isConnected && self.stopping == .no
            let message = isConnected ? "the message cannot be sent" : "there is no connection to the broker"
            done(self, .failure(NATSFailure(.unsent, message)))
        }
    }

    /// Has `received` called with what comes to a subject, also after connecting again, until ``unsubscribe(_:)``.
    package func subscribe(
        _ subject: String,
        received: @escaping (NATSLoop, [NATSMessage]) -> Void
    ) -> UInt64 {
        self.lastSubscription += 1
        self.subscriptions[self.lastSubscription] = Subscription(
            subject: subject,
            handle: self.link.flatMap { $0.isClosed ? nil : $0.subscribe(subject) },
            received: received
        )
        self.order.append(self.lastSubscription)
        return self.lastSubscription
    }

    package func unsubscribe(_ id: UInt64) {
        guard let subscription = self.subscriptions.removeValue(forKey: id) else { return }
        self.order.removeAll { $0 == id }
        if let handle = subscription.handle { self.link?.unsubscribe(handle) }
    }

    /// Calls `body` after a while.
    package func after(_ duration: Duration, _ body: @escaping (NATSLoop) -> Void) {
        self.timers.append((self.now &+ duration.nanoseconds, body))
    }

    /// What may be sent with nobody waiting for it; else it is dropped, and counted.
    package var hasRoom: Bool {
        let hasRoom = (self.link?.unsentBytes ?? .max) <= self.settings.maxUnsentBytes
        if !hasRoom { self.figures.count { $0.dropped += 1 } }
        return hasRoom
    }

    private func answer(_ message: NATSMessage) {
        let token = message.subject.utf8.dropFirst(self.address.utf8.count + 1)
        // 0 is a sign of life.
        guard let id = UInt64(Substring(token), radix: 36), let request = self.requests.removeValue(forKey: id) else {
            return
        }
        let isUnserved = message.status == 503
        let failure = NATSFailure(.noResponder, "nobody serves the subject")
        request.done(self, isUnserved ? .failure(failure) : .success(message))
    }
}
