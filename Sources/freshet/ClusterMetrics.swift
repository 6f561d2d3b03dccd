// What /metrics says of the cluster, where there is one.

import FreshetCluster
import FreshetCore
import FreshetHTTP

enum ClusterMetrics {
    static func write(_ snapshot: ClusterSnapshot, to metrics: inout MetricsText) {
        let figures = snapshot.figures
        func gauge(_ name: String, _ value: Int, _ help: String) {
            metrics.family(name, "gauge", help)
            metrics.sample(UInt64(clamping: value))
        }
        func counter(_ name: String, _ value: UInt64, _ help: String) {
            metrics.family(name, "counter", help)
            metrics.sample(value)
        }
        gauge("freshet_cluster_connected", snapshot.state == .connected ? 1 : 0, "1 while the broker can be used.")
        gauge("freshet_cluster_lease_valid", snapshot.isEntitled ? 1 : 0, "1 while this gateway may poll what it owns.")
        gauge("freshet_cluster_nodes", snapshot.nodes.count, "Gateways of the cluster, as this one sees them.")
        gauge("freshet_cluster_sources", snapshot.polled.count, "Sources that this gateway polls.")
        metrics.family("freshet_cluster_changes_total", "counter", "Changes read from the stream, by who wrote them.")
        metrics.sample(figures.published, ("by", "this"))
        metrics.sample(figures.taken, ("by", "others"))
        counter("freshet_cluster_heartbeats_total", figures.heartbeats, "Heartbeats that the broker acknowledged.")
        counter("freshet_cluster_refusals_total", figures.fenced, "Writes of a gateway that owned the source no more.")
        counter("freshet_cluster_unknown_total", figures.unknown, "Writes whose outcome was not known at once.")
        counter(
            "freshet_cluster_dropped_total",
            figures.dropped,
            "Changes that are in no log: the next poll finds them."
        )
        counter("freshet_cluster_unreadable_total", figures.unreadable, "Changes of others that could not be read.")
        counter(
            "freshet_cluster_takeovers_total",
            figures.takeovers,
            "Sources of nobody, or of one who is gone, taken."
        )
        counter("freshet_cluster_handovers_total", figures.handovers, "Sources given to another gateway.")
        counter("freshet_cluster_lapses_total", figures.lapses, "Times that the lease ended while it was needed.")
        counter(
            "freshet_cluster_rewinds_total",
            figures.rewinds,
            "Times that the broker was found to have lost changes."
        )
        counter("freshet_cluster_epochs_total", figures.epochs, "Numberings that were begun or joined.")
    }
}
