// A range of addresses, as operators write it.

/// The addresses that begin with the same bits (CIDR, RFC 4632).
package struct AddressBlock: Hashable, Sendable {
    private let prefix: PeerAddress
    /// Of 128; an IPv4 block counts from the start of its mapped form.
    private let bits: Int

    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or one address; `nil` for anything else, and for `/0`, which is everybody.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, !first.contains("%") else { return nil }
        let address = PeerAddress(first)
        guard address.isNetworkAddress else { return nil }
        let width = first.contains(":") ? 128 : 32
        var bits = width
        if parts.count == 2 {
            guard let number = UInt8(parts[1]), parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
                return nil
            }
            bits = Int(number)
        }
        guard (1...width).contains(bits) else { return nil }
        self.prefix = address
        self.bits = bits + 128 - width
    }

    /// Whether the address is one of them; never for a unix socket.
    package func contains(_ address: PeerAddress) -> Bool {
        self.prefix.sharesPrefix(of: self.bits, with: address)
    }
}
