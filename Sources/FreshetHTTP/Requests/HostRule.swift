// Which host names are ours: a name that somebody else made point at us is not.

import FreshetStreaming
import System

/// The names under which a listener may be addressed that only this machine or network should reach.
struct HostRule: Hashable, Sendable {
    private let names: Set<String>

    /// - Parameter names: in addition to `localhost` and IP addresses.
    init(names: [String]) {
        self.names = Set(names.map { $0.lowercased() }).union(["localhost"])
    }

    /// Whether `Host` is an IP address or one of the names, whatever its port. A browser that was led here by another
    /// name sends that name (DNS rebinding). A client of HTTP/1.0 may name no host: browsers do.
    func accepts(_ authority: String?) -> Bool {
        guard let authority, !authority.isEmpty else { return true }
        var host = authority.lowercased()[...]
        if host.hasPrefix("[") {
            guard let end = host.firstIndex(of: "]") else { return false }
            return PeerAddress(host[host.index(after: host.startIndex)..<end]).isNetworkAddress
        }
        if let colon = host.firstIndex(of: ":") { host = host[..<colon] }
        return self.names.contains(String(host)) || PeerAddress(host).isNetworkAddress
    }
}
