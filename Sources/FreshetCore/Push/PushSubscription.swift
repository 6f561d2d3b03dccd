// Whom changes are pushed to while no page is open: a browser or an app, behind a push service (RFC 8030).

package import JSON

/// Names one subscription. 128 random bits: whoever subscribed without a credential proves by it that the subscription is
/// its own.
package struct PushID: Hashable, Comparable, Sendable, CustomStringConvertible {
    private let high: UInt64
    private let low: UInt64

    package static func random(using generator: inout some RandomNumberGenerator) -> PushID {
        PushID(high: generator.next(), low: generator.next())
    }

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// `nil` for anything but the 32 characters of ``description``.
    package init?(_ text: some StringProtocol) {
        let digits = Array(text.utf8)
        guard digits.count == 32,
            digits.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }),
            let high = UInt64(String(decoding: digits[..<16], as: UTF8.self), radix: 16),
            let low = UInt64(String(decoding: digits[16...], as: UTF8.self), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }

    /// 32 hexadecimal digits in lower case.
    package var description: String {
        [self.high, self.low].map { number in
            let digits = String(number, radix: 16)
            return String(repeating: "0", count: 16 - digits.utf8.count) + digits
        }.joined()
    }

    package static func < (left: Self, right: Self) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }
}

/// How soon a push service wakes a device for a message (RFC 8030 §5.3). The raw values are those of the field `Urgency`.
package enum PushUrgency: String, CaseIterable, Sendable {
    case veryLow = "very-low"
    case low
    case normal
    case high
}

/// A subscription: where its messages go, what they are about, and in whose name. A value; any thread.
package struct PushSubscription: Hashable, Sendable {
    package var id: PushID
    /// Where messages are posted to. Whoever knows it can send to the device, so it is in no log and no list.
    package var endpoint: String
    /// Scheme, host and port of ``endpoint``: what sends are bounded and lists are labelled by.
    package var host: String
    /// The subscriber's point of P-256, 65 bytes.
    package var publicKey: [UInt8]
    /// The subscriber's authentication secret, 16 bytes.
    package var secret: [UInt8]
    /// The sources as the client named them, such as `orders,rates-*`. A valid selector.
    package var sources: String
    /// What of their values is followed; `nil` for all of it.
    package var pointer: Pointer?
    /// Who subscribed. Its right to read is looked at again before each message.
    package var owner: Principal
    /// Seconds that the push service keeps a message for a device that is away.
    package var ttl: Int
    package var urgency: PushUrgency
    package var createdAt: WallTime
    /// The subscription ends then, unless it is renewed.
    package var expiresAt: WallTime
    /// The public key of the application server that the subscriber was given when it subscribed last.
    package var serverKey: String
    /// Changes after it are sent.
    package var since: Cursor

    package init(
        id: PushID,
        endpoint: String,
        host: String,
        publicKey: [UInt8],
        secret: [UInt8],
        sources: String,
        pointer: Pointer? = nil,
        owner: Principal,
        ttl: Int = Defaults.Push.ttl,
        urgency: PushUrgency = .normal,
        createdAt: WallTime,
        expiresAt: WallTime,
        serverKey: String,
        since: Cursor
    ) {
        self.id = id
        self.endpoint = endpoint
        self.host = host
        self.publicKey = publicKey
        self.secret = secret
        self.sources = sources
        self.pointer = pointer
        self.owner = owner
        self.ttl = ttl
        self.urgency = urgency
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.serverKey = serverKey
        self.since = since
    }

    /// What ``sources`` names.
    var pattern: SourcePattern { SourceSelector(self.sources).map { SourcePattern($0) } ?? .none }

    /// Whether a caller is the one who subscribed. An anonymous one has to know the subscription's id besides.
    package func isOwned(by caller: Principal) -> Bool { self.owner.account == caller.account }
}

/// Whom subscriptions are counted by.
package enum PushCaller: Hashable, Sendable {
    case account(Principal.Account)
    /// The network of a caller without a credential.
    case network(ReadClient)
}
