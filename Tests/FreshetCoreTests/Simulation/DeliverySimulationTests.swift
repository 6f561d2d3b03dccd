import Foundation
import FreshetSimulation
import Testing

/// Seeded runs of the core, the log, a disk, upstreams and a network. A seed that fails is run again, and longer, by
/// `make simulate SEEDS=…`.
@Suite("Delivery, simulated")
struct DeliverySimulationTests {
    /// `FRESHET_SEEDS=7` or `FRESHET_SEEDS=1-5000`; three hundred by default.
    static var seeds: ClosedRange<UInt64> {
        let bounds = (ProcessInfo.processInfo.environment["FRESHET_SEEDS"] ?? "1-150")
            .split(separator: "-").compactMap { UInt64($0) }
        guard let first = bounds.first, let last = bounds.last, first <= last else { return 1...300 }
        return first...last
    }

    @Test(
        "F54–F62, F73, F79, F80, F90: every event once and in order or a gap, whatever breaks",
        arguments: DeliverySimulationTests.seeds
    )
    func everyEventOnce(seed: UInt64) {
        var simulation = Simulation(seed: seed)
        simulation.run(steps: 600)
        #expect(simulation.objections == [], "make simulate SEEDS=\(seed) STEPS=600")
    }

    @Test("a long run has some of everything", arguments: [UInt64(1001), 1002])
    func everything(seed: UInt64) {
        var simulation = Simulation(seed: seed)
        simulation.run(steps: 6000)
        #expect(simulation.objections == [], "make simulate SEEDS=\(seed) STEPS=6000")
        let figures = simulation.figures
        #expect(figures.steps == 6000)
        #expect(figures.joins > 10)
        #expect(figures.resumes > 50)
        #expect(figures.events > 300)
        #expect(figures.gaps > 5)
        #expect(figures.fullSockets > 50)
        #expect(figures.lostConnections > 20)
        #expect(figures.reloads > 10)
        #expect(figures.crashes > 3)
        #expect(figures.clockSteps > 3)
        #expect(figures.polls > 100)
        #expect(figures.changes > 100)
    }

    @Test("F58: a small cache evicts under readers, and each is told")
    func evictions() {
        var simulation = Simulation(seed: 99, cacheBytes: 4000, hasDisk: false)
        simulation.run(steps: 3000)
        #expect(simulation.objections == [])
        #expect(simulation.figures.gaps > 20)
    }

    @Test("one seed is one run")
    func reproducible() {
        let figures = (0..<2).map { _ in
            var simulation = Simulation(seed: 4)
            simulation.run(steps: 2000)
            return simulation.figures
        }
        #expect(figures[0] == figures[1])
    }

    @Test("a mistake that is made on purpose is found", arguments: PlantedBug.allCases)
    func planted(bug: PlantedBug) {
        let found = (UInt64(1)...200).first { seed in
            var simulation = Simulation(seed: seed, bug: bug)
            simulation.run(steps: 1000)
            return !simulation.objections.isEmpty
        }
        #expect(found != nil, "\(bug.rawValue) went unnoticed in 200 seeds")
    }
}
