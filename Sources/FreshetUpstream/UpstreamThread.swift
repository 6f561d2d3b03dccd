// A thread of our own, since libcurl's handles and the sleep on them belong to one.

import CLinux
package import FreshetCore
import Glibc
import Synchronization

/// Runs one function on a thread, which ends when the function returns.
package final class UpstreamThread: Sendable {
    private final class Work {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    private let thread: Mutex<pthread_t?>

    /// Starts the thread. Signals are blocked in it, so that the process's handling of them stays on others.
    ///
    /// - Throws: ``PollError`` of kind `internal` where the system has no thread to give.
    package init(name: String, _ body: @escaping @Sendable () -> Void) throws(PollError) {
        let work = Unmanaged.passRetained(Work(name: name, body: body))
        var thread = pthread_t()
        let code = pthread_create(&thread, nil, Self.main, work.toOpaque())
        guard code == 0 else {
            work.release()
            throw PollError(.internal, "no thread for upstreams: \(String(cString: clinux_error_text(code)))")
        }
        self.thread = Mutex(thread)
    }

    /// Waits for the thread to end; once is enough, later calls return at once. Not from the thread itself.
    package func join() {
        let thread = self.thread.withLock { $0.take() }
        if let thread { pthread_join(thread, nil) }
    }

    private static let main: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
        guard let argument else { return nil }
        let work = Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
        _ = clinux_set_thread_name(work.name)
        _ = clinux_block_signals()
        work.body()
        return nil
    }
}
