// How an answer leaves: in slices, the next when the kernel has taken the one before, so that a client that does not read
// costs no more than what it shares with others.

import FreshetCore
import FreshetStreaming
import Logging
import NIOCore

/// What is left of the answer under way. Confined to the connection's event loop.
struct AnswerSending {
    var body = AnswerBody()
    /// Counts what ``body`` holds.
    var ticket: UnsentTicket?
    /// A slice is with the kernel, or waits for it.
    var isSlicePending = false
    var isInLoop = false
    /// Among the answers that wait for their clients.
    var isUnread = false
    /// Bytes that the kernel had not taken when the write deadline was set.
    var unsentAtDeadline = Int.max
    /// What follows, where the answer comes in parts.
    var parts: (any AnswerParts)?
    /// The parts are chunks of HTTP/1.1.
    var isChunked = false
}

extension ConnectionHandler {
    /// The size of one slice.
    private static let sliceBytes = 64 << 10
    /// What one connection writes before the others of its event loop have their turn.
    private static let maxBytesPerTurn = 1 << 20

    func send(_ answer: Answer, head: RequestHead?, context: ChannelHandlerContext) {
        var answer = answer
        let isStream = answer.isStream || answer.parts != nil
        let hasBody = answer.status != 204 && answer.status != 304 && !isStream
        if hasBody, head?.method != "HEAD", answer.body.count > 0 {
            do throws(UnsentRefusal) {
                self.sending.ticket = try self.gateway.unread.desk.hold(answer.body.held, for: self.client.readClient)
            } catch {
                self.gateway.unread.makeRoom(for: self.client.readClient, after: error)
                var refused = Problem.unsent(error).answer
                refused.fields += answer.fields.filter { $0.name.hasPrefix("Access-Control-") || $0.name == "Vary" }
                answer = refused
            }
        }
        self.gateway.counters.answered(answer.status)
        let bytes = AnswerHead.bytes(
            answer,
            framing: hasBody ? .length(answer.body.count) : .none,
            keepsAlive: !self.closesAfterAnswer,
            version: head?.version ?? .http11,
            now: WallClock.now
        )
        if hasBody, head?.method != "HEAD" { self.sending.body = answer.body }
        self.sending.unsentAtDeadline = .max
        self.setDeadline(self.gateway.settings.writeTimeout, context: context)
        var buffer = context.channel.allocator.buffer(bytes: bytes)
        if var slice = self.sending.body.take(upTo: Self.sliceBytes) { buffer.writeBuffer(&slice) }
        self.write(buffer, context: context)
        // Where the kernel took it at once, the next request may be under way already.
        if self.sending.isSlicePending { self.noteUnread(context) }
    }

    private func write(_ slice: ByteBuffer, context: ChannelHandlerContext) {
        self.sending.isSlicePending = true
        let taken = context.eventLoop.makePromise(of: Void.self)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        taken.futureResult.whenComplete { result in
            let (handler, context) = bound.value
            switch result {
            case .success:
                handler.sending.isSlicePending = false
                handler.sendOn(context)
            case .failure:
                context.close(promise: nil)
            }
        }
        context.writeAndFlush(self.wrapOutboundOut(slice), promise: taken)
    }

    /// Writes slices as long as the kernel takes them at once. Never calls itself: a slice that is taken inside
    /// ``write(_:context:)`` comes back here while the loop runs.
    private func sendOn(_ context: ChannelHandlerContext) {
        guard !self.sending.isInLoop else { return }
        self.sending.isInLoop = true
        var budget = Self.maxBytesPerTurn
        while self.isAnswering, !self.sending.isSlicePending {
            guard budget > 0 else {
                self.sending.isInLoop = false
                self.noteUnread(context)
                let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
                return context.eventLoop.execute {
                    let (handler, context) = bound.value
                    handler.sendOn(context)
                }
            }
            guard let slice = self.sending.body.take(upTo: Self.sliceBytes) else {
                self.sending.isInLoop = false
                return self.answerLeft(context)
            }
            budget -= slice.readableBytes
            self.write(slice, context: context)
        }
        self.sending.isInLoop = false
        if self.isAnswering { self.noteUnread(context) }
    }

    /// Has the answer among those that may be ended for want of memory.
    private func noteUnread(_ context: ChannelHandlerContext) {
        self.sending.isUnread = true
        self.gateway.unread.note(context.channel, of: self.client.readClient, unsent: self.unsentBytes(context))
    }

    /// Lets go of the answer, which has left or never will.
    func stopSending(_ context: ChannelHandlerContext) {
        if self.sending.isUnread { self.gateway.unread.remove(context.channel) }
        self.sending.parts?.end()
        let isInLoop = self.sending.isInLoop
        self.sending = AnswerSending()
        self.sending.isInLoop = isInLoop
    }

    private func unsentBytes(_ context: ChannelHandlerContext) -> Int {
        let waiting = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        return self.sending.body.count + waiting
    }

    /// Closes a connection that took nothing of its answer for the whole time. A slow one may go on.
    func checkProgress(_ context: ChannelHandlerContext) {
        let unsent = self.unsentBytes(context)
        guard unsent < self.sending.unsentAtDeadline else { return context.close(promise: nil) }
        self.sending.unsentAtDeadline = unsent
        self.setDeadline(self.gateway.settings.writeTimeout, context: context)
    }

    /// `isRefused`: its credential is, whatever the status says.
    func log(_ head: RequestHead, status: Int, isRefused: Bool = false) {
        // The query may hold a token (FAULTS S8).
        var metadata: Logger.Metadata {
            [
                "method": "\(head.method)", "path": "\(head.path)", "status": "\(status)", "peer": "\(self.client)",
            ]
        }
        guard status != 401, !isRefused else {
            guard let knocks = self.gateway.knocks.count(self.client) else { return }
            let count: Logger.Metadata = ["refusals": "\(knocks)"]
            self.gateway.logger.info("a credential is refused", metadata: metadata.merging(count) { _, new in new })
            return
        }
        guard self.gateway.logger.logLevel <= .debug else { return }
        self.gateway.logger.debug("request", metadata: metadata)
    }
}
