// The moment in which a connection becomes a WebSocket: checked, duplicated, and given to a shard.

import FreshetStreaming
import NIOCore

extension ConnectionHandler {
    /// Answers a request whose route is a socket.
    func openSocket(_ plan: RequestPlan, _ route: Route, context: ChannelHandlerContext) {
        let head = plan.head
        do throws(Problem) {
            let opening = try self.responder.openSocket(plan, by: self.listener, for: route, from: self.client)
            let descriptor = try self.duplicate(context)
            guard let socket = self.socket(descriptor) else { return }
            var answer = Answer(101)
            answer.fields = opening.handshake.fields
            let arrival = self.responder.arrival(
                of: opening,
                head,
                by: self.listener,
                from: self.client,
                on: context.eventLoop,
                connection: socket,
                answer: AnswerHead.bytes(
                    answer,
                    framing: .none,
                    keepsAlive: true,
                    version: head.version,
                    now: WallClock.now
                ),
                received: Array(self.buffer.readableBytesView)
            )
            self.log(head, status: 101)
            self.gateway.counters.handedOver()
            self.leave(context)
            self.gateway.streams.adopt(arrival)
        } catch {
            self.answer(self.responder.allow(head, error.answer), to: head, context: context)
        }
    }
}
