// Opens a blocking connection to a gateway, with time-outs.

import CLinux
import Foundation
import Glibc

enum SocketConnecting {
    /// Tries every address of the host in turn.
    ///
    /// - Throws: ``GatewayConnectionError`` with the reason of the last.
    static func connect(to address: GatewayAddress, timeout: Duration) throws(GatewayConnectionError) -> Int32 {
        switch address {
        case .unix(let path): return try self.connect(path: path, timeout: timeout)
        case .tcp(let host, let port): return try self.connect(host: host, port: port, timeout: timeout)
        }
    }

    private static func connect(path: String, timeout: Duration) throws(GatewayConnectionError) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        let descriptor = try self.socket(AF_UNIX, timeout: timeout)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        let code = errno
        guard result == 0 else {
            _ = clinux_close(descriptor)
            throw GatewayConnectionError(description: String(cString: clinux_error_text(code)))
        }
        return descriptor
    }

    private static func connect(host: String, port: Int, timeout: Duration) throws(GatewayConnectionError) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &list) == 0 else {
            throw GatewayConnectionError(description: "the host name does not resolve")
        }
        defer { freeaddrinfo(list) }
        var failure = GatewayConnectionError(description: "the host has no address")
        var candidate = list
        while let entry = candidate?.pointee {
            candidate = entry.ai_next
            let descriptor = try self.socket(entry.ai_family, timeout: timeout)
            if Glibc.connect(descriptor, entry.ai_addr, entry.ai_addrlen) == 0 { return descriptor }
            let code = errno
            _ = clinux_close(descriptor)
            let text = code == EINPROGRESS ? "no answer in time" : String(cString: clinux_error_text(code))
            failure = GatewayConnectionError(description: text)
        }
        throw failure
    }

    /// A socket whose connecting, sending and receiving each give up after `timeout`.
    private static func socket(_ family: Int32, timeout: Duration) throws(GatewayConnectionError) -> Int32 {
        let descriptor = Glibc.socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        let code = errno
        guard descriptor >= 0 else {
            throw GatewayConnectionError(description: String(cString: clinux_error_text(code)))
        }
        let (seconds, attoseconds) = timeout.components
        var limit = timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        return descriptor
    }
}
