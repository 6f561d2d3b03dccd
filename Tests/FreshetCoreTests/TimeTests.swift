import Foundation
import FreshetCore
import HTTPFields
import Testing

@Suite("Time")
struct TimeTests {
    @Test(
        "RFC 3339 text agrees with Foundation's",
        arguments: [Int64(0), 1_763_877_600_123, 951_782_400_000, -1, 4_102_444_799_999, -11_644_473_600_000]
    )
    func rfc3339(milliseconds: Int64) throws {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        let text = WallTime(milliseconds: milliseconds).description
        let date = try style.parse(text)
        #expect(Int64((date.timeIntervalSince1970 * 1000).rounded()) == milliseconds)
        #expect(text.utf8.count == 24)
    }

    @Test("every day of 800 years is the day after the one before")
    func calendar() {
        var previous = WallTime(milliseconds: -12_622_780_800_000).description.prefix(10)
        for day in Int64(-146_095)..<146_097 {
            let text = WallTime(milliseconds: day * 86_400_000).description.prefix(10)
            #expect(text > previous || previous.hasPrefix("1570"))
            previous = text
        }
    }

    @Test("extremes are clamped, not trapped", arguments: [Int64.min, .max])
    func extremes(milliseconds: Int64) {
        #expect(WallTime(milliseconds: milliseconds).description.utf8.count == 24)
        let time = MonotonicTime(nanoseconds: milliseconds)
        #expect((time + .seconds(Int64.max)).nanoseconds >= time.nanoseconds)
        #expect((time + .seconds(Int64.min / 2)).nanoseconds <= time.nanoseconds)
        #expect(Duration(clampingSeconds: .infinity) > .zero)
        #expect(Duration(clampingSeconds: .nan) == .zero)
    }

    @Test(
        "durations read as configuration has them",
        arguments: [
            (Int64(500), "500ms"), (5000, "5s"), (90_000, "1m30s"), (3_600_000, "1h"), (0, "0ms"), (1500, "1s500ms"),
        ]
    )
    func text(milliseconds: Int64, text: String) {
        #expect(Duration.milliseconds(milliseconds).text == text)
    }

    @Test("decimal digits are those of String", arguments: [0, 7, 10, 1999, -1, -305, Int64.min, .max])
    func decimal(value: Int64) {
        var digits = Array("x".utf8)
        digits.appendDigits(value)
        #expect(digits == Array("x\(value)".utf8))
    }

    @Test("digits of other bases too are those of String", arguments: [2, 16, 36], [UInt64(0), 35, 36, 4095, .max])
    func digits(radix: Int, value: UInt64) {
        var digits: [UInt8] = []
        digits.appendDigits(value, radix: UInt64(radix))
        #expect(digits == Array(String(value, radix: radix).utf8))
    }

    @Test("zeros on the left fill the width, the sign apart", arguments: [(5, "005"), (-5, "-005"), (1234, "1234")])
    func decimalWidth(value: Int, text: String) {
        var digits: [UInt8] = []
        digits.appendDigits(value, width: 3)
        #expect(digits == Array(text.utf8))
    }
}
