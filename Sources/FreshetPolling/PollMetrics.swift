// What the poll thread counts (CONTRACT §7).

package import FreshetCore

/// Figures of all polls since the start. A value: a copy is a consistent moment.
package struct PollMetrics: Sendable {
    /// `freshet_polls_total`, by source and outcome. A source that was removed is not in it.
    package internal(set) var polls = SourceMap<[PollOutcome: UInt64]>()
    /// The same of all instances of a template that there were, by the template's name.
    package internal(set) var templatePolls: [String: [PollOutcome: UInt64]] = [:]
    /// `freshet_poll_duration_seconds`: from the start of a poll to its last byte, redirects included.
    package internal(set) var duration = DurationHistogram(
        bounds: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
    )
    /// `freshet_poll_lateness_seconds`: from when a poll was due to when it began.
    package internal(set) var lateness = DurationHistogram(
        bounds: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60]
    )
    /// Body bytes received, before decoding.
    package internal(set) var wireBytes: UInt64 = 0
    /// Body bytes after decoding.
    package internal(set) var bodyBytes: UInt64 = 0
    /// Connections opened to upstreams. Polls beyond these used one that was kept.
    package internal(set) var connections: UInt64 = 0
    /// Times that bytes arrived over a connection although no request had asked for them.
    package internal(set) var unsolicited: UInt64 = 0
    /// Polls that were made for another source too, and took no request of their own.
    package internal(set) var shared: UInt64 = 0
    /// Requests for a page of a value that comes in several.
    package internal(set) var pageRequests: UInt64 = 0
    /// Requests to token endpoints.
    package internal(set) var tokenRequests: UInt64 = 0
    /// Those that brought no token.
    package internal(set) var tokenFailures: UInt64 = 0
    /// Polls under way.
    package internal(set) var inFlight = 0
    /// Large bodies that were read beside the poll thread.
    package internal(set) var bodiesReadAside: UInt64 = 0
    /// Large bodies that the poll thread read itself, because no more could wait.
    package internal(set) var bodiesReadInPlace: UInt64 = 0
    /// Bytes of the bodies that wait for a reader or are read.
    package internal(set) var waitingBodyBytes = 0
    /// The CPU time that the poll thread has used.
    package internal(set) var threadCPU = Duration.zero

    mutating func pollStarted(lateness: Duration) {
        self.inFlight += 1
        self.lateness.observe(lateness)
    }

    mutating func largeBodyCame(isTaken: Bool) {
        if isTaken { self.bodiesReadAside += 1 } else { self.bodiesReadInPlace += 1 }
    }

    mutating func pollAbandoned() {
        self.inFlight -= 1
    }

    mutating func sharedPollEnded(_ source: PolledSource, _ outcome: PollOutcome) {
        self.count(source, outcome)
        self.shared += 1
    }

    private mutating func count(_ source: PolledSource, _ outcome: PollOutcome) {
        if let template = source.machine.configuration.instanceOf {
            self.templatePolls[template, default: [:]][outcome, default: 0] += 1
        } else {
            self.polls[source.id, default: [:]][outcome, default: 0] += 1
        }
    }

    mutating func pollEnded(_ source: PolledSource, _ outcome: PollOutcome, duration: Duration, wire: Int, body: Int) {
        self.inFlight -= 1
        self.count(source, outcome)
        self.duration.observe(duration)
        self.wireBytes += UInt64(clamping: wire)
        self.bodyBytes += UInt64(clamping: body)
    }
}
