// The clocks, read by shells only.

import CLinux
import FreshetCore

extension MonotonicTime {
    static var now: MonotonicTime { MonotonicTime(nanoseconds: clinux_monotonic_ns()) }
}

extension WallTime {
    static var now: WallTime { WallTime(milliseconds: clinux_realtime_ns() / 1_000_000) }
}
