// A request whose sender takes a signature, or the keys of an issuer, to know.

import FreshetAccess
import NIOCore

extension ConnectionHandler {
    /// Has a signature verified elsewhere. Until then nothing more is read.
    func identify(_ credentials: Credentials, of plan: RequestPlan, context: ChannelHandlerContext) {
        self.phase = .identifying
        self.setDeadline(self.gateway.settings.bodyTimeout, context: context)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let (access, eventLoop) = (self.gateway.access, context.eventLoop)
        self.task = Task {
            let identity = await access.verify(credentials, of: plan.head)
            eventLoop.execute {
                let (handler, context) = bound.value
                guard case .identifying = handler.phase else { return }
                handler.task = nil
                handler.cancelDeadline()
                var plan = plan
                plan.identity = identity
                handler.planned(plan, context: context)
                handler.process(context)
            }
        }
    }
}
