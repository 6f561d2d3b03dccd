// What is logged about the cluster. Anybody who may write into its stream can have it say things again and again.

import FreshetCluster
import FreshetCore
import Logging
import Synchronization

/// Turns what the cluster says into log lines: of each source, gateway and kind of event ten a minute. Any thread may call.
final class ClusterNotes: Sendable {
    private let logger: Logger
    private let pace = Mutex(LinePace(maxNames: 256))
    private let now: @Sendable () -> MonotonicTime

    init(logger: Logger, now: @escaping @Sendable () -> MonotonicTime = { .now }) {
        self.logger = logger
        self.now = now
    }

    func log(_ note: ClusterNote) {
        let (subject, metadata) = Self.subject(of: note)
        switch self.pace.withLock({ $0.count(subject, now: self.now()) }) {
        case .log: self.write(note)
        case .last:
            self.logger.warning("the cluster says the same often; not logged again this minute", metadata: metadata)
        case .silent: break
        }
    }

    /// What a note is about: one text for each, and as the fields of a line.
    private static func subject(of note: ClusterNote) -> (name: String, Logger.Metadata) {
        switch note {
        case .fenced(let source), .tooLarge(let source, _), .unreadable(let source, _):
            // As for polls: the instances of a template together.
            let name = String(InstanceName.template(of: source))
            return ("source \(name)", ["source": "\(name)"])
        case .sourcesDiffer(let node): return ("node \(node)", ["node": "\(node)"])
        case .nameTaken: return ("name", ["event": "name_taken"])
        case .joined: return ("joined", ["event": "joined"])
        case .lapsed, .regained: return ("lease", ["event": "lease"])
        case .rewound, .epochBegan, .historyLost, .foreignFormat: return ("stream", ["event": "stream"])
        case .full: return ("full", ["event": "full"])
        case .notAcknowledged: return ("not acknowledged", ["event": "not_acknowledged"])
        }
    }

    private func write(_ note: ClusterNote) {
        switch note {
        case .joined(let nodes):
            self.logger.notice("the cluster's gateways", metadata: ["nodes": "\(nodes.joined(separator: ", "))"])
        case .lapsed: self.logger.warning("the lease has ended: nothing is polled until it holds again")
        case .regained: self.logger.notice("the lease holds: sources are polled")
        case .fenced(let source):
            self.logger.warning(
                "another gateway owns the source: a change was refused",
                metadata: ["source": "\(source)"]
            )
        case .tooLarge(let source, let bytes):
            self.logger.error(
                "a change is too large for the cluster's broker",
                metadata: ["source": "\(source)", "bytes": "\(bytes)"]
            )
        case .rewound:
            self.logger.error("the cluster's broker has lost changes that it had acknowledged: a new epoch begins")
        case .epochBegan(let epoch):
            self.logger.notice("an epoch of the cluster begins", metadata: ["epoch": "\(epoch)"])
        case .historyLost(let sequence):
            self.logger.warning(
                "changes were removed from the cluster's stream before this gateway read them: clients have a gap",
                metadata: ["through": "\(sequence)"]
            )
        case .unreadable(let source, let sequence):
            self.logger.error(
                "a change of another gateway cannot be read",
                metadata: ["source": "\(source)", "sequence": "\(sequence)"]
            )
        case .notAcknowledged(let reason):
            self.logger.error(
                "the cluster's broker does not acknowledge this gateway",
                metadata: ["reason": "\(reason)"]
            )
        case .foreignFormat: self.logger.error("the cluster's stream was written by another version of Freshet")
        case .full: self.logger.error("the cluster's broker has no room: changes wait")
        case .sourcesDiffer(let node):
            self.logger.warning("another gateway has other sources", metadata: ["node": "\(node)"])
        case .nameTaken: self.logger.error("another gateway has the name of this one: cluster.node has to differ")
        }
    }
}
