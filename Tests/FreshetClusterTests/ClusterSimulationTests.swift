// The cluster under seeds: pauses, partitions, crashes, brokers that forget.

import Foundation
import FreshetSimulation
import Testing

@Suite("Cluster simulation")
struct ClusterSimulationTests {
    /// `FRESHET_CLUSTER_SEEDS`: how many runs; the default is short.
    private static let seeds = UInt64(ProcessInfo.processInfo.environment["FRESHET_CLUSTER_SEEDS"] ?? "") ?? 6

    /// The first seeds, and some that have found mistakes.
    private static func seeds(and pinned: [UInt64]) -> [UInt64] {
        Array(1...self.seeds) + pinned.filter { $0 > self.seeds }
    }

    @Test(
        "each change once and in order at every node, and none of a stale owner",
        arguments: Self.seeds(and: [109, 140, 163, 230, 284, 288, 369])
    )
    func holds(seed: UInt64) {
        let simulation = ClusterSimulation(seed: seed)
        simulation.run(seconds: 20)
        #expect(simulation.objections.isEmpty, "seed \(seed)")
        #expect(simulation.figures.changes > 0 && simulation.figures.counts > 0)
    }

    @Test(
        "whoever owns a source knows the idempotency keys of its owners before",
        arguments: Self.seeds(and: [8, 24, 25, 28, 54, 323])
    )
    func keys(seed: UInt64) {
        let simulation = ClusterSimulation(seed: seed, hasKeys: true)
        simulation.run(seconds: 20)
        #expect(simulation.objections.isEmpty, "seed \(seed)")
        // In some runs no source changes hands between two losses of the broker; `inherits` looks at several.
        #expect(simulation.figures.keys > 0)
    }

    @Test("a change that may be on its way still is stored once", arguments: 1...Self.seeds)
    func cutPublishes(seed: UInt64) {
        let simulation = ClusterSimulation(seed: seed, cutsPublishes: true)
        simulation.run(seconds: 20)
        #expect(simulation.objections.isEmpty, "seed \(seed)")
        #expect(simulation.figures.unknown > 0)
    }

    @Test("keys are inherited in nearly all runs, so that what is said of them is looked at")
    func inherits() {
        let runs = (UInt64(1)...6).filter { seed in
            let simulation = ClusterSimulation(seed: seed, hasKeys: true)
            simulation.run(seconds: 20)
            return simulation.figures.inherited > 0
        }
        #expect(runs.count > 4)
    }

    @Test(
        "what is read anywhere has one owner, and what nobody reads is gone",
        arguments: Self.seeds(and: [10, 45, 95, 112, 218, 252, 359])
    )
    func instances(seed: UInt64) {
        let simulation = ClusterSimulation(seed: seed, hasInstances: true)
        simulation.run(seconds: 20)
        #expect(simulation.objections.isEmpty, "seed \(seed)")
        #expect(simulation.figures.added > 10 && simulation.figures.removed > 0)
    }

    @Test("the same seed gives the same run")
    func repeats() {
        let fingerprints = (0..<2).map { _ in
            let simulation = ClusterSimulation(seed: 11)
            simulation.run(seconds: 10)
            return simulation.figures
        }
        #expect(fingerprints[0] == fingerprints[1])
    }

    @Test("mistakes that are made on purpose are found", arguments: ClusterSimulation.Bug.allCases)
    func finds(bug: ClusterSimulation.Bug) {
        let isFound = (UInt64(1)...30).contains { seed in
            let simulation = ClusterSimulation(seed: seed, cutsPublishes: true, bug: bug)
            simulation.run(seconds: 30)
            return !simulation.objections.isEmpty
        }
        #expect(isFound)
    }
}
