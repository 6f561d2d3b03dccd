// Which address a client is counted by where a proxy stands before the gateway.

/// The proxies whose `X-Forwarded-For` counts (`limits.trusted_proxies`). It says whom the limits per address count, and
/// proves nothing about anybody.
package struct TrustedProxies: Hashable, Sendable {
    /// An IP address, a block of them, or the peers of unix sockets.
    package enum Entry: Hashable, Sendable {
        case block(AddressBlock)
        case unixSocket

        /// Reads `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`, `unix`; `nil` for anything else.
        package init?(_ text: String) {
            if text == "unix" {
                self = .unixSocket
            } else if let block = AddressBlock(text) {
                self = .block(block)
            } else {
                return nil
            }
        }
    }

    private let entries: [Entry]

    /// The default trusts no proxy.
    package init(_ entries: [Entry] = []) {
        self.entries = entries
    }

    /// Whether the peer is one of them.
    package func trusts(_ address: PeerAddress) -> Bool {
        self.entries.contains { entry in
            switch entry {
            case .block(let block): block.contains(address)
            case .unixSocket: address == .local
            }
        }
    }
}
