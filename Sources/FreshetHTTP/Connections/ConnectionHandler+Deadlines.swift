// What ends a connection after a time, and how one is closed whose client may still be sending.

import FreshetCore
import NIOCore

extension ConnectionHandler {
    /// Sends no more, and reads for a while what the client still sends: a close with unread input would reset the
    /// connection, and may overtake the answer.
    func linger(_ context: ChannelHandlerContext) {
        guard !self.isInputClosed else { return context.close(promise: nil) }
        self.phase = .lingering
        self.registry.activityChanged(of: context.channel, to: .unfinished)
        self.buffer = ByteBuffer()
        // As long as a body may take: many a client reads no answer before it has sent all of its request.
        self.lingerEnd = .now() + .nanoseconds(self.gateway.settings.bodyTimeout.clampedNanoseconds)
        self.setDeadline(Self.lingerPause, context: context)
        context.close(mode: .output, promise: nil)
        self.resumeReading(context)
    }

    private func lingerOn(_ context: ChannelHandlerContext) {
        guard self.hasDropped, !self.registry.isQuiescing, .now() < self.lingerEnd else {
            return context.close(promise: nil)
        }
        self.hasDropped = false
        self.setDeadline(Self.lingerPause, context: context)
    }

    func setDeadline(_ duration: Duration, context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        self.deadline.set(duration, on: context.eventLoop) {
            let (handler, context) = bound.value
            handler.deadlinePassed(context)
        }
    }

    func cancelDeadline() {
        self.deadline.cancel()
    }

    private func deadlinePassed(_ context: ChannelHandlerContext) {
        switch self.phase {
        case .answering where self.parked != nil: self.resume(context)
        case .answering: self.checkProgress(context)
        case .idle where self.isPaused:
            self.isPaused = false
            self.waitForRequest(context)
        case .idle: context.close(promise: nil)
        case .lingering: self.lingerOn(context)
        case .readingHead, .identifying, .readingBody: self.end(with: .timedOut, context: context)
        case .ended: break
        }
    }
}
