// Where a running gateway is, for the verbs that talk to one: `healthcheck`, `tail`.

import ArgumentParser
import Foundation
import FreshetConfiguration
import FreshetCore

/// `http://HOST:PORT` or `unix:PATH`.
enum GatewayAddress: Hashable, Sendable, ExpressibleByArgument {
    case tcp(host: String, port: Int)
    case unix(path: String)

    /// Reads what a person writes: `http://127.0.0.1:8080`, `127.0.0.1:8080`, `unix:/run/freshet.sock`.
    init?(argument: String) {
        if argument.hasPrefix("unix:") {
            let path = String(argument.dropFirst(5))
            guard !path.isEmpty, path.utf8.count <= 107, !path.utf8.contains(0) else { return nil }
            self = .unix(path: path)
            return
        }
        guard let url = try? URLText(argument.contains("://") ? argument : "http://\(argument)"),
            url.text.lowercased().hasPrefix("http://"), url.path.isEmpty || url.path == "/", !url.text.contains("?")
        else { return nil }
        self = .tcp(host: url.host, port: url.port ?? 80)
    }

    /// Where a gateway listens that no configuration says anything else of.
    static let `default` = GatewayAddress.tcp(host: Defaults.listenHost, port: Defaults.listenPort)

    var defaultValueDescription: String { self.description }

    /// The value of the Host field.
    var authority: String {
        switch self {
        case .unix: "localhost"
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }
}

extension GatewayAddress: CustomStringConvertible {
    var description: String {
        switch self {
        case .unix(let path): "unix:\(path)"
        case .tcp: "http://\(self.authority)"
        }
    }
}
