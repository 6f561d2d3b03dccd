import CLinux
import Glibc
import Synchronization

/// Many connections that do the same at one time, on one thread: what a storm is made of.
///
/// One call at a time; another waits for it. The last reference closes all. Any task may call.
package final class Crowd: Sendable {
    private struct Member: Sendable {
        var socket: StreamSocket
        var received: [UInt8] = []
        var hasEnded = false
    }

    private let members: Mutex<[Member]>

    /// Connects `count` times to `endpoint`, and sends `bytes` on each connection. The soft limit of open files is raised
    /// as far as it goes.
    ///
    /// - Throws: `TestingError` when one of them finds no connection in time.
    package convenience init(
        _ count: Int,
        to endpoint: Endpoint,
        sending bytes: [UInt8],
        timeout: Duration = .patience
    ) async throws {
        try await self.init(to: endpoint, sending: Array(repeating: bytes, count: count), timeout: timeout)
    }

    /// Connects to `endpoint` once for each of `requests`, and sends it.
    ///
    /// - Throws: `TestingError` when one of them finds no connection in time.
    package init(to endpoint: Endpoint, sending requests: [[UInt8]], timeout: Duration = .patience) async throws {
        let members = try await PlainThread.run("crowd-connect") {
            Self.raiseOpenFiles()
            let deadline = Deadline(in: timeout)
            return try requests.map { bytes in
                let socket = try StreamSocket.connected(to: endpoint, deadline: deadline)
                // A server that refuses may have closed already: what it said is there to be read.
                _ = try? socket.write(bytes, deadline: deadline)
                return Member(socket: socket)
            }
        }
        self.members = Mutex(members)
    }

    /// Reads until each has received `text` since the last call, or has ended, or the time is up, and returns what each
    /// received.
    package func receive(until text: String, timeout: Duration = .patience) async throws -> [String] {
        let needle = [UInt8](text.utf8)
        return try await PlainThread.run("crowd-receive") {
            let deadline = Deadline(in: timeout)
            return self.members.withLock { members in
                members.indices.map { index in
                    Self.read(&members[index], until: needle, deadline)
                    defer { members[index].received = [] }
                    return String(decoding: members[index].received, as: UTF8.self)
                }
            }
        }
    }

    /// Reads until the server has ended every connection, or the time is up, and returns how many it has ended.
    package func receiveToEnd(timeout: Duration = .patience) async throws -> Int {
        try await PlainThread.run("crowd-receive") {
            let deadline = Deadline(in: timeout)
            return self.members.withLock { members in
                for index in members.indices { Self.read(&members[index], until: nil, deadline) }
                return members.count { $0.hasEnded }
            }
        }
    }

    /// Closes all connections: every second one in order, the others with a reset.
    package func leave() {
        self.members.withLock { members in
            for (index, member) in members.enumerated() {
                if index % 2 == 0 { member.socket.close() } else { member.socket.reset() }
            }
            members = []
        }
    }

    private static func read(_ member: inout Member, until needle: [UInt8]?, _ deadline: Deadline) {
        while !member.hasEnded {
            if let needle, ByteSearch.contains(needle, in: member.received) { return }
            guard member.socket.wait(for: POLLIN, deadline: deadline) == .ready else { return }
            do {
                guard let bytes = try member.socket.read() else { continue }
                member.received += bytes
                member.hasEnded = bytes.isEmpty
            } catch {
                member.hasEnded = true
            }
        }
    }

    private static func raiseOpenFiles() {
        var (soft, hard): (Int64, Int64) = (0, 0)
        if clinux_get_file_limit(&soft, &hard) == 0, soft < hard { _ = clinux_set_file_limit(hard) }
    }
}
