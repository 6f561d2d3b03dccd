// An answer that comes in parts, for as long as its client listens: the next is asked for once the kernel has the one
// before, so that a client that does not read costs one part.

import NIOCore

extension ConnectionHandler {
    /// Sends the head, and then what comes.
    func send(_ answer: Answer, inParts parts: any AnswerParts, to head: RequestHead, context: ChannelHandlerContext) {
        self.closesAfterAnswer = true
        self.sending.parts = parts
        self.sending.isChunked = head.version == .http11
        self.gateway.counters.answered(answer.status)
        let bytes = AnswerHead.bytes(
            answer,
            framing: self.sending.isChunked ? .chunked : .close,
            keepsAlive: false,
            version: head.version,
            now: WallClock.now
        )
        self.writePart(bytes, context: context)
    }

    private func writePart(_ bytes: [UInt8], context: ChannelHandlerContext) {
        self.sending.unsentAtDeadline = .max
        self.setDeadline(self.gateway.settings.writeTimeout, context: context)
        let taken = context.eventLoop.makePromise(of: Void.self)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        taken.futureResult.whenComplete { result in
            let (handler, context) = bound.value
            switch result {
            case .success: handler.awaitPart(context)
            case .failure: context.close(promise: nil)
            }
        }
        context.writeAndFlush(self.wrapOutboundOut(context.channel.allocator.buffer(bytes: bytes)), promise: taken)
    }

    private func awaitPart(_ context: ChannelHandlerContext) {
        guard self.isAnswering, let parts = self.sending.parts else { return }
        self.cancelDeadline()
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        self.task = Task {
            let part = await parts.next()
            eventLoop.execute {
                let (handler, context) = bound.value
                handler.partCame(part, context: context)
            }
        }
    }

    private func partCame(_ part: [UInt8]?, context: ChannelHandlerContext) {
        guard self.isAnswering, self.sending.parts != nil else { return }
        self.task = nil
        guard let part else {
            let end = self.sending.isChunked ? "0\r\n\r\n" : ""
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: end)), promise: nil)
            return self.answerLeft(context)
        }
        guard self.sending.isChunked else { return self.writePart(part, context: context) }
        self.writePart(Array("\(String(part.count, radix: 16))\r\n".utf8) + part + [0x0D, 0x0A], context: context)
    }
}
