// Accepts connections and takes the first request of each as read: what stands before a stream server in a benchmark.

import CLinux
import Foundation

/// Accepts on a loopback port of the kernel's choice. One thread runs it.
final class BareAcceptor: Sendable {
    static let head = Array(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
            .utf8
    )

    let port: Int
    private let listener: Int32
    private let epoll: Int32
    private let accepted: @Sendable (Int32) -> Void

    /// `accepted`: given each connection whose request has come; owns it from then on.
    /// Throws `POSIXError` where the listener cannot be made.
    init(accepted: @escaping @Sendable (Int32) -> Void) throws {
        self.accepted = accepted
        self.listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.epoll = clinux_epoll_create()
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = self.listener
        let isListening = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, 4096) == 0
            }
        }
        guard isListening, clinux_set_nonblocking(listener, 1) >= 0,
            clinux_epoll_add(self.epoll, listener, CLINUX_EPOLLIN, UInt64(listener)) == 0
        else { throw POSIXError(.EADDRNOTAVAIL) }
        self.port = Int(clinux_local_port(listener))
    }

    deinit {
        _ = clinux_close(self.epoll)
        _ = clinux_close(self.listener)
    }

    /// Accepts until the process ends.
    func run() {
        var events = [clinux_event](repeating: clinux_event(), count: 256)
        var request = [UInt8](repeating: 0, count: 8192)
        while true {
            let count = clinux_epoll_wait(self.epoll, &events, 256, -1)
            for event in events.prefix(Int(max(0, count))) {
                let descriptor = Int32(truncatingIfNeeded: event.data)
                if descriptor == self.listener {
                    self.acceptAll()
                } else {
                    _ = clinux_epoll_del(self.epoll, descriptor)
                    // The load client sends its request in one piece.
                    guard clinux_recv(descriptor, &request, request.count) > 0 else {
                        _ = clinux_close(descriptor)
                        continue
                    }
                    self.accepted(descriptor)
                }
            }
        }
    }

    private func acceptAll() {
        while true {
            let descriptor = clinux_accept(self.listener)
            guard descriptor >= 0 else { return }
            _ = clinux_epoll_add(self.epoll, descriptor, CLINUX_EPOLLIN, UInt64(descriptor))
        }
    }
}
