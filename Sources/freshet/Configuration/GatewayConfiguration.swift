// The whole configuration as a value with defaults. Decoding starts from the defaults and sets what the file says.

import FreshetCore

/// What `freshet serve` runs.
struct GatewayConfiguration: Hashable, Sendable {
    var listen = ListenAddress.loopback
    var cache = Cache()
    var limits = Limits()
    /// The time between signs of life on a quiet stream.
    var heartbeat: Duration = .seconds(15)
    /// What a subscriber is told to wait before it reconnects, before jitter.
    var retry: Duration = .seconds(2)
    var shutdown = Shutdown()
    var cors = CORS()
    var polling = Polling()
    /// In the order of the file, names unique.
    var sources: [SourceConfiguration] = []

    struct Cache: Hashable, Sendable {
        var maxBytes = 64 << 20
        /// Without it, changes stay as long as there is room.
        var maxAge: Duration?
    }

    struct Limits: Hashable, Sendable {
        /// By default what the limit of file descriptors allows.
        var maxSubscribers: Int?
        var maxSubscribersPerAddress: Int?
        /// Connections that are not streams. By default what the limit of file descriptors allows.
        var maxConnections: Int?
        var maxConnectionsPerAddress: Int?
        var headerTimeout: Duration = .seconds(5)
        var idleTimeout: Duration = .seconds(60)
        /// How long a subscriber may take nothing of what waits for it.
        var writeTimeout: Duration = .seconds(30)
        /// Of a value that is pushed.
        var maxBodyBytes = 8 << 20
    }

    struct Shutdown: Hashable, Sendable {
        /// Between "not ready" and the end of polling.
        var delay: Duration = .zero
        /// Over which the streams are ended.
        var drain: Duration = .seconds(5)
    }

    struct CORS: Hashable, Sendable {
        /// Exact origins, or "*" alone; none by default.
        var origins: [String] = []
    }

    struct Polling: Hashable, Sendable {
        /// The most polls under way.
        var concurrency = 256
        /// The most polls under way to one host.
        var hostConcurrency = 6
    }
}

/// Where a listener stands.
enum ListenAddress: Hashable, Sendable {
    /// A host name or address, an IPv6 address without its brackets; port 0 lets the system choose.
    case tcp(host: String, port: Int)
    case unix(path: String)

    static let loopback = ListenAddress.tcp(host: "127.0.0.1", port: 8080)

    struct Failure: Error, Hashable, Sendable {
        var what: String
        var fix: String
    }

    /// Reads `HOST:PORT`, `[IPv6]:PORT`, `:PORT` for every IPv4 address, or `unix:PATH`.
    init(_ text: String) throws(Failure) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            // sun_path has 108 bytes with the NUL.
            guard !path.isEmpty, path.utf8.count <= 107, !path.utf8.contains(0) else {
                throw Failure(what: "the path of a unix socket has 1 to 107 bytes", fix: "write unix:/run/freshet.sock")
            }
            self = .unix(path: path)
            return
        }
        if let port = WholeNumber.parse(text) {
            throw Failure(
                what: "a port alone is no address",
                fix: "write 127.0.0.1:\(port), or :\(port) for every address"
            )
        }
        guard let colon = text.lastIndex(of: ":"),
            let port = WholeNumber.parse(String(text[text.index(after: colon)...])), port <= 65_535
        else {
            throw Failure(what: "no port from 0 to 65535 at its end", fix: "write HOST:PORT such as 127.0.0.1:8080")
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw Failure(what: "an IPv6 address without brackets", fix: "write [\(host)]:\(port)")
        }
        guard host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") }) else {
            throw Failure(what: "not a host name or address", fix: "write HOST:PORT such as 127.0.0.1:8080")
        }
        self = .tcp(host: host.isEmpty ? "0.0.0.0" : String(host), port: Int(port))
    }
}

extension ListenAddress: CustomStringConvertible {
    var description: String {
        switch self {
        case .unix(let path): "unix:\(path)"
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }
}
