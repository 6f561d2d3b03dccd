// The client library, with what the command line knows of a gateway.

import FreshetClient

extension FreshetClient {
    /// A client of the gateway that the options name. It loses no event, however slowly the terminal takes them.
    ///
    /// With `usesSocket`, streams go over a WebSocket.
    ///
    /// - Throws: `FreshetClientError` where the address cannot be used.
    init(_ target: GatewayOptions.Target, usesSocket: Bool = false) throws {
        var configuration = Configuration()
        configuration.whenLagging = .wait
        configuration.maxEventBytes = 256 << 20
        let scheme = "Bearer "
        if let field = target.fields.first(where: { $0.name == "Authorization" && $0.value.hasPrefix(scheme) }) {
            configuration.credential = .token(String(field.value.dropFirst(scheme.count)))
        }
        if usesSocket { configuration.transport = SocketTransport(address: target.address) }
        try self.init("\(target.address)", configuration: configuration)
    }
}
