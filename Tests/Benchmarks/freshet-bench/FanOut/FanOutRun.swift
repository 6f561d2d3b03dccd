// One measurement: a server, the load client, and what the client says about both.

import CLinux
import Foundation

/// What `sseload` reports, as far as the table needs it.
struct LoadResult: Decodable {
    var connected: Int
    var failed: Int
    /// CPU seconds of the server per million events in the measured window, thus microseconds per event.
    var microsecondsPerEvent: Double
    var eventsPerSecond: Double
    var p99Microseconds: Double
    /// Growth of the server's resident memory while the clients connected, per connection.
    var bytesPerConnection: Double
    /// The server's resident memory when all had connected and at the end of the measured window.
    var connectedKilobytes: Int
    var finalKilobytes: Int
    /// Events whose id was compared with the one before.
    var ids: Int
    var gaps: Int
    var duplicates: Int

    enum CodingKeys: String, CodingKey {
        case connected, failed, ids, gaps
        case duplicates = "dups"
        case microsecondsPerEvent = "srv_cpu_s_per_M"
        case eventsPerSecond = "events_per_s"
        case p99Microseconds = "p99_us"
        case bytesPerConnection = "rss_per_conn_b"
        case connectedKilobytes = "srv_rss_conn_kb"
        case finalKilobytes = "srv_rss_end_kb"
    }
}

extension LoadResult {
    /// - Parameters:
    ///   - output: What the load client printed.
    ///   - isNumbered: Whether the server gives events ids that count on.
    /// - Throws: `BenchmarkFailure` where no id was counted although there must be some: nothing was checked then.
    init(_ output: Data, isNumbered: Bool = true) throws {
        self = try JSONDecoder().decode(LoadResult.self, from: output)
        if isNumbered, self.ids == 0 { throw BenchmarkFailure("the load client counted no id: nothing was checked") }
    }
}

extension [LoadResult] {
    /// 0 where there is none.
    func median(_ figure: KeyPath<LoadResult, Double>) -> Double {
        let sorted = self.map { $0[keyPath: figure] }.sorted()
        return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
    }
}

/// One run of one server.
struct FanOutRun {
    var tools: BenchTools
    var options: FanOutOptions
    var subscribers: Int

    private var progress: String { "\(self.tools.scratch)/progress-\(getpid())" }

    /// Messages a second.
    private var messageRate: String {
        String(self.options.rate / Double(self.subscribers))
    }

    private var pace: [String] {
        [
            "--rate", self.messageRate, "--size", String(self.options.size), "--wait", String(self.subscribers),
            "--window", "1",
        ]
            + ["--progress", self.progress]
    }

    func measureFloor() throws -> LoadResult {
        let port = try Self.freePort()
        let threads = ["--port", String(port), "--threads", String(self.options.shards), "--chunked"]
        let floor = try self.start(self.tools.floor, threads + self.pace, core: 0)
        defer { floor.end() }
        try Self.awaitListener(port: port)
        return try self.load(port: port, server: floor.identifier)
    }

    /// `log`: where every message is committed before it is sent; `nil` keeps them in memory.
    func measureServer(log: String? = nil) throws -> LoadResult {
        let server = try self.start(
            Bundle.main.executablePath ?? "/proc/self/exe",
            ["fanout-server", "--shards", String(self.options.shards)] + self.pace + (log.map { ["--log", $0] } ?? []),
            core: 0
        )
        defer { server.end() }
        guard let port = Int(server.line()) else { throw POSIXError(.EPROTO) }
        return try self.load(port: port, server: server.identifier)
    }

    private func load(port: Int, server: Int32) throws -> LoadResult {
        let client = try self.start(
            self.tools.load,
            ["--port", String(port), "-n", String(self.subscribers), "--progress", self.progress]
                + ["--check-ids", "--warmup", "1", "--duration", String(self.options.seconds)]
                + ["--pids", String(server)] + self.options.loadArguments,
            core: 1
        )
        let output = client.text()
        _ = client.wait()
        return try LoadResult(output)
    }

    /// `taskset` becomes the program, whose process identifier is then the child's.
    private func start(_ path: String, _ arguments: [String], core: Int) throws -> ChildProcess {
        guard self.options.isPinned else { return try ChildProcess(path, arguments) }
        return try ChildProcess("/usr/bin/taskset", ["-c", String(core), path] + arguments)
    }

    /// Returns once somebody listens there, which servers do not tell alike. A connection without a request is no
    /// subscriber to any of them.
    ///
    /// - Throws: `BenchmarkFailure` after ten seconds.
    static func awaitListener(port: Int) throws {
        let deadline = clinux_monotonic_ns() + 10_000_000_000
        while !self.isListening(port: port) {
            guard clinux_monotonic_ns() < deadline else { throw BenchmarkFailure("nobody listens on port \(port)") }
            // A refused connection is all that tells; nothing is measured yet.
            usleep(5000)
        }
    }

    private static func isListening(port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { _ = clinux_close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = UInt16(clamping: port).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    /// A port that was free a moment ago: the floor takes no port of the kernel's choice.
    static func freePort() throws -> Int {
        let acceptor = try BareAcceptor { _ = clinux_close($0) }
        return acceptor.port
    }
}

/// One line of the table.
struct FanOutRow {
    var subscribers: Int
    var shards: Int
    /// A run of each, one after the other, with the same index.
    var floor: [LoadResult]
    var ours: [LoadResult]

    var text: String {
        let base = self.floor.median(\.microsecondsPerEvent)
        let cost = self.ours.median(\.microsecondsPerEvent)
        let columns = [
            String(self.subscribers).leftPadded(to: 11),
            String(self.shards).leftPadded(to: 6),
            String(format: "%8.2f", base),
            String(format: "%10.2f", cost),
            String(format: "%5.3f", self.ratio(at: 0.5)),
            String(format: "%5.3f", self.ratio(at: 0.25)),
            String(format: "%5.3f", self.ratio(at: 0.75)),
            String(format: "%10.0f", self.floor.median(\.eventsPerSecond)),
            String(format: "%12.0f", self.ours.median(\.eventsPerSecond)),
            String(format: "%6.1f", self.ours.median(\.p99Microseconds) / 1000),
            String(format: "%6.0f", self.ours.median(\.bytesPerConnection)),
            String(self.ours.reduce(0) { $0 + $1.gaps + $1.duplicates + $1.failed }).leftPadded(to: 4),
        ]
        return columns.joined(separator: "  ")
    }

    /// The quantile of the ratios over the pairs, 0.5 for the median: what slows the machine for a minute slows both runs
    /// of a pair.
    private func ratio(at quantile: Double) -> Double {
        let ratios = zip(self.ours, self.floor).map { $0.microsecondsPerEvent / $1.microsecondsPerEvent }.sorted()
        return ratios.isEmpty ? 0 : ratios[Int((Double(ratios.count - 1) * quantile).rounded())]
    }
}

extension String {
    fileprivate func leftPadded(to width: Int) -> String {
        String(repeating: " ", count: max(0, width - self.count)) + self
    }
}
