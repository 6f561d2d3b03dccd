// The demo's upstream: a small HTTP server on a loopback port of the kernel's choice.

import CLinux
import FreshetCore
import Glibc
import Synchronization
import System

/// Serves a ``DemoWorld`` over HTTP/1.1 with entity tags, from a thread of its own.
///
/// It answers GET and HEAD, takes writes of orders, keeps connections open, and bounds what it reads. It is for this machine
/// only.
final class DemoUpstream: Sendable {
    /// The port of 127.0.0.1 that it listens on.
    let port: Int
    private let listener: Int32
    private let seed: UInt64
    private let isStopped = Atomic<Bool>(false)

    /// Connections at one time; more are closed.
    private static let maxConnections = 64
    /// Of a request's head.
    private static let maxHeadBytes = 16 << 10

    /// Starts to listen and to change.
    ///
    /// - Throws: ``StartFailure`` where no port can be had.
    init(seed: UInt64 = 7) throws(StartFailure) {
        self.seed = seed
        self.listener = socket(
            AF_INET,
            Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue),
            0
        )
        guard self.listener >= 0 else {
            throw StartFailure("The demo's upstream has no socket: \(String(cString: strerror(errno)))")
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let listener = self.listener
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard bound == 0, listen(listener, 64) == 0 else {
            let reason = String(cString: strerror(errno))
            close(listener)
            throw StartFailure("The demo's upstream cannot listen on 127.0.0.1: \(reason)")
        }
        self.port = Int(clinux_local_port(listener))
        do throws(SystemError) {
            try SystemThread.detach(name: "demo-upstream") { [self] in self.run() }
        } catch {
            close(listener)
            throw StartFailure("The demo's upstream has no thread: \(error)")
        }
    }

    /// Ends the thread and frees the port, soon.
    func stop() {
        self.isStopped.store(true, ordering: .relaxed)
    }

    private struct Connection {
        var input: [UInt8] = []
        var output: ArraySlice<UInt8> = []
        var closesAfterOutput = false
    }

    private func run() {
        var world = DemoWorld(seed: self.seed, now: WallTime.now)
        var connections: [Int32: Connection] = [:]
        let start = clinux_monotonic_ns()
        var steps: Int64 = 0
        while !self.isStopped.load(ordering: .relaxed) {
            while steps < (clinux_monotonic_ns() - start) / 1_000_000_000 {
                steps += 1
                world.advance(now: WallTime.now)
            }
            self.turn(&connections, &world)
        }
        for descriptor in connections.keys {
            _ = clinux_close(descriptor)
        }
        _ = clinux_close(self.listener)
    }

    /// Waits for something to do, at most 200 ms, and does it.
    private func turn(_ connections: inout [Int32: Connection], _ world: inout DemoWorld) {
        var watched = [pollfd(fd: self.listener, events: Int16(POLLIN), revents: 0)]
        for (descriptor, connection) in connections {
            let events = connection.output.isEmpty ? POLLIN : POLLOUT
            watched.append(pollfd(fd: descriptor, events: Int16(events), revents: 0))
        }
        guard poll(&watched, nfds_t(watched.count), 200) > 0 else { return }
        for entry in watched.dropFirst() where entry.revents != 0 {
            guard var connection = connections[entry.fd] else { continue }
            if self.serve(&connection, entry.fd, &world) {
                connections[entry.fd] = connection
            } else {
                connections[entry.fd] = nil
                _ = clinux_close(entry.fd)
            }
        }
        guard let first = watched.first, first.revents != 0 else { return }
        let accepted = clinux_accept(self.listener)
        guard accepted >= 0 else { return }
        if connections.count < Self.maxConnections {
            connections[accepted] = Connection()
        } else {
            _ = clinux_close(accepted)
        }
    }

    /// Takes the first request off what has come, once it is there whole. Of one whose body is too long the head is enough.
    private static func next(of input: inout [UInt8]) -> DemoRequest? {
        guard let headEnd = DemoRequest.headEnd(in: input) else { return nil }
        var request = DemoRequest(head: input[..<headEnd])
        let end = request.isTooLong ? headEnd : headEnd + request.bodyCount
        guard input.count >= end else { return nil }
        request.body = Array(input[headEnd..<end])
        input.removeFirst(end)
        return request
    }

    /// Reads what is there, answers what is complete, writes what fits.
    ///
    /// - Returns: Whether the connection goes on.
    private func serve(_ connection: inout Connection, _ descriptor: Int32, _ world: inout DemoWorld) -> Bool {
        if connection.output.isEmpty {
            var chunk = [UInt8](repeating: 0, count: 4096)
            let count = clinux_recv(descriptor, &chunk, chunk.count)
            if count == -Int(EAGAIN) { return true }
            guard count > 0 else { return false }
            connection.input.append(contentsOf: chunk[..<count])
            while !connection.closesAfterOutput, let request = Self.next(of: &connection.input) {
                connection.output.append(contentsOf: request.answer(&world, now: WallTime.now))
                connection.closesAfterOutput = request.closes
            }
            guard connection.input.count <= Self.maxHeadBytes + DemoRequest.maxBodyBytes else { return false }
        }
        while !connection.output.isEmpty {
            let count = connection.output.withUnsafeBytes { clinux_send(descriptor, $0.baseAddress, $0.count) }
            if count == -Int(EAGAIN) { return true }
            guard count > 0 else { return false }
            connection.output = connection.output.dropFirst(count)
        }
        return !connection.closesAfterOutput
    }
}
