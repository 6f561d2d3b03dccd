// What is wrong or wasteful, with the line to write.

/// One thing that `doctor` found.
package struct Finding: Hashable, Sendable {
    /// What scripts tell findings apart by.
    package enum Kind: String, CaseIterable, Sendable {
        /// The source gives no value.
        case failing
        /// The upstream's certificate expires soon.
        case certificateExpires = "certificate_expires"
        /// The tag never yields a 304.
        case etagUseless = "etag_useless"
        /// The tag changes although the value does not.
        case etagUnreliable = "etag_unreliable"
        /// One validator stands for two values.
        case validatorLies = "validator_lies"
        /// Conditional requests are refused.
        case conditionRefused = "condition_refused"
        /// Writes are guarded by a tag that cannot guard them.
        case weakGuard = "weak_guard"
        /// Polls are configured more often than the upstream's answers stay fresh, or than it asks for.
        case intervalShort = "interval_short"
        /// The interval uses up the upstream's rate limit.
        case rateLimit = "rate_limit"
        /// Members change with every poll and say nothing.
        case volatile
        /// The body is close to the largest that is taken.
        case largeBody = "large_body"
        /// A request takes longer than the interval, or nearly as long as the time-out.
        case slow
        /// Of the host: open files, memory, the queue of new connections.
        case openFiles = "open_files"
        case memory
        case backlog
        /// Between the gateway and its clients: nothing answers, a proxy holds events back, pages may not read.
        case unreachable
        case buffering
        case cors
    }

    package var kind: Kind
    /// The section that it is about: `sources.rates`, `limits`, or the URL of a proxy.
    package var place: String
    /// What is wrong, and what it costs: one sentence for a person.
    package var what: String
    /// The line to write there; `nil` where no line helps.
    package var line: String?
    /// What to do where no line helps, or beside it.
    package var advice: String?

    package init(_ kind: Kind, _ place: String, _ what: String, line: String? = nil, advice: String? = nil) {
        self.kind = kind
        self.place = place
        self.what = what
        self.line = line
        self.advice = advice
    }
}
