// How far each gauge may rise: an alert compares the two, whatever is configured.

import FreshetAccess
import FreshetConfiguration
import FreshetCore
import FreshetHTTP
import FreshetStorage

/// The bounds of a gateway, each beside the gauge that approaches it: `freshet_X` has `freshet_X_limit`, and
/// `freshet_X_bytes` has `freshet_X_limit_bytes`. A bound on one client, one source or one message has no gauge, and is
/// counted where it is met. ``GatewayMetrics`` writes the limits of memory and of instances, which change.
struct BoundMetrics: Sendable {
    /// One bound: its gauge, and what it may come to.
    struct Row: Sendable {
        var gauge: String
        var limit: Int

        /// The name of the metric.
        var name: String {
            let suffix = "_bytes"
            return self.gauge.hasSuffix(suffix)
                ? self.gauge.dropLast(suffix.count) + "_limit_bytes" : self.gauge + "_limit"
        }
    }

    let rows: [Row]

    /// `memory`: what the gateway may use, by which what unread answers hold is bounded.
    init(_ configuration: GatewayConfiguration, memory: Int) {
        let http = configuration.httpSettings
        var rows = [
            Row(gauge: "freshet_cache_bytes", limit: configuration.cache.maxBytes),
            Row(gauge: "freshet_compression_runs", limit: configuration.limits.maxCompressionRuns),
            Row(gauge: "freshet_events_arriving", limit: Hub.maxArrivals),
            Row(gauge: "freshet_http_unsent_bytes", limit: configuration.unsentLimits(memory: memory).maxBytes),
            Row(gauge: "freshet_http_waiting_requests", limit: http.effectiveMaxWaiting),
            Row(gauge: "freshet_idempotency_bytes", limit: Defaults.Writes.keyBytes),
            Row(gauge: "freshet_idempotency_keys", limit: Defaults.Writes.keys),
            Row(gauge: "freshet_large_bodies_bytes", limit: Defaults.Polling.maxWaitingBodyBytes),
            Row(gauge: "freshet_log_reads_waiting", limit: configuration.limits.maxWaitingReads),
            Row(gauge: "freshet_polls_in_flight", limit: configuration.polling.concurrency),
            Row(gauge: "freshet_row_streams", limit: http.maxRowStreams),
            Row(gauge: "freshet_subscribers", limit: configuration.effectiveMaxSubscribers),
            Row(gauge: "freshet_views", limit: configuration.limits.maxViews),
            Row(gauge: "freshet_writes_in_flight", limit: Defaults.Writes.underWay),
            Row(gauge: "freshet_writes_waiting", limit: Defaults.Writes.waiting),
        ]
        if let log = configuration.log {
            rows.append(Row(gauge: "freshet_log_bytes", limit: log.maxBytes))
            let settings = StoreSettings(path: log.path)
            rows.append(Row(gauge: "freshet_log_queued_events", limit: settings.maxQueuedChanges))
        }
        if configuration.auth != nil {
            rows.append(Row(gauge: "freshet_tickets_unused", limit: TicketLimits.maxUnused))
        }
        self.rows = rows
    }

    func write(to metrics: inout MetricsText) {
        for row in self.rows {
            metrics.family(row.name, "gauge", "The most that \(row.gauge) may come to.")
            metrics.sample(row.limit)
        }
    }
}
