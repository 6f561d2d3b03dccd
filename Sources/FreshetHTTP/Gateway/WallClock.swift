// The wall clock, read by this room for `Date`, `Age` and the ages of things; the core is handed its times.

import CLinux
import FreshetCore
import HTTPFields

enum WallClock {
    static var now: WallTime { WallTime(milliseconds: clinux_realtime_ns() / 1_000_000) }
}

extension WallTime {
    /// As HTTP writes it (RFC 9110 §5.6.7).
    var httpDate: HTTPDate { HTTPDate(unixSeconds: Int(clamping: self.seconds)) }
}

extension HTTPDate {
    var text: String { String(decoding: self.bytes, as: UTF8.self) }
}
