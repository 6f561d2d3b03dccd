// What WebSockets come to, as metrics text.

import FreshetCore
import FreshetStreaming

extension WebSocketCounters.Figures {
    /// Appends the figures as Prometheus text.
    func write(to text: inout [UInt8]) {
        text.appendMetric(
            "freshet_sockets",
            "gauge",
            "Open WebSockets, with subscriptions or without; subscriptions are among freshet_subscribers.",
            [("", "\(self.sockets)")]
        )
        text.appendMetric("freshet_sockets_total", "counter", "WebSockets.", [("", "\(self.accepted)")])
        text.appendMetric(
            "freshet_socket_messages_total",
            "counter",
            "Messages that clients sent on WebSockets.",
            [("", "\(self.messages)")]
        )
        text.appendMetric(
            "freshet_socket_throttled_total",
            "counter",
            "Times that a WebSocket was not read for a while, by the limit that it reached.",
            WebSocketCounters.Throttle.allCases.map {
                (#"{reason="\#($0.rawValue)"}"#, "\(self.throttled[$0] ?? 0)")
            }
        )
        text.appendMetric(
            "freshet_socket_closes_total",
            "counter",
            "Ended WebSockets by the code of their Close frame; 1006 where none was sent.",
            WebSocketCounters.codes.map { (#"{code="\#($0)"}"#, "\(self.closes[$0] ?? 0)") }
        )
    }
}
