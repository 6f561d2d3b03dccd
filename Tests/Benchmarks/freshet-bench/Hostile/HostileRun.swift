// One run of the hostile benchmark: the program, an upstream, subscribers that behave, and perhaps others that do not.

import CLinux
import Foundation
import FreshetTesting

/// What a run measured. Times in milliseconds.
struct HostileFigures: Codable, Sendable {
    var deliveryP50: Double
    var deliveryP99: Double
    /// From a reconnect with a cursor to the first missed event.
    var resumeP99: Double
    var livezP99: Double
    /// A read of the log by a client that behaves.
    var pastP99: Double
    /// How late polls began, by the upstream's clock.
    var pollLatenessP99: Double
    /// Probes that were not answered with 200 within five seconds.
    var unansweredProbes: Int
    /// The most resident memory of the gateway at any time.
    var peakMebibytes: Double
    var gatewayCPUSeconds: Double
    /// How long threads of the gateway that could run waited for a core, all together: what others took from it.
    var coreWaitSeconds: Double
    /// CPU time that the attacks took for themselves.
    var attackCPUSeconds: Double
    var events: Int
    /// Events whose id was checked.
    var ids: Int
    /// Changes lost, doubled, out of order, gaps, streams ended by the gateway; in words.
    var faults: [String]
    /// Streams that the gateway ended or refused, by what it said.
    var ends: [String: Int]
    /// Versions of all sources that the upstream served.
    var versions: Int
    /// The gateway's exit code after SIGTERM, with the hostile connections still open.
    var exitCode: Int32
    var attacks: [String: AttackCounts]
}

struct HostileRun {
    let options: HostileOptions
    let sources = HostileSources()

    /// Runs the program for the time of the options, and ends it.
    ///
    /// - Parameter isAttacked: Whether hostile clients take part.
    /// - Returns: What was measured in the meantime, and the exit code.
    /// - Throws: `BenchmarkFailure` where the gateway or a subscriber does not come up.
    func measure(isAttacked: Bool) throws -> HostileFigures {
        LoopbackSocket.raiseFileLimit()
        let folder = try TemporaryFolder()
        let origin = try HostileOrigin(self.sources)
        defer { origin.end() }
        let port = try FanOutRun.freePort()
        let configuration = self.sources.configuration(
            port: port,
            origin: origin.port,
            memoryMebibytes: self.options.memoryMebibytes,
            log: folder.path("changes.db")
        )
        let file = try folder.write(configuration, to: "freshet.yaml")
        let gateway = try ChildProcess(self.options.gateway, ["serve", "--config", file])
        var isRunning = true
        defer { if isRunning { gateway.end() } }
        try FanOutRun.awaitListener(port: port)
        let followed = (0..<self.options.subscribers).map { index in
            // Four follow the large value, whose patches are small.
            index % 250 == 249 ? self.sources.large : self.sources.regular[index % self.sources.regular.count]
        }
        let audience = Audience(of: followed, port: port, comesAndGoes: true)
        try audience.start()
        defer { audience.end() }
        let probes = self.probes(port)
        defer { for probe in probes { probe.end() } }

        origin.measure(true)
        audience.measure(true)
        for probe in probes { probe.measure(true) }
        let cpu = try ProcessUsage(pid: gateway.identifier).cpu
        let wait = Self.coreWaitSeconds(of: gateway.identifier)
        let clients = isAttacked ? try self.clients(port, audience) : nil
        defer { clients?.end() }
        // The window of the measurement.
        usleep(UInt32(self.options.seconds * 1_000_000))
        let usage = try ProcessUsage(pid: gateway.identifier)
        let waited = Self.coreWaitSeconds(of: gateway.identifier) - wait
        origin.measure(false)
        audience.measure(false)
        for probe in probes { probe.measure(false) }
        clients?.pause()
        let versions = origin.freeze()
        audience.awaitEnd(at: versions, timeout: .seconds(30))
        let peak = Self.peakMebibytes(of: gateway.identifier)
        // What the end of the gateway closes is no fault.
        let report = audience.report.value
        isRunning = false
        let exitCode = gateway.terminate(patienceSeconds: 60)
        let attacks = (clients?.counts ?? [:]).map { ($0.key.rawValue, $0.value) }
        return HostileFigures(
            deliveryP50: Self.milliseconds(report.delays, 0.5),
            deliveryP99: Self.milliseconds(report.delays, 0.99),
            resumeP99: Self.milliseconds(report.resumes, 0.99),
            livezP99: Self.milliseconds(probes[0].durations, 0.99),
            pastP99: Self.milliseconds(probes[1].durations, 0.99),
            pollLatenessP99: Self.milliseconds(origin.lateness, 0.99),
            unansweredProbes: probes.reduce(0) { $0 + $1.failures },
            peakMebibytes: peak,
            gatewayCPUSeconds: (usage.cpu - cpu) / .seconds(1),
            coreWaitSeconds: waited,
            attackCPUSeconds: Double(clients?.cpuNanoseconds ?? 0) / 1e9,
            events: report.audit.events,
            ids: report.audit.ids,
            faults: report.audit.faults,
            ends: report.ends,
            versions: versions.values.reduce(0, +),
            exitCode: exitCode,
            attacks: Dictionary(uniqueKeysWithValues: attacks)
        )
    }

    /// `/livez` twenty times a second, and a small read of the past twice a second, each from an address of its own.
    private func probes(_ port: Int) -> [HostileProbe] {
        let names = self.sources.regular
        return [
            HostileProbe(port: port, from: LoopbackAddress(network: 32, host: 1), everyMilliseconds: 50) { _ in "/livez"
            },
            HostileProbe(port: port, from: LoopbackAddress(network: 32, host: 2), everyMilliseconds: 500) { number in
                "/v1/changes/\(names[number % names.count])?since=10m&limit=10"
            },
        ]
    }

    private func clients(_ port: Int, _ audience: Audience) throws -> HostileClients {
        let id = audience.lastID.split(separator: "-")
        guard let epoch = id.first, let sequence = id.last.flatMap({ Int($0) }) else {
            throw BenchmarkFailure("no subscriber has a cursor")
        }
        let requests = AttackRequests(
            sources: self.sources,
            port: port,
            epoch: String(epoch),
            newest: sequence,
            seed: self.options.seed
        )
        return HostileClients(
            count: self.options.clients,
            paceMilliseconds: self.options.paceMilliseconds,
            requests: requests
        )
    }

    /// From the second number of each thread's `schedstat`.
    private static func coreWaitSeconds(of process: Int32) -> Double {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task")) ?? []
        return threads.reduce(0) { total, thread in
            let path = "/proc/\(process)/task/\(thread)/schedstat"
            let numbers = (try? String(contentsOfFile: path, encoding: .utf8))?.split(separator: " ") ?? []
            return total + (numbers.dropFirst().first.flatMap { Double($0) } ?? 0) / 1e9
        }
    }

    private static func peakMebibytes(of process: Int32) -> Double {
        let status = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        let kilobytes = line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Double($0) }
        return (kilobytes ?? .infinity) / 1024
    }

    /// A quantile of durations in nanoseconds; infinite where there is none, so that nothing measured is nothing met.
    private static func milliseconds(_ durations: [Int64], _ quantile: Double) -> Double {
        let sorted = durations.sorted()
        guard !sorted.isEmpty else { return .infinity }
        let index = min(sorted.count - 1, Int(quantile * Double(sorted.count)))
        return Double(sorted[index]) / 1e6
    }
}
