// Time as the core sees it: values handed in by the shells. The core never reads a clock.

import HTTPFields

/// A point on the machine's monotonic clock (CLOCK_MONOTONIC), in nanoseconds. Never compared across processes.
///
/// Every schedule and deadline uses this clock, so a step of the wall clock moves no poll (FAULTS F79).
package struct MonotonicTime: Hashable, Comparable, Sendable {
    /// Nanoseconds since an arbitrary origin.
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    package static let distantFuture = MonotonicTime(nanoseconds: .max)

    package static func < (left: Self, right: Self) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// Saturates at the ends of the representable range.
    package static func + (time: Self, duration: Duration) -> Self {
        let (sum, overflow) = time.nanoseconds.addingReportingOverflow(duration.clampedNanoseconds)
        guard overflow else { return Self(nanoseconds: sum) }
        return Self(nanoseconds: duration < .zero ? .min : .max)
    }

    /// The duration from `earlier` to `later`, negative when they are the other way round.
    package static func - (later: Self, earlier: Self) -> Duration {
        let (difference, overflow) = later.nanoseconds.subtractingReportingOverflow(earlier.nanoseconds)
        guard overflow else { return .nanoseconds(difference) }
        return .nanoseconds(later < earlier ? Int64.min : Int64.max)
    }
}

/// A point on the wall clock: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Used only for what people and upstreams read: the `at` of an event, `Last-Modified`, `Age`. Always within the years 0 to
/// 9999, which RFC 3339 can write: times come from disks, brokers and clients, and sums of two of them must not overflow.
package struct WallTime: Hashable, Comparable, Sendable {
    package let milliseconds: Int64

    private static let range: ClosedRange<Int64> = -62_167_219_200_000...253_402_300_799_999

    /// A moment outside of the range is the nearest one that is inside.
    package init(milliseconds: Int64) {
        self.milliseconds = min(max(milliseconds, Self.range.lowerBound), Self.range.upperBound)
    }

    package static let distantFuture = WallTime(milliseconds: .max)

    /// Whole seconds, rounded towards the past.
    package var seconds: Int64 {
        self.milliseconds >= 0 ? self.milliseconds / 1000 : -((999 - self.milliseconds) / 1000)
    }

    package static func < (left: Self, right: Self) -> Bool {
        left.milliseconds < right.milliseconds
    }

    /// Saturates at the ends of the range.
    package static func + (time: Self, duration: Duration) -> Self {
        // 292 years at most, so that the sum fits.
        WallTime(milliseconds: time.milliseconds + duration.milliseconds)
    }

    /// The duration from `earlier` to `later`, negative when they are the other way round.
    package static func - (later: Self, earlier: Self) -> Duration {
        .milliseconds(later.milliseconds - earlier.milliseconds)
    }
}

extension WallTime: CustomStringConvertible {
    /// RFC 3339 in UTC with milliseconds: `2026-11-23T06:00:00.123Z`.
    package var description: String {
        String(decoding: self.rfc3339, as: UTF8.self)
    }

    /// The bytes of ``description``, 24 in all.
    package var rfc3339: [UInt8] {
        let time = self.milliseconds
        let days = (time >= 0 ? time : time - 86_399_999) / 86_400_000
        let ofDay = time - days * 86_400_000
        let date = CivilDate(daysSince1970: days)
        var text: [UInt8] = []
        text.reserveCapacity(24)
        text.appendDigits(date.year, width: 4)
        text.append(UInt8(ascii: "-"))
        text.appendDigits(date.month, width: 2)
        text.append(UInt8(ascii: "-"))
        text.appendDigits(date.day, width: 2)
        text.append(UInt8(ascii: "T"))
        text.appendDigits(ofDay / 3_600_000, width: 2)
        text.append(UInt8(ascii: ":"))
        text.appendDigits(ofDay / 60_000 % 60, width: 2)
        text.append(UInt8(ascii: ":"))
        text.appendDigits(ofDay / 1000 % 60, width: 2)
        text.append(UInt8(ascii: "."))
        text.appendDigits(ofDay % 1000, width: 3)
        text.append(UInt8(ascii: "Z"))
        return text
    }
}

extension Duration {
    /// Whole nanoseconds, clamped to what an `Int64` holds (292 years).
    package var clampedNanoseconds: Int64 {
        let (seconds, attoseconds) = self.components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return seconds < 0 ? .min : .max }
        let (sum, carry) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
        return carry ? (seconds < 0 ? .min : .max) : sum
    }

    /// Whole milliseconds, rounded towards zero.
    package var milliseconds: Int64 {
        self.clampedNanoseconds / 1_000_000
    }

    /// Seconds as a floating-point number, for arithmetic on schedules.
    package var inSeconds: Double {
        let (seconds, attoseconds) = self.components
        return Double(seconds) + Double(attoseconds) / 1e18
    }

    /// A duration from seconds; not-a-number is zero and the range is ±292 years, so no input can trap.
    package init(clampingSeconds seconds: Double) {
        guard !seconds.isNaN else {
            self = .zero
            return
        }
        let bounded = min(max(seconds, -9_223_372_036), 9_223_372_036)
        self = .nanoseconds(Int64(bounded * 1e9))
    }
}
