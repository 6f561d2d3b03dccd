// What nodes say to each other of tickets: which was used, whose stream was resumed, which is worth nothing any more.

import FreshetCore

/// Of a ticket, which the subject names.
package struct TicketRecord: Hashable, Sendable {
    /// Of the process that says so.
    package var incarnation: Incarnation

    /// How long a use is remembered: the longest `auth.ticket_ttl`, and as long again for clocks that differ.
    static let useTime = Duration.seconds(1200)
    /// Nobody who missed it for longer has the earlier stream yet.
    static let resumptionTime = Duration.seconds(60)
    static let revocationTime = Duration.seconds(86_400)

    package init(incarnation: Incarnation) {
        self.incarnation = incarnation
    }

    package var encoded: [UInt8] {
        var writer = RecordWriter()
        writer.put(RecordFormat.version)
        writer.put(self.incarnation.rawValue)
        return writer.bytes
    }

    package init?(_ bytes: [UInt8]) {
        var reader = RecordReader(bytes[...])
        guard reader.number(UInt8.self) == RecordFormat.version, let incarnation = reader.number(UInt64.self),
            reader.isAtEnd
        else { return nil }
        self.incarnation = Incarnation(rawValue: incarnation)
    }
}

extension Fingerprint {
    /// 32 hexadecimal digits.
    var token: String {
        [self.first, self.second].map { number in
            let digits = String(number, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    init?(token: some Collection<UInt8>) {
        let text = String(decoding: token, as: UTF8.self)
        guard token.count == 32, let first = UInt64(text.prefix(16), radix: 16),
            let second = UInt64(text.suffix(16), radix: 16), Fingerprint(first: first, second: second).token == text
        else { return nil }
        self.init(first: first, second: second)
    }
}
