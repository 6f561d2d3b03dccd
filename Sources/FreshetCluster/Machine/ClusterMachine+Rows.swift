// Rows of a unit: stored under its owner record, one subject each, and read by all in the same order.

package import FreshetCore

extension ClusterMachine {
    /// Rows of a unit are to go into the stream, all or none: under the fence of the unit, or not at all. Answered once by
    /// `.keyStored`. Without an answer of the broker they may be stored all the same.
    package mutating func rowsSubmitted(
        _ request: UInt64,
        _ messages: [StreamMessage],
        of unit: String,
        now: MonotonicTime
    ) {
        // A source that is being handed over is not polled any more, and what was written to it may still be told.
        guard self.mayWrite, self.isEntitled, now < self.leaseUntil, case .owned(let fence) = self.sources[unit]?.role
        else { return self.actions.append(.keyStored(request, isStored: false)) }
        let owner = self.settings.subjects.subject(of: .owner(source: unit))
        _ = self.publish(messages, expecting: StreamExpectation(owner, at: fence), for: .key(request))
    }
}
