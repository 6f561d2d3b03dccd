// What a delivered event costs readers of parts of a value, beside those of the whole.

import CLinux
import Foundation
import FreshetCore
import FreshetStreaming
import JSON
import Synchronization
import System

/// Publishes changes of a source of 10,000 items to 1,000 subscribers of the whole (one item changes, and a thousand do), to
/// 1,000 with 100 different pointers, and to 10,000 with a different item each. Each change delivers 1,000 events in all of
/// them. Prints a table: server CPU per delivered event; of it, what parsing, comparing and publishing the same changes cost
/// where nobody listens; and how many times the first row's the rest is.
///
/// `--changes N` (60). The clients are a thread of this process whose CPU is not counted.
///
/// - Throws: where a socket or a thread cannot be had, or events do not arrive.
func runViewsBenchmark(arguments: [String]) throws {
    let changes =
        arguments.firstIndex(of: "--changes").flatMap { arguments.dropFirst($0 + 1).first }.flatMap(Int.init) ?? 60
    SystemLimits.raiseOpenFiles()
    print("views: a source of 10,000 items, \(changes) changes, 1,000 events delivered by each")
    Table.row("subscribers", "events", "us/event", "of it, change", "delivery", "ratio")
    var base: Double?
    for load in ViewLoad.allCases {
        let unheard = try ViewRun(load).measureUnheard(changes: changes)
        let (events, microseconds) = try ViewRun(load).measure(changes: changes)
        let delivery = microseconds - unheard
        base = base ?? delivery
        Table.row(
            "\(load.subscribers) \(load.rawValue)",
            String(events),
            Table.ratio(microseconds),
            Table.ratio(unheard),
            Table.ratio(delivery),
            Table.ratio(delivery / (base ?? 1))
        )
    }
}

/// Who listens, and to what.
private enum ViewLoad: String, CaseIterable {
    case whole = "of the whole"
    case wholeOften = "of the whole, as for items"
    case pointers = "of 100 pointers"
    case items = "of an item each"

    /// As many as descriptors allow, of which each has two here; those of the loads before may still be open.
    var subscribers: Int { self == .items ? min(10_000, (SystemLimits.openFiles - 4500) / 2) : 1000 }

    /// How many items a change touches, so that it delivers 1,000 events.
    var touched: Int {
        switch self {
        case .whole: 1
        case .pointers: 100
        // The same changes, so that the third row can be held against what they cost without a view.
        case .items, .wholeOften: 1000
        }
    }

    func view(of subscriber: Int) -> View {
        switch self {
        case .whole, .wholeOften: .whole
        case .pointers: .pointer(Pointer(tokens: [.init("orders"), .init(String(subscriber % 100))]))
        case .items: .items([ScalarText(String(subscriber))])
        }
    }

    var mode: StreamMode { self == .items ? .items : .patch }
}

private final class ViewRun {
    private let load: ViewLoad
    private let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 1), cache: ChangeCache(maxBytes: 16 << 20)))
    private let server: StreamServer
    private let source: SourceID
    private var machine: SourceStateMachine
    private var counts = [Int](repeating: 0, count: 10_000)

    init(_ load: ViewLoad) throws {
        self.load = load
        var configuration = SourceConfiguration(name: "orders")
        configuration.items = Pointer("/orders")
        configuration.key = Pointer("/id")
        let (now, wall) = (MonotonicTime(nanoseconds: 0), WallTime(milliseconds: 0))
        self.machine = SourceStateMachine(configuration: configuration, phase: 0, now: now, wall: wall)
        guard let source = self.hub.addSource("orders", status: self.machine.status) else {
            throw BenchmarkFailure("no source")
        }
        self.source = source
        var settings = StreamSettings(shards: 1)
        settings.heartbeat = .seconds(3600)
        self.server = StreamServer(hub: self.hub, settings: settings)
    }

    private func publish() throws {
        var text = Array(#"{"orders":["#.utf8)
        for (id, count) in self.counts.enumerated() {
            if id > 0 { text.append(UInt8(ascii: ",")) }
            text.append(
                contentsOf: #"{"id":\#(id),"status":"open","count":\#(count),"name":"an order of something"}"#.utf8
            )
        }
        text.append(contentsOf: "]}".utf8)
        let (now, wall) = (MonotonicTime(nanoseconds: 0), WallTime(milliseconds: 0))
        let verdict = self.machine.valuePushed(body: text, contentType: nil, now: now, wall: wall)
        guard let change = verdict.change else { throw BenchmarkFailure("no change") }
        self.hub.publish(change, of: self.source)
    }

    /// - Returns: How many events were delivered, and the server's microseconds of CPU for each.
    func measure(changes: Int) throws -> (events: UInt64, microseconds: Double) {
        try self.server.start()
        defer { self.server.stop() }
        try self.publish()
        let drain = try Drain()
        for subscriber in 0..<self.load.subscribers { try self.subscribe(subscriber, drain) }
        let deadline = clinux_monotonic_ns() + 60_000_000_000
        while self.server.statistics.subscribers < self.load.subscribers {
            guard clinux_monotonic_ns() < deadline else { throw BenchmarkFailure("subscribers do not get in") }
            usleep(1000)
        }
        // The first change gives all others a checkpoint, once a heartbeat: an event or that to everybody.
        self.touch(0)
        try self.publish()
        try self.wait { $0 >= UInt64(self.load.subscribers) }
        let before = self.server.statistics.eventsDelivered
        let (cpu, clients) = (clinux_process_cpu_ns(), drain.cpu)
        for change in 0..<changes {
            self.touch(change + 1)
            try self.publish()
            let expected = before + UInt64(change + 1) * 1000
            try self.wait { $0 >= expected }
        }
        let events = self.server.statistics.eventsDelivered - before
        let spent = (clinux_process_cpu_ns() - cpu) - (drain.cpu - clients)
        return (events, Double(spent) / 1000 / Double(events))
    }

    /// - Returns: Microseconds of CPU for each thousandth of a change that no subscriber reads.
    func measureUnheard(changes: Int) throws -> Double {
        try self.publish()
        self.touch(0)
        try self.publish()
        let cpu = clinux_process_cpu_ns()
        for change in 0..<changes {
            self.touch(change + 1)
            try self.publish()
        }
        return Double(clinux_process_cpu_ns() - cpu) / 1000 / Double(changes * 1000)
    }

    /// Those that are touched change from one to the next where there are more than readers of them.
    private func touch(_ change: Int) {
        for number in 0..<self.load.touched {
            self.counts[self.load == .items ? (change * 1000 + number) % self.load.subscribers : number] += 1
        }
    }

    private func wait(_ isEnough: (UInt64) -> Bool) throws {
        let deadline = clinux_monotonic_ns() + 60_000_000_000
        while !isEnough(self.server.statistics.eventsDelivered) {
            guard clinux_monotonic_ns() < deadline else { throw BenchmarkFailure("events do not arrive") }
            usleep(500)
        }
    }

    private func subscribe(_ number: Int, _ drain: Drain) throws {
        var pair: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0,
            case .admitted(let ticket) = self.server.admit(.local)
        else { throw BenchmarkFailure("no socket \(number)") }
        _ = clinux_set_nonblocking(pair[0], 1)
        _ = clinux_set_nonblocking(pair[1], 1)
        guard drain.add(pair[1]) else { throw BenchmarkFailure("no room to watch \(number)") }
        self.server.adopt(
            StreamHandover(
                connection: Socket(descriptor: pair[0]),
                sources: [self.source],
                format: StreamFormat(mode: self.load.mode),
                view: self.load.view(of: number),
                position: .latest,
                head: BareAcceptor.head,
                framing: .chunked,
                ticket: ticket
            )
        )
    }
}

/// Reads what comes on many sockets and throws it away.
private final class Drain {
    private final class Shared: Sendable {
        let epoll = clinux_epoll_create()
        let spent = Atomic<Int64>(0)
        let isOver = Atomic<Bool>(false)

        func run() {
            var events = [clinux_event](repeating: clinux_event(), count: 1024)
            var bytes = [UInt8](repeating: 0, count: 64 << 10)
            while !self.isOver.load(ordering: .relaxed) {
                let count = clinux_epoll_wait(self.epoll, &events, 1024, 50)
                for event in events.prefix(Int(max(0, count))) {
                    let descriptor = Int32(truncatingIfNeeded: event.data)
                    guard clinux_recv(descriptor, &bytes, bytes.count) == 0 else { continue }
                    _ = clinux_epoll_del(self.epoll, descriptor)
                    _ = clinux_close(descriptor)
                }
                self.spent.store(clinux_thread_cpu_ns(), ordering: .relaxed)
            }
            _ = clinux_close(self.epoll)
        }
    }

    private let shared = Shared()
    private let thread: SystemThread

    init() throws {
        let shared = self.shared
        self.thread = try SystemThread(name: "drain") { shared.run() }
    }

    deinit {
        self.shared.isOver.store(true, ordering: .relaxed)
        self.thread.join()
    }

    var cpu: Int64 { self.shared.spent.load(ordering: .relaxed) }

    func add(_ descriptor: Int32) -> Bool {
        clinux_epoll_add(self.shared.epoll, descriptor, CLINUX_EPOLLIN, UInt64(descriptor)) == 0
    }
}
