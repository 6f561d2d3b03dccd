// What the HTTP server counts, as metrics text. No label has a value that a client chose (FAULTS S24).

import FreshetAccess
import FreshetCore
import Synchronization

/// Why a connection got no answer to a request.
enum ConnectionRefusal: String, CaseIterable, Sendable {
    /// As many connections as are allowed, or as there are descriptors for.
    case full
    /// As many as are allowed from one address.
    case address
    /// The client had gone before the connection was accepted, and its address with it.
    case noPeer = "no_peer"
}

/// Counters of the HTTP server. Any thread.
final class HTTPCounters: Sendable {
    private struct State: Sendable {
        /// By status. The server sends some thirty of them.
        var answers: [Int: UInt64] = [:]
        var refusals: [ConnectionRefusal: UInt64] = [:]
        var connections = 0
        var accepted: UInt64 = 0
        var handovers: UInt64 = 0
        var evictions: UInt64 = 0
    }

    private let state = Mutex(State())

    func answered(_ status: Int) {
        self.state.withLock { $0.answers[status, default: 0] += 1 }
    }

    func accepted() {
        self.state.withLock { state in
            state.accepted += 1
            state.connections += 1
        }
    }

    func closed() {
        self.state.withLock { $0.connections -= 1 }
    }

    func refused(_ reason: ConnectionRefusal) {
        self.state.withLock { $0.refusals[reason, default: 0] += 1 }
    }

    func evicted() {
        self.state.withLock { $0.evictions += 1 }
    }

    func handedOver() {
        self.state.withLock { state in
            state.handovers += 1
            state.answers[200, default: 0] += 1
        }
    }

    /// Appends what became of the calls of upstreams.
    static func write(_ hooks: HookDesk.Counts, to text: inout [UInt8]) {
        text.appendMetric(
            "freshet_hooks_total",
            "counter",
            "Calls of upstreams at /v1/hooks, by what became of them.",
            [(#"{outcome="accepted"}"#, "\(hooks.accepted)")]
                + HookRefusal.allCases.map { (#"{outcome="\#($0.rawValue)"}"#, "\(hooks.refused[$0] ?? 0)") }
        )
    }

    /// Appends the counters as Prometheus text, and the figures of the answers that are not read.
    func write(_ unread: UnreadAnswers, to text: inout [UInt8]) {
        let state = self.state.withLock { $0 }
        text.appendMetric(
            "freshet_http_requests_total",
            "counter",
            "Answers, by status code.",
            state.answers.sorted { $0.key < $1.key }.map { (#"{code="\#($0.key)"}"#, "\($0.value)") }
        )
        text.appendMetric(
            "freshet_http_connections",
            "gauge",
            "Open connections, streams not counted.",
            [("", "\(state.connections)")]
        )
        text.appendMetric(
            "freshet_http_connections_total",
            "counter",
            "Accepted connections.",
            [("", "\(state.accepted)")]
        )
        text.appendMetric(
            "freshet_http_connections_refused_total",
            "counter",
            "Connections answered 503 unless they were probes, or closed unread (no_peer), by reason.",
            ConnectionRefusal.allCases.map { (#"{reason="\#($0.rawValue)"}"#, "\(state.refusals[$0] ?? 0)") }
        )
        text.appendMetric(
            "freshet_http_unread_answers",
            "gauge",
            "Answers that wait for their clients to read.",
            [("", "\(unread.count)")]
        )
        text.appendMetric(
            "freshet_http_unsent_bytes",
            "gauge",
            "Bytes that answers and openings of streams hold until they are read, each once.",
            [("", "\(unread.desk.bytes)")]
        )
        let refusals = unread.desk.refusals
        text.appendMetric(
            "freshet_http_answers_refused_total",
            "counter",
            "Answers refused and streams ended for lack of memory, by reason.",
            UnsentRefusal.allCases.map { (#"{reason="\#($0.rawValue)"}"#, "\(refusals[$0] ?? 0)") }
        )
        text.appendMetric(
            "freshet_http_answers_ended_total",
            "counter",
            "Unread answers aborted to free memory.",
            [("", "\(unread.ended)")]
        )
        text.appendMetric(
            "freshet_http_connections_evicted_total",
            "counter",
            "Connections closed to admit others, the oldest without a complete request first.",
            [("", "\(state.evictions)")]
        )
        text.appendMetric(
            "freshet_http_handovers_total",
            "counter",
            "Streams handed to a shard.",
            [("", "\(state.handovers)")]
        )
    }
}

extension [UInt8] {
    /// Appends a family of metrics as Prometheus text. Name, help and labels are constants.
    mutating func appendMetric(
        _ name: String,
        _ type: String,
        _ help: String,
        _ samples: [(labels: String, value: String)]
    ) {
        self.append(contentsOf: "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n".utf8)
        for sample in samples {
            self.append(contentsOf: "\(name)\(sample.labels) \(sample.value)\n".utf8)
        }
    }
}
