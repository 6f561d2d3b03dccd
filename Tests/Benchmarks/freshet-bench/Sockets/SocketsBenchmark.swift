// Fan-out over WebSockets beside event streams: what a message costs where an event of a stream costs one.

import CLinux
import Foundation
import FreshetCore
import FreshetStreaming
import Glibc
import JSON
import Synchronization
import System

/// Measures the CPU per delivered event of 200 bytes, and the memory of an idle subscriber, of event streams and of sockets with one
/// subscription, in turn and in one process: its own CPU time but for that of the thread which reads. Prints a table.
///
/// `--runs N` (5), `--counts 1000,10000`, `--events N` (200). The connections are pairs of unix sockets, which cost the kernel less
/// than TCP: so the ratio is rather too large.
///
/// - Throws: where a socket or a thread cannot be had.
func runSocketsBenchmark(arguments: [String]) throws {
    SystemLimits.raiseOpenFiles()
    let options = SocketsOptions(arguments)
    print("sockets: CPU per delivered event of 200 bytes, medians of \(options.runs) pairs of runs")
    Table.row("subscribers", "SSE µs", "socket µs", "ratio", "SSE idle B", "socket idle B")
    for wanted in options.counts {
        // Each takes two descriptors here, and those of the run before may still be open.
        let count = min(wanted, (SystemLimits.openFiles - 1000) / 2)
        var streams: [SocketsResult] = []
        var sockets: [SocketsResult] = []
        for number in 0..<options.runs {
            for isSocket in number.isMultiple(of: 2) ? [false, true] : [true, false] {
                let result = try SocketsRun(count: count, isSocket: isSocket).measure(events: options.events)
                if isSocket { sockets.append(result) } else { streams.append(result) }
            }
        }
        func median(_ results: [SocketsResult], _ figure: KeyPath<SocketsResult, Double>) -> Double {
            let sorted = results.map { $0[keyPath: figure] }.sorted()
            return sorted[sorted.count / 2]
        }
        let (stream, socket) = (median(streams, \.microseconds), median(sockets, \.microseconds))
        Table.row(
            String(count),
            Table.ratio(stream),
            Table.ratio(socket),
            Table.ratio(socket / stream),
            Table.ratio(median(streams, \.idleBytes)),
            Table.ratio(median(sockets, \.idleBytes))
        )
    }
}

private struct SocketsOptions {
    var runs = 5
    var counts = [1000, 10_000]
    var events = 200

    init(_ arguments: [String]) {
        var arguments = arguments[...]
        while let flag = arguments.popFirst() {
            let value = arguments.popFirst() ?? ""
            switch flag {
            case "--runs": self.runs = max(1, Int(value) ?? self.runs)
            case "--events": self.events = max(1, Int(value) ?? self.events)
            case "--counts": self.counts = value.split(separator: ",").compactMap { Int($0) }
            case _: break
            }
        }
    }
}

private struct SocketsResult {
    var microseconds: Double
    var idleBytes: Double
}

/// One measurement of one kind of subscriber.
private struct SocketsRun {
    let count: Int
    let isSocket: Bool

    func measure(events: Int) throws -> SocketsResult {
        let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 1), cache: ChangeCache(maxBytes: 1 << 20)))
        let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "")
        guard let source = hub.addSource("bench", status: status) else { throw POSIXError(.EEXIST) }
        let server = StreamServer(hub: hub, settings: StreamSettings(shards: 1))
        try server.start()
        defer { server.stop() }
        let reader = try DrainThread()
        defer { reader.stop() }
        let before = Self.residentBytes
        for _ in 0..<self.count { try self.connect(to: server, source, reader) }
        while server.statistics.subscribers < self.count { usleep(2000) }
        usleep(100_000)
        let idle = Double(max(0, Self.residentBytes - before)) / Double(self.count)
        let (delivered, processor, reading) = (
            server.statistics.eventsDelivered, ProcessorTime.seconds, reader.processorSeconds
        )
        for number in 1...events {
            let text = #"{"n":\#(number),"pad":"\#(String(repeating: "x", count: 100))"}"#
            guard let document = try? Document(parsing: Array(text.utf8)) else { continue }
            hub.publish(Change(document: document, at: WallTime(milliseconds: 0)), of: source)
            let goal = delivered + UInt64(number * self.count)
            while server.statistics.eventsDelivered < goal { usleep(200) }
        }
        let used = ProcessorTime.seconds - processor - (reader.processorSeconds - reading)
        return SocketsResult(microseconds: used * 1e6 / Double(events * self.count), idleBytes: idle)
    }

    private func connect(to server: StreamServer, _ source: SourceID, _ reader: DrainThread) throws {
        var pair: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &pair) == 0 else { throw POSIXError(.EMFILE) }
        guard case .admitted(let ticket) = server.admit(.local) else { throw POSIXError(.EUSERS) }
        reader.add(pair[1])
        guard self.isSocket else {
            server.adopt(Self.handover(Socket(descriptor: pair[0]), source, .eventStream, ticket))
            return
        }
        server.adopt(
            WebSocketArrival(
                connection: Socket(descriptor: pair[0]),
                head: Array("HTTP/1.1 101 Switching Protocols\r\n\r\n".utf8),
                received: [],
                deflates: false,
                limits: WebSocketLimits(),
                ticket: ticket,
                owner: nil,
                mustAuthenticate: false,
                requests: FirstSubscription(server: server, source: source, ticket: ticket)
            )
        )
        // An empty text under a mask of zeros: whatever it says, it is answered by a subscription.
        let message: [UInt8] = [0x81, 0x80, 0, 0, 0, 0]
        guard send(pair[1], message, message.count, 0) == message.count else { throw POSIXError(.EIO) }
    }

    static func handover(
        _ connection: Socket,
        _ source: SourceID,
        _ wire: StreamWire,
        _ ticket: AdmissionTicket
    ) -> StreamHandover<Socket> {
        StreamHandover(
            connection: connection,
            sources: [source],
            format: StreamFormat(mode: .snapshot, wire: wire),
            position: .latest,
            head: wire.isMessages ? [] : BareAcceptor.head,
            framing: wire.isMessages ? .closeDelimited : .chunked,
            ticket: ticket
        )
    }

    private static var residentBytes: Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096
    }
}

/// Subscribes to one source at the first message.
private final class FirstSubscription: WebSocketRequests {
    private let server: StreamServer
    private let source: SourceID
    private let ticket: AdmissionTicket

    init(server: StreamServer, source: SourceID, ticket: AdmissionTicket) {
        self.server = server
        self.source = source
        self.ticket = ticket
    }

    func take(_ message: [UInt8], on exchange: WebSocketExchange) {
        let connection = exchange.subscription(1, answer: (Array("{".utf8), Array("}".utf8)), end: ([], []))
        self.server.adopt(SocketsRun.handover(connection, self.source, .messages, self.ticket))
    }

    func ended(_ subscription: UInt64) {}
    func narrowed(_ subscription: UInt64) {}
    func closed() {}
}

/// Reads and drops whatever comes on some descriptors, which it closes at its end.
final class DrainThread: Sendable {
    private struct State {
        var descriptors: [Int32] = []
        var seconds = 0.0
        var isStopped = false
    }

    private let epoll: Int32
    private let state = Mutex(State())

    init() throws {
        self.epoll = clinux_epoll_create()
        guard self.epoll >= 0 else { throw POSIXError(.EMFILE) }
        Thread.detachNewThread { [self] in self.run() }
    }

    func add(_ descriptor: Int32) {
        self.state.withLock { $0.descriptors.append(descriptor) }
        _ = clinux_epoll_add(self.epoll, descriptor, CLINUX_EPOLLIN, UInt64(descriptor))
    }

    /// CPU time of the thread, up to its last wait.
    var processorSeconds: Double { self.state.withLock { $0.seconds } }

    func stop() {
        let descriptors = self.state.withLock { state in
            state.isStopped = true
            return state.descriptors
        }
        for descriptor in descriptors { _ = clinux_close(descriptor) }
    }

    private func run() {
        let events = UnsafeMutablePointer<clinux_event>.allocate(capacity: 1024)
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: 64 << 10, alignment: 16)
        defer {
            events.deallocate()
            buffer.deallocate()
            _ = clinux_close(self.epoll)
        }
        while !self.state.withLock({ $0.isStopped }) {
            let count = clinux_epoll_wait(self.epoll, events, 1024, 20)
            for number in 0..<max(0, Int(count)) {
                _ = clinux_recv(Int32(truncatingIfNeeded: events[number].data), buffer, 64 << 10)
            }
            let seconds = Double(clinux_thread_cpu_ns()) / 1e9
            self.state.withLock { $0.seconds = seconds }
        }
    }
}
