// What views cost, for metrics.

import Synchronization

/// Totals since the start. Any thread.
final class ViewFigures: Sendable {
    private let askedCount = Atomic<UInt64>(0)
    private let frameCount = Atomic<UInt64>(0)

    /// Views that a change concerned, each counted once a change.
    var asked: UInt64 { self.askedCount.load(ordering: .relaxed) }
    /// Frames that were encoded for them.
    var frames: UInt64 { self.frameCount.load(ordering: .relaxed) }

    /// Notes what one change cost.
    func count(asked: Int, frames: Int) {
        self.askedCount.add(UInt64(asked), ordering: .relaxed)
        self.frameCount.add(UInt64(frames), ordering: .relaxed)
    }
}
