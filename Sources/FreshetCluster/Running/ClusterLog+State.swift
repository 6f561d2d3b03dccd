// The state of units that are no sources, in the stream.

import Synchronization

extension ClusterLog {
    /// The longest state that can be kept, in bytes.
    package var maxStateBytes: Int { max(0, min(OwnerRecord.maxState, self.settings.maxPayloadBytes - (4 << 10))) }

    /// Keeps the state of a unit in the place of the one before. `done` is called once: with `true` when it, or a later one, is
    /// in the stream; with `false` when this node owns the unit no more, or the state is longer than ``maxStateBytes``.
    package func keep(_ state: [UInt8], of unit: String, done: @escaping @Sendable (Bool) -> Void) {
        guard state.count <= self.maxStateBytes else { return done(false) }
        let number = self.shared.withLock { shared in
            defer { shared.nextKeep += 1 }
            shared.keeps[unit, default: []].append((shared.nextKeep, done))
            return shared.nextKeep
        }
        self.perform { machine, now in machine.keep(unit, state, number: number, now: now) }
    }

    func settleKeeps(of unit: String, through number: UInt64, isKept: Bool) {
        let settled = self.shared.withLock { shared in
            let all = shared.keeps[unit] ?? []
            let rest = all.filter { $0.number > number }
            shared.keeps[unit] = rest.isEmpty ? nil : rest
            return all.filter { $0.number <= number }
        }
        for keep in settled { keep.done(isKept) }
    }

    /// What this node knows of the state of a unit, whoever owns it. `done` is called once, on the cluster's queue.
    package func state(of unit: String, done: @escaping @Sendable ([UInt8]?) -> Void) {
        self.perform { machine, _ in done(machine.state(of: unit)) }
    }
}
