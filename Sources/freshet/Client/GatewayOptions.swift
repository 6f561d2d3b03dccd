// `--gateway`, and what happens without it. Shared by the verbs that talk to a running gateway.

import ArgumentParser
import Foundation
import FreshetConfiguration
import FreshetHTTP

struct GatewayOptions: ParsableArguments {
    @Option(
        help:
            "The gateway: http://HOST:PORT, or unix:PATH (default: the one whose admin.key is found, else \(GatewayAddress.default))."
    )
    var gateway: GatewayAddress?

    /// A gateway to talk to, and the fields that go along with each request.
    struct Target: Hashable {
        var address: GatewayAddress
        /// `Authorization` where this gateway's own key was found, else nothing.
        var fields: [Field] = []
    }

    /// A request field.
    struct Field: Hashable {
        var name: String
        var value: String
    }

    /// Where systemd makes the runtime directory of the unit in `Deploy`.
    private static let servicePath = "/run/freshet/\(AdminKeyRecord.fileName)"

    /// Looks for `admin.key` where `serve` makes it. The key goes to the address that is recorded beside it, and to no
    /// other.
    func target(environment: [String: String] = ProcessInfo.processInfo.environment) -> Target {
        let paths = AdminKeyRecord.paths(log: Self.configuredLog(), environment: environment) + [Self.servicePath]
        for path in paths {
            switch AdminKeyReader.read(path) {
            case .absent: continue
            case .refused(let reason): Terminal.complain("\(path) is not used: it \(reason)")
            case .record(let record):
                guard (self.gateway ?? record.gateway) == record.gateway else { continue }
                let field = Field(name: "Authorization", value: "Bearer \(record.key.text)")
                return Target(address: record.gateway, fields: [field])
            }
        }
        return Target(address: self.gateway ?? .default)
    }

    /// `log.path` of the configuration that `serve` would read in this folder.
    private static func configuredLog() -> String? {
        guard FileManager.default.fileExists(atPath: ConfigurationOptions.defaultPath) else { return nil }
        let loaded = try? ConfigurationLoader.load(
            ConfigurationOptions.defaultPath,
            environment: { ProcessInfo.processInfo.environment[$0] }
        )
        return loaded?.configuration.log?.path
    }
}
