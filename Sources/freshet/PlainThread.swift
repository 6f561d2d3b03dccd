// A thread for work that waits: it must not sit on the pool of the concurrency runtime.

import CLinux
import Foundation

enum PlainThread {
    /// Runs `body` on a new thread. The name is seen in `top -H`; 15 bytes of it.
    static func start(name: String, _ body: @escaping @Sendable () -> Void) {
        Thread.detachNewThread {
            _ = clinux_set_thread_name(name)
            _ = clinux_block_signals()
            body()
        }
    }

    /// Blocks the calling thread, which must be one of these.
    static func sleep(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        Thread.sleep(forTimeInterval: Double(seconds) + Double(attoseconds) / 1e18)
    }
}
