// An upstream with a value that never changes.

import CLinux
import Foundation

/// Answers every request with `{}`. Without an upstream a source would be in trouble, which every subscriber is told in an event,
/// and the publishers count events.
enum QuietUpstream {
    /// Signalled once per answer.
    private static let answered = DispatchSemaphore(value: 0)

    static let port = Result {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
        let answer = head + "{}"
        let acceptor = try BareAcceptor { descriptor in
            _ = clinux_send(descriptor, answer, answer.utf8.count)
            _ = clinux_close(descriptor)
            Self.answered.signal()
        }
        Thread.detachNewThread { acceptor.run() }
        return acceptor.port
    }

    /// Returns once a request has been answered for which nothing has waited yet.
    ///
    /// - Throws: `BenchmarkFailure` after ten seconds.
    static func awaitPoll() throws {
        guard Self.answered.wait(timeout: .now() + 10) == .success else {
            throw BenchmarkFailure("the gateway did not poll its source")
        }
    }
}

extension ChildProcess {
    /// The process and its children, for nginx its workers, with commas.
    var identifiersWithChildren: String {
        let children = try? String(
            contentsOfFile: "/proc/\(self.identifier)/task/\(self.identifier)/children",
            encoding: .utf8
        )
        let workers = (children ?? "").split(separator: " ").joined(separator: ",")
        return workers.isEmpty ? "\(self.identifier)" : "\(self.identifier),\(workers)"
    }
}
