// Figures of compressed streams.

import FreshetStreaming

extension GatewayMetrics {
    func writeCompression(_ streams: StreamStatistics, to metrics: inout MetricsText) {
        metrics.family("freshet_compression_runs", "gauge", "Sources and views whose events are compressed as one run.")
        metrics.sample(streams.compressionRuns)
        metrics.family("freshet_compression_runs_refused_total", "counter", "Times that there was no room for a run.")
        metrics.sample(streams.compressionRunsRefused)
        metrics.family("freshet_compression_restarts_total", "counter", "Times that a run began anew.")
        metrics.sample(streams.compressionJoinPoints)
        metrics.family("freshet_compression_joins_total", "counter", "Streams that a run took in when it began anew.")
        metrics.sample(streams.compressionJoins)
        metrics.family(
            "freshet_compression_waits_total",
            "counter",
            "Pieces compressed apart for streams that wait for their run to begin anew, counted per stream."
        )
        metrics.sample(streams.compressionWaits)
        metrics.family(
            "freshet_compression_plain_bytes_total",
            "counter",
            "Bytes of events of compressed streams before they were compressed."
        )
        metrics.sample(streams.plainBytes)
        metrics.family(
            "freshet_compression_coded_bytes_total",
            "counter",
            "Bytes of the same events as they were sent; what is saved is the difference."
        )
        metrics.sample(streams.codedBytes)
    }
}
