// A connection to a broker that is made again whenever it is lost.

import CNATS
import Synchronization
package import System

/// A connection to a broker, with a thread of its own. Any thread may call, and no call blocks.
///
/// `Sendable`: what is not constant is in ``NATSLoop``, which its thread alone has, or behind a lock.
package final class NATSConnection: Sendable {
    package typealias Command = @Sendable (NATSLoop) -> Void

    package let settings: NATSSettings
    package let figures = NATSFigures()
    private let inbox: Inbox<Command>
    private let pending = Mutex((count: 0, bytes: 0))

    /// Whether the library of the system is there.
    package static var isAvailable: Bool { cnats_available() }
    /// Of the library; "" without it.
    package static var libraryVersion: String { String(cString: cnats_version()) }

    /// - Throws: ``SystemError`` where no descriptor is left.
    package init(_ settings: NATSSettings) throws(SystemError) {
        self.settings = settings
        self.inbox = Inbox(wakeUp: try WakeUp())
    }

    /// Connects, and goes on connecting until ``stop()``. Called once. `notify` is called on the connection's thread.
    ///
    /// - Throws: ``SystemError`` where no thread is left.
    package func start(_ notify: @escaping @Sendable (NATSLoop, NATSEvent) -> Void) throws(SystemError) {
        let (settings, inbox, figures) = (self.settings, self.inbox, self.figures)
        try SystemThread.detach(name: "freshet-nats", stackBytes: 1 << 20) {
            NATSLoop(settings, inbox, figures, notify).run()
        }
    }

    /// Has `body` called on the connection's thread, in the order of these calls; `false` after the end.
    @discardableResult
    package func perform(_ body: @escaping Command) -> Bool {
        self.inbox.post(body)
    }

    /// Takes a place among what waits for the broker, to be given back by ``release(bytes:)``; `false` where none is left.
    package func admit(bytes: Int) -> Bool {
        let isAdmitted = self.pending.withLock { pending in
            guard pending.count < self.settings.maxPending, bytes <= self.settings.maxPendingBytes - pending.bytes
            else {
                return false
            }
            pending.count += 1
            pending.bytes += bytes
            return true
        }
        if !isAdmitted { self.figures.count { $0.refused += 1 } }
        return isAdmitted
    }

    package func release(bytes: Int) {
        self.pending.withLock { pending in
            pending.count -= 1
            pending.bytes -= bytes
        }
    }

    /// What waits for the broker.
    package var waiting: (count: Int, bytes: Int) { self.pending.withLock { $0 } }

    /// Sends what was asked for so far, for a second at most, and disconnects. What has no answer by then fails.
    package func stop() {
        self.perform { loop in loop.stop() }
    }
}

/// Counts of a connection.
package final class NATSFigures: Sendable {
    package struct Values: Hashable, Sendable {
        package var connections = 0
        package var lostConnections = 0
        package var failedAttempts = 0
        /// Not even begun, since too much waited.
        package var refused = 0
        /// Messages that nobody waits for, while too much was unsent.
        package var dropped = 0
    }

    private let stored = Mutex(Values())

    package init() {}
    package var values: Values { self.stored.withLock { $0 } }
    func count(_ change: (inout Values) -> Void) { self.stored.withLock { change(&$0) } }
}
