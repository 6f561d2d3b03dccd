// A request whose sender takes a signature, or the keys of an issuer, to know.

import FreshetAccess
import NIOCore

/// Who the client is by its certificate. Whoever has ended the connection's handshake fires it through the pipeline, before
/// the first byte of a request, and only for a certificate that `tls.client_ca` vouches for.
struct ClientCertificateEvent: Sendable {
    /// As RFC 4514 writes it.
    let subject: String
}

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
