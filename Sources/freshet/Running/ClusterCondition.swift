// How this gateway stands in the cluster, in one line.

import FreshetCluster

extension ClusterDesk {
    /// One line for `/readyz?verbose`.
    var condition: String {
        var snapshot = self.log.snapshot
        // It has none before the first look.
        snapshot.node = self.log.settings.node
        return snapshot.condition
    }
}

extension ClusterSnapshot {
    /// One line for `/readyz?verbose`.
    var condition: String {
        let nodes = "node \(self.node) of \(self.nodes.joined(separator: ", "))"
        switch self.state {
        case .connected where self.isEntitled && self.isReading:
            return "ok, \(nodes), \(Self.count(self.sourceCount, "source"))"
                + (self.webhookCount > 0 ? ", \(Self.count(self.webhookCount, "webhook"))" : "")
                + (self.sendsPush ? ", push" : "")
        case .connected: return "joining (\(self.hold?.words ?? "connecting")), \(nodes)"
        case .disconnected(let reason):
            return "disconnected (\(reason)), \(self.isEntitled ? "polling until the lease ends" : "not polling")"
        case .refused(let failure): return "refused (\(failure.message)), not polling"
        case .noStream(let failure): return "no stream (\(failure.message)), not polling"
        }
    }

    private static func count(_ count: Int, _ what: String) -> String { "\(count) \(what)\(count == 1 ? "" : "s")" }
}

extension ClusterHold {
    /// What is waited for, and what to do where waiting does not help.
    fileprivate var words: String {
        switch self {
        case .foreignFormat:
            "the stream was written by another version of Freshet: run that one, or name another cluster.stream"
        case .notAcknowledged(let reason): "the broker does not acknowledge what this gateway writes: \(reason)"
        case .facts: "asking the broker for the stream"
        case .epoch: "beginning an epoch"
        case .reading(let through, let last): "reading the stream, at \(through) of \(last)"
        case .nodes(let nodes): "waiting for word of \(nodes.joined(separator: ", "))"
        case .lease: "waiting for the lease"
        }
    }
}
