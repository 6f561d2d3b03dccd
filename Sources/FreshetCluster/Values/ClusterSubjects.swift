// Where everything stands in the stream: one subject for each source's owner, changes and keys, each node, each ticket, and
// the epoch.

package import FreshetCore

/// The subjects below one prefix. Those that begin with the prefix and a dot are stored; those of requests are not.
package struct ClusterSubjects: Hashable, Sendable {
    /// What a stored message is about.
    package enum Topic: Hashable, Sendable {
        case epoch
        case node(String)
        case owner(source: String)
        case change(source: String)
        /// Idempotency keys of writes to a source.
        case key(source: String)
        /// That a ticket was used.
        case ticketUsed(Fingerprint)
        /// That a ticket's stream was resumed.
        case ticketResumed(Fingerprint)
        /// That a ticket is worth nothing any more.
        case ticketRevoked(Fingerprint)
        /// The key that seals tickets.
        case ticketKey
        /// A subscription of Web Push.
        case push(PushID)
        /// The public key that all sign messages of Web Push with.
        case pushKey
    }

    package let prefix: String

    package init(prefix: String = SharedStreamLimits.defaultPrefix) {
        self.prefix = prefix
    }

    package func subject(of topic: Topic) -> String {
        switch topic {
        case .epoch: "\(self.prefix).epoch"
        case .node(let name): "\(self.prefix).node.\(Self.token(name))"
        case .owner(let source): "\(self.prefix).owner.\(Self.token(source))"
        case .change(let source): "\(self.prefix).change.\(Self.token(source))"
        case .key(let source): "\(self.prefix).key.\(Self.token(source))"
        case .ticketUsed(let ticket): "\(self.prefix).ticket-used.\(ticket.token)"
        case .ticketResumed(let ticket): "\(self.prefix).ticket-resumed.\(ticket.token)"
        case .ticketRevoked(let ticket): "\(self.prefix).ticket-revoked.\(ticket.token)"
        case .ticketKey: "\(self.prefix).ticket-key"
        case .push(let id): "\(self.prefix).push.\(id)"
        case .pushKey: "\(self.prefix).push-key"
        }
    }

    /// `nil` for a subject that is none of ours.
    package func topic(of subject: String) -> Topic? {
        let parts = subject.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard let first = parts.first, String(first) == self.prefix else { return nil }
        if parts.count == 2 {
            return switch String(parts[1]) {
            case "epoch": .epoch
            case "ticket-key": .ticketKey
            case "push-key": .pushKey
            default: nil
            }
        }
        guard parts.count == 3, let name = Self.name(parts[2]) else { return nil }
        switch String(parts[1]) {
        case "node": return .node(name)
        case "owner": return .owner(source: name)
        case "change": return .change(source: name)
        case "key": return .key(source: name)
        case "push": return PushID(name).map { .push($0) }
        case "ticket-used": return Fingerprint(token: parts[2]).map { .ticketUsed($0) }
        case "ticket-resumed": return Fingerprint(token: parts[2]).map { .ticketResumed($0) }
        case "ticket-revoked": return Fingerprint(token: parts[2]).map { .ticketRevoked($0) }
        default: return nil
        }
    }

    /// Where a node takes requests of others.
    package func requests(to node: String) -> String { "\(self.prefix)-call.\(Self.token(node))" }

    /// Where nodes tell all others what is not worth storing.
    package var announcements: String { "\(self.prefix)-all" }

    /// A name as one token of a subject: other bytes than letters, digits, `-` and `_` become `=` and two hexadecimal digits.
    /// A name may hold dots, which in a subject must not stand beside each other.
    static func token(_ name: String) -> String {
        var token: [UInt8] = []
        for byte in name.utf8 {
            if Self.isPlain(byte) {
                token.append(byte)
            } else {
                token.append(UInt8(ascii: "="))
                token.append(Self.digits[Int(byte >> 4)])
                token.append(Self.digits[Int(byte & 15)])
            }
        }
        return String(decoding: token, as: UTF8.self)
    }

    static func name(_ token: some Collection<UInt8>) -> String? {
        var bytes: [UInt8] = []
        var rest = token.makeIterator()
        while let byte = rest.next() {
            if Self.isPlain(byte) {
                bytes.append(byte)
                continue
            }
            guard byte == UInt8(ascii: "="), let high = rest.next(), let low = rest.next(),
                let upper = Self.digits.firstIndex(of: high), let lower = Self.digits.firstIndex(of: low)
            else { return nil }
            bytes.append(UInt8(upper << 4 | lower))
        }
        return bytes.isEmpty || bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
    }

    private static let digits = Array("0123456789abcdef".utf8)

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
