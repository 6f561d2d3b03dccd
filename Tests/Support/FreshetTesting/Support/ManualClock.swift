/// A clock that stands still until a test moves it.
///
/// For code that takes the time as an argument, read `monotonicNanoseconds` and `wallMilliseconds`; for code that sleeps
/// on a `Clock`, pass the clock itself: a sleeper wakes when `advance(by:)` passes its deadline.
package final class ManualClock: Clock {
    package struct Instant: InstantProtocol {
        /// Time since the clock was made.
        package var elapsed: Duration

        package func advanced(by duration: Duration) -> Instant { Instant(elapsed: self.elapsed + duration) }
        package func duration(to other: Instant) -> Duration { other.elapsed - self.elapsed }
        package static func < (left: Instant, right: Instant) -> Bool { left.elapsed < right.elapsed }
    }

    private struct State: Sendable {
        var elapsed: Duration = .zero
        var wallOffset: Duration
        var sleepers = 0
    }

    private let state: Watched<State>

    /// - Parameters:
    ///   - monotonic: What the monotonic clock reads at first. Not 0, so that a forgotten origin shows.
    ///   - wall: What the wall clock reads at first, since 1970. The default is 2026-11-23T06:00:00Z.
    package init(monotonic: Duration = .seconds(1_000), wall: Duration = .seconds(1_795_413_600)) {
        self.state = Watched(State(elapsed: monotonic, wallOffset: wall - monotonic))
    }

    package var now: Instant { Instant(elapsed: self.state.value.elapsed) }
    package var minimumResolution: Duration { .nanoseconds(1) }

    /// The monotonic clock's reading.
    package var monotonicNanoseconds: Int64 { Self.nanoseconds(self.state.value.elapsed) }

    /// The wall clock's reading: milliseconds since 1970.
    package var wallMilliseconds: Int64 {
        let state = self.state.value
        return Self.nanoseconds(state.elapsed + state.wallOffset) / 1_000_000
    }

    /// Moves both clocks and wakes whoever sleeps up to then.
    package func advance(by duration: Duration) {
        self.state.update { $0.elapsed += duration }
    }

    /// Steps the wall clock only, forwards or backwards.
    package func stepWall(by duration: Duration) {
        self.state.update { $0.wallOffset += duration }
    }

    /// Waits for `count` sleepers, so that a test moves the clock only when the code under test has gone to sleep.
    package func waitForSleepers(_ count: Int, timeout: Duration = .patience) async -> Bool {
        await self.state.wait(timeout: timeout) { $0.sleepers >= count ? true : nil } ?? false
    }

    /// Sleeps until the clock has been moved to `deadline`; throws `CancellationError` when the task is cancelled.
    package func sleep(until deadline: Instant, tolerance: Duration? = nil) async throws {
        self.state.update { $0.sleepers += 1 }
        defer { self.state.update { $0.sleepers -= 1 } }
        while !Task.isCancelled {
            let woken = await self.state.wait(timeout: .seconds(3_600)) { $0.elapsed >= deadline.elapsed ? true : nil }
            if woken == true { return }
        }
        throw CancellationError()
    }

    private static func nanoseconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
