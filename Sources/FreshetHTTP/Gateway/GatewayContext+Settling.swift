// A request that reads an instance which nobody has read for a while: it waits for the poll that it is the reason for.

import FreshetCore
import NIOCore
import System

extension GatewayContext {
    /// Returns once each of the instances that are held has had its first poll, or the one that is due since somebody reads
    /// it again; at the latest when that poll would have timed out, or the client has gone.
    ///
    /// - Throws: 503 where as many requests wait as may.
    func settle(_ holds: [SourceHold], of gateway: Gateway) async throws(Problem) {
        guard self.request.awaited == nil else { return }
        try await gateway.settle(holds, for: self.request.client, on: self.request.eventLoop)
    }
}

extension Gateway {
    /// As ``GatewayContext/settle(_:of:)``, for whoever asks in whatever way.
    func settle(
        _ holds: [SourceHold],
        for client: PeerAddress,
        on eventLoop: any EventLoop
    ) async throws(Problem) {
        let sources = holds.flatMap(\.sources)
        guard !sources.isEmpty else { return }
        if let refusal = self.waits.enter(client) { throw refusal.problem }
        defer { self.waits.leave(client) }
        let patience = holds.map(\.patience).max() ?? .zero
        let settled = eventLoop.makePromise(of: Void.self)
        let timer = eventLoop.scheduleTask(in: .nanoseconds(patience.clampedNanoseconds)) {
            settled.succeed()
        }
        await withTaskCancellationHandler {
            for source in sources {
                let polled = eventLoop.makePromise(of: Void.self)
                self.control.settle(source) { polled.succeed() }
                settled.futureResult.whenComplete { _ in polled.succeed() }
                try? await polled.futureResult.get()
            }
        } onCancel: {
            settled.succeed()
        }
        timer.cancel()
        settled.succeed()
    }
}
