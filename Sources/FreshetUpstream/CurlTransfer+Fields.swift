// The request fields that a transfer sends where the configuration says nothing.

import FreshetCore

extension CurlTransfer {
    static func defaultFields(besides configuration: ExchangeConfiguration) -> [String] {
        let configured = Set(configuration.headers.map { $0.name.lowercased() })
        var fields: [String] = []
        if !configured.contains("accept") { fields.append("Accept: application/json, */*;q=0.1") }
        if !configured.contains("accept-encoding") {
            fields.append("Accept-Encoding: \(Self.codings(configuration.acceptEncoding))")
        }
        return fields
    }

    /// Only what can be undone here is asked for.
    private static func codings(_ wanted: SourceConfiguration.AcceptEncoding) -> String {
        switch wanted {
        case .identity: "identity"
        case .gzip: "gzip"
        case .any:
            "gzip" + (Unpacker.canDecode(.brotli) ? ", br" : "") + (Unpacker.canDecode(.zstd) ? ", zstd" : "")
        }
    }
}
