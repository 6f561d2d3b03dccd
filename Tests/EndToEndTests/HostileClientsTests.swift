import Foundation
import FreshetTesting
import Testing

/// `freshet-bench`, beside the program.
private var benchmarkPath: String? {
    let path = (try? FreshetProcess.locateBinary()).map { $0 + "-bench" }
    return path.flatMap { FileManager.default.isExecutableFile(atPath: $0) ? $0 : nil }
}

/// The benchmark of hostile clients, small: that it attacks, that it checks, and that nothing is lost meanwhile. What it
/// measures is judged by `freshet-bench hostile` alone.
@Suite(
    "Hostile clients",
    .serialized,
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: benchmarkPath != nil, "freshet-bench is not built")
)
struct HostileClientsTests {
    /// `FRESHET_HOSTILE_SECONDS`; three by default.
    private static let seconds = Int(ProcessInfo.processInfo.environment["FRESHET_HOSTILE_SECONDS"] ?? "") ?? 3
    /// A debug build takes more than the program that is released; memory is judged by the benchmark itself.
    private static let memoryMebibytes = 2000

    @Test("A06-A15 every kind of attack at once: each is made, and the others lose nothing")
    func attacks() async throws {
        let benchmark = try FreshetProcess(
            ["hostile", "--counts-only", "--json", "--seconds", "\(Self.seconds)", "--subscribers", "100"]
                + ["--clients", "20", "--memory", "\(Self.memoryMebibytes)"]
                + ["--gateway", try FreshetProcess.locateBinary()],
            binary: benchmarkPath
        )
        let status = try await benchmark.exitStatus(timeout: .seconds(120 + 4 * Self.seconds))
        let line = benchmark.output.split(separator: "\n").last.map { Array($0.utf8) } ?? []
        let report = try JSONDecoder().decode(Report.self, from: Data(line))
        #expect(report.failures.isEmpty)
        #expect(status == .exited(0), "\(benchmark.errors)")
        for figures in [report.quiet, report.attacked] {
            #expect(figures.ids > 0 && figures.ids == figures.events)
            #expect(figures.faults.isEmpty)
            #expect(figures.exitCode == 0)
        }
        let kinds = ["A06", "A07", "A08", "A09", "A10", "A11", "A12", "A13", "A14", "A15"]
        #expect(report.attacked.attacks.keys.sorted() == kinds)
        #expect(report.attacked.attacks.values.allSatisfy { $0.made > 0 }, "\(report.attacked.attacks)")
        #expect(report.quiet.attacks.isEmpty)
    }

    private struct Report: Decodable {
        struct Figures: Decodable {
            var ids: Int
            var events: Int
            var faults: [String]
            var exitCode: Int
            var attacks: [String: Counts]
        }

        struct Counts: Decodable {
            var made: Int
        }

        var quiet: Figures
        var attacked: Figures
        var failures: [String]
    }
}
