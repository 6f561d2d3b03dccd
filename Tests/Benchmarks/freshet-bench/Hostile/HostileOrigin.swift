// The upstream of the hostile benchmark: every poll is answered with the next version of its document, stamped.

import CLinux
import Foundation
import Synchronization

/// Serves the documents of ``HostileSources`` on one thread, and notes how late each is asked for.
///
/// A document is `{"n":VERSION,"t":NANOSECONDS,…}` with a version that counts from 1 and the moment of its first answer on
/// the monotonic clock. A request that opens a connection repeats the version that is there: the gateway asks for a change
/// again over a new connection where the first answer may have been another request's, and drops that answer.
final class HostileOrigin: Sendable {
    private struct State: Sendable {
        var versions: [String: Int] = [:]
        var stamps: [String: Int64] = [:]
        var lastAsked: [String: Int64] = [:]
        var isFrozen = false
        var isMeasuring = false
        var isEnding = false
        /// Nanoseconds by which polls came later than the interval after the one before.
        var lateness: [Int64] = []
    }

    private struct Connection {
        var isNew = true
        var input: [UInt8] = []
        var output: [UInt8] = []
        var written = 0
    }

    let port: Int
    private let listener: Int32
    private let sources: HostileSources
    private let state = Mutex(State())
    /// What follows the stamp in the large document.
    private let largeRest: [UInt8]

    /// - Throws: `BenchmarkFailure` where no socket can be had.
    init(_ sources: HostileSources) throws {
        (self.listener, self.port) = try LoopbackSocket.listener()
        self.sources = sources
        let record = { (number: Int) in
            #"{"id":\#(number),"name":"record \#(number)","note":"\#(String(repeating: "x", count: 60))"}"#
        }
        let records = (0..<(sources.largeBytes / 100)).map(record).joined(separator: ",")
        self.largeRest = Array(#","items":[\#(records)]}"#.utf8)
        Thread.detachNewThread { self.run() }
    }

    func measure(_ isMeasuring: Bool) { self.state.withLock { $0.isMeasuring = isMeasuring } }

    /// From now on every document stays as it is. Returns the version of each.
    func freeze() -> [String: Int] {
        self.state.withLock { state in
            state.isFrozen = true
            return state.versions
        }
    }

    func end() { self.state.withLock { $0.isEnding = true } }

    /// In nanoseconds.
    var lateness: [Int64] { self.state.withLock { $0.lateness } }

    /// The documents that were asked for at least once.
    var asked: Int { self.state.withLock { $0.versions.count } }

    private func run() {
        guard let set = try? SocketSet() else { return }
        var connections: [Int32: Connection] = [:]
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        set.add(self.listener, for: CLINUX_EPOLLIN)
        while !self.state.withLock({ $0.isEnding }) {
            set.wait(milliseconds: 50) { descriptor, events in
                if descriptor == self.listener {
                    while case let accepted = clinux_accept(self.listener), accepted >= 0 {
                        _ = clinux_set_nodelay(accepted, 1)
                        connections[accepted] = Connection()
                        set.add(accepted, for: CLINUX_EPOLLIN)
                    }
                    return
                }
                guard var connection = connections.removeValue(forKey: descriptor) else { return }
                if self.serve(descriptor, &connection, &buffer, set) {
                    connections[descriptor] = connection
                } else {
                    _ = clinux_close(descriptor)
                }
            }
        }
        for descriptor in connections.keys { _ = clinux_close(descriptor) }
        _ = clinux_close(self.listener)
    }

    /// Reads requests and writes answers as far as the socket goes; `false` once the peer has gone.
    private func serve(_ descriptor: Int32, _ connection: inout Connection, _ buffer: inout [UInt8], _ set: SocketSet)
        -> Bool
    {
        while true {
            let count = clinux_recv(descriptor, &buffer, buffer.count)
            if count == -Int(EAGAIN) { break }
            guard count > 0 else { return false }
            connection.input += buffer[..<count]
        }
        while let end = connection.input.firstRange(of: Array("\r\n\r\n".utf8)) {
            let words = connection.input[..<end.lowerBound].split(separator: UInt8(ascii: " "), maxSplits: 2)
            let path = words.count > 1 ? String(decoding: words[1].dropFirst(), as: UTF8.self) : ""
            connection.input.removeSubrange(..<end.upperBound)
            connection.output += self.answer(to: path, mayRepeat: connection.isNew)
            connection.isNew = false
        }
        while connection.written < connection.output.count {
            let sent = connection.output.withUnsafeBytes { bytes in
                let rest = UnsafeRawBufferPointer(rebasing: bytes[connection.written...])
                return clinux_send(descriptor, rest.baseAddress, rest.count)
            }
            if sent == -Int(EAGAIN) {
                set.change(descriptor, to: CLINUX_EPOLLIN | CLINUX_EPOLLOUT)
                return true
            }
            guard sent > 0 else { return false }
            connection.written += sent
        }
        if !connection.output.isEmpty { set.change(descriptor, to: CLINUX_EPOLLIN) }
        (connection.output, connection.written) = ([], 0)
        return true
    }

    private func answer(to path: String, mayRepeat: Bool) -> [UInt8] {
        let now = clinux_monotonic_ns()
        let (version, stamp) = self.state.withLock { state -> (Int, Int64) in
            if mayRepeat, let version = state.versions[path] { return (version, state.stamps[path] ?? 0) }
            if let last = state.lastAsked[path], state.isMeasuring {
                let interval = Int64(self.sources.intervalMilliseconds(of: path)) * 1_000_000
                state.lateness.append(max(0, now - last - interval))
            }
            state.lastAsked[path] = now
            if state.versions[path] == nil || !(state.isFrozen || path == self.sources.quiet) {
                state.versions[path, default: 0] += 1
                state.stamps[path] = now
            }
            return (state.versions[path] ?? 0, state.stamps[path] ?? 0)
        }
        let rest = path == self.sources.large ? self.largeRest : self.sources.smallRest
        let body = Array(#"{"n":\#(version),"t":\#(stamp)"#.utf8) + rest
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(body.count)\r\n\r\n"
        return Array(head.utf8) + body
    }
}

/// Which sources the gateway of the benchmark has: fifty in all.
struct HostileSources: Sendable {
    /// Subscribed to, and changing with every poll.
    let regular = (0..<47).map { $0 < 10 ? "s0\($0)" : "s\($0)" }
    /// A value of 4 MB of which two members change with every poll.
    let large = "large"
    /// Never changes: requests that wait for it wait.
    let quiet = "quiet"
    /// Changes every two seconds: requests that wait for it are answered all at once.
    let pulse = "pulse"
    let largeBytes = 4 << 20
    /// What follows the stamp in a document that is not the large one.
    let smallRest = Array(#","pad":"\#(String(repeating: "x", count: 200))"}"#.utf8)

    var all: [String] { self.regular + [self.large, self.quiet, self.pulse] }

    func intervalMilliseconds(of source: String) -> Int {
        switch source {
        case self.large, self.pulse: 2000
        case self.quiet: 1000
        case _: 500
        }
    }

    /// A configuration whose sources are served by `origin` on this machine.
    func configuration(port: Int, origin: Int, memoryMebibytes: Int, log: String) -> String {
        let sources = self.all.map { name in
            "  \(name): { url: 'http://127.0.0.1:\(origin)/\(name)',"
                + " interval: \(self.intervalMilliseconds(of: name))ms }"
        }
        return """
            listen: 127.0.0.1:\(port)
            log: { path: '\(log)' }
            limits: { max_memory: \(memoryMebibytes)MiB, trusted_proxies: [127.0.0.0/8] }
            shutdown: { drain: 1s }
            sources:
            \(sources.joined(separator: "\n"))

            """
    }
}
