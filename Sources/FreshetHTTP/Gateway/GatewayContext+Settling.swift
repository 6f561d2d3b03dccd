// A request that reads an instance which nobody has read for a while: it waits for the poll that it is the reason for.

import FreshetCore
import NIOCore

extension GatewayContext {
    /// Returns once each of the instances that are held has had its first poll, or the one that is due since somebody reads
    /// it again; at the latest when that poll would have timed out, or the client has gone.
    ///
    /// - Throws: 503 where as many requests wait as may.
    func settle(_ holds: [SourceHold], of gateway: Gateway) async throws(Problem) {
        let sources = holds.flatMap(\.sources)
        guard !sources.isEmpty, self.request.awaited == nil else { return }
        if let refusal = gateway.waits.enter(self.request.client) { throw refusal.problem }
        defer { gateway.waits.leave(self.request.client) }
        let patience = holds.map(\.patience).max() ?? .zero
        let settled = self.request.eventLoop.makePromise(of: Void.self)
        let timer = self.request.eventLoop.scheduleTask(in: .nanoseconds(patience.clampedNanoseconds)) {
            settled.succeed()
        }
        await withTaskCancellationHandler {
            for source in sources {
                let polled = self.request.eventLoop.makePromise(of: Void.self)
                gateway.control.settle(source) { polled.succeed() }
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
