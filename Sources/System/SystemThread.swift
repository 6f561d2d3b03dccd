// Threads of our own, for what blocks or must stay on one thread: neither belongs on the pool of the concurrency runtime.

import CLinux
import Glibc
import Synchronization

/// Runs one function on a thread, which ends when the function returns.
///
/// Signals are blocked in it, so that the process's signal handling stays on the thread that is meant for it.
package final class SystemThread: Sendable {
    private final class Work: Sendable {
        let name: String
        let givesWay: Bool
        let body: @Sendable () -> Void

        init(name: String, givesWay: Bool, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.givesWay = givesWay
            self.body = body
        }
    }

    private let thread: Mutex<pthread_t?>

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - name: what `top -H` and debuggers show; 15 bytes of it.
    ///   - stackBytes: `nil` for the system's default, 8 MiB of which only what is touched is memory.
    ///   - body: what the thread runs.
    /// - Throws: ``SystemError`` where the system has no thread to give; `body` is then not called.
    package init(
        name: String,
        stackBytes: Int? = nil,
        _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) {
        self.thread = Mutex(try Self.start(name, stackBytes, givesWay: false, body))
    }

    /// Waits for the thread to end. Later calls return at once. Must not be called from the thread itself.
    package func join() {
        let thread = self.thread.withLock { $0.take() }
        if let thread { pthread_join(thread, nil) }
    }

    deinit {
        // Not joined: the system frees the thread when it ends.
        if let thread = self.thread.withLock({ $0.take() }) { pthread_detach(thread) }
    }

    /// Starts a thread that is not waited for.
    ///
    /// - Parameters:
    ///   - name: as ``init(name:stackBytes:_:)``.
    ///   - stackBytes: as ``init(name:stackBytes:_:)``.
    ///   - givesWay: for long work that nobody should notice: where processors are short, other threads go before it, and
    ///     it still has a part of the time. Where the system does not allow that, it is a thread like any other.
    ///   - body: what the thread runs.
    /// - Throws: ``SystemError``, as ``init(name:stackBytes:_:)``.
    package static func detach(
        name: String,
        stackBytes: Int? = nil,
        givesWay: Bool = false,
        _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) {
        pthread_detach(try self.start(name, stackBytes, givesWay: givesWay, body))
    }

    /// Processors that threads can run on, at least one.
    package static var processors: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    /// Blocks the calling thread, which must be one of these.
    package static func sleep(_ duration: Duration) {
        guard duration > .zero else { return }
        let (seconds, attoseconds) = duration.components
        // A signal that the thread does not block would cut one sleep short.
        var wanted = timespec(tv_sec: Int(clamping: seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
        var rest = timespec()
        while nanosleep(&wanted, &rest) != 0, errno == EINTR { wanted = rest }
    }

    private static func start(
        _ name: String,
        _ stackBytes: Int?,
        givesWay: Bool,
        _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) -> pthread_t {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        if let stackBytes { pthread_attr_setstacksize(&attributes, stackBytes) }
        let work = Unmanaged.passRetained(Work(name: name, givesWay: givesWay, body: body))
        var thread = pthread_t()
        let code = pthread_create(&thread, &attributes, self.main, work.toOpaque())
        guard code == 0 else {
            work.release()
            throw SystemError("start a thread", code: code)
        }
        return thread
    }

    private static let main: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
        guard let argument else { return nil }
        let work = Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
        _ = clinux_set_thread_name(work.name)
        _ = clinux_block_signals()
        if work.givesWay { _ = clinux_give_way() }
        work.body()
        return nil
    }
}
