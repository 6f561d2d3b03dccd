// The moment in which a connection that speaks HTTP/2 leaves its event loop.

import CLinux
import FreshetStreaming
import NIOCore
import TLS

extension ConnectionHandler {
    /// Gives the connection to a shard, before its first request.
    func leaveAsHTTP2(_ received: ByteBuffer, context: ChannelHandlerContext) {
        guard case .idle = self.phase, self.refusal == nil, !self.registry.isQuiescing,
            let permit = self.gateway.http2Places.take(self.network)
        else { return context.close(promise: nil) }
        guard let descriptor = try? self.duplicate(context) else { return context.close(promise: nil) }
        guard let tls, let session = tls.takeSession() else {
            _ = clinux_close(descriptor)
            return context.close(promise: nil)
        }
        let settings = self.gateway.settings
        let gate = HTTP2Gate(
            gateway: self.gateway,
            responder: self.responder,
            listener: self.listener,
            eventLoop: context.eventLoop,
            certificate: self.certificate,
            isFromProxy: self.isFromProxy
        )
        let arrival = HTTP2Arrival(
            descriptor: descriptor,
            session: session,
            received: Array(received.readableBytesView),
            client: HTTP2Client(peer: self.peer, permit: permit),
            timeouts: HTTP2Timeouts(
                request: settings.bodyTimeout,
                idle: settings.keepAliveTimeout,
                write: settings.writeTimeout
            ),
            maxBodyBytes: settings.maxBodyBytes,
            requests: gate
        )
        self.leave(context)
        self.gateway.streams.adopt(arrival)
    }
}
