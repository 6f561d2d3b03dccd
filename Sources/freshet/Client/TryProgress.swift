// The line of `try` that says what the source is doing, and the configuration that does the same.

import FreshetConfiguration
import FreshetCore
import JSON
import System

enum TryProgress {
    /// Between two looks at the source.
    private static let interval = Duration.seconds(1)
    /// The longest row of a source.
    private static let maxRowBytes = 1 << 20

    /// Shows the source's progress until the gateway is gone.
    static func start(_ address: ListenAddress, source: String, in status: StatusLine) {
        // A convenience: without a thread there is no line.
        try? SystemThread.detach(name: "progress") {
            let gateway = GatewayAddress(reaching: address)
            while let row = try? Self.row(of: source, at: gateway) {
                status.show(Self.text(row.root, at: WallTime.now))
                SystemThread.sleep(Self.interval)
            }
        }
    }

    private static func row(of source: String, at gateway: GatewayAddress) throws -> Document {
        let connection = try GatewayConnection(gateway, timeout: .seconds(5))
        let head = try connection.get("/v1/sources/\(source)", fields: [], address: gateway)
        var body: [UInt8] = []
        while let bytes = try connection.next() {
            body += bytes
            guard body.count <= Self.maxRowBytes else { break }
        }
        guard head.status == 200 else { throw GatewayConnectionError(description: "answered \(head.status)") }
        return try Document(parsing: body)
    }

    /// `next poll in 3s (every 5s: fixed) · 304 by ETag · 12 polls, 9 without a transfer, 3 changes`.
    ///
    /// - Parameters:
    ///   - row: As `GET /v1/sources/NAME` gives it.
    ///   - now: The wall clock.
    /// - Returns: The line, without control characters.
    static func text(_ row: Value, at now: WallTime) -> String {
        var parts: [String] = []
        let reason = row["interval_reason"]?.string ?? ""
        let why = [row["interval"]?.string.map { "every \($0)" }, reason.isEmpty ? nil : reason].compactMap { $0 }
        let next = row["next_poll_at"]?.string.flatMap { WallTime(rfc3339: $0) }
        let wait = next.map { Duration.milliseconds(max(0, $0.milliseconds - now.milliseconds)) }
        let when = wait.map { $0 < .seconds(1) ? "polling" : "next poll in \($0.components.seconds)s" } ?? "polling"
        parts.append(why.isEmpty ? when : "\(when) (\(why.joined(separator: ": ")))")
        let validator = row["validator"]
        if validator?["etag"]?.string != nil {
            parts.append("ETag")
        } else if validator?["last_modified"]?.string != nil {
            parts.append("Last-Modified")
        } else {
            parts.append("no validator")
        }
        let (polls, saved) = (row["polls"]?.int ?? 0, row["not_modified"]?.int ?? 0)
        let changes = row["changes"]?.int ?? 0
        parts.append("\(polls) polls, \(saved) of them 304, \(changes) changes")
        if let saved = row["requests_saved"]?.int, saved > 0 { parts.append("\(saved) requests saved") }
        return parts.joined(separator: " · ").escapingControls()
    }

    /// The `sources:` block that serves the same, with the line that says where it goes.
    static func configuration(of sources: [SourceConfiguration]) -> String {
        var lines = ["# freshet.yaml", "sources:"]
        for source in sources {
            lines.append("  \(source.name):")
            lines.append("    url: \(SourceProposal.quoted(source.url))")
            lines.append("    interval: \(DurationText.describe(source.nominalInterval))")
        }
        return lines.joined(separator: "\n")
    }
}
