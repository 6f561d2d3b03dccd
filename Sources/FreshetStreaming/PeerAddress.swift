// Who is at the other end of a connection, as far as counting and listing need it.

import Glibc

/// The address of a client: IPv4, IPv6, or none for a unix socket.
package struct PeerAddress: Hashable, Sendable {
    /// The 128 bits of an IPv6 address; IPv4 as `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2), so that a client counts the
    /// same over either kind of socket. Both zero for a unix socket.
    private var high: UInt64
    private var low: UInt64
    package var port: UInt16

    /// The other end of a unix socket.
    package static let local = PeerAddress(high: 0, low: 0, port: 0)

    private init(high: UInt64, low: UInt64, port: UInt16) {
        self.high = high
        self.low = low
        self.port = port
    }

    /// `text`: as `inet_ntop` writes it, a zone (`%eth0`) allowed; anything else is ``local``.
    package init(_ text: some StringProtocol, port: Int = 0) {
        let number = UInt16(exactly: port) ?? 0
        let bare = String(text.prefix { $0 != "%" })
        var v4 = in_addr()
        var v6 = in6_addr()
        if inet_pton(AF_INET, bare, &v4) == 1 {
            self.init(high: 0, low: Self.mappedPrefix << 32 | UInt64(UInt32(bigEndian: v4.s_addr)), port: number)
        } else if inet_pton(AF_INET6, bare, &v6) == 1 {
            let (high, low) = withUnsafeBytes(of: &v6) { bytes in
                (bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            }
            self.init(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low), port: number)
        } else {
            self = .local
        }
    }

    private static let mappedPrefix: UInt64 = 0xFFFF

    private var isIPv4: Bool { self.high == 0 && self.low >> 32 == Self.mappedPrefix }

    /// On this machine: 127.0.0.0/8, `::1`, or a unix socket.
    package var isLoopback: Bool {
        if self.isIPv4 { return (self.low >> 24) & 0xFF == 127 }
        return self.high == 0 && self.low <= 1
    }

    /// What one client is counted by: the IPv4 address, or the IPv6 /64, within which addresses are free to choose.
    var network: PeerAddress {
        PeerAddress(high: self.high, low: self.isIPv4 ? self.low : 0, port: 0)
    }
}

extension PeerAddress: CustomStringConvertible {
    /// `192.0.2.1:443`, `[2001:db8::1]:443`, `unix`.
    package var description: String {
        guard self.high != 0 || self.low != 0 else { return "unix" }
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
