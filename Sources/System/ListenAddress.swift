// Where a listener listens, as it is written and as it is shown.

/// Where a listener listens.
package enum ListenAddress: Hashable, Sendable, CustomStringConvertible {
    /// A port of 0 is chosen by the kernel.
    case tcp(host: String, port: Int)
    /// The path of a unix socket; a socket that a former process left there is replaced.
    case unix(path: String)

    /// Reads `host:port`, `[::1]:port`, `:port` (every address), `unix:PATH`; `nil` for anything else.
    package init?(_ text: String) {
        if text.hasPrefix("unix:") {
            let path = text.dropFirst(5)
            // sun_path has 108 bytes with its end.
            guard !path.isEmpty, path.utf8.count < 108, !path.utf8.contains(0) else { return nil }
            self = .unix(path: String(path))
            return
        }
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        self = .tcp(host: host.isEmpty ? "0.0.0.0" : String(host), port: Int(port))
    }

    /// Whether it is a unix socket, or an address that only this machine reaches: 127.0.0.0/8, `::1`, `localhost`.
    package var isLocal: Bool {
        switch self {
        case .unix: true
        case .tcp(let host, _): host.lowercased() == "localhost" || PeerAddress(host).isLoopback
        }
    }

    /// As ``init(_:)`` reads it.
    package var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
