// What /metrics says of webhooks.

import FreshetCore
import FreshetWebhooks

extension WebhookMetrics {
    /// Labels are names of the configuration and words of fixed lists (FAULTS S24).
    func write(to metrics: inout MetricsText) {
        guard !self.endpoints.isEmpty else { return }
        let endpoints = self.endpoints.sorted { $0.key < $1.key }
        func gauge(_ name: String, _ help: String, _ value: (WebhookMetrics.Endpoint) -> Int) {
            metrics.family(name, "gauge", help)
            for (webhook, figures) in endpoints { metrics.sample(value(figures), ("webhook", webhook)) }
        }
        metrics.family("freshet_webhook_tries_total", "counter", "Tries to deliver a message, by outcome.")
        for (webhook, figures) in endpoints {
            for verdict in WebhookOutcome.Verdict.allCases {
                let count = figures.figures.tries[verdict] ?? 0
                metrics.sample(count, ("webhook", webhook), ("outcome", verdict.rawValue))
            }
        }
        metrics.family("freshet_webhook_gaps_total", "counter", "Gaps that an endpoint had to be sent.")
        for (webhook, figures) in endpoints { metrics.sample(figures.figures.gaps, ("webhook", webhook)) }
        gauge("freshet_webhook_state", "The state of an endpoint: 0 active, 1 failing, 2 paused, 3 disabled.") {
            switch $0.state {
            case .active: $0.isFailing ? 1 : 0
            case .paused: 2
            case .disabled: 3
            }
        }
        gauge("freshet_webhook_lag", "Positions by which an endpoint is behind the log.") { Int(clamping: $0.lag) }
        gauge("freshet_webhook_in_flight", "Messages under way to an endpoint (max_in_flight).") { $0.inFlight }
        gauge(
            "freshet_webhook_delivered_ahead",
            "Events delivered ahead of one that is not; at most \(Defaults.Webhooks.ahead)."
        ) { $0.ahead }
        gauge(
            "freshet_webhook_held_bytes",
            "Bytes of messages that wait in memory; at most \(Defaults.Webhooks.heldBytes), or one message."
        ) { $0.heldBytes }
        metrics.family(
            "freshet_webhooks_in_flight",
            "gauge",
            "Messages under way in all; at most \(Defaults.Webhooks.underWay)."
        )
        metrics.sample(self.underWay)
        metrics.histogram("freshet_webhook_duration_seconds", "From the start of a try to its end.", self.duration)
    }
}
