// The server side of the fan-out benchmark: hub and stream server behind a bare accept loop, with its own publisher.
//
// It does what the floor does, with the whole path of a change behind it: every event is a document that is parsed,
// numbered, put into the log, encoded and handed to the shards.

import CLinux
import Foundation
import FreshetCore
import FreshetStorage
import FreshetStreaming
import HTTPFields
import JSON
import System

/// What `fanout-server` is asked to do; the names of the flags are those of `ssefloor`.
struct FanOutServerOptions {
    var shards = 1
    /// Messages a second; 0 sends the next when the last is with everybody.
    var rate = 0.0
    /// Bytes of a message on the wire less its `id` line and field names, as `ssefloor` counts them.
    var size = 200
    /// Subscribers to wait for.
    var wait = 1
    /// Messages that may be on their way at once, at rate 0.
    var window = 1
    /// Where `sseload` keeps its count of received events.
    var progress: String?
    /// A change log to commit every message to before it is sent; `nil` keeps them in memory.
    var log: String?

    init(_ arguments: [String]) {
        var arguments = arguments[...]
        while let flag = arguments.popFirst() {
            let value = arguments.popFirst() ?? ""
            switch flag {
            case "--shards": self.shards = max(1, Int(value) ?? 1)
            case "--rate": self.rate = Double(value) ?? 0
            case "--size": self.size = min(max(100, Int(value) ?? 200), 1 << 20)
            case "--wait": self.wait = Int(value) ?? 1
            case "--window": self.window = max(1, Int(value) ?? 1)
            case "--progress": self.progress = value
            case "--log": self.log = value
            case _: break
            }
        }
    }
}

extension FanOutServerOptions {
    fileprivate func hub() throws -> Hub {
        let cache = ChangeCache(maxBytes: 1 << 20)
        guard let path = self.log else { return Hub(log: ChangeLog(epoch: Epoch(rawValue: 1), cache: cache)) }
        var generator = SystemRandomNumberGenerator()
        let (store, contents) = try SQLiteChangeStore.open(StoreSettings(path: path), using: &generator)
        return Hub(log: ChangeLog(epoch: contents.epoch, head: contents.head, cache: cache), store: store)
    }
}

/// Serves `mode=snapshot` streams of one source until the process is ended. Prints its port first.
///
/// - Throws: where a socket or a thread cannot be had.
func runFanOutServer(arguments: [String]) throws {
    let options = FanOutServerOptions(arguments)
    SystemLimits.raiseOpenFiles()
    let hub = try options.hub()
    let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "")
    guard let source = hub.addSource("bench", status: status) else { return }
    let server = StreamServer(hub: hub, settings: StreamSettings(shards: options.shards))
    try server.start()
    let acceptor = try BareAcceptor { descriptor in
        guard case .admitted(let ticket) = server.admit(.local) else {
            _ = clinux_close(descriptor)
            return
        }
        server.adopt(
            StreamHandover(
                connection: Socket(descriptor: descriptor),
                sources: [source],
                format: StreamFormat(mode: .snapshot),
                position: .latest,
                head: BareAcceptor.head,
                framing: .chunked,
                ticket: ticket
            )
        )
    }
    Thread.detachNewThread { acceptor.run() }
    print(acceptor.port)
    fflush(nil)
    while server.statistics.subscribers < options.wait {
        // Before the measurement begins: a look now and then costs nothing that counts.
        usleep(5000)
    }
    FanOutPublisher(options: options, hub: hub, server: server, source: source).run()
}

/// Publishes stamped documents at the pace that was asked for.
struct FanOutPublisher {
    var options: FanOutServerOptions
    var hub: Hub
    var server: StreamServer
    var source: SourceID
    private let message: FanOutMessage

    init(options: FanOutServerOptions, hub: Hub, server: StreamServer, source: SourceID) {
        self.options = options
        self.hub = hub
        self.server = server
        self.source = source
        self.message = FanOutMessage(size: options.size)
    }

    func run() {
        let progress = self.options.progress.flatMap(LoadProgress.init)
        // As long as the floor waits before its first message: the load client finds out by itself that all are connected.
        usleep(300_000)
        // Every stream began with a `hello`, which counts as an event.
        let before = progress?.events ?? 0
        let start = clinux_monotonic_ns()
        var count = 0
        var round = RoundTime()
        while true {
            if self.options.rate > 0 {
                let due = start + Int64(Double(count) * 1e9 / self.options.rate)
                self.sleep(until: due)
            } else if let progress {
                self.waitForWindow(count, progress, since: before, &round)
            }
            count += 1
            self.publish(count)
        }
    }

    private func sleep(until due: Int64) {
        let left = due - clinux_monotonic_ns()
        guard left > 0 else { return }
        Thread.sleep(forTimeInterval: Double(left) / 1e9)
    }

    /// As `ssefloor` waits: at most so many messages that are not yet with everybody.
    ///
    /// The floor looks only once it has sent; here others send meanwhile, and a look every 20 µs would be a sixth of the
    /// server's CPU. So most of a round is slept through first.
    private func waitForWindow(_ count: Int, _ progress: LoadProgress, since before: UInt64, _ round: inout RoundTime) {
        guard count >= self.options.window else { return }
        let begin = clinux_monotonic_ns()
        defer { round.took(clinux_monotonic_ns() - begin) }
        self.sleep(until: begin + round.quietNanoseconds)
        let goal = before + UInt64((count - self.options.window + 1) * self.options.wait)
        while progress.events < goal {
            self.sleep(until: clinux_monotonic_ns() + round.lookNanoseconds)
        }
    }

    private func publish(_ number: Int) {
        let text = self.message.text(number, at: clinux_realtime_ns())
        guard let document = try? Document(parsing: text) else { return }
        self.hub.publish(Change(document: document, at: WallTime(milliseconds: 0)), of: self.source)
    }
}

/// What is published: a numbered and stamped object, filled up to the size that was asked for.
///
/// Its making counts as the server's CPU, so it copies what is there before.
private struct FanOutMessage {
    private let size: Int
    private let number = Array(#"{"n":"#.utf8)
    private let time = Array(#","t":"#.utf8)
    private let filling = Array(#","pad":""#.utf8)
    private let filler: [UInt8]
    private let end = Array(#""}"#.utf8)
    /// What an event has around the object and the floor's has not: `event: snapshot`, source and time.
    private static let overhead = 88

    init(size: Int) {
        self.size = size
        self.filler = Array(repeating: UInt8(ascii: "x"), count: size)
    }

    func text(_ number: Int, at nanoseconds: Int64) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(self.size)
        text.append(contentsOf: self.number)
        text.appendDigits(number)
        text.append(contentsOf: self.time)
        text.appendDigits(nanoseconds)
        text.append(contentsOf: self.filling)
        text.append(contentsOf: self.filler.prefix(max(0, self.size - Self.overhead - text.count)))
        text.append(contentsOf: self.end)
        return text
    }
}

/// How long a message takes to reach everybody: a guess that follows what was seen.
struct RoundTime {
    private var typical: Int64 = 0

    /// Nanoseconds in which the next message cannot be with everybody: most of a typical round.
    var quietNanoseconds: Int64 { self.typical / 8 * 7 }
    /// Between two looks after that.
    var lookNanoseconds: Int64 { max(20_000, self.typical / 32) }

    mutating func took(_ nanoseconds: Int64) {
        // Short rounds count at once, longer ones in part.
        self.typical = nanoseconds < self.typical ? nanoseconds : self.typical + (nanoseconds - self.typical) / 4
    }
}

/// The event counts that `sseload --progress` keeps in a file for those who publish in step with it.
final class LoadProgress {
    private let counts: UnsafePointer<UInt64>

    init?(path: String) {
        let descriptor = open(path, O_RDWR | O_CREAT, 0o644)
        guard descriptor >= 0 else { return nil }
        defer { _ = clinux_close(descriptor) }
        guard ftruncate(descriptor, 4096) == 0,
            let base = mmap(nil, 4096, PROT_READ, MAP_SHARED, descriptor, 0), base != MAP_FAILED
        else { return nil }
        self.counts = UnsafePointer(base.assumingMemoryBound(to: UInt64.self))
    }

    /// Events received by all connections; one count per client thread, a cache line apart.
    var events: UInt64 {
        (0..<16).reduce(0) { $0 &+ self.counts[$1 * 8] }
    }
}
