// What /metrics says of the cluster, where there is one.

import FreshetCluster
import FreshetCore
import FreshetHTTP

enum ClusterMetrics {
    private static let states = ["connected", "disconnected", "no_stream", "refused"]

    private static func name(of state: StreamState) -> String {
        switch state {
        case .connected: "connected"
        case .disconnected: "disconnected"
        case .noStream: "no_stream"
        case .refused: "refused"
        }
    }

    static func write(_ log: ClusterLog, to metrics: inout MetricsText) {
        let snapshot = log.snapshot
        let figures = snapshot.figures
        func gauge(_ name: String, _ help: String, _ value: Int) {
            metrics.family(name, "gauge", help)
            metrics.sample(UInt64(clamping: value))
        }
        func counter(_ name: String, _ help: String, _ value: UInt64) {
            metrics.family(name, "counter", help)
            metrics.sample(value)
        }
        gauge("freshet_cluster_connected", "1 while the broker can be used.", snapshot.state == .connected ? 1 : 0)
        metrics.family("freshet_cluster_broker", "gauge", "1 for how the broker stands, as this gateway sees it.")
        for state in Self.states {
            metrics.sample(state == Self.name(of: snapshot.state) ? 1 : 0, ("state", state))
        }
        gauge("freshet_cluster_lease_valid", "1 while this gateway may poll what it owns.", snapshot.isEntitled ? 1 : 0)
        gauge("freshet_cluster_nodes", "Gateways of the cluster, as this one sees them.", snapshot.nodes.count)
        gauge("freshet_cluster_sources", "Sources that this gateway polls.", snapshot.sourceCount)
        metrics.family(
            "freshet_cluster_budget_ratio",
            "gauge",
            "What this gateway may use of polling.requests_per_hour, by what it owns."
        )
        metrics.sample(snapshot.share.rate)
        gauge(
            "freshet_cluster_webhooks",
            "Endpoints of webhooks that this gateway sends to.",
            snapshot.webhookCount
        )
        gauge(
            "freshet_cluster_readers_waiting",
            "Requests with a cursor that this gateway has not read yet; at most \(ClusterLog.maxReaders).",
            log.readersWaiting
        )
        metrics.family("freshet_cluster_changes_total", "counter", "Changes read from the stream, by who wrote them.")
        metrics.sample(figures.published, ("by", "this"))
        metrics.sample(figures.taken, ("by", "others"))
        counter("freshet_cluster_heartbeats_total", "Heartbeats that the broker acknowledged.", figures.heartbeats)
        counter("freshet_cluster_refusals_total", "Writes of a gateway that owned the source no more.", figures.fenced)
        counter("freshet_cluster_unknown_total", "Writes whose outcome was not known at once.", figures.unknown)
        counter(
            "freshet_cluster_dropped_total",
            "Changes that are in no log: the next poll finds them.",
            figures.dropped
        )
        counter("freshet_cluster_unreadable_total", "Changes of others that could not be read.", figures.unreadable)
        counter(
            "freshet_cluster_takeovers_total",
            "Sources of nobody, or of one who is gone, taken.",
            figures.takeovers
        )
        counter("freshet_cluster_handovers_total", "Sources given to another gateway.", figures.handovers)
        counter("freshet_cluster_lapses_total", "Times that the lease ended while it was needed.", figures.lapses)
        counter(
            "freshet_cluster_rewinds_total",
            "Times that the broker was found to have lost changes.",
            figures.rewinds
        )
        counter("freshet_cluster_epochs_total", "Numberings that were begun or joined.", figures.epochs)
    }
}
