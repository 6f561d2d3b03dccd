// The program itself beside nchan, the fastest of its peers, and beside the floor: the same load client, the same
// publisher, in one run.

import CLinux
import Foundation

/// Measures server CPU per delivered event of 200 bytes, pushed over HTTP one after the other, a few on their way at
/// once, by `ssefloor`, nchan and this program in turn. Prints a table.
///
/// `--runs N` (3), `--seconds S` (5), `--counts 100,1000,10000`, `--window N` messages that not everybody has yet (8),
/// `--workers N` (the number of cores; also the shards).
/// nchan is nginx with its module, `apt install nginx-light libnginx-mod-nchan`; without it, it is left out.
///
/// - Throws: where a process cannot be run or says something unexpected.
func runPeersBenchmark(arguments: [String]) throws {
    guard let tools = BenchTools(), let publisher = BenchTools.publisher() else {
        return print("peers: skipped: no C tools in \(BenchTools.directory), or no gcc")
    }
    let options = PeersOptions(arguments)
    let peers = Peer.allCases.filter { $0.isThere(options) }
    print("peers: server CPU µs per event of 200 bytes, medians of \(options.runs) runs, window \(options.window)")
    Table.row("server", "subscribers", "CPU µs/event", "to the floor", "events/s", "p99 ms", "RSS B/idle", "lost")
    for count in options.counts {
        var results: [Peer: [LoadResult]] = [:]
        for _ in 0..<options.runs {
            for peer in peers {
                let run = PeerRun(
                    peer: peer,
                    tools: tools,
                    publisher: publisher,
                    options: options,
                    subscribers: count
                )
                results[peer, default: []].append(try run.measure())
            }
        }
        let floor = (results[.floor] ?? []).median(\.microsecondsPerEvent)
        for peer in peers {
            let own = results[peer] ?? []
            Table.row(
                peer.rawValue,
                "\(count)",
                Table.ratio(own.median(\.microsecondsPerEvent)),
                Table.ratio(own.median(\.microsecondsPerEvent) / floor),
                "\(Int(own.median(\.eventsPerSecond)))",
                Table.ratio(own.median(\.p99Microseconds) / 1000),
                "\(Int(own.median(\.bytesPerConnection)))",
                "\(own.reduce(0) { $0 + $1.failed + $1.gaps + $1.duplicates })"
            )
        }
    }
}

/// What the benchmark was asked to do.
struct PeersOptions {
    var runs = 3
    var seconds = 5
    var counts = [100, 1000, 10_000]
    /// Messages on their way at once.
    var window = 8
    var workers = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    var gateway = Bundle.main.bundlePath + "/freshet"

    init(_ arguments: [String]) {
        var arguments = arguments[...]
        while let flag = arguments.popFirst() {
            let value = arguments.popFirst() ?? ""
            switch flag {
            case "--runs": self.runs = max(1, Int(value) ?? self.runs)
            case "--seconds": self.seconds = max(1, Int(value) ?? self.seconds)
            case "--counts": self.counts = value.split(separator: ",").compactMap { Int($0) }
            case "--window": self.window = max(1, Int(value) ?? self.window)
            case "--workers": self.workers = max(1, Int(value) ?? self.workers)
            case "--gateway": self.gateway = value
            case _: break
            }
        }
    }
}

/// Whom a run measures.
enum Peer: String, CaseIterable {
    case floor, nchan, freshet

    static let nginx = "/usr/sbin/nginx"
    static let module = "/usr/lib/nginx/modules/ngx_nchan_module.so"

    func isThere(_ options: PeersOptions) -> Bool {
        let files = FileManager.default
        return switch self {
        case .floor: true
        case .nchan: files.isExecutableFile(atPath: Self.nginx) && files.fileExists(atPath: Self.module)
        case .freshet: files.isExecutableFile(atPath: options.gateway)
        }
    }

    /// Where subscribers go.
    var streamPath: String {
        switch self {
        case .floor: "/"
        case .nchan: "/sub"
        case .freshet: "/v1/streams/bench?mode=snapshot"
        }
    }

    /// Whether the ids of events end in a number that counts on.
    var numbersEvents: Bool {
        switch self {
        case .floor, .freshet: true
        case .nchan: false
        }
    }

    /// What a subscriber is sent before any message: `hello`, and the value that there is. The publisher, who counts
    /// events, begins after it.
    var eventsOnConnect: Int {
        switch self {
        case .floor, .nchan: 0
        case .freshet: 2
        }
    }

    /// Where messages are posted to; the floor makes its own.
    var publishPath: String? {
        switch self {
        case .floor: nil
        case .nchan: "/pub"
        case .freshet: "/v1/admin/sources/bench/value"
        }
    }
}
