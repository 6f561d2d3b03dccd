// What is known of writes afterwards: a line for each, and the figures.

package import FreshetCore

/// One write that has ended, for the audit. Holds nothing of a body.
package struct WriteReport: Hashable, Sendable {
    /// The label `outcome` of `freshet_writes_total`.
    package enum Outcome: String, CaseIterable, Sendable {
        case applied
        /// Its base was not the newest: 409, 412, 428.
        case conflict
        /// The request, its result or the upstream forbids it.
        case refused
        /// The upstream was not reached, or there was no room.
        case notApplied = "not_applied"
        case unknown
        /// Answered from the store of idempotency keys.
        case replayed
        case dryRun = "dry_run"

        package init(_ answer: WriteAnswer) {
            guard let problem = answer.problem else {
                self = .applied
                return
            }
            switch (problem.code, problem.status) {
            case ("conflict", _), ("precondition_failed", _), ("precondition_required", _): self = .conflict
            case ("outcome_unknown", _): self = .unknown
            case ("result_refused", _): self = .applied
            case (_, 500...): self = .notApplied
            case _: self = .refused
            }
        }
    }

    package var caller: Principal.Account
    package var method: WriteMethod
    package var source: String
    package var key: String?
    package var status: Int
    /// Of the problem.
    package var code: String?
    package var outcome: Outcome
    package var cursor: Cursor?
}

/// Figures of all writes since the start. A value: a copy is a consistent moment.
package struct WriteMetrics: Sendable {
    /// `freshet_writes_total`, by the name of the source and outcome.
    package internal(set) var outcomes: [String: [WriteReport.Outcome: UInt64]] = [:]
    /// `freshet_write_duration_seconds`: from the request to its answer, its wait for a turn included.
    package internal(set) var duration = DurationHistogram(
        bounds: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
    )
    package internal(set) var underWay = 0
    package internal(set) var waiting = 0
    /// Idempotency keys that are remembered.
    package internal(set) var keys = 0
    package internal(set) var keyBytes = 0

    mutating func ended(_ source: String, _ outcome: WriteReport.Outcome, _ duration: Duration) {
        self.outcomes[source, default: [:]][outcome, default: 0] += 1
        self.duration.observe(duration)
    }
}
