// Administration, pushes and hooks at any gateway of a cluster: the owner of the source carries them out.

import FreshetCluster
import FreshetCore
import FreshetPolling

/// Asks this gateway's poller where it owns the source, and the owner where it does not.
final class RoutedControl: SourceControl {
    let hub: Hub
    let poller: Poller
    let cluster: ClusterDesk

    /// As long as a poll may take by default, and a little more.
    static let timeout = Duration.seconds(35)

    init(hub: Hub, poller: Poller, cluster: ClusterDesk) {
        self.hub = hub
        self.poller = poller
        self.cluster = cluster
    }

    /// `nil` where this gateway is to do it.
    private func ask(_ call: ClusterCall, of source: SourceID) async throws(UpstreamError) -> ClusterReply? {
        guard let name = self.hub.name(of: source) else { return nil }
        if self.cluster.log.owns(name) { return nil }
        let snapshot = self.cluster.log.snapshot
        guard let owner = snapshot.owners[name], owner != snapshot.node else {
            throw UpstreamError(.internal, "no gateway of the cluster owns the source at the moment; try again")
        }
        let result = await withCheckedContinuation { continuation in
            self.cluster.log.call(call, of: name, at: owner, timeout: Self.timeout) {
                continuation.resume(returning: $0)
            }
        }
        switch result {
        case .success(.failed(let kind, let message)): throw UpstreamError(kind, message)
        case .success(.notOwner): throw UpstreamError(.internal, "\(owner) does not own the source any more; try again")
        case .success(let reply): return reply
        case .failure(let failure):
            throw UpstreamError(.internal, "\(owner), which owns the source, did not answer: \(failure.message)")
        }
    }

    /// Asks the owner, unless this gateway is to do it.
    private func isHere(_ call: ClusterCall, _ source: SourceID) async -> Bool {
        do throws(UpstreamError) {
            return try await self.ask(call, of: source) == nil
        } catch {
            return false
        }
    }

    func poll(_ source: SourceID) async throws(UpstreamError) -> PollOutcome {
        guard let reply = try await self.ask(.poll, of: source) else { return try await self.poller.poll(source) }
        switch reply {
        case .polled(let outcome): return outcome
        case .done, .pushed, .failed, .notOwner, .wrote, .webhook, .tried, .settled, .subscription:
            throw UpstreamError(.internal, "an answer to something else")
        }
    }

    func push(_ source: SourceID, body: [UInt8], contentType: [UInt8]?) async throws(UpstreamError) -> Cursor {
        guard let reply = try await self.ask(.push(body: body, contentType: contentType), of: source) else {
            return try await self.poller.push(source, body: body, contentType: contentType)
        }
        switch reply {
        case .pushed(let cursor): return cursor
        case .done, .polled, .failed, .notOwner, .wrote, .webhook, .tried, .settled, .subscription:
            throw UpstreamError(.internal, "an answer to something else")
        }
    }

    func pause(_ source: SourceID) async {
        if await self.isHere(.pause, source) { await self.poller.pause(source) }
    }

    func resume(_ source: SourceID) async {
        if await self.isHere(.resume, source) { await self.poller.resume(source) }
    }

    func hookReceived(_ source: SourceID) {
        guard let name = self.hub.name(of: source), !self.cluster.log.owns(name) else {
            return self.poller.hookReceived(source)
        }
        Task { _ = await self.isHere(.hook, source) }
    }

    func settle(_ source: SourceID, done: @escaping @Sendable () -> Void) {
        guard let name = self.hub.name(of: source) else { return done() }
        guard !InstanceName.isInstance(name) else {
            Task {
                await self.settleInstance(source)
                done()
            }
            return
        }
        guard self.cluster.log.owns(name) else { return done() }
        self.poller.settle(source, done: done)
    }
}
