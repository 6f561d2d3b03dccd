// Which network addresses an upstream may have. A name is not enough: it may resolve to anything, and to something
// else the next time, so the question is asked of the resolved address, for each connection (FAULTS S16).

import Glibc

/// An IP address as it stands in a packet.
struct NetworkAddress: Hashable, Sendable {
    /// 4 or 16 bytes, in network order.
    let bytes: [UInt8]

    /// `nil` unless there are 4 or 16 bytes.
    init?(bytes: [UInt8]) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self.bytes = bytes
    }
}

/// Tells addresses of the public Internet from those that lead inside: the gateway's own machine and network, or
/// services that trust whoever can reach them, such as a cloud's metadata.
enum AddressPolicy {
    /// Why a source with `deny_private` may not connect to the address, as a noun for a message; `nil` where it may.
    ///
    /// IPv6 is refused by default and allowed in 2000::/3, the only part given out for global unicast; an IPv4
    /// address inside an IPv6 one (mapped, NAT64, 6to4) is judged as IPv4, since that is where the packets go.
    static func reasonToDeny(_ address: NetworkAddress) -> String? {
        address.bytes.count == 4 ? self.reasonToDenyV4(address.bytes[...]) : self.reasonToDenyV6(address.bytes)
    }

    private struct Block {
        let prefix: [UInt8]
        let bits: Int
        let reason: String

        init(_ prefix: [UInt8], _ bits: Int, _ reason: String) {
            self.prefix = prefix
            self.bits = bits
            self.reason = reason
        }

        func contains(_ address: ArraySlice<UInt8>) -> Bool {
            var bits = self.bits
            for (own, other) in zip(self.prefix, address) {
                guard bits > 0 else { return true }
                let mask: UInt8 = bits >= 8 ? 0xFF : ~(0xFF >> UInt8(bits))
                guard own & mask == other & mask else { return false }
                bits -= 8
            }
            return bits <= 0
        }
    }

    /// The IANA special-purpose registry for IPv4 (RFC 6890), multicast, and two addresses of cloud providers.
    private static let blocksV4 = [
        Block([0, 0, 0, 0], 8, "an address of this network"),
        Block([10, 0, 0, 0], 8, "a private address"),
        Block([100, 64, 0, 0], 10, "a carrier-grade NAT address"),
        Block([127, 0, 0, 0], 8, "a loopback address"),
        Block([168, 63, 129, 16], 32, "a metadata address"),
        Block([169, 254, 0, 0], 16, "a link-local or metadata address"),
        Block([172, 16, 0, 0], 12, "a private address"),
        Block([192, 0, 0, 0], 24, "a protocol-assignment address"),
        Block([192, 0, 2, 0], 24, "a documentation address"),
        Block([192, 88, 99, 0], 24, "a 6to4 relay address"),
        Block([192, 168, 0, 0], 16, "a private address"),
        Block([198, 18, 0, 0], 15, "a benchmarking address"),
        Block([198, 51, 100, 0], 24, "a documentation address"),
        Block([203, 0, 113, 0], 24, "a documentation address"),
        Block([224, 0, 0, 0], 4, "a multicast address"),
        Block([240, 0, 0, 0], 4, "a reserved address"),
    ]

    /// Parts of 2000::/3 that do not lead to the public Internet.
    private static let blocksV6 = [
        Block([0x20, 0x01, 0, 0], 32, "a Teredo address"),
        Block([0x20, 0x01, 0, 0], 23, "a protocol-assignment address"),
        Block([0x20, 0x01, 0x0D, 0xB8], 32, "a documentation address"),
        Block([0x3F, 0xFF, 0, 0], 20, "a documentation address"),
    ]

    /// Where an IPv6 address holds an IPv4 one: prefix, and the offset of the four bytes.
    private static let embeddings: [(block: Block, offset: Int)] = [
        (Block([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], 96, "mapped"), 12),
        (Block([0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0], 96, "NAT64"), 12),
        (Block([0x20, 0x02], 16, "6to4"), 2),
    ]

    private static func reasonToDenyV4(_ address: ArraySlice<UInt8>) -> String? {
        self.blocksV4.first { $0.contains(address) }?.reason
    }

    private static func reasonToDenyV6(_ address: [UInt8]) -> String? {
        for (block, offset) in self.embeddings where block.contains(address[...]) {
            return self.reasonToDenyV4(address[offset..<(offset + 4)])
        }
        if let block = self.blocksV6.first(where: { $0.contains(address[...]) }) { return block.reason }
        if address[0] & 0xE0 == 0x20 { return nil }
        if address.dropLast().allSatisfy({ $0 == 0 }), address[15] <= 1 { return "a loopback address" }
        switch (address[0], address[1] & 0xC0) {
        case (0xFC...0xFD, _): return "a private address"
        case (0xFE, 0x80): return "a link-local address"
        case (0xFE, 0xC0): return "a site-local address"
        case (0xFF, _): return "a multicast address"
        case _: return "a reserved address"
        }
    }
}

/// What one poll may connect to, hop by hop: each resolution of a name is a new answer.
struct HopPolicy {
    /// `deny_private`.
    private let deniesPrivate: Bool
    /// A hop went to a public address, so that no redirect may lead inside, even to the same name (S16).
    private var wasInPublic = false
    private var target = RedirectRule.Target.home

    init(deniesPrivate: Bool) {
        self.deniesPrivate = deniesPrivate
    }

    /// The poll follows a redirect that this address sent.
    mutating func redirected(by peer: NetworkAddress?, to target: RedirectRule.Target) {
        self.target = target
        guard let peer else { return }
        self.wasInPublic = self.wasInPublic || AddressPolicy.reasonToDeny(peer) == nil
    }

    /// Whether any address is refused; most sources refuse none, and need not have addresses read.
    var isRestrictive: Bool {
        switch self.target {
        case .home: self.deniesPrivate || self.wasInPublic
        case .listed: self.deniesPrivate
        case .chosen: true
        }
    }

    /// Why a connection to the address may be neither opened nor used once more; `nil` where it may.
    func reasonToRefuse(_ address: NetworkAddress?) -> String? {
        guard self.isRestrictive else { return nil }
        guard let address else { return "an address of an unknown family" }
        return AddressPolicy.reasonToDeny(address)
    }

    /// What refuses, in words that follow "which".
    var rule: String {
        if self.deniesPrivate { return "deny_private refuses" }
        return self.target == .chosen
            ? "no redirect may lead to; if that is right, list the origin under `redirects`"
            : "no redirect may lead to"
    }
}

extension NetworkAddress {
    /// As libcurl writes a peer's address: `192.0.2.1`, `2001:db8::1`, `fe80::1%eth0`. `nil` for anything else.
    init?(text: UnsafePointer<CChar>?) {
        guard let text else { return nil }
        let address = String(cString: text).prefix { $0 != "%" }
        for family in [AF_INET, AF_INET6] {
            var bytes = [UInt8](repeating: 0, count: family == AF_INET ? 4 : 16)
            if inet_pton(family, String(address), &bytes) == 1 {
                self.init(bytes: bytes)
                return
            }
        }
        return nil
    }
}
