// Addresses that a request chooses, and which of them it may choose (CONTRACT §14, `streamdata.allow`).

import HTTPFields

/// An absolute `http` or `https` URL, read by a grammar that leaves no two readers two meanings. A value; any thread.
///
/// What other programs read in several ways is refused and never repaired: a user name, a backslash, a control character, an
/// encoded slash, a segment that is or becomes a dot segment, a second spelling of a host or a port. So the URL that is
/// compared is the URL that is asked for.
package struct TargetAddress: Hashable, Sendable {
    /// Why a text is no address that may be asked for: what is wrong, in words.
    package struct Malformed: Error, Hashable, Sendable {
        package var what: String

        package init(what: String) {
            self.what = what
        }
    }

    package let isSecure: Bool
    /// In lower case; an IPv6 address in brackets.
    package let host: String
    /// The scheme's own, where none was written.
    package let port: Int
    /// As written, percent-encoded. Begins with a slash.
    package let path: String
    /// As written; `nil` where there is no `?`.
    package let query: String?
    /// The path between slashes, decoded once.
    fileprivate let segments: [[UInt8]]

    /// The longest address.
    package static let maxBytes = 8 << 10
    /// How often a segment may be encoded over again and still be looked through.
    private static let maxEncodings = 4

    /// - Throws: ``Malformed``, which does not show the URL: it may hold a secret.
    package init(_ text: some Collection<UInt8>) throws(Malformed) {
        let bytes = Array(text)
        guard bytes.count <= Self.maxBytes else { throw Malformed(what: "the URL is longer than 8 KiB") }
        guard bytes.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\\") && $0 != UInt8(ascii: "#") })
        else { throw Malformed(what: "the URL holds a character that has to be percent-encoded") }
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else {
            throw Malformed(what: "the URL has no scheme")
        }
        let rest = bytes[(colon + 1)...]
        guard rest.starts(with: "//".utf8) else { throw Malformed(what: "the URL has no host") }
        switch String(decoding: bytes[..<colon].map(\.lowercasedASCII), as: UTF8.self) {
        case "http": self.isSecure = false
        case "https": self.isSecure = true
        case _: throw Malformed(what: "the scheme is neither http nor https")
        }
        let from = rest.startIndex + 2
        let end = bytes[from...].firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? bytes.endIndex
        (self.host, self.port) = try Self.authority(bytes[from..<end], isSecure: self.isSecure)
        let mark = bytes[end...].firstIndex(of: UInt8(ascii: "?")) ?? bytes.endIndex
        let path = end == mark ? [UInt8(ascii: "/")] : Array(bytes[end..<mark])
        self.segments = try Self.segments(path)
        self.path = String(decoding: path, as: UTF8.self)
        self.query = mark == bytes.endIndex ? nil : String(decoding: bytes[(mark + 1)...], as: UTF8.self)
    }

    /// The URL in the one spelling of it that is asked for.
    package var text: String { "\(self.origin)\(self.path)\(self.query.map { "?\($0)" } ?? "")" }

    /// Scheme, host and port; the scheme's own port is left out.
    package var origin: String {
        let isUsual = self.port == (self.isSecure ? 443 : 80)
        return "\(self.isSecure ? "https" : "http")://\(self.host)\(isUsual ? "" : ":\(self.port)")"
    }

    /// The host is an address, and no name that resolves to one.
    package var isLiteral: Bool {
        let labels = self.host.split(separator: ".", omittingEmptySubsequences: false)
        return self.host.hasPrefix("[") || labels.count == 4 && labels.allSatisfy { UInt8($0) != nil }
    }

    private static func authority(
        _ bytes: ArraySlice<UInt8>,
        isSecure: Bool
    ) throws(Malformed) -> (host: String, port: Int) {
        guard !bytes.contains(UInt8(ascii: "@")) else { throw Malformed(what: "the URL holds a user name") }
        var end = bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.endIndex
        if bytes.first == UInt8(ascii: "[") {
            guard let close = bytes.firstIndex(of: UInt8(ascii: "]")) else {
                throw Malformed(what: "the host has no end")
            }
            end = close + 1
            let inside = bytes[(bytes.startIndex + 1)..<close]
            guard !inside.isEmpty, inside.allSatisfy({ $0.hexDigit != nil || ":.".utf8.contains($0) }) else {
                throw Malformed(what: "the host is not an IPv6 address")
            }
        } else {
            let labels = bytes[..<end].split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
            guard
                labels.allSatisfy({ label in
                    !label.isEmpty && label.allSatisfy { $0.isLetter || $0.isDigit || "-_".utf8.contains($0) }
                })
            else { throw Malformed(what: "the host is not a name or an address") }
        }
        let host = String(decoding: bytes[..<end].map(\.lowercasedASCII), as: UTF8.self)
        guard end < bytes.endIndex else { return (host, isSecure ? 443 : 80) }
        let digits = bytes[(end + 1)...]
        guard bytes[end] == UInt8(ascii: ":"), (1...5).contains(digits.count), digits.allSatisfy(\.isDigit),
            digits.first != UInt8(ascii: "0"), let port = Int(String(decoding: digits, as: UTF8.self)),
            (1...65_535).contains(port)
        else { throw Malformed(what: "the port is not a number from 1 to 65535") }
        return (host, port)
    }

    private static func segments(_ path: [UInt8]) throws(Malformed) -> [[UInt8]] {
        var segments: [[UInt8]] = []
        for part in path.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            guard let decoded = PercentEncoding.decoded(part) else {
                throw Malformed(what: "the path holds a percent sign that encodes nothing")
            }
            segments.append(decoded)
            try self.check(part)
        }
        return segments
    }

    /// Refuses a segment that means another place to somebody who decodes it, once or more often.
    private static func check(_ segment: ArraySlice<UInt8>) throws(Malformed) {
        var text = Array(segment)
        for _ in 0...Self.maxEncodings {
            guard !text.contains(where: { $0 < 0x20 || $0 == 0x7F || $0 == UInt8(ascii: "\\") }) else {
                throw Malformed(what: "the path holds an encoded backslash or control character")
            }
            // Some servers take what follows a semicolon off before they look at the segment.
            let name = text.prefix { $0 != UInt8(ascii: ";") }
            guard !name.elementsEqual(".".utf8), !name.elementsEqual("..".utf8) else {
                throw Malformed(what: "the path holds a segment . or ..")
            }
            guard !text.contains(UInt8(ascii: "/")) else { throw Malformed(what: "the path holds an encoded slash") }
            guard text.contains(UInt8(ascii: "%")), let next = PercentEncoding.decoded(text), next != text else {
                return
            }
            text = next
        }
        throw Malformed(what: "the path holds a segment that is encoded too often")
    }
}

/// The addresses that requests may choose: below any of these. A value; any thread.
package struct TargetList: Hashable, Sendable {
    /// An origin, and a path below which everything may be asked for.
    package struct Entry: Hashable, Sendable {
        package let address: TargetAddress
        /// The host as written is an address, or a name of this machine or a private network, so that its addresses may be
        /// private. A name that looks public may only lead to public addresses, whatever it resolves to.
        package let isInside: Bool

        package init(_ address: TargetAddress, isInside: Bool) {
            self.address = address
            self.isInside = isInside
        }

        /// Whether the address is at this place or below it: the origins are the same, and so are all segments of this path.
        func covers(_ other: TargetAddress) -> Bool {
            guard self.address.isSecure == other.isSecure, self.address.host == other.host,
                self.address.port == other.port
            else { return false }
            var own = self.address.segments[...]
            if own.last?.isEmpty == true { own = own.dropLast() }
            return other.segments.count >= own.count && zip(own, other.segments).allSatisfy { $0 == $1 }
        }
    }

    package var entries: [Entry]

    package init(_ entries: [Entry] = []) {
        self.entries = entries
    }

    /// The entry that an address may be asked for by; `nil` where there is none.
    package func entry(for address: TargetAddress) -> Entry? {
        self.entries.first { $0.covers(address) }
    }
}
