// What a signed delivery costs beside a bare libcurl loop that posts the same bodies.

import CLinux
import CPollFloor
import Foundation
import FreshetCore
import FreshetWebhooks
import JSON

/// Publishes changes of 64 sources while an endpoint is paused, resumes it, and measures until all are delivered; then a bare
/// loop posts the same bodies to the same server, unsigned. Prints a table, and the median of the ratios.
///
/// `--messages N`, `--bytes N` of a value, `--parallel N`, `--rounds N`.
///
/// - Throws: where a thread or a port cannot be had, or something is not delivered.
func runWebhooksBenchmark(arguments: [String]) throws {
    let options = WebhooksOptions(arguments)
    let port = post_sink_start()
    guard port > 0 else { throw BenchmarkFailure("no port for the receiver") }
    let url = "http://127.0.0.1:\(port)/in"
    print("webhooks: \(options.messages) messages of \(options.bytes) bytes, \(options.parallel) at a time")
    Table.row("round", "µs CPU each", "bare curl", "CPU ratio", "messages/s", "bare curl")
    var ratios: [Double] = []
    for round in 1...options.rounds {
        let ours = try WebhooksRun(url: url, options: options)
        let bare = try BareRun(url: url, options: options)
        let ratio = ours.cpu / bare.cpu
        ratios.append(ratio)
        let count = Double(options.messages)
        Table.row(
            "\(round)",
            Table.ratio(ours.cpu / count * 1e6),
            Table.ratio(bare.cpu / count * 1e6),
            Table.ratio(ratio),
            "\(Int(count / ours.elapsed))",
            "\(Int(count / bare.elapsed))"
        )
    }
    print("median ratio \(Table.ratio(ratios.sorted()[ratios.count / 2]))")
}

/// What the benchmark was asked to do.
private struct WebhooksOptions {
    var messages = 20_000
    var bytes = 1000
    var parallel = 16
    var rounds = 5

    static let sources = 64

    init(_ arguments: [String]) {
        var arguments = arguments[...]
        while let flag = arguments.popFirst() {
            let value = arguments.popFirst().flatMap { Int($0) } ?? 0
            switch flag {
            case "--messages": self.messages = max(1, value)
            case "--bytes": self.bytes = max(1, value)
            case "--parallel": self.parallel = min(64, max(1, value))
            case "--rounds": self.rounds = max(1, value)
            case _: break
            }
        }
    }

    func value(_ number: Int) -> [UInt8] {
        Array("{\"n\":\(number),\"text\":\"\(String(repeating: "x", count: self.bytes))\"}".utf8)
    }
}

/// One measurement of the desk: CPU seconds of its two threads, and the time that it took.
private struct WebhooksRun {
    let cpu: Double
    let elapsed: Double

    init(url: String, options: WebhooksOptions) throws {
        let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 1), cache: ChangeCache(maxBytes: 1 << 30)))
        let wall = WallTime(milliseconds: clinux_realtime_ns() / 1_000_000)
        let status = SourceStatus(stateSince: wall, interval: .seconds(1), intervalReason: "")
        let sources = (0..<WebhooksOptions.sources).compactMap { hub.addSource("s\($0)", status: status) }
        let webhook = WebhookConfiguration(
            name: "bench",
            url: url,
            sources: .all,
            secrets: [.shared(Array(repeating: 7, count: 24))],
            maxInFlight: options.parallel
        )
        let desk = try WebhookDesk(hub: hub, webhooks: [webhook])
        try desk.start()
        defer { desk.stop() }
        let control = Bridge(desk)
        control.pause()
        for number in 0..<options.messages {
            let document = try Document(parsing: options.value(number))
            hub.publish(Change(document: document, at: wall), of: sources[number % sources.count])
        }
        let (cpu, start) = (Self.threadSeconds(), clinux_monotonic_ns())
        control.resume()
        let deadline = start + 120_000_000_000
        while desk.metrics.endpoints["bench"]?.figures.tries[.delivered] ?? 0 < UInt64(options.messages) {
            guard clinux_monotonic_ns() < deadline else { throw BenchmarkFailure("not all was delivered") }
            usleep(20_000)
        }
        self.elapsed = Double(clinux_monotonic_ns() - start) / 1e9
        self.cpu = Self.threadSeconds() - cpu
    }

    /// CPU seconds of the threads that read, decide and sign, and that send.
    private static func threadSeconds() -> Double {
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
        return tasks.reduce(0) { total, task in
            let folder = "/proc/self/task/\(task)"
            let name = (try? String(contentsOfFile: "\(folder)/comm", encoding: .utf8)) ?? ""
            guard ["webhooks\n", "upstream\n"].contains(name),
                let text = try? String(contentsOfFile: "\(folder)/schedstat", encoding: .utf8),
                let nanoseconds = text.split(separator: " ").first.flatMap({ Double($0) })
            else { return total }
            return total + nanoseconds / 1e9
        }
    }
}

/// Calls of the desk from a thread that waits.
private struct Bridge {
    private let desk: WebhookDesk

    init(_ desk: WebhookDesk) { self.desk = desk }

    func pause() { self.wait { _ = await self.desk.pause("bench") } }
    func resume() { self.wait { _ = await self.desk.resume("bench") } }

    private func wait(_ body: @escaping @Sendable () async -> Void) {
        let done = DispatchSemaphore(value: 0)
        Task.detached {
            await body()
            done.signal()
        }
        done.wait()
    }
}

/// One measurement of the bare loop.
private struct BareRun {
    let cpu: Double
    let elapsed: Double

    init(url: String, options: WebhooksOptions) throws {
        let bodies = (0..<options.messages).map { number -> UnsafeMutablePointer<CChar>? in
            let head = "{\"id\":\"1-\(number)\",\"event\":\"snapshot\",\"data\":{\"source\":\"s\(number % 64)\","
            let text = head + "\"at\":\"2026-11-23T06:00:00.123Z\",\"value\":"
            return strdup(text + String(decoding: options.value(number), as: UTF8.self) + "}}")
        }
        defer { for body in bodies { free(body) } }
        let pointers = bodies.map { UnsafePointer<CChar>($0) }
        let lengths = bodies.map { $0.map { strlen($0) } ?? 0 }
        var answers: Int64 = 0
        var elapsed: Int64 = 0
        let cpu = post_floor_run(
            url,
            pointers,
            lengths,
            Int32(options.messages),
            Int32(options.parallel),
            &answers,
            &elapsed
        )
        guard cpu > 0, answers == options.messages else { throw BenchmarkFailure("the bare loop was not answered") }
        self.cpu = Double(cpu) / 1e9
        self.elapsed = Double(elapsed) / 1e9
    }
}
