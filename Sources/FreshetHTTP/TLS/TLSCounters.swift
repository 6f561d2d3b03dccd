// What TLS towards clients comes to, as metrics text.

import FreshetCore
import FreshetStreaming
import Synchronization
import TLS

/// Counters of TLS connections. Any thread.
final class TLSCounters: Sendable {
    private struct State: Sendable {
        var opened13: UInt64 = 0
        var opened12: UInt64 = 0
        var handshakes: [TLSFailure.Kind: UInt64] = [:]
        var failures: [TLSFailure.Kind: UInt64] = [:]
        /// Handshakes that wait for their turn.
        var waiting = 0
    }

    private let state = Mutex(State())

    func opened(isTLS13: Bool) {
        self.state.withLock { state in
            if isTLS13 { state.opened13 += 1 } else { state.opened12 += 1 }
        }
    }

    /// So many more handshakes wait for their turn.
    func handshakeWaits(_ difference: Int) {
        self.state.withLock { $0.waiting += difference }
    }

    func failed(_ kind: TLSFailure.Kind, inHandshake: Bool) {
        self.state.withLock { state in
            if inHandshake { state.handshakes[kind, default: 0] += 1 } else { state.failures[kind, default: 0] += 1 }
        }
    }

    /// Appends the counters as Prometheus text.
    func write(to text: inout [UInt8]) {
        let state = self.state.withLock { $0 }
        text.appendMetric(
            "freshet_tls_handshakes_total",
            "counter",
            "TLS connections that were opened, by version.",
            [(#"{version="1.2"}"#, "\(state.opened12)"), (#"{version="1.3"}"#, "\(state.opened13)")]
        )
        text.appendMetric(
            "freshet_tls_handshake_failures_total",
            "counter",
            "TLS handshakes that failed, by reason; those that took too long are not among them.",
            TLSFailure.Kind.allCases.map { (#"{reason="\#($0.rawValue)"}"#, "\(state.handshakes[$0] ?? 0)") }
        )
        text.appendMetric(
            "freshet_tls_handshakes_waiting",
            "gauge",
            "TLS handshakes that wait for their turn at an event loop; connections are bounded.",
            [("", "\(state.waiting)")]
        )
        text.appendMetric(
            "freshet_tls_failures_total",
            "counter",
            "Open TLS connections that failed before they became streams, by reason.",
            TLSFailure.Kind.allCases.map { (#"{reason="\#($0.rawValue)"}"#, "\(state.failures[$0] ?? 0)") }
        )
    }
}

extension DetachedCounters.Figures {
    /// Appends the figures as Prometheus text.
    func write(to text: inout [UInt8]) {
        text.appendMetric(
            "freshet_tls_detached_sessions",
            "gauge",
            "Streams over TLS whose session was detached; see tls.detach.",
            [("", "\(self.sessions)")]
        )
        text.appendMetric(
            "freshet_tls_key_updates_total",
            "counter",
            "KeyUpdates on detached sessions, by who said them.",
            [(#"{from="client"}"#, "\(self.heardKeyUpdates)"), (#"{from="gateway"}"#, "\(self.ownKeyUpdates)")]
        )
    }
}
