// Fields of requests to an upstream that the command line names. Shared by the verbs that ask an upstream themselves.

import ArgumentParser
import FreshetConfiguration
import FreshetCore
import FreshetUpstream

struct RequestOptions: ParsableArguments {
    @Option(
        name: [.customShort("H"), .customLong("header")],
        help: "A field of the requests, as \"NAME: VALUE\"; may be given several times."
    )
    var headers: [String] = []

    @Option(help: "From the start of a request to its last byte (default: 30s).", transform: SourceArguments.interval)
    var timeout: Duration?

    /// Called after parsing, since the parser's own messages repeat the argument, which may hold a secret.
    ///
    /// - Throws: `ValidationError` where a field is none.
    func check() throws {
        _ = try self.headers.map(Self.field)
    }

    /// The largest body that these verbs take.
    static let maxBodyBytes = 64 << 20

    /// What the requests are like.
    var configuration: ExchangeConfiguration {
        ExchangeConfiguration(
            headers: self.headers.compactMap { try? Self.field($0) },
            timeout: self.timeout ?? .seconds(30),
            maxBodyBytes: Self.maxBodyBytes
        )
    }

    private static func field(_ text: String) throws -> SourceConfiguration.Field {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty,
            text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }),
            !parts[0].contains(" ")
        else {
            throw ValidationError("--header takes \"NAME: VALUE\", such as \"Accept: application/json\".")
        }
        return SourceConfiguration.Field(
            name: String(parts[0]),
            value: String(parts[1].drop { $0 == " " })
        )
    }
}
