// Many non-blocking sockets on one thread: what the sides of the hostile benchmark are made of.

import CLinux
import Glibc

/// An epoll instance. One thread uses it.
final class SocketSet {
    private let epoll: Int32
    private var events = [clinux_event](repeating: clinux_event(), count: 256)

    /// - Throws: `BenchmarkFailure` where no descriptor is left.
    init() throws {
        self.epoll = clinux_epoll_create()
        guard self.epoll >= 0 else { throw BenchmarkFailure("no descriptor for epoll") }
    }

    deinit { _ = clinux_close(self.epoll) }

    func add(_ descriptor: Int32, for events: UInt32) {
        _ = clinux_epoll_add(self.epoll, descriptor, events, UInt64(UInt32(bitPattern: descriptor)))
    }

    func change(_ descriptor: Int32, to events: UInt32) {
        _ = clinux_epoll_mod(self.epoll, descriptor, events, UInt64(UInt32(bitPattern: descriptor)))
    }

    /// Waits for events and passes each with its descriptor.
    func wait(milliseconds: Int32, _ body: (_ descriptor: Int32, _ events: UInt32) -> Void) {
        let count = clinux_epoll_wait(self.epoll, &self.events, 256, milliseconds)
        for index in 0..<Int(max(0, count)) {
            body(Int32(truncatingIfNeeded: self.events[index].data), self.events[index].events)
        }
    }
}

/// An address of the loopback network.
struct LoopbackAddress: Hashable {
    private let number: UInt32

    /// `127.0.network.host`
    init(network: Int = 0, host: Int) {
        self.number =
            0x7F00_0000 | UInt32(truncatingIfNeeded: network & 0xFF) << 8 | UInt32(truncatingIfNeeded: host & 0xFF)
    }

    /// What a proxy of this address names as its client: `prefix` and the last number.
    func forwarded(in prefix: String) -> String { "\(prefix).\(self.number & 0xFF)" }

    fileprivate func withSocketAddress<Result>(port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result)
        -> Result
    {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = self.number.bigEndian
        address.sin_port = UInt16(clamping: port).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

/// Opens sockets on the loopback network.
enum LoopbackSocket {
    /// Listens on a port of the kernel's choice.
    ///
    /// - Throws: `BenchmarkFailure` where that fails.
    static func listener() throws -> (descriptor: Int32, port: Int) {
        let descriptor = self.open()
        let isListening = LoopbackAddress(host: 1).withSocketAddress(port: 0) { address, size in
            bind(descriptor, address, size) == 0 && listen(descriptor, 4096) == 0
        }
        guard isListening else { throw BenchmarkFailure("no listener on the loopback network") }
        return (descriptor, Int(clinux_local_port(descriptor)))
    }

    /// Begins to connect to a port of 127.0.0.1; writable once that is done. `nil` where the kernel has no socket left.
    static func connecting(to port: Int, from source: LoopbackAddress, receiveBufferBytes: Int32? = nil) -> Int32? {
        let descriptor = self.open()
        guard descriptor >= 0 else { return nil }
        var one: Int32 = 1
        // The port is chosen by connect, which may reuse one that goes to another destination.
        _ = setsockopt(descriptor, Int32(IPPROTO_IP), self.bindAddressNoPort, &one, socklen_t(MemoryLayout<Int32>.size))
        if let receiveBufferBytes { _ = clinux_set_receive_buffer(descriptor, receiveBufferBytes) }
        _ = clinux_set_nodelay(descriptor, 1)
        let isBound = source.withSocketAddress(port: 0) { bind(descriptor, $0, $1) == 0 }
        let code = LoopbackAddress(host: 1).withSocketAddress(port: port) { address, size in
            connect(descriptor, address, size) == 0 ? 0 : errno
        }
        guard isBound, code == 0 || code == EINPROGRESS else {
            _ = clinux_close(descriptor)
            return nil
        }
        return descriptor
    }

    /// `IP_BIND_ADDRESS_NO_PORT`, which the Glibc module lacks.
    private static let bindAddressNoPort: Int32 = 24

    private static func open() -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        return socket(AF_INET, type, 0)
    }

    /// Lets this process open as many files as the kernel allows.
    static func raiseFileLimit() {
        var (soft, hard): (Int64, Int64) = (0, 0)
        if clinux_get_file_limit(&soft, &hard) == 0, soft < hard { _ = clinux_set_file_limit(hard) }
    }
}
