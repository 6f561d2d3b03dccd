import FreshetTesting
import Testing

/// What a monitoring system finds at `/metrics`.
@Suite("Metrics", .serialized, .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct MetricsTests {
    /// The families that the contract names, with their types.
    static let families = [
        "freshet_polls_total counter", "freshet_poll_duration_seconds histogram",
        "freshet_poll_lateness_seconds histogram", "freshet_source_state gauge",
        "freshet_events_published_total counter", "freshet_events_delivered_total counter",
        "freshet_delivery_latency_seconds histogram", "freshet_subscribers gauge",
        "freshet_subscriber_closes_total counter", "freshet_cache_bytes gauge", "freshet_resume_gaps_total counter",
        "freshet_upstream_requests_saved_total counter", "freshet_config_last_reload_successful gauge",
    ]

    @Test("every family of the contract is there, and every line is one that Prometheus reads")
    func families() async throws {
        let upstream = try ScriptedUpstream()
        upstream.serve(VersionedResource(versions: [Array(#"{"n":1}"#.utf8)]), at: "/value")
        let gateway = try Gateway(#"sources: { value: { url: "\#(upstream.url("/value"))", interval: 50ms } }"#)
        try await gateway.waitForValues(of: ["value"])
        let client = HTTPTestClient(try await gateway.process.endpoint())
        let lines = String(decoding: try await client.get("/metrics").body, as: UTF8.self).split(separator: "\n")
        for family in Self.families {
            #expect(lines.contains("# TYPE \(family)"))
        }
        for line in lines where !line.hasPrefix("#") {
            #expect(
                line.wholeMatch(of: /freshet_[a-z0-9_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.e+-]+/) != nil,
                "\(line)"
            )
        }
        #expect(lines.contains { $0.hasPrefix(#"freshet_polls_total{source="value",outcome="changed"} "#) })
        // Each bound stands beside the gauge that approaches it.
        let pairs = lines.filter { !$0.hasPrefix("#") }.compactMap { line -> (String, Double)? in
            let parts = line.split(separator: " ")
            return parts.count == 2 ? Double(parts[1]).map { (String(parts[0]), $0) } : nil
        }
        let values = Dictionary(pairs, uniquingKeysWith: { $1 })
        let limits = values.filter { $0.key.hasSuffix("_limit") || $0.key.hasSuffix("_limit_bytes") }
        #expect(limits.count >= 13)
        for (name, limit) in limits {
            let gauge =
                name.hasSuffix("_bytes") ? name.replacing("_limit_bytes", with: "_bytes") : String(name.dropLast(6))
            // The memory that there is was not looked at before the first second is over.
            let isKnown = limit > 0 || name == "freshet_memory_limit_bytes"
            #expect(values[gauge].map { $0 <= limit } == true && isKnown, "\(name)")
        }
        #expect(try await gateway.terminate() == .exited(0))
    }
}
