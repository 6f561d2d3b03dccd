// What `admin.key` holds: the key, and the one address that it may be sent to.

import FreshetConfiguration
import FreshetHTTP

/// Two lines: the key, and where its gateway listens.
struct AdminKeyRecord: Hashable, Sendable {
    var key: AdminKey
    var gateway: GatewayAddress

    static let fileName = "admin.key"
    /// More than any record has.
    static let maxBytes = 4 << 10

    init(key: AdminKey, gateway: GatewayAddress) {
        self.key = key
        self.gateway = gateway
    }

    /// Reads ``text``; `nil` for anything else.
    init?(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 3, lines[2].isEmpty, let key = AdminKey(lines[0]),
            let gateway = GatewayAddress(argument: String(lines[1]))
        else { return nil }
        self.init(key: key, gateway: gateway)
    }

    var text: String { "\(self.key.text)\n\(self.gateway)\n" }

    /// Where the file is looked for, and made, in this order (CONTRACT §3): `$RUNTIME_DIRECTORY`, beside the log,
    /// `$XDG_RUNTIME_DIR`.
    static func paths(log: String?, environment: [String: String]) -> [String] {
        // systemd separates several runtime directories by colons; the first is the unit's own.
        let runtime = environment["RUNTIME_DIRECTORY"]?.split(separator: ":").first.map(String.init)
        let folders = [runtime, log.map(FilePath.directory(of:)), environment["XDG_RUNTIME_DIR"]]
        return folders.compactMap { $0 }.filter { !$0.isEmpty }.map { "\($0)/\(Self.fileName)" }
    }
}
