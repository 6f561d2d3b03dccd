// The cluster under seeds: pauses, partitions, crashes, brokers that forget.

import Foundation
import FreshetSimulation
import Testing

@Suite("Cluster simulation")
struct ClusterSimulationTests {
    /// `FRESHET_CLUSTER_SEEDS`: how many runs; the default is short.
    private static let seeds = UInt64(ProcessInfo.processInfo.environment["FRESHET_CLUSTER_SEEDS"] ?? "") ?? 6

    @Test("each change once and in order at every node, and none of a stale owner", arguments: 1...Self.seeds)
    func holds(seed: UInt64) {
        let simulation = ClusterSimulation(seed: seed)
        simulation.run(seconds: 20)
        #expect(simulation.objections.isEmpty, "seed \(seed)")
        #expect(simulation.figures.changes > 0 && simulation.figures.counts > 0)
    }

    @Test("whoever owns a source knows the idempotency keys of its owners before", arguments: 1...Self.seeds)
    func keys(seed: UInt64) {
        let simulation = ClusterSimulation(seed: seed, hasKeys: true)
        simulation.run(seconds: 20)
        #expect(simulation.objections.isEmpty, "seed \(seed)")
        #expect(simulation.figures.keys > 0 && simulation.figures.inherited > 0)
    }

    @Test("what is read anywhere has one owner, and what nobody reads is gone", arguments: 1...Self.seeds)
    func instances(seed: UInt64) {
        let simulation = ClusterSimulation(seed: seed, hasInstances: true)
        simulation.run(seconds: 20)
        #expect(simulation.objections.isEmpty, "seed \(seed)")
        #expect(simulation.figures.added > 10 && simulation.figures.removed > 5)
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
            let simulation = ClusterSimulation(seed: seed, bug: bug)
            simulation.run(seconds: 30)
            return !simulation.objections.isEmpty
        }
        #expect(isFound)
    }
}
