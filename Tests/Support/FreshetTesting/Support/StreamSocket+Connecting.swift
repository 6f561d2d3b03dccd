import CLinux
import Glibc

extension StreamSocket {
    /// Listens on a port of 127.0.0.1: one that the kernel picks for 0.
    static func listening(port: UInt16 = 0) throws -> StreamSocket {
        let socket = StreamSocket(descriptor: try open(AF_INET))
        _ = try checked(clinux_set_reuse_address(socket.descriptor, 1), "SO_REUSEADDR")
        try withAddress(of: .port(port)) { address, size in
            guard bind(socket.descriptor, address, size) == 0 else { throw systemError("bind") }
        }
        guard listen(socket.descriptor, SOMAXCONN) == 0 else { throw systemError("listen") }
        return socket
    }

    /// Listens at a path of the file system.
    static func listening(path: String) throws -> StreamSocket {
        let socket = StreamSocket(descriptor: try open(AF_UNIX))
        try withAddress(of: .unix(path: path)) { address, size in
            guard bind(socket.descriptor, address, size) == 0 else { throw systemError("bind to \(path)") }
        }
        guard listen(socket.descriptor, SOMAXCONN) == 0 else { throw systemError("listen") }
        return socket
    }

    /// Connects to `endpoint`. `receiveBufferBytes` is `SO_RCVBUF`, set before the connection is made so that the first
    /// window obeys it; `source` is the address to come from, such as 127.0.0.2.
    static func connected(
        to endpoint: Endpoint,
        from source: String? = nil,
        receiveBufferBytes: Int? = nil,
        deadline: Deadline
    ) throws -> StreamSocket {
        let socket = StreamSocket(descriptor: try open(family(of: endpoint)), session: try clientSession(for: endpoint))
        if let source {
            try withAddress(of: .tcp(host: source, port: 0)) { address, size in
                guard bind(socket.descriptor, address, size) == 0 else { throw systemError("bind to \(source)") }
            }
        }
        if let receiveBufferBytes {
            let size = Int32(clamping: receiveBufferBytes)
            _ = try checked(clinux_set_receive_buffer(socket.descriptor, size), "SO_RCVBUF")
        }
        let code = try withAddress(of: endpoint) { address, size in
            connect(socket.descriptor, address, size) == 0 ? 0 : errno
        }
        guard code == 0 || code == EINPROGRESS else { throw systemError("connect to \(endpoint)", code) }
        guard socket.wait(for: POLLOUT, deadline: deadline) == .ready else {
            throw TestingError(.timedOut, "no connection to \(endpoint) in time")
        }
        _ = try checked(clinux_socket_error(socket.descriptor), "connect to \(endpoint)")
        if case .unix = endpoint { return socket }
        _ = clinux_set_nodelay(socket.descriptor, 1)
        try socket.shakeHands(deadline: deadline)
        return socket
    }

    private static func open(_ family: Int32) throws -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(family, type, 0)
        guard descriptor >= 0 else { throw systemError("socket") }
        return descriptor
    }
}

private func systemError(_ call: String, _ code: Int32 = errno) -> TestingError {
    TestingError(.systemCall(code: code), "\(call): \(errorText(Int(code)))")
}

private func clientSession(for endpoint: Endpoint) throws -> TLSClientSession? {
    guard case .tls(_, _, let options) = endpoint else { return nil }
    return try TLSClientSession(options)
}

private func family(of endpoint: Endpoint) -> Int32 {
    switch endpoint {
    case .tcp(let host, _), .tls(let host, _, _): host.contains(":") ? AF_INET6 : AF_INET
    case .unix: AF_UNIX
    }
}

/// Calls `body` with the address in the shape that the socket calls take.
private func withAddress<Result>(
    of endpoint: Endpoint,
    _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Result
) throws -> Result {
    switch endpoint {
    case .tcp(let host, let port) where host.contains(":"), .tls(let host, let port, _) where host.contains(":"):
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = port.bigEndian
        guard inet_pton(AF_INET6, host, &address.sin6_addr) == 1 else { throw systemError(host, EINVAL) }
        return try withSocketAddress(&address, body)
    case .tcp(let host, let port), .tls(let host, let port, _):
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else { throw systemError(host, EINVAL) }
        return try withSocketAddress(&address, body)
    case .unix(let path):
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = [UInt8](path.utf8)
        try withUnsafeMutableBytes(of: &address.sun_path) { room in
            guard bytes.count < room.count else { throw systemError(path, ENAMETOOLONG) }
            room.copyBytes(from: bytes)
        }
        return try withSocketAddress(&address, body)
    }
}

private func withSocketAddress<Address, Result>(
    _ address: inout Address,
    _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Result
) throws -> Result {
    try withUnsafePointer(to: &address) { pointer in
        try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            try body($0, socklen_t(MemoryLayout<Address>.size))
        }
    }
}
