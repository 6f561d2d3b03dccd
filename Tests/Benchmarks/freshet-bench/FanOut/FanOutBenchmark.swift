// Fan-out against the floor: what the kernel alone charges for the same bytes to the same sockets, in one run.

import CLinux
import Foundation

/// Measures the server's CPU per delivered event at 100, 1,000 and 10,000 subscribers, in turn with `ssefloor` under
/// the same load client, and the memory of an idle subscriber. Prints a table.
///
/// `--runs N` (5), `--shards N` (1: as many as the floor has threads), `--seconds S` (4), `--counts 100,1000`,
/// `--rate EVENTS` deliveries a second instead of one event after the other, `--pin` the servers to one core and the load
/// client to another. The C tools are taken from FRESHET_BENCH_TOOLS, by default `../shared/bench`.
///
/// - Throws: where a process cannot be run or says something unexpected.
func runFanOutBenchmark(arguments: [String]) throws {
    guard let tools = BenchTools() else {
        print("fan-out: skipped: no ssefloor.c and sseload.c in \(BenchTools.directory), or no gcc")
        return
    }
    let options = FanOutOptions(arguments)
    print(
        "fan-out: server CPU per delivered event of 200 bytes, medians of \(options.runs) pairs of runs,",
        "of the ratios the quartiles too"
    )
    print(
        "subscribers  shards  floor µs  freshet µs  ratio  lower  upper",
        "floor ev/s  freshet ev/s  p99 ms  idle B  gaps",
        separator: "  "
    )
    for count in options.counts {
        var floor: [LoadResult] = []
        var ours: [LoadResult] = []
        let run = FanOutRun(tools: tools, options: options, subscribers: count)
        for number in 0..<options.runs {
            // Who goes first changes: on a machine that is getting slower that one would win.
            if number.isMultiple(of: 2) { floor.append(try run.measureFloor()) }
            ours.append(try run.measureServer())
            if !number.isMultiple(of: 2) { floor.append(try run.measureFloor()) }
        }
        print(FanOutRow(subscribers: count, shards: options.shards, floor: floor, ours: ours).text)
    }
}

/// What the benchmark was asked to do.
struct FanOutOptions {
    var runs = 5
    var shards = 1
    var seconds = 4
    var counts = [100, 1000, 10_000]
    /// Deliveries a second; 0 to send the next event when everybody has the last.
    var rate = 0.0
    /// Bytes of a message.
    var size = 200
    /// Whether servers run on the first core and the load client on the second, so that the scheduler has no say in what
    /// a send costs.
    var isPinned = false
    /// What else the load client is told.
    var loadArguments: [String] = []

    init(_ arguments: [String]) {
        var arguments = arguments[...]
        while let flag = arguments.popFirst() {
            if flag == "--pin" {
                self.isPinned = true
                continue
            }
            let value = arguments.popFirst() ?? ""
            switch flag {
            case "--runs": self.runs = max(1, Int(value) ?? self.runs)
            case "--shards": self.shards = max(1, Int(value) ?? self.shards)
            case "--seconds": self.seconds = max(1, Int(value) ?? self.seconds)
            case "--rate": self.rate = Double(value) ?? 0
            case "--counts": self.counts = value.split(separator: ",").compactMap { Int($0) }
            case _: break
            }
        }
    }
}

/// The load client and the floor, compiled where that was not done.
struct BenchTools {
    var load: String
    var floor: String
    /// For progress files.
    var scratch: String

    static var directory: String {
        ProcessInfo.processInfo.environment["FRESHET_BENCH_TOOLS"] ?? "../shared/bench"
    }

    init?() {
        let scratch = NSTemporaryDirectory() + "freshet-bench-\(getuid())"
        try? FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        guard let load = Self.tool("sseload", scratch), let floor = Self.tool("ssefloor", scratch) else { return nil }
        self.load = load
        self.floor = floor
        self.scratch = scratch
    }

    /// The changing origin, for the benchmark of polls.
    static func publisher() -> String? {
        let scratch = NSTemporaryDirectory() + "freshet-bench-\(getuid())"
        try? FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        return self.tool("ssepub", scratch)
    }

    /// A tool that is not compiled here, since it needs libraries: `make` in its folder.
    static func prepared(_ name: String) -> String? {
        let ready = "\(self.directory)/\(name)"
        return FileManager.default.isExecutableFile(atPath: ready) ? ready : nil
    }

    private static func tool(_ name: String, _ scratch: String) -> String? {
        let files = FileManager.default
        let ready = "\(self.directory)/\(name)"
        if files.isExecutableFile(atPath: ready) { return ready }
        let built = "\(scratch)/\(name)"
        if files.isExecutableFile(atPath: built) { return built }
        guard files.fileExists(atPath: "\(ready).c") else { return nil }
        let compile = try? ChildProcess(
            "/usr/bin/env",
            ["gcc", "-O2", "-pthread", "-w", "-o", built, "\(ready).c"]
        )
        return compile?.wait() == 0 ? built : nil
    }
}

/// A process of which the output is read.
final class ChildProcess {
    private let process = Process()
    private let output = Pipe()

    /// - Throws: where the executable cannot be run.
    init(_ path: String, _ arguments: [String]) throws {
        self.process.executableURL = URL(fileURLWithPath: path)
        self.process.arguments = arguments
        self.process.standardOutput = self.output
        self.process.standardError = FileHandle.nullDevice
        try self.process.run()
    }

    var identifier: Int32 { self.process.processIdentifier }

    /// The first line of the output.
    func line() -> String {
        var line: [UInt8] = []
        while let byte = try? self.output.fileHandleForReading.read(upToCount: 1)?.first, byte != 0x0A {
            line.append(byte)
        }
        return String(decoding: line, as: UTF8.self)
    }

    /// All of the output.
    func text() -> Data {
        self.output.fileHandleForReading.readDataToEndOfFile()
    }

    func wait() -> Int32 {
        self.process.waitUntilExit()
        return self.process.terminationStatus
    }

    func end() {
        self.process.terminate()
        self.process.waitUntilExit()
    }

    /// Ends the process as a crash would.
    func kill() {
        _ = Glibc.kill(self.process.processIdentifier, SIGKILL)
        self.process.waitUntilExit()
    }

    /// Sends SIGTERM and returns the exit code, or the number of the signal that ended the process: SIGKILL where it does
    /// not end in time.
    func terminate(patienceSeconds: Int) -> Int32 {
        self.process.terminate()
        let identifier = self.process.processIdentifier
        let kill = DispatchWorkItem { _ = Glibc.kill(identifier, SIGKILL) }
        DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(patienceSeconds), execute: kill)
        self.process.waitUntilExit()
        kill.cancel()
        return self.process.terminationStatus
    }
}
