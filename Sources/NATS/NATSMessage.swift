// Messages as they are sent and received.

package struct NATSHeader: Hashable, Sendable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }

    /// RFC 9110 tokens are a safe subset of what brokers take as names; values must not end the line.
    var canBeSent: Bool {
        !self.name.isEmpty && self.name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
            && self.value.utf8.allSatisfy { $0 != 0x0D && $0 != 0x0A && $0 != 0 }
    }
}

/// A message to be sent.
package struct NATSOutgoing: Sendable {
    package var subject: String
    package var headers: [NATSHeader]
    package var payload: [UInt8]

    package init(_ subject: String, headers: [NATSHeader] = [], payload: [UInt8] = []) {
        self.subject = subject
        self.headers = headers
        self.payload = payload
    }

    /// As a broker counts it, roughly.
    package var byteCount: Int {
        self.headers.reduce(self.payload.count + self.subject.utf8.count + 16) { sum, header in
            sum + header.name.utf8.count + header.value.utf8.count + 4
        }
    }

    var canBeSent: Bool { Self.isSubject(self.subject) && self.headers.allSatisfy(\.canBeSent) }

    /// Whether the text is a subject: tokens without white space, none of them empty.
    package static func isSubject(_ text: String) -> Bool {
        var previous = UInt8(ascii: ".")
        for byte in text.utf8 {
            guard byte > 0x20, byte != 0x7F else { return false }
            if byte == UInt8(ascii: "."), previous == UInt8(ascii: ".") { return false }
            previous = byte
        }
        return previous != UInt8(ascii: ".")
    }
}

/// A message that was received.
package struct NATSMessage: Hashable, Sendable {
    package var subject: String
    /// Where an answer is expected, or what the broker says of a stored message.
    package var reply: String?
    /// By name; the library keeps no other order.
    package var headers: [NATSHeader]
    package var payload: [UInt8]

    package init(subject: String, reply: String? = nil, headers: [NATSHeader] = [], payload: [UInt8] = []) {
        self.subject = subject
        self.reply = reply
        self.headers = headers
        self.payload = payload
    }

    /// The first value of a header.
    package func header(_ name: String) -> String? {
        self.headers.first { $0.name == name }?.value
    }

    /// What the broker says instead of a message, such as 503 where nobody serves a subject.
    package var status: Int? {
        self.payload.isEmpty ? self.header("Status").flatMap { Int($0) } : nil
    }

    /// A count in a header of the broker.
    package func count(_ name: String) -> Int? {
        self.header(name).flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 : nil }
    }
}
