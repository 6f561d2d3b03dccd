// Long runs of the simulation, many seeds on every core: `make simulate`.

import FreshetSimulation
import Glibc
import Synchronization

/// Runs the simulation with each seed and prints what happened; a seed that fails with what did not hold.
///
/// `--seeds 1-200`, `--steps 20000`, `--bug NAME` to plant one and see it found.
///
/// - Returns: 1 where a seed failed.
func runSimulation(arguments: [String]) -> Int32 {
    let options = SimulationOptions(arguments)
    let runs = SimulationRuns(options: options)
    let start = ContinuousClock.now
    runs.runAll()
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    let outcome = runs.outcome
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

/// What was asked for.
struct SimulationOptions: Sendable {
    var seeds: ClosedRange<UInt64> = 1...200
    var steps = 20_000
    var bug: PlantedBug?

    init(_ arguments: [String]) {
        var arguments = arguments[...]
        while let flag = arguments.popFirst() {
            let value = arguments.popFirst() ?? ""
            switch flag {
            case "--seeds": self.seeds = Self.range(value) ?? self.seeds
            case "--steps": self.steps = Int(value) ?? self.steps
            case "--bug": self.bug = PlantedBug(rawValue: value)
            case _: continue
            }
        }
    }

    private static func range(_ text: String) -> ClosedRange<UInt64>? {
        let bounds = text.split(separator: "-").compactMap { UInt64($0) }
        guard let first = bounds.first, let last = bounds.last, first <= last else { return nil }
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
    private let next: Mutex<UInt64>
    private let state = Mutex(Outcome())

    init(options: SimulationOptions) {
        self.options = options
        self.next = Mutex(options.seeds.lowerBound)
    }

    var outcome: Outcome { self.state.withLock { $0 } }

    func runAll() {
        let cores = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        let threads = (0..<cores).compactMap { _ in self.startThread() }
        for thread in threads {
            pthread_join(thread, nil)
        }
    }

    private func startThread() -> pthread_t? {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self)
        let code = pthread_create(
            &thread,
            nil,
            { context in
                guard let context else { return nil }
                Unmanaged<SimulationRuns>.fromOpaque(context).takeRetainedValue().work()
                return nil
            },
            context.toOpaque()
        )
        guard code == 0 else {
            context.release()
            return nil
        }
        return thread
    }

    private func work() {
        while let seed = self.take() {
            var simulation = Simulation(seed: seed, bug: self.options.bug)
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
