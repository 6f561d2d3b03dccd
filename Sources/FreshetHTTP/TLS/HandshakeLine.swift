// Handshakes one at a time, so that an event loop gets to its other connections between two of them.

import NIOCore
import NIOPosix

/// The handshakes that wait for their turn at one event loop, first come first served. Confined to it.
///
/// The first answer of a handshake has a signature, and takes a third of a millisecond. An event loop reads all connections that
/// something has arrived on before it does anything else: a hundred clients that connect at once would hold every request for as
/// long as a hundred signatures take.
final class HandshakeLine {
    /// Does a part of a handshake; `false` where that took no time worth a pause, or nothing is left to do.
    typealias Step = () -> Bool

    /// What the event loop is left to other connections for at least. It looks at them all then, however little that is.
    static let pause = TimeAmount.microseconds(20)

    private let loop: any EventLoop
    private let counters: TLSCounters
    private var waiting = CircularBuffer<Step>()
    private var isTaken = false

    // Each thread reads and sets a value of its own.
    nonisolated(unsafe) private static let lines = ThreadSpecificVariable<HandshakeLine>()

    init(_ loop: any EventLoop, _ counters: TLSCounters) {
        self.loop = loop
        self.counters = counters
    }

    /// The line of an event loop, on which this is called.
    static func of(_ loop: any EventLoop, _ counters: TLSCounters) -> HandshakeLine {
        if let line = self.lines.currentValue, line.loop === loop, line.counters === counters { return line }
        let line = HandshakeLine(loop, counters)
        self.lines.currentValue = line
        return line
    }

    /// Has `step` done at once, or when its turn comes.
    func enter(_ step: @escaping Step) {
        guard self.isTaken else {
            if step() { self.leaveToOthers() }
            return
        }
        self.waiting.append(step)
        self.counters.handshakeWaits(1)
    }

    private func leaveToOthers() {
        self.isTaken = true
        let line = NIOLoopBound(self, eventLoop: self.loop)
        // A task without a delay would come before what arrives.
        self.loop.scheduleTask(in: Self.pause) { line.value.next() }
    }

    private func next() {
        self.isTaken = false
        while let step = self.waiting.popFirst() {
            self.counters.handshakeWaits(-1)
            if step() { return self.leaveToOthers() }
        }
    }
}
