import FreshetCore
import Synchronization

/// A wall clock that stands still until a test moves it.
final class TestClock: Sendable {
    private let time: Mutex<WallTime>

    /// 2026-11-28T12:00:00Z unless told otherwise.
    init(_ time: WallTime = WallTime(milliseconds: 1_795_867_200_000)) {
        self.time = Mutex(time)
    }

    var now: WallTime { self.time.withLock { $0 } }
    var seconds: Int64 { self.now.seconds }

    func advance(by duration: Duration) {
        self.time.withLock { $0 = $0 + duration }
    }
}
