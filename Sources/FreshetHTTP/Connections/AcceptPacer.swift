// What the listener does while the process is out of descriptors.

import NIOCore

/// Stops accepting for a moment after an accept that failed: the connection stays in the kernel's queue, so that trying
/// again at once would fail again, and burn a core. Meanwhile connections that go first are closed (A14).
final class AcceptPacer: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = any Channel
    typealias OutboundIn = any Channel

    private let registry: ConnectionRegistry
    private var isPaused = false
    private var holdsRead = false

    private static let pause = TimeAmount.milliseconds(20)
    /// Connections that are closed each time.
    private static let room = 16

    init(registry: ConnectionRegistry) {
        self.registry = registry
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !self.isPaused else { return }
        self.isPaused = true
        self.registry.makeRoom(for: Self.room)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: Self.pause) {
            let (pacer, context) = bound.value
            pacer.isPaused = false
            guard pacer.holdsRead else { return }
            pacer.holdsRead = false
            context.read()
        }
    }

    func read(context: ChannelHandlerContext) {
        if self.isPaused {
            self.holdsRead = true
        } else {
            context.read()
        }
    }
}
