// Signals as events on a thread: the handler itself may do next to nothing.

import CLinux
import Glibc

// Written once, before the handlers are installed; read by the handlers only.
nonisolated(unsafe) private var signalPipe: Int32 = -1

/// Hands the signals of the process to a closure, one after another, on a thread of its own.
enum SignalWatcher {
    /// Watches from now on, and ignores SIGPIPE. Once in a process.
    ///
    /// - Throws: ``StartFailure`` where there is no pipe.
    static func start(
        _ signals: [Int32],
        _ received: @escaping @Sendable (Int32) -> Void
    ) throws(StartFailure) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw StartFailure("No descriptor for signals: \(String(cString: strerror(errno)))")
        }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        // A full pipe drops a signal; without this, a handler could block the thread that it interrupted.
        _ = clinux_set_nonblocking(ends[1], 1)
        signalPipe = ends[1]
        signal(SIGPIPE, SIG_IGN)
        for number in signals {
            signal(number) { number in
                let saved = errno
                var byte = UInt8(truncatingIfNeeded: number)
                _ = write(signalPipe, &byte, 1)
                errno = saved
            }
        }
        let reading = ends[0]
        PlainThread.start(name: "signals") {
            while true {
                var byte: UInt8 = 0
                let count = read(reading, &byte, 1)
                if count == 1 {
                    received(Int32(byte))
                } else if count == 0 || errno != EINTR {
                    return
                }
            }
        }
    }
}
