// A small HTTP/1.1 server of the program's own: the demo's upstream, and recordings that are replayed.

import CLinux
import FreshetCore
import Glibc
import Synchronization
import System

/// Answers requests from a thread of its own, keeps connections open, and bounds what it reads and holds.
final class SmallServer: Sendable {
    /// The port that it listens on.
    let port: Int
    private let listener: Int32
    private let tick: @Sendable () -> Void
    private let answer: @Sendable (SmallRequest) -> [UInt8]
    private let isStopped = Atomic<Bool>(false)

    /// Connections at one time; more are closed.
    private static let maxConnections = 64
    /// Of a request's head.
    private static let maxHeadBytes = 16 << 10
    /// Answers that wait to be sent on one connection: no further request of it is answered above this.
    private static let maxOutputBytes = 4 << 20

    /// Starts to listen.
    ///
    /// - Parameters:
    ///   - address: `HOST:PORT` with a numeric host or `localhost`; the port may be 0.
    ///   - name: That of the thread.
    ///   - tick: Called on the thread at least every 200 ms.
    ///   - answer: Called on the thread; the bytes of the whole answer.
    /// - Throws: ``StartFailure`` where it cannot listen there.
    init(
        _ address: ListenAddress,
        name: String,
        tick: @escaping @Sendable () -> Void = {},
        answer: @escaping @Sendable (SmallRequest) -> [UInt8]
    ) throws(StartFailure) {
        self.tick = tick
        self.answer = answer
        self.listener = try Self.listening(address)
        self.port = Int(clinux_local_port(self.listener))
        do throws(SystemError) {
            try SystemThread.detach(name: name) { [self] in self.run() }
        } catch {
            _ = clinux_close(self.listener)
            throw StartFailure("There is no thread to serve \(address) from: \(error)")
        }
    }

    /// Ends the thread and frees the port, soon.
    func stop() {
        self.isStopped.store(true, ordering: .relaxed)
    }

    // MARK: Listening

    private static func listening(_ address: ListenAddress) throws(StartFailure) -> Int32 {
        guard case .tcp(let host, let port) = address, let number = in_port_t(exactly: port) else {
            throw StartFailure("\(address) cannot be listened on here; write HOST:PORT such as 127.0.0.1:8081")
        }
        let numeric = host.lowercased() == "localhost" ? "127.0.0.1" : host
        let isSix = numeric.contains(":")
        let descriptor = socket(
            isSix ? AF_INET6 : AF_INET,
            Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue),
            0
        )
        guard descriptor >= 0 else { throw self.failure(address, errno) }
        _ = clinux_set_reuse_address(descriptor, 1)
        let bound =
            isSix ? self.bindSix(descriptor, numeric, number) : self.bindFour(descriptor, numeric, number)
        let code = errno
        guard let bound else {
            _ = clinux_close(descriptor)
            throw StartFailure("\(address): the host is no address; write one such as 127.0.0.1 or [::1]")
        }
        guard bound == 0, listen(descriptor, 64) == 0 else {
            let reason = bound == 0 ? errno : code
            _ = clinux_close(descriptor)
            throw self.failure(address, reason)
        }
        return descriptor
    }

    private static func failure(_ address: ListenAddress, _ code: Int32) -> StartFailure {
        StartFailure("Cannot listen on \(address): \(SystemError.text(of: code)); choose another with --listen")
    }

    /// `nil` where the host is no address.
    private static func bindFour(_ descriptor: Int32, _ host: String, _ port: in_port_t) -> Int32? {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else { return nil }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// `nil` where the host is no address.
    private static func bindSix(_ descriptor: Int32, _ host: String, _ port: in_port_t) -> Int32? {
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = port.bigEndian
        guard inet_pton(AF_INET6, host, &address.sin6_addr) == 1 else { return nil }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
    }

    // MARK: Serving

    private struct Connection {
        var input: [UInt8] = []
        var output: ArraySlice<UInt8> = []
        var closesAfterOutput = false
    }

    private func run() {
        var connections: [Int32: Connection] = [:]
        while !self.isStopped.load(ordering: .relaxed) {
            self.tick()
            self.turn(&connections)
        }
        for descriptor in connections.keys {
            _ = clinux_close(descriptor)
        }
        _ = clinux_close(self.listener)
    }

    /// Waits for something to do, at most 200 ms, and does it.
    private func turn(_ connections: inout [Int32: Connection]) {
        var watched = [pollfd(fd: self.listener, events: Int16(POLLIN), revents: 0)]
        for (descriptor, connection) in connections {
            let events = connection.output.isEmpty ? POLLIN : POLLOUT
            watched.append(pollfd(fd: descriptor, events: Int16(events), revents: 0))
        }
        guard poll(&watched, nfds_t(watched.count), 200) > 0 else { return }
        for entry in watched.dropFirst() where entry.revents != 0 {
            guard var connection = connections.removeValue(forKey: entry.fd) else { continue }
            if self.serve(&connection, entry.fd) {
                connections[entry.fd] = connection
            } else {
                _ = clinux_close(entry.fd)
            }
        }
        guard let first = watched.first, first.revents != 0 else { return }
        let accepted = clinux_accept(self.listener)
        guard accepted >= 0 else { return }
        if connections.count < Self.maxConnections {
            _ = clinux_set_nodelay(accepted, 1)
            connections[accepted] = Connection()
        } else {
            _ = clinux_close(accepted)
        }
    }

    /// Reads what is there, answers what is complete, writes what fits.
    ///
    /// - Returns: Whether the connection goes on.
    private func serve(_ connection: inout Connection, _ descriptor: Int32) -> Bool {
        if connection.output.isEmpty {
            var chunk = [UInt8](repeating: 0, count: 4096)
            let count = clinux_recv(descriptor, &chunk, chunk.count)
            if count == -Int(EAGAIN) { return true }
            guard count > 0 else { return false }
            connection.input.append(contentsOf: chunk[..<count])
        }
        repeat {
            self.answerRequests(of: &connection)
            guard connection.input.count <= Self.maxHeadBytes + SmallRequest.maxBodyBytes else { return false }
            while !connection.output.isEmpty {
                let count = connection.output.withUnsafeBytes { clinux_send(descriptor, $0.baseAddress, $0.count) }
                if count == -Int(EAGAIN) { return true }
                guard count > 0 else { return false }
                connection.output = connection.output.dropFirst(count)
            }
            // What was sent is let go of, and a request that waited for that is answered.
            connection.output = []
        } while !connection.closesAfterOutput && SmallRequest.isWhole(connection.input)
        return !connection.closesAfterOutput
    }

    private func answerRequests(of connection: inout Connection) {
        while connection.output.count < Self.maxOutputBytes, !connection.closesAfterOutput,
            let request = SmallRequest.take(from: &connection.input)
        {
            connection.output.append(contentsOf: self.answer(request))
            connection.closesAfterOutput = request.closes
        }
    }
}
