// A request that waits for a change: kept by its connection, and answered anew when there may be something to say.

import FreshetCore
import NIOCore

extension ConnectionHandler {
    /// A request whose route has nothing to answer yet.
    struct Parked {
        var request: IncomingRequest
        var wait: ChangeWait
    }

    /// Keeps a request until what it awaits, at the latest until its deadline.
    func park(_ request: IncomingRequest, awaiting change: AwaitedChange, context: ChannelHandlerContext) {
        guard self.beginsToWait(request, context) else { return }
        var request = request
        request.awaited = change
        // A request that waits has no body, and keeps nothing of what was read.
        request.body = ByteBuffer()
        self.releaseReadBytes()
        guard !self.isInputClosed, !self.registry.isQuiescing else { return self.answerNow(request, context) }
        let wait = ChangeWait(for: change.sources) { [weak self] in self?.resume(context) }
        guard self.gateway.waits.waits(on: context.eventLoop).begin(wait, after: change.after) else {
            return self.respond(to: request, context: context)
        }
        self.parked = Parked(request: request, wait: wait)
        let left = max(0, (change.deadline - .now()).nanoseconds)
        self.setDeadline(.nanoseconds(left), context: context)
    }

    /// Counts a request that begins to wait.
    ///
    /// - Returns: `false` where it may not, and is answered.
    private func beginsToWait(_ request: IncomingRequest, _ context: ChannelHandlerContext) -> Bool {
        guard !self.isWaiting else { return true }
        if let refusal = self.gateway.waits.enter(self.client) {
            let answer = self.responder.allow(request.head, refusal.problem.answer)
            self.answer(answer, to: request.head, context: context)
            return false
        }
        self.isWaiting = true
        return true
    }

    /// Has the parked request answered: there is a change, or no time left.
    func resume(_ context: ChannelHandlerContext) {
        guard let parked = self.unpark(context) else { return }
        self.respond(to: parked, context: context)
    }

    /// Has the parked request answered with what there is: nothing more is awaited.
    func resumeWithoutWait(_ context: ChannelHandlerContext) {
        guard let parked = self.unpark(context) else { return }
        self.answerNow(parked, context)
    }

    private func answerNow(_ request: IncomingRequest, _ context: ChannelHandlerContext) {
        var request = request
        request.awaited?.deadline = .now()
        self.respond(to: request, context: context)
    }

    /// Ends the wait; the request is still counted as one that waits.
    private func unpark(_ context: ChannelHandlerContext) -> IncomingRequest? {
        guard let parked = self.parked else { return nil }
        self.parked = nil
        self.gateway.waits.waits(on: context.eventLoop).end(parked.wait)
        self.cancelDeadline()
        return parked.request
    }

    /// Forgets the request that waits: it is answered, or the connection has ended.
    func endWaiting(_ context: ChannelHandlerContext) {
        _ = self.unpark(context)
        guard self.isWaiting else { return }
        self.isWaiting = false
        self.gateway.waits.leave(self.client)
    }
}

extension GatewayContext {
    /// When a request that may `wait` has to be answered; `nil` where it does not ask to wait.
    ///
    /// - Throws: 400 for what is no duration.
    func waitDeadline(upTo limit: Duration) throws(Problem) -> NIODeadline? {
        if let awaited = self.request.awaited { return awaited.deadline }
        guard let text = self.request.query["wait"] else { return nil }
        guard let duration = DurationText.duration(text) else {
            throw .badParameter("wait", "Write the wait as a duration: 500ms, 5s, 1m30s.")
        }
        return .now() + .nanoseconds(min(duration, limit).clampedNanoseconds)
    }
}
