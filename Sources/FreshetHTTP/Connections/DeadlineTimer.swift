// A deadline that moves: set for each part of a request, and due at most once.

import FreshetCore
import NIOCore

/// One timer of one connection. Confined to its event loop.
struct DeadlineTimer {
    private var scheduled: Scheduled<Void>?
    /// The deadline is the one between two requests, which the first byte of the next replaces.
    var isIdle = false

    /// Replaces what was set.
    mutating func set(_ duration: Duration, on eventLoop: any EventLoop, _ passed: @escaping @Sendable () -> Void) {
        self.cancel()
        self.scheduled = eventLoop.scheduleTask(in: .nanoseconds(duration.clampedNanoseconds), passed)
    }

    mutating func cancel() {
        self.scheduled?.cancel()
        self.scheduled = nil
        self.isIdle = false
    }
}
