// Compressed streams beside plain ones: what it costs the server, and what it saves.

import CLinux
import Compression
import Foundation
import FreshetCore
import FreshetStreaming
import FreshetTesting
import Glibc
import JSON
import System

/// Measures the CPU per delivered event of plain streams and of compressed ones, in turn and in one process: its own CPU time but for
/// that of the thread which reads. Then the bytes of the recorded histories. Prints two tables.
///
/// `--runs N` (5), `--counts 1000`, `--events N` (300), `--operations N` (3) of an event's patch. The connections are pairs of unix
/// sockets, which cost the kernel less than TCP: so the ratio is rather too large.
///
/// - Throws: where a socket or a thread cannot be had.
func runCompressionBenchmark(arguments: [String]) throws {
    SystemLimits.raiseOpenFiles()
    let options = CompressionOptions(arguments)
    print("compression: CPU per delivered event, medians of \(options.runs) pairs of runs")
    Table.row("subscribers, coding", "plain µs", "coded µs", "ratio", "event B", "coded B", "runs")
    for count in options.counts {
        for coding in ContentCoding.allCases {
            var (plain, coded): ([CompressionResult], [CompressionResult]) = ([], [])
            for number in 0..<options.runs {
                // Who goes first changes: on a machine that is getting slower that one would win.
                for isCoded in number.isMultiple(of: 2) ? [false, true] : [true, false] {
                    let run = CompressionRun(count: count, coding: isCoded ? coding : nil, options: options)
                    if isCoded { coded.append(try run.measure()) } else { plain.append(try run.measure()) }
                }
            }
            func median(_ results: [CompressionResult], _ figure: KeyPath<CompressionResult, Double>) -> Double {
                let sorted = results.map { $0[keyPath: figure] }.sorted()
                return sorted[sorted.count / 2]
            }
            let (without, with) = (median(plain, \.microseconds), median(coded, \.microseconds))
            Table.row(
                "\(count), \(coding.rawValue)",
                Table.ratio(without),
                Table.ratio(with),
                Table.ratio(with / without),
                Table.ratio(median(plain, \.bytes)),
                Table.ratio(median(coded, \.bytes)),
                String(coded.map(\.compressors).max() ?? 0)
            )
        }
    }
    guard Suites.available else { return }
    print("compression: bytes of the patches of recorded histories, as sent to a reader in step")
    Table.row("history", "events", "plain B", "gzip %", "zstd %")
    for name in Suites.histories {
        guard let history = try? HistoryEvents(name) else { continue }
        let shares = try ContentCoding.allCases.map { try Table.ratio(100 * history.share(in: $0)) }
        Table.row(name, String(history.events.count), String(history.plainBytes), shares[0], shares[1])
    }
}

struct CompressionOptions {
    var runs = 5
    var counts = [1000]
    var events = 300
    var operations = 3

    init(_ arguments: [String]) {
        var arguments = arguments[...]
        while let flag = arguments.popFirst() {
            let value = arguments.popFirst() ?? ""
            switch flag {
            case "--runs": self.runs = max(1, Int(value) ?? self.runs)
            case "--events": self.events = max(1, Int(value) ?? self.events)
            case "--operations": self.operations = max(1, Int(value) ?? self.operations)
            case "--counts": self.counts = value.split(separator: ",").compactMap { Int($0) }
            case _: break
            }
        }
    }
}

private struct CompressionResult {
    var microseconds: Double
    /// Of an event to one subscriber.
    var bytes: Double
    var compressors: Int
}

/// One measurement of plain or compressed subscribers.
private struct CompressionRun {
    let count: Int
    let coding: ContentCoding?
    let options: CompressionOptions

    func measure() throws -> CompressionResult {
        let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 1), cache: ChangeCache(maxBytes: 1 << 20)))
        let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "")
        guard let source = hub.addSource("bench", status: status) else { throw POSIXError(.EEXIST) }
        var settings = StreamSettings(shards: 1)
        settings.heartbeat = .seconds(3600)
        let server = StreamServer(hub: hub, settings: settings)
        try server.start()
        defer { server.stop() }
        let reader = try DrainThread()
        defer { reader.stop() }
        for _ in 0..<self.count { try self.connect(to: server, source, reader) }
        while server.statistics.subscribers < self.count { usleep(2000) }
        // The first event takes all of them into the run.
        var delivered = server.statistics.eventsDelivered
        try self.publish(0, of: source, in: hub, server, &delivered)
        let (bytes, processor, reading) = (
            server.statistics.bytesSent, clinux_process_cpu_ns(), reader.processorSeconds
        )
        for number in 1...self.options.events {
            try self.publish(number, of: source, in: hub, server, &delivered)
        }
        let read = Int64((reader.processorSeconds - reading) * 1e9)
        let used = clinux_process_cpu_ns() - processor - read
        let events = Double(self.options.events * self.count)
        let statistics = server.statistics
        return CompressionResult(
            microseconds: Double(used) / 1000 / events,
            bytes: Double(statistics.bytesSent - bytes) / events,
            compressors: statistics.compressionRuns
        )
    }

    /// Publishes a change, and waits until everybody has it.
    private func publish(
        _ number: Int,
        of source: SourceID,
        in hub: Hub,
        _ server: StreamServer,
        _ delivered: inout UInt64
    ) throws {
        let rows = (0..<40).map { #"{"name":"row \#($0)","price":\#((number * 31 + $0 * 7) % 1000)}"# }
        let operations = (0..<self.options.operations).map { operation in
            let row = (number * 13 + operation * 11) % 40
            return #"{"op":"replace","path":"/rows/\#(row)/price","value":\#((number * 31 + row * 7) % 1000)}"#
        }
        let change = Change(
            document: try Document(parsing: Array(#"{"rows":[\#(rows.joined(separator: ","))]}"#.utf8)),
            patch: Array("[\(operations.joined(separator: ","))]".utf8),
            at: WallTime(milliseconds: Int64(number) * 997)
        )
        hub.publish(change, of: source)
        delivered += UInt64(self.count)
        while server.statistics.eventsDelivered < delivered { usleep(200) }
    }

    private func connect(to server: StreamServer, _ source: SourceID, _ reader: DrainThread) throws {
        var pair: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &pair) == 0 else { throw POSIXError(.EMFILE) }
        guard case .admitted(let ticket) = server.admit(.local) else { throw POSIXError(.EUSERS) }
        reader.add(pair[1])
        server.adopt(
            StreamHandover(
                connection: Socket(descriptor: pair[0]),
                sources: [source],
                format: StreamFormat(mode: .patch),
                position: .latest,
                head: BareAcceptor.head,
                framing: .chunked,
                coding: self.coding,
                ticket: ticket
            )
        )
    }
}

/// The events of a recorded upstream, as a stream of patches has them.
struct HistoryEvents {
    var events: [[UInt8]] = []

    /// - Throws: where it is not there, or not JSON.
    init(_ name: String) throws {
        let history = try Suites.history(name)
        var last: Document?
        for (number, version) in history.bodies.enumerated() {
            let document = try Document(parsing: version)
            defer { last = document }
            guard let last, last != document else { continue }
            let patch = last.patch(to: document).text
            let isLarger = patch.count > document.text.count
            let head =
                "id: k3f9q-\(number)\nevent: \(isLarger ? "snapshot" : "patch")\n"
                + #"data: {"source":"\#(name)","at":"\#(WallTime(milliseconds: Int64(number) * 10_007).rfc3339)","patch":"#
            self.events.append(Array(head.utf8) + (isLarger ? Array(document.text) : patch) + Array("}\n\n".utf8))
        }
        guard !self.events.isEmpty else { throw BenchmarkFailure("no change") }
    }

    var plainBytes: Int { self.events.reduce(0) { $0 + $1.count } }

    /// What part of the bytes a reader in step is sent.
    func share(in coding: ContentCoding) throws -> Double {
        guard var run = SharedRun(coding) else { throw BenchmarkFailure("no memory") }
        let coded = self.events.reduce(0) { $0 + run.append($1, events: 1, waiting: 0, following: 1).bytes.count }
        return Double(coded) / Double(self.plainBytes)
    }
}
