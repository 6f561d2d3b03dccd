// Kill -9 with many subscribers, and all of them back.

import CLinux
import Foundation
import FreshetTesting

/// Runs the program with a log on disk, kills it under 10,000 subscribers of 500 sources, starts it again, and compares what
/// each subscriber received over both lives with the log: every change once, in order. Prints a table.
///
/// `--sources N` (500), `--subscribers N` (10000), `--seconds S` before the kill and after it (5), `--gateway PATH` of the
/// program (`freshet` beside this one). The upstream is `ssepub` of FRESHET_BENCH_TOOLS.
///
/// - Throws: where a process cannot be run, and where a change was lost, doubled or out of order, or nothing was compared.
func runRestartBenchmark(arguments: [String]) throws {
    guard let publisher = BenchTools.publisher() else {
        return print("restart: skipped: no ssepub.c in \(BenchTools.directory), or no gcc")
    }
    let options = RestartOptions(arguments)
    LoopbackSocket.raiseFileLimit()
    let originPort = try FanOutRun.freePort()
    let documents = "\(options.sources)"
    let origin = try ChildProcess(
        publisher,
        [
            "origin", "--port", "\(originPort)", "--docs", documents, "--size", "1000", "--shape", "array", "--rate",
            "0.5",
        ]
    )
    defer { origin.end() }
    try FanOutRun.awaitListener(port: originPort)
    let folder = try TemporaryFolder()
    let port = try FanOutRun.freePort()
    let names = (0..<options.sources).map { "d\($0)" }
    let lines = names.enumerated().map { index, name in
        "  \(name): { url: 'http://127.0.0.1:\(originPort)/item/\(index)', interval: 3s }\n"
    }
    let head = "listen: 127.0.0.1:\(port)\nlog: { path: '\(folder.path("changes.db"))' }\nshutdown: { drain: 1s }\n"
    let file = try folder.write(head + "sources:\n" + lines.joined(), to: "freshet.yaml")
    let first = try ChildProcess(options.gateway, ["serve", "--config", file])
    defer { first.end() }
    try FanOutRun.awaitListener(port: port)
    let witnesses = Witnesses(of: (0..<options.subscribers).map { names[$0 % names.count] }, port: port)
    try witnesses.start()
    defer { witnesses.end() }
    // Changes go by, before the kill and after it.
    sleep(UInt32(options.seconds))
    first.kill()
    guard witnesses.waitForEnds(timeout: .seconds(60)) else { throw BenchmarkFailure("streams outlive their server") }
    let start = clinux_monotonic_ns()
    let second = try ChildProcess(options.gateway, ["serve", "--config", file])
    defer { second.end() }
    guard witnesses.waitForAnswers(2, timeout: .seconds(120)) else {
        throw BenchmarkFailure("not every subscriber is back after two minutes")
    }
    let back = Double(clinux_monotonic_ns() - start) / 1e9
    sleep(UInt32(options.seconds))
    let compared = try witnesses.compareWithLog(mayEnd: true)
    print("restart: kill -9, a new process, every subscriber back by its cursor; ids compared with the log")
    Table.row("subscribers", "sources", "all back s", "ids", "lost")
    Table.row("\(options.subscribers)", "\(options.sources)", Table.ratio(back), "\(compared)", "0")
}

/// What the benchmark was asked to do.
struct RestartOptions {
    var sources = 500
    var subscribers = 10_000
    var seconds = 5
    var gateway = Bundle.main.bundlePath + "/freshet"

    init(_ arguments: [String]) {
        var arguments = arguments[...]
        while let flag = arguments.popFirst() {
            let value = arguments.popFirst() ?? ""
            switch flag {
            case "--sources": self.sources = max(1, Int(value) ?? self.sources)
            case "--subscribers": self.subscribers = max(1, Int(value) ?? self.subscribers)
            case "--seconds": self.seconds = min(max(1, Int(value) ?? self.seconds), 3600)
            case "--gateway": self.gateway = value
            case _: break
            }
        }
    }
}
