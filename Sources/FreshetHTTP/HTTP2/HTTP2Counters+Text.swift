// What HTTP/2 comes to, as metrics text.

import FreshetCore
import FreshetStreaming
import HTTP2

extension HTTP2Counters.Figures {
    /// Appends the figures as Prometheus text.
    func write(to text: inout [UInt8]) {
        text.appendMetric(
            "freshet_http2_connections",
            "gauge",
            "Open connections of HTTP/2, with streams or without.",
            [("", "\(self.connections)")]
        )
        text.appendMetric(
            "freshet_http2_connections_total",
            "counter",
            "Connections of HTTP/2.",
            [("", "\(self.accepted)")]
        )
        text.appendMetric(
            "freshet_http2_requests_total",
            "counter",
            "Requests over HTTP/2.",
            [("", "\(self.requests)")]
        )
        text.appendMetric(
            "freshet_http2_overruns_total",
            "counter",
            "Connections of HTTP/2 that were ended with ENHANCE_YOUR_CALM, by what their client did too often.",
            HTTP2Overrun.allCases.map { (#"{reason="\#($0.rawValue)"}"#, "\(self.overruns[$0] ?? 0)") }
        )
    }
}
