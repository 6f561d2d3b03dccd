// Which client a proxy names.

import HTTPFields
import System

extension TrustedProxies {
    /// The address that the limits count: the peer's own, or behind trusted proxies the last in `X-Forwarded-For` that is
    /// not one of theirs. Counted from the right, since each proxy appends and what is on the left is the client's word.
    /// What is no address there counts as ``PeerAddress/unknown``.
    func client(of head: RequestHead, from peer: PeerAddress) -> PeerAddress {
        guard self.trusts(peer) else { return peer }
        var client = peer
        for value in head.values(of: "x-forwarded-for").reversed() {
            for element in value.utf8.split(separator: UInt8(ascii: ",")).reversed() {
                let text = element.trimmed
                guard !text.isEmpty else { continue }
                client = Self.address(String(decoding: text, as: UTF8.self))
                guard self.trusts(client) else { return client }
            }
        }
        return client
    }

    /// Reads an address as proxies write it: with or without port and brackets.
    private static func address(_ text: String) -> PeerAddress {
        var host = text[...]
        if host.hasPrefix("[") {
            host = host.dropFirst().prefix { $0 != "]" }
        } else if host.contains("."), let colon = host.lastIndex(of: ":"), !host[..<colon].contains(":") {
            host = host[..<colon]
        }
        return PeerAddress(forwarded: host)
    }
}
