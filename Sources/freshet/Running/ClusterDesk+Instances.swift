// Instances of templates: between the desk that knows them here and the gateways that have them, too.

import FreshetCluster
import FreshetCore
import FreshetPolling
import Logging
import Synchronization
import System

extension ClusterDesk: InstanceSharing {
    /// How long the owner of an instance is waited for that is to make room.
    private static let evictionTime = Duration.seconds(2)

    var node: String { self.log.settings.node }

    func want(_ name: String, _ record: InstanceRecord) {
        self.state.withLock { _ = $0.additions.insert(name) }
        self.log.want(name, record)
        guard self.log.snapshot.state == .connected else { return }
        // So that the owner polls it now, and not when this gateway next says what it reads.
        self.log.announce(ClusterAnnouncement(node: self.node, read: [name], troubled: [:], extent: .addition))
    }

    func end(_ name: String) { self.log.end(name) }

    func evict(_ name: String) {
        let snapshot = self.log.snapshot
        guard let owner = snapshot.owners[name], owner != snapshot.node else { return self.log.end(name) }
        self.log.call(.end(by: self.node), of: name, at: owner, timeout: Self.evictionTime) { _ in }
    }

    func noteReader(at node: String, of name: String) {
        let addition = ClusterAnnouncement(node: node, read: [name], troubled: [:], extent: .addition)
        let (hub, poller) = self.state.withLock { state in
            _ = state.others.take(addition, now: .now)
            return (state.hub, state.poller)
        }
        if let hub { self.noteReader(of: name, hub, poller) }
    }

    func noteReader(of name: String, _ hub: Hub, _ poller: Poller?) {
        guard let id = hub.id(of: name) else { return }
        hub.noteReadElsewhere(id)
        poller?.subscribersChanged(id)
    }

    func cannotPoll(_ name: String) {
        self.logger.warning(
            "an address of streamdata is not polled: tokens_file and allow have to be the same at all gateways",
            metadata: ["source": "\(name)"]
        )
    }

    // MARK: Requests of other gateways

    /// This gateway owns the instance: it polls what is due for those who came just now, and says how the instance stands.
    func settle(_ id: SourceID, _ hub: Hub, _ poller: Poller, _ answer: @escaping @Sendable (ClusterReply) -> Void) {
        // Whoever asks reads it; that may not have been heard yet.
        let (hold, wasIdle) = hub.hold(id, patience: .zero)
        if wasIdle { poller.subscribersChanged(id) }
        poller.settle(id) {
            withExtendedLifetime(hold) {
                let status = hub.report(of: id)?.status
                let failure = status.flatMap { $0.failuresInARow > 0 ? $0.lastError?.error : nil }
                answer(.settled(status?.state ?? .starting, hub.cursor, failure))
            }
        }
    }

    /// Ends an instance of this gateway, unless somebody but the gateway that asks reads it.
    func end(_ name: String, _ id: SourceID, by node: String, _ hub: Hub) -> ClusterReply {
        let isReadElsewhere = self.state.withLock { $0.others.isRead(name, except: node, now: .now) }
        guard !isReadElsewhere, !hub.isReadHere(id) else { return .failed(.policy, "somebody reads the instance") }
        self.log.end(name)
        return .done
    }
}
