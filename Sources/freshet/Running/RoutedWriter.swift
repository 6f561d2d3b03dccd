// Writes at any gateway of a cluster: the owner of the source carries them out.

import FreshetCluster
import FreshetCore

/// Carries writes out where this gateway owns the source, and sends them to the owner where it does not: once, since nobody
/// knows of a write without an answer whether it was done.
final class RoutedWriter: Writer {
    private let writer: any Writer
    private let hub: Hub
    private let cluster: ClusterDesk

    /// How long the owner may take: for its queue and for several requests to the upstream.
    static let timeout = Duration.seconds(60)
    /// How long an answer waits until this gateway has read the change: from then on it is given all the same, and only a
    /// client that reads its value at once may still see the one of before.
    static let readTime = Duration.seconds(5)

    init(_ writer: any Writer, hub: Hub, cluster: ClusterDesk) {
        self.writer = writer
        self.hub = hub
        self.cluster = cluster
    }

    func methods(of source: String) -> [WriteMethod]? { self.writer.methods(of: source) }

    func perform(_ request: WriteRequest, for caller: Principal) async -> WriteAnswer {
        // What a caller may not know is not told here either.
        guard caller.grants.write.matches(request.source), self.writer.methods(of: request.source)?.isEmpty == false,
            !self.cluster.log.owns(request.source)
        else { return await self.writer.perform(request, for: caller) }
        let snapshot = self.cluster.log.snapshot
        guard let owner = snapshot.owners[request.source], owner != snapshot.node else {
            let detail =
                "No gateway of the cluster owns the source \(request.source) at the moment; nothing was written."
            return WriteAnswer(.notOwner(detail))
        }
        let policy = self.hub.source(named: request.source).flatMap { self.hub.report(of: $0)?.status.write }
        let call = ClusterCall.write(WriteCall(request, of: caller, forwarding: policy?.forward ?? []))
        guard self.cluster.log.canCarry(call, of: request.source) else { return WriteAnswer(.tooLargeForCluster) }
        let result = await withCheckedContinuation { continuation in
            self.cluster.log.call(call, of: request.source, at: owner, timeout: Self.timeout) {
                continuation.resume(returning: $0)
            }
        }
        let answer = WriteAnswer(result, of: owner)
        if let cursor = answer.cursor { _ = await self.cluster.log.hasRead(cursor, within: Self.readTime) }
        return answer
    }
}
