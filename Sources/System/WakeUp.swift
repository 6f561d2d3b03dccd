// How a thread that sleeps on descriptors is woken by others.

import CLinux

/// An eventfd by which any thread ends the sleep of the one that watches it.
package final class WakeUp: Sendable {
    /// Readable from ``signal()`` until ``drain()``. Owned: closed with this object only.
    package let descriptor: Int32

    /// - Throws: ``SystemError`` where no descriptor is left.
    package init() throws(SystemError) {
        self.descriptor = clinux_eventfd_create()
        guard self.descriptor >= 0 else { throw SystemError("make an eventfd", code: self.descriptor) }
    }

    deinit {
        if self.descriptor >= 0 { _ = clinux_close(self.descriptor) }
    }

    /// Any thread may call; several calls before the thread wakes count as one.
    package func signal() {
        _ = clinux_eventfd_signal(self.descriptor)
    }

    /// Makes the descriptor unreadable again.
    package func drain() {
        _ = clinux_eventfd_drain(self.descriptor)
    }
}
