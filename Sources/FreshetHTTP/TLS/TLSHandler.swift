// TLS in front of the HTTP of a connection, as long as an event loop has it.

import FreshetCore
import NIOCore
import NIOPosix
import TLS

/// Tells a connection that it speaks HTTP/2, with what came of it so far.
struct HTTP2Agreed: Sendable {
    var received: ByteBuffer
}

/// Opens what comes and seals what goes. A stream takes the session with it when it leaves. Confined to the event loop of its
/// channel.
///
/// The deadline of the handshake is that of the first request's header: ``ConnectionHandler`` counts from the connection on.
final class TLSHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// `nil` once it has left, or failed.
    private var session: TLSSession?
    private let counters: TLSCounters
    private var isOpen = false
    private var hasEnded = false
    /// The handshake has been answered; what comes next takes little time.
    private var hasAnswered = false
    /// What has arrived while the handshake waits for its turn, and whether that is all that the client has sent.
    private var waiting: ByteBuffer?
    private var endsAfterWaiting = false
    private var context: ChannelHandlerContext?
    private let workspace: TLSWorkspace

    /// What a client may send before it is answered. A ClientHello has some hundred bytes, or two thousand.
    private static let maxWaitingBytes = 32 << 10

    // Each thread reads and sets a value of its own.
    nonisolated(unsafe) private static let workspaces = ThreadSpecificVariable<TLSWorkspace>()

    /// On the event loop of the channel.
    init(_ session: TLSSession, counters: TLSCounters) {
        self.session = session
        self.counters = counters
        if let workspace = Self.workspaces.currentValue {
            self.workspace = workspace
        } else {
            self.workspace = TLSWorkspace()
            Self.workspaces.currentValue = self.workspace
        }
    }

    /// Gives the session away, with the connection; the handler does nothing any more. What arrived is opened already, or is
    /// the beginning of a record inside of the session.
    func takeSession() -> TLSSession? {
        defer { self.session = nil }
        return self.session
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        self.waiting = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.waiting = nil
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var sealed = self.unwrapInboundIn(data)
        if self.hasAnswered { return self.receive(sealed, context) }
        guard self.waiting == nil else {
            self.waiting?.writeBuffer(&sealed)
            if let waiting, waiting.readableBytes > Self.maxWaitingBytes {
                self.waiting = nil
                self.fail(.malformed, context)
            }
            return
        }
        self.waiting = sealed
        HandshakeLine.of(context.eventLoop, self.counters).enter { [weak self] in self?.takeTurn() ?? false }
    }

    /// Goes on with the handshake.
    ///
    /// - Returns: Whether it was answered, which takes long. The beginning of a ClientHello takes no turn, so that clients which
    ///   send it byte by byte hold nobody up.
    private func takeTurn() -> Bool {
        guard let waiting, let context else { return false }
        self.waiting = nil
        self.receive(waiting, context)
        if self.endsAfterWaiting { self.end(context) }
        return self.hasAnswered
    }

    private func receive(_ sealed: ByteBuffer, _ context: ChannelHandlerContext) {
        guard let session else { return }
        var opened = ByteBuffer()
        let state = sealed.withUnsafeReadableBytes { bytes in
            session.receive(bytes, with: self.workspace) { opened.writeBytes($0) }
        }
        if !self.isOpen, session.isOpen {
            self.isOpen = true
            if let subject = session.clientSubject {
                context.fireUserInboundEventTriggered(ClientCertificateEvent(subject: subject))
            }
            self.counters.opened(isTLS13: session.isTLS13)
        }
        if self.workspace.sealedCount > 0 { self.hasAnswered = true }
        self.flushSealed(context, promise: nil)
        if session.isOpen, session.isHTTP2, case .open = state {
            // Before any request: the connection goes to the shard that will carry its streams.
            return context.fireUserInboundEventTriggered(HTTP2Agreed(received: opened))
        }
        if opened.readableBytes > 0 { context.fireChannelRead(self.wrapInboundOut(opened)) }
        switch state {
        case .handshaking, .open: break
        case .closed: self.end(context)
        case .failed(let failure): self.fail(failure.kind, context)
        }
    }

    private func fail(_ kind: TLSFailure.Kind, _ context: ChannelHandlerContext) {
        self.counters.failed(kind, inHandshake: !self.isOpen)
        self.session = nil
        context.close(promise: nil)
    }

    /// The client has sent its last byte: close_notify, or the end of the connection.
    private func end(_ context: ChannelHandlerContext) {
        guard !self.hasEnded else { return }
        self.hasEnded = true
        context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event {
            if self.waiting == nil { self.end(context) } else { self.endsAfterWaiting = true }
            return
        }
        context.fireUserInboundEventTriggered(event)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let plain = self.unwrapOutboundIn(data)
        guard let session, plain.withUnsafeReadableBytes({ session.seal($0, with: self.workspace) }) else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        context.write(self.takeSealed(context), promise: promise)
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode != .input, let session {
            session.close(with: self.workspace)
            self.flushSealed(context, promise: nil)
        }
        context.close(mode: mode, promise: promise)
    }

    private func takeSealed(_ context: ChannelHandlerContext) -> NIOAny {
        self.workspace.takeSealed { self.wrapOutboundOut(context.channel.allocator.buffer(bytes: $0)) }
    }

    private func flushSealed(_ context: ChannelHandlerContext, promise: EventLoopPromise<Void>?) {
        guard self.workspace.sealedCount > 0 else { return }
        context.writeAndFlush(self.takeSealed(context), promise: promise)
    }
}
