// What those who are subscribed notice of others who shake hands.

import Foundation

extension TLSRun {
    /// Prints the p99 latency of plaintext subscribers of a server, calm and while clients shake hands with it without end, 100
    /// at a time, at 20 events a second.
    func measureStorms(_ servers: [TLSServer], _ tools: BenchTools) throws {
        print("tls: p99 of \(self.options.count) subscribers, 20 events a second, calm and beside handshakes; medians")
        Table.row("server", "calm ms", "storm ms", "ratio", "handshakes/s", "lost")
        for server in servers {
            let runs = try (0..<self.options.runs).map { _ in
                (
                    calm: try self.measureStorm(server, tools, isCalm: true),
                    storm: try self.measureStorm(server, tools, isCalm: false)
                )
            }
            let ratios = runs.map { $0.storm.load.p99Microseconds / max(1, $0.calm.load.p99Microseconds) }.sorted()
            Table.row(
                server.rawValue,
                Table.ratio(runs.map(\.calm.load.p99Microseconds).sorted().quantile(0.5) / 1000),
                Table.ratio(runs.map(\.storm.load.p99Microseconds).sorted().quantile(0.5) / 1000),
                Table.ratio(ratios.quantile(0.5)),
                "\(Int(runs.map(\.storm.handshakesPerSecond).sorted().quantile(0.5)))",
                "\(runs.reduce(0) { $0 + $1.calm.load.failed + $1.storm.load.failed })"
            )
        }
    }

    private func measureStorm(
        _ server: TLSServer,
        _ tools: BenchTools,
        isCalm: Bool
    ) throws -> (load: LoadResult, handshakesPerSecond: Double) {
        let ports = try Ports()
        let process = try self.start(server, ports)
        defer { process.end() }
        usleep(1_000_000)
        let ready = "\(self.scratch)/ready"
        try? FileManager.default.removeItem(atPath: ready)
        let client = try ChildProcess(
            tools.load,
            ["--port", "\(ports.plain)", "--path", server.streamPath, "-n", "\(self.options.count)", "--warmup", "1"]
                + ["--check-ids", "--ready-file", ready, "--duration", "\(self.options.storm)"]
                + ["--pids", process.identifiersWithChildren]
        )
        try Self.awaitFile(ready)
        let publisher = try ChildProcess(
            self.publisher,
            ["post", "--port", "\(ports.publish)", "--path", server.publishPath, "--kind", "raw"]
                + ["--content-type", "application/json", "--rate", "20", "--size", "200"]
                + ["--duration", "\(self.options.storm + 2)"]
        )
        let shaken = isCalm ? 0 : try self.shakeHands(server, ports, seconds: self.options.storm)
        let output = client.text()
        _ = client.wait()
        publisher.end()
        return (try LoadResult(output, isNumbered: false), Double(shaken) / Double(self.options.storm))
    }

    /// Opens connections with a stream, 500 at a time and again, for so many seconds.
    ///
    /// - Returns: How many there were.
    private func shakeHands(_ server: TLSServer, _ ports: Ports, seconds: Int) throws -> Int {
        let end = Date(timeIntervalSinceNow: Double(seconds))
        var count = 0
        while Date() < end {
            let load = try ChildProcess(
                self.load,
                ["--mode", "tls", "--port", "\(ports.tls)", "--path", server.streamPath, "-n", "500"]
                    + ["--warmup", "0", "--duration", "0.01"]
            )
            let output = load.text()
            _ = load.wait()
            count += try JSONDecoder().decode(Handshakes.self, from: output).up
        }
        return count
    }

    private struct Handshakes: Decodable {
        var up: Int
    }

    private static func awaitFile(_ path: String) throws {
        let deadline = Date(timeIntervalSinceNow: 60)
        while !FileManager.default.fileExists(atPath: path) {
            guard Date() < deadline else { throw BenchmarkFailure("clients did not connect") }
            // The load client reports through files, and nothing is measured yet.
            usleep(10_000)
        }
    }
}
