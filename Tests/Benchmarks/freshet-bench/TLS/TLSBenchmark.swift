// What TLS and HTTP/2 cost per delivered event, beside plaintext of the same program and beside nchan, in one run.

import Foundation

/// Measures, in turn: server CPU per delivered event of 200 bytes over plaintext, TLS 1.3, and HTTP/2 with 1, 10 and 100 streams a
/// connection; then the memory of an idle subscriber, and handshakes a second. Prints three tables.
///
/// `--runs N` (5), `--seconds S` (4), `--count N` subscribers (1000), `--idle N` subscribers for memory (10000), `--window N` (1),
/// `--handshakes N` connections (3000), `--storm S` seconds of handshakes beside subscribers, 0 for none (10), `--detach false` for
/// sessions of OpenSSL.
/// Needs `tlsload` of the C tools, built beforehand, and `openssl` for a certificate.
///
/// - Throws: where a process cannot be run or says something unexpected.
func runTLSBenchmark(arguments: [String]) throws {
    guard let tools = BenchTools(), let publisher = BenchTools.publisher(), let load = BenchTools.prepared("tlsload")
    else {
        return print("tls: skipped: no tlsload, built, in \(BenchTools.directory)")
    }
    let options = TLSOptions(arguments)
    let run = TLSRun(scratch: "\(tools.scratch)/tls-\(getpid())", load: load, publisher: publisher, options: options)
    try run.prepare()
    defer { run.cleanUp() }

    let wires: [TLSWire] = [.plain, .tls, .h2(streams: 1), .h2(streams: 10), .h2(streams: 100)]
    let servers = TLSServer.allCases.filter { $0.isThere(options) }
    var results: [TLSServer: [TLSWire: [TLSResult]]] = [:]
    for _ in 0..<options.runs {
        for wire in wires {
            for server in servers {
                results[server, default: [:]][wire, default: []].append(try run.measureEvents(server, wire))
            }
        }
    }
    print(
        "tls: server CPU µs per event of 200 bytes, \(options.count) subscribers, medians of \(options.runs) runs; the ratio"
    )
    print("is to plaintext of the same program in the same round, with its quartiles")
    Table.row("server, transport", "CPU µs/event", "ratio", "lower", "upper", "lost")
    for server in servers {
        let plain = (results[server]?[.plain] ?? []).map(\.microsecondsPerEvent)
        for wire in wires {
            let own = results[server]?[wire] ?? []
            let ratios = zip(own, plain).map { $0.microsecondsPerEvent / $1 }.sorted()
            Table.row(
                "\(server.rawValue), \(wire)",
                Table.ratio(own.map(\.microsecondsPerEvent).sorted().quantile(0.5)),
                Table.ratio(ratios.quantile(0.5)),
                Table.ratio(ratios.quantile(0.25)),
                Table.ratio(ratios.quantile(0.75)),
                "\(own.reduce(0) { $0 + $1.lost })"
            )
        }
    }

    print(
        "tls: resident bytes per idle subscriber, \(options.idle) of them, and CPU of a connection with its first answer"
    )
    Table.row("server, transport", "bytes", "to plaintext")
    for server in servers {
        var plain = 0.0
        for wire in wires {
            let result = try run.measureIdle(server, wire)
            if wire == .plain { plain = result.bytesPerSubscriber }
            Table.row(
                "\(server.rawValue), \(wire)",
                "\(Int(result.bytesPerSubscriber))",
                "+\(Int(result.bytesPerSubscriber - plain))"
            )
        }
    }

    print(
        "tls: \(options.handshakes) connections, 100 under way, with request, head and first value; medians of 3 runs"
    )
    Table.row("server, transport", "CPU µs", "a second, a core")
    for server in servers {
        for wire in [TLSWire.plain, .tls] {
            let costs = try (0..<3).map { _ in try run.measureConnects(server, wire).microsecondsPerConnection }
                .sorted()
            let cost = costs.quantile(0.5)
            Table.row("\(server.rawValue), \(wire)", "\(Int(cost))", "\(Int(1e6 / cost))")
        }
    }
    if options.storm > 0 { try run.measureStorms(servers, tools) }
}

/// What the benchmark was asked to do.
struct TLSOptions {
    var runs = 5
    var seconds = 4
    var count = 1000
    var idle = 10_000
    var window = 1
    var handshakes = 3000
    var storm = 10
    var detaches = true
    var gateway = Bundle.main.bundlePath + "/freshet"

    init(_ arguments: [String]) {
        var arguments = arguments[...]
        while let flag = arguments.popFirst() {
            let value = arguments.popFirst() ?? ""
            switch flag {
            case "--runs": self.runs = max(1, Int(value) ?? self.runs)
            case "--seconds": self.seconds = max(1, Int(value) ?? self.seconds)
            case "--count": self.count = max(1, Int(value) ?? self.count)
            case "--idle": self.idle = max(1, Int(value) ?? self.idle)
            case "--window": self.window = max(1, Int(value) ?? self.window)
            case "--handshakes": self.handshakes = max(1, Int(value) ?? self.handshakes)
            case "--storm": self.storm = max(0, Int(value) ?? self.storm)
            case "--detach": self.detaches = value != "false"
            case "--gateway": self.gateway = value
            case _: break
            }
        }
    }
}

/// How subscribers are connected.
enum TLSWire: Hashable, CustomStringConvertible {
    case plain
    case tls
    case h2(streams: Int)

    var description: String {
        switch self {
        case .plain: "plaintext"
        case .tls: "TLS 1.3"
        case .h2(let streams): "HTTP/2, \(streams) a connection"
        }
    }

    /// The flags of the load client.
    var arguments: [String] {
        switch self {
        case .plain: ["--mode", "plain"]
        case .tls: ["--mode", "tls"]
        case .h2(let streams): ["--mode", "h2", "--streams", "\(streams)"]
        }
    }
}

/// Whom a run measures.
enum TLSServer: String, CaseIterable {
    case freshet, nchan

    func isThere(_ options: TLSOptions) -> Bool {
        let files = FileManager.default
        return switch self {
        case .nchan: files.isExecutableFile(atPath: Peer.nginx) && files.fileExists(atPath: Peer.module)
        case .freshet: files.isExecutableFile(atPath: options.gateway)
        }
    }
}

extension [Double] {
    /// Of a sorted array; 0 where it is empty.
    func quantile(_ share: Double) -> Double {
        self.isEmpty ? 0 : self[Swift.min(self.count - 1, Int(Double(self.count) * share))]
    }
}
