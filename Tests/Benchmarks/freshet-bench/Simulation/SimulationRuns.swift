// Long runs of the simulation, many seeds on every core: `make simulate`.

import FreshetSimulation
import Glibc
import Synchronization
import System

/// Runs the simulation with each seed and prints what happened; a seed that fails with what did not hold, and with the
/// command that runs it again.
///
/// `--seeds 1-200`, `--steps 20000`; `--plant NAME` makes a mistake on purpose and tells the seeds that find it, `--plant
/// all` one after the other.
///
/// - Returns: 1 where a seed failed, or where a planted mistake was not found; 2 for arguments that are none.
func runSimulation(arguments: [String]) -> Int32 {
    guard let options = SimulationOptions(arguments) else {
        print("usage: freshet-bench simulate [--seeds FIRST-LAST] [--steps N] [--plant NAME|all]")
        print("to plant: \(PlantedBug.allCases.map(\.rawValue).joined(separator: ", "))")
        return 2
    }
    guard options.planted.isEmpty else {
        return options.planted.map { runPlanted($0, options) }.max() ?? 0
    }
    let start = ContinuousClock.now
    let outcome = SimulationRuns(options: options).runAll()
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    for (seed, objections) in outcome.failures.sorted(by: { $0.key < $1.key }) {
        print("seed \(seed): \(objections.first ?? "")")
        print("    make simulate SEEDS=\(seed) STEPS=\(options.steps)")
    }
    let sum = outcome.figures
    print(
        """
        simulate: seeds \(options.seeds.lowerBound)-\(options.seeds.upperBound), \(options.steps) steps each, \
        \(outcome.failures.count) failed, \(Int(seconds)) s
        \(sum.steps) steps: \(sum.changes) changes, \(sum.events) events received, \(sum.gaps) gaps told, \
        \(sum.joins) joins, \(sum.resumes) resumes, \(sum.lostConnections) lost connections, \
        \(sum.fullSockets) full sockets, \(sum.reloads) reloads, \(sum.crashes) crashes and restarts, \
        \(sum.diskFaults) disk faults, \(sum.clockSteps) clock steps
        """
    )
    return outcome.failures.isEmpty ? 0 : 1
}

/// Runs every seed with one mistake, which has to be found.
private func runPlanted(_ bug: PlantedBug, _ options: SimulationOptions) -> Int32 {
    let outcome = SimulationRuns(options: options, bug: bug).runAll()
    let seeds = outcome.failures.keys.sorted()
    print("\(bug.rawValue): found by \(seeds.count) of \(options.seeds.count) seeds, as by \(seeds.prefix(10))")
    if let seed = seeds.first {
        print("    seed \(seed): \(outcome.failures[seed]?.first ?? "")")
        print("    make simulate SEEDS=\(seed) STEPS=\(options.steps) PLANT=\(bug.rawValue)")
    }
    return seeds.isEmpty ? 1 : 0
}

/// What was asked for.
struct SimulationOptions: Sendable {
    var seeds: ClosedRange<UInt64> = 1...200
    /// Of each seed.
    var steps = 20_000
    /// Mistakes to be made on purpose, one after the other.
    var planted: [PlantedBug] = []

    /// - Returns: `nil` where an argument is none of ours, or has no value that it could have.
    init?(_ arguments: [String]) {
        var arguments = arguments[...]
        while let flag = arguments.popFirst() {
            let value = arguments.popFirst() ?? ""
            switch flag {
            case "--seeds":
                guard let seeds = Self.range(value) else { return nil }
                self.seeds = seeds
            case "--steps":
                guard let steps = Int(value), steps > 0 else { return nil }
                self.steps = steps
            case "--plant" where value == "all":
                self.planted = PlantedBug.allCases
            case "--plant":
                guard let bug = PlantedBug(rawValue: value) else { return nil }
                self.planted = [bug]
            case _:
                return nil
            }
        }
    }

    private static func range(_ text: String) -> ClosedRange<UInt64>? {
        let bounds = text.split(separator: "-").map { UInt64($0) }
        guard (1...2).contains(bounds.count), let first = bounds.first ?? nil, let last = bounds.last ?? nil,
            first <= last, last < .max
        else { return nil }
        return first...last
    }
}

/// Seeds, given out one by one to a thread for each core.
private final class SimulationRuns: Sendable {
    struct Outcome: Sendable {
        var figures = Simulation.Figures()
        var failures: [UInt64: [String]] = [:]
    }

    private let options: SimulationOptions
    private let bug: PlantedBug?
    private let next: Mutex<UInt64>
    private let state = Mutex(Outcome())

    init(options: SimulationOptions, bug: PlantedBug? = nil) {
        self.options = options
        self.bug = bug
        self.next = Mutex(options.seeds.lowerBound)
    }

    /// Returns when every seed has been run.
    func runAll() -> Outcome {
        let cores = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        let threads = (0..<cores).compactMap { _ in try? SystemThread(name: "simulation") { self.work() } }
        for thread in threads {
            thread.join()
        }
        return self.state.withLock { $0 }
    }

    private func work() {
        while let seed = self.take() {
            var simulation = Simulation(seed: seed, bug: self.bug)
            simulation.run(steps: self.options.steps)
            let (figures, objections) = (simulation.figures, simulation.objections)
            self.state.withLock { outcome in
                outcome.figures.add(figures)
                if !objections.isEmpty { outcome.failures[seed] = objections }
            }
        }
    }

    private func take() -> UInt64? {
        self.next.withLock { next in
            guard next <= self.options.seeds.upperBound else { return nil }
            defer { next += 1 }
            return next
        }
    }
}
