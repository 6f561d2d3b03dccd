// How an answer that comes in parts waits for the next change of its source.

import FreshetCore
import NIOCore

/// Waits for changes of one source on the event loop of a request, among the requests that wait (``LoopWaits``). Any thread.
struct ChangeSignal: Sendable {
    let gateway: Gateway
    let source: SourceID
    let eventLoop: any EventLoop

    /// Returns after a change behind `sequence`, or when the source is gone; at once where that is so already, at the latest
    /// after `patience`, or when the task is cancelled: the client has gone, or the gateway goes.
    func change(after sequence: UInt64, upTo patience: Duration) async {
        let over = self.eventLoop.makePromise(of: Void.self)
        let (source, waits, eventLoop) = (self.source, self.gateway.waits, self.eventLoop)
        await withTaskCancellationHandler {
            eventLoop.execute {
                let loop = waits.waits(on: eventLoop)
                let wait = ChangeWait(for: [source]) { over.succeed() }
                guard loop.begin(wait, after: sequence) else { return over.succeed() }
                let timer = eventLoop.scheduleTask(in: .nanoseconds(patience.clampedNanoseconds)) { over.succeed() }
                let bound = NIOLoopBound(wait, eventLoop: eventLoop)
                over.futureResult.whenComplete { _ in
                    timer.cancel()
                    loop.end(bound.value)
                }
            }
            try? await over.futureResult.get()
        } onCancel: {
            over.succeed()
        }
    }
}
