// When a value has not been confirmed for so long that its source counts as stale.

/// The age at which one source's value is stale. Set anew by each answer; reads no clock.
///
/// The configured `staleness` counts from the last answer that brought or confirmed the value. What HTTP calls fresh is
/// never stale (RFC 9111 §4.2), and while the upstream fails, `stale-if-error` puts the mark off (RFC 5861 §4). A source
/// that nobody polls goes stale only where `staleness` says so: only its publisher knows how often it is pushed.
struct Staleness: Hashable, Sendable {
    /// What the last answer that brought or confirmed the value said of time.
    private struct Confirmation: Hashable {
        var at: MonotonicTime
        var interval: Duration
        var freshFor: Duration
        var servedOnErrorFor: Duration
    }

    /// `nil` without a value.
    private var last: Confirmation?
    private let configured: Duration?
    private let isAdaptive: Bool
    private let isPolled: Bool

    /// The shortest default.
    private static let least = Duration.seconds(30)

    init(configuration: SourceConfiguration) {
        self.configured = configuration.staleness
        self.isAdaptive = configuration.interval == .adaptive
        self.isPolled = configuration.isPolled
    }

    /// A value was brought or confirmed at `now`, and the next poll is planned `interval` later.
    mutating func confirmed(at now: MonotonicTime, interval: Duration, freshness: ResponseFreshness?) {
        self.last = Confirmation(
            at: now,
            interval: interval,
            freshFor: freshness?.freshFor ?? .zero,
            servedOnErrorFor: freshness?.servedOnErrorFor ?? .zero
        )
    }

    /// The same value by another configuration of its source, which polls it every `interval`.
    func reconfigured(_ configuration: SourceConfiguration, interval: Duration) -> Staleness {
        var staleness = Staleness(configuration: configuration)
        staleness.last = self.last
        staleness.last?.interval = interval
        return staleness
    }

    /// When the value becomes stale; `.distantFuture` without one. `isFailing`: the last poll failed.
    func deadline(isFailing: Bool) -> MonotonicTime {
        guard let last = self.last, self.isPolled || self.configured != nil else { return .distantFuture }
        let limit = max(self.limit(interval: last.interval), last.freshFor)
        return last.at + (isFailing ? max(limit, last.servedOnErrorFor) : limit)
    }

    /// With a fixed interval `staleness`, by default three intervals as they are at the moment. With an adaptive one
    /// the target is kept by the choice of the next poll, so it counts from that.
    private func limit(interval: Duration) -> Duration {
        if self.isAdaptive { return interval + (self.configured ?? Self.least) }
        return self.configured ?? max(interval * 3, Self.least)
    }
}
