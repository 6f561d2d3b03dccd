import JSON

@testable import FreshetCore

/// What tests of subscriptions are made of.
enum PushFixture {
    static let epoch = Epoch(rawValue: 7)
    static let start = WallTime(milliseconds: 1_800_000_000_000)

    static func cursor(_ sequence: UInt64) -> Cursor { Cursor(epoch: self.epoch, sequence: sequence) }

    static func key(_ id: String, read: String = "*") -> Principal {
        let pattern = SourceSelector(read).map { SourcePattern($0) } ?? .none
        return Principal(
            kind: .key,
            id: id,
            grants: Grants(read: pattern),
            fingerprint: Fingerprint(first: 1, second: UInt64.max)
        )
    }

    static func subscription(
        _ number: Int,
        of owner: Principal = key("mobile"),
        sources: String = "orders",
        pointer: Pointer? = nil,
        host: String = "https://push.example:443",
        secret: UInt8 = 1,
        since: UInt64 = 0
    ) -> PushSubscription {
        var generator = SystemRandomNumberGenerator()
        return PushSubscription(
            id: .random(using: &generator),
            endpoint: "\(host)/\(number)",
            host: host,
            publicKey: [UInt8](repeating: 4, count: 65),
            secret: [UInt8](repeating: secret, count: 16),
            sources: sources,
            pointer: pointer,
            owner: owner.pushOwner,
            createdAt: self.start,
            expiresAt: WallTime(milliseconds: self.start.milliseconds + 86_400_000),
            serverKey: "present",
            since: self.cursor(since)
        )
    }

    static func event(_ sequence: UInt64, source: String = "orders", item: String = "") -> PushEvent {
        let message = PushMessage(
            topic: PushTopic(source: source, item: Array(item.utf8)),
            cursor: self.cursor(sequence),
            since: self.cursor(sequence - 1),
            at: self.start,
            content: Array("{\"n\":\(sequence)}".utf8)
        )
        return PushEvent(message)
    }
}

extension PushEvent {
    init(_ message: PushMessage) {
        self.init(gapOf: message.topic.source, since: message.since, cursor: message.cursor, at: message.at)
        self.messages = [message]
    }
}

/// A book with a clock of its own. An object, so that its calls can stand inside of expectations.
final class PushWorld {
    var book: PushBook
    var now = MonotonicTime(nanoseconds: 0)
    var wall = PushFixture.start
    private var generator = SystemRandomNumberGenerator()

    init(_ book: PushBook = PushBook()) {
        self.book = book
    }

    func pass(_ duration: Duration) {
        self.now = self.now + duration
        self.wall = self.wall + duration
    }

    @discardableResult
    func subscribe(_ subscription: PushSubscription, _ caller: PushCaller? = nil) -> PushSubscription? {
        try? self.book.subscribe(subscription, countedBy: caller).get()
    }

    func change(_ sequence: UInt64, source: String = "orders", item: String = "", pointer: Pointer? = nil) {
        let feed = PushFeed(source: source, pointer: pointer)
        let event = PushFixture.event(sequence, source: source, item: item)
        self.book.take([event], of: feed, upTo: PushFixture.cursor(sequence))
    }

    func next() -> PushSend? { self.book.next(now: self.now, wall: self.wall) }

    /// All that can be sent now.
    func sends() -> [PushSend] {
        var sends: [PushSend] = []
        while let send = self.next() { sends.append(send) }
        return sends
    }

    @discardableResult
    func end(_ send: PushSend, _ outcome: PushOutcome = .delivered) -> PushAftermath {
        self.book.ended(send, outcome, now: self.now, wall: self.wall, using: &self.generator)
    }

    /// Sends what waits, one after the other, and takes each as delivered.
    func deliver() -> [UInt64] {
        var delivered: [UInt64] = []
        while let send = self.next() {
            delivered.append(send.message.cursor.sequence)
            self.end(send)
        }
        return delivered
    }
}
