// Where a client may have messages posted to: data from outside that the gateway is going to connect to.

import FreshetCore
import FreshetUpstream

/// An endpoint that may be used.
struct PushEndpoint: Sendable {
    let url: UpstreamURL
    /// Below a prefix of `push.allow`: it may be private. Any other one is checked at each connection, whatever its name
    /// resolves to by then.
    let isAllowed: Bool

    /// - Throws: ``PushRefusal/endpoint(_:)`` for anything but an `https` URL or one below an allowed prefix.
    init(_ text: String, allowing prefixes: [PushPrefix]) throws(PushRefusal) {
        guard text.utf8.count <= Defaults.Push.maxEndpointBytes else {
            throw .endpoint("longer than \(Defaults.Push.maxEndpointBytes) bytes")
        }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), !text.contains("#"), !text.contains("\\"),
            let url = try? UpstreamURL(text)
        else { throw .endpoint("not an absolute URL without a fragment") }
        guard !Self.authority(of: text).contains("@") else { throw .endpoint("holds a user name") }
        let origin = url.origin
        self.isAllowed = prefixes.contains { prefix in
            prefix.covers(scheme: origin.scheme, host: origin.host, port: origin.port, path: Self.path(of: text))
        }
        guard self.isAllowed || origin.scheme == "https" else {
            throw .endpoint("not https, and below no prefix of push.allow")
        }
        self.url = url
    }

    /// Scheme, host and port, also where that is the scheme's own.
    var host: String { self.url.origin.description }

    /// The origin as a browser writes it (RFC 6454 §6.2): the audience of a signature.
    var audience: String {
        let origin = self.url.origin
        let ownPort = origin.scheme == "https" ? "443" : "80"
        return "\(origin.scheme)://\(origin.host)\(origin.port == ownPort ? "" : ":\(origin.port)")"
    }

    private static func rest(of text: String) -> Substring {
        guard let separator = text.firstRange(of: "://") else { return "" }
        return text[separator.upperBound...]
    }

    private static func authority(of text: String) -> Substring {
        self.rest(of: text).prefix { $0 != "/" && $0 != "?" }
    }

    private static func path(of text: String) -> String {
        String(self.rest(of: text).drop { $0 != "/" && $0 != "?" }.prefix { $0 != "?" })
    }
}
