import CLinux

extension Duration {
    /// How long helpers wait for what has to happen, unless told otherwise. A wait that is fulfilled costs nothing of
    /// it; a machine that runs tests may be slow, and busy with something else.
    package static let patience: Duration = .seconds(40)
}

/// A moment on the monotonic clock by which a wait has to end.
struct Deadline: Sendable {
    private let nanoseconds: Int64

    /// A deadline `duration` from now; more than a day counts as a day.
    init(in duration: Duration) {
        let bounded = min(max(duration, .zero), .seconds(86_400))
        let (seconds, attoseconds) = bounded.components
        self.nanoseconds = clinux_monotonic_ns() + seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    var hasPassed: Bool { clinux_monotonic_ns() >= self.nanoseconds }

    /// What is left, as `poll(2)` takes it: rounded up, never negative.
    var remainingMilliseconds: Int32 {
        let left = self.nanoseconds - clinux_monotonic_ns()
        return left <= 0 ? 0 : Int32((left + 999_999) / 1_000_000)
    }
}
