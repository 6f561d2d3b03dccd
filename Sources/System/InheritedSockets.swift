// Listening sockets that a service manager opened before this process began (sd_listen_fds(3)).

import Glibc

/// The sockets of the main listener, of the one that speaks TLS alone, and of the one for administration; each may be
/// absent. A service manager that holds them keeps them open over a restart: a connection waits until there is a process
/// again, and none is refused.
package struct InheritedSockets: Hashable, Sendable {
    package struct Socket: Hashable, Sendable {
        /// Owned by whoever listens on it.
        package var descriptor: Int32
        /// Where it is bound.
        package var address: ListenAddress
    }

    package var main: Socket?
    package var tls: Socket?
    package var admin: Socket?

    package init() {}

    /// Why the sockets cannot be used: what, and the fix.
    package struct Problem: Error, Hashable, CustomStringConvertible {
        package var description: String
    }

    private static let firstDescriptor: Int32 = 3
    /// More than there are listeners is a mistake, whatever they are.
    private static let maxCount = 16

    /// Takes what was passed to this process, and has it passed to no other: LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES leave
    /// the environment. The name `tls` or `admin` (`FileDescriptorName=`) says which listener a socket is for; any other is
    /// the main one. Once in a process, before it has threads that read the environment.
    ///
    /// - Throws: ``Problem`` for what is no listening stream socket, and for two of one listener.
    package static func take() throws(Problem) -> InheritedSockets {
        let (pid, count, names) = (
            Self.variable("LISTEN_PID"), Self.variable("LISTEN_FDS"), Self.variable("LISTEN_FDNAMES")
        )
        guard pid == "\(getpid())", let count = count.flatMap({ Int32($0) }), count > 0 else {
            return InheritedSockets()
        }
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(name) }
        guard count <= Self.maxCount else {
            throw Problem(description: "\(count) sockets were passed to the gateway, which has at most three listeners")
        }
        let list = (names ?? "").split(separator: ":", omittingEmptySubsequences: false)
        var sockets = InheritedSockets()
        for index in 0..<count {
            let name = Int(index) < list.count ? String(list[Int(index)]) : ""
            let socket = try Self.socket(Self.firstDescriptor + index, named: name)
            let place: WritableKeyPath<InheritedSockets, Socket?> =
                switch name {
                case "tls": \.tls
                case "admin": \.admin
                case _: \.main
                }
            guard sockets[keyPath: place] == nil else {
                throw Problem(
                    description:
                        "two sockets were passed for one listener; keep one ListenStream= in each socket unit, and "
                        + "name others with FileDescriptorName=tls or admin"
                )
            }
            sockets[keyPath: place] = socket
        }
        return sockets
    }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    private static func socket(_ descriptor: Int32, named name: String) throws(Problem) -> Socket {
        guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else {
            throw Problem(description: "descriptor \(descriptor) was announced as a socket, and is not open")
        }
        guard Self.option(SO_TYPE, of: descriptor) == Int32(SOCK_STREAM.rawValue),
            Self.option(SO_ACCEPTCONN, of: descriptor) == 1, let address = Self.address(of: descriptor)
        else {
            throw Problem(
                description:
                    "descriptor \(descriptor) (\(name)) is no listening socket; use ListenStream= and Accept=no"
            )
        }
        // The flag is the socket's, not the descriptor's: an accept that another process was faster at must not wait.
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        return Socket(descriptor: descriptor, address: address)
    }

    private static func option(_ option: Int32, of descriptor: Int32) -> Int32? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, option, &value, &length) == 0 ? value : nil
    }

    /// `nil` for addresses that no listener of the gateway has.
    private static func address(of descriptor: Int32) -> ListenAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard result == 0 else { return nil }
        switch Int32(storage.ss_family) {
        case AF_INET, AF_INET6: return Self.networkAddress(storage, length)
        case AF_UNIX: return Self.path(storage, Int(length)).map { .unix(path: $0) }
        case _: return nil
        }
    }

    private static func networkAddress(_ storage: sockaddr_storage, _ length: socklen_t) -> ListenAddress? {
        var storage = storage
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        var port = [CChar](repeating: 0, count: Int(NI_MAXSERV))
        let result = withUnsafePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                getnameinfo(
                    address,
                    length,
                    &host,
                    socklen_t(host.count),
                    &port,
                    socklen_t(port.count),
                    NI_NUMERICHOST | NI_NUMERICSERV
                )
            }
        }
        guard result == 0, let number = Int(Self.text(port)) else { return nil }
        return .tcp(host: Self.text(host), port: number)
    }

    /// Of a socket file; abstract names have none.
    private static func path(_ storage: sockaddr_storage, _ length: Int) -> String? {
        let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
        let bytes = withUnsafeBytes(of: storage) { Array($0[start..<min(max(length, start), $0.count)]) }
        let path = bytes.prefix { $0 != 0 }
        return path.isEmpty ? nil : String(decoding: path, as: UTF8.self)
    }

    private static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
