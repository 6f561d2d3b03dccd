// Who is at the other end of a connection, as far as counting and listing need it.

import Glibc

/// The address of a client: IPv4, IPv6, a unix socket, or unknown. It tells clients apart; it proves nothing about them.
package struct PeerAddress: Hashable, Sendable {
    private enum Kind: UInt8, Sendable {
        case unknown
        case unix
        case network
    }

    /// The 128 bits of an IPv6 address; IPv4 as `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2), so that a client counts the
    /// same over either kind of socket. Both zero where there is no network address.
    private var high: UInt64
    private var low: UInt64
    package var port: UInt16
    private var kind: Kind
    /// A proxy named it.
    private var isForwarded = false

    /// The other end of a unix socket.
    package static let local = PeerAddress(.unix, high: 0, low: 0, port: 0)
    /// Nothing is known: the default, which no rule favours. All such clients count as one.
    package static let unknown = PeerAddress(.unknown, high: 0, low: 0, port: 0)

    private init(_ kind: Kind, high: UInt64, low: UInt64, port: UInt16) {
        self.kind = kind
        self.high = high
        self.low = low
        self.port = port
    }

    /// `text`: as `inet_ntop` writes it, a zone (`%eth0`) allowed; anything else is ``unknown``.
    package init(_ text: some StringProtocol, port: Int = 0) {
        let number = UInt16(exactly: port) ?? 0
        let bare = String(text.prefix { $0 != "%" })
        var v4 = in_addr()
        var v6 = in6_addr()
        if inet_pton(AF_INET, bare, &v4) == 1 {
            let low = Self.mappedPrefix << 32 | UInt64(UInt32(bigEndian: v4.s_addr))
            self.init(.network, high: 0, low: low, port: number)
        } else if inet_pton(AF_INET6, bare, &v6) == 1 {
            let (high, low) = withUnsafeBytes(of: &v6) { bytes in
                (bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            }
            self.init(.network, high: UInt64(bigEndian: high), low: UInt64(bigEndian: low), port: number)
        } else {
            self = .unknown
        }
    }

    /// The address of a client as a proxy named it. One client is behind it, a loopback address as well.
    package init(forwarded text: some StringProtocol) {
        self.init(text)
        self.isForwarded = self.isNetworkAddress
    }

    private static let mappedPrefix: UInt64 = 0xFFFF

    private var isIPv4: Bool { self.kind == .network && self.high == 0 && self.low >> 32 == Self.mappedPrefix }

    /// Whether this is an IPv4 or an IPv6 address.
    package var isNetworkAddress: Bool { self.kind == .network }

    /// Whether many clients may stand behind it, since a proxy on this machine connects from it: 127.0.0.0/8, `::1`, or
    /// a unix socket.
    package var isLoopback: Bool {
        guard !self.isForwarded else { return false }
        return switch self.kind {
        case .unknown: false
        case .unix: true
        case .network: self.isIPv4 ? (self.low >> 24) & 0xFF == 127 : self.high == 0 && self.low == 1
        }
    }

    /// Whether no address of the public Internet is this one: loopback, RFC 1918, 100.64.0.0/10, 169.254.0.0/16,
    /// fc00::/7, fe80::/10, fec0::/10.
    package var isPrivate: Bool {
        guard self.kind == .network else { return false }
        guard self.isIPv4 else {
            return self.isLoopback || self.high >> 57 == 0x7E || self.high >> 54 == 0x3FA || self.high >> 54 == 0x3FB
        }
        let address = UInt32(truncatingIfNeeded: self.low)
        return switch address >> 24 {
        case 10, 127: true
        case 100: address >> 22 == 0x191
        case 169: address >> 16 == 0xA9FE
        case 172: address >> 20 == 0xAC1
        case 192: address >> 16 == 0xC0A8
        case _: false
        }
    }

    /// What limits per address count a client by: the IPv4 address, or the IPv6 /64, within which addresses are free
    /// to choose. `nil` for loopback addresses and unix sockets, which have no such limit.
    package var countedNetwork: PeerAddress? { self.isLoopback ? nil : self.network }

    /// Whether both are network addresses that begin with the same bits, IPv4 as mapped into IPv6.
    func sharesPrefix(of bits: Int, with other: PeerAddress) -> Bool {
        guard self.isNetworkAddress, other.isNetworkAddress else { return false }
        let (highBits, lowBits) = (min(bits, 64), max(0, bits - 64))
        return (self.high ^ other.high) >> (64 - highBits) == 0 && (self.low ^ other.low) >> (64 - lowBits) == 0
    }

    /// The 128 bits of ``network``, for tables that count by it.
    package var networkBits: (high: UInt64, low: UInt64) {
        let network = self.network
        return (network.high, network.low)
    }

    /// The IPv4 address, or the IPv6 /64, without a port.
    package var network: PeerAddress {
        PeerAddress(self.kind, high: self.high, low: self.isIPv4 ? self.low : 0, port: 0)
    }
}

extension PeerAddress: CustomStringConvertible {
    /// `192.0.2.1:443`, `[2001:db8::1]:443`, `unix`, `unknown`.
    package var description: String {
        switch self.kind {
        case .unknown: return "unknown"
        case .unix: return "unix"
        case .network: break
        }
        if self.isIPv4 {
            let octets = [24, 16, 8, 0].map { String((self.low >> UInt64($0)) & 0xFF) }
            return octets.joined(separator: ".") + ":\(self.port)"
        }
        var address = in6_addr()
        withUnsafeMutableBytes(of: &address) { bytes in
            bytes.storeBytes(of: self.high.bigEndian, as: UInt64.self)
            bytes.storeBytes(of: self.low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(AF_INET6, &address, &text, socklen_t(text.count)) != nil else { return "unknown" }
        let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return "[\(String(decoding: bytes, as: UTF8.self))]:\(self.port)"
    }
}
