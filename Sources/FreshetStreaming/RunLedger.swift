// How many runs of compressed events there are: each keeps a compressor, whoever reads it.

import FreshetCore
import Synchronization

/// Counts the runs of all shards. Any thread.
package final class RunLedger: Sendable {
    private let max: Int
    private let count = Atomic<Int>(0)
    private let refused = Atomic<UInt64>(0)

    /// `max`: above it events are compressed each by itself.
    package init(max: Int = Defaults.Limits.maxCompressionRuns) {
        self.max = max
    }

    /// Runs at this moment.
    package var runs: Int { self.count.load(ordering: .relaxed) }

    /// Times that there was no room for one.
    package var refusals: UInt64 { self.refused.load(ordering: .relaxed) }

    /// A place, until the ticket is let go; `nil` where there is none.
    func take() -> RunTicket? {
        guard self.count.add(1, ordering: .relaxed).newValue <= self.max else {
            self.count.subtract(1, ordering: .relaxed)
            self.refused.add(1, ordering: .relaxed)
            return nil
        }
        return RunTicket(ledger: self)
    }

    fileprivate func giveBack() {
        self.count.subtract(1, ordering: .relaxed)
    }
}

/// The place of one run.
final class RunTicket: Sendable {
    private let ledger: RunLedger

    fileprivate init(ledger: RunLedger) {
        self.ledger = ledger
    }

    deinit {
        self.ledger.giveBack()
    }
}
