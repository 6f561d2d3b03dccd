import Foundation
import HTTPFields
import System
import Testing

@testable import FreshetCore

@Suite("HTTP date")
struct HTTPDateTests {
    private static let now = 1_795_000_000

    @Test(
        "the three forms name the same moment",
        arguments: [
            "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
            "sun, 06 nov 1994 08:49:37 gmt",
        ]
    )
    func forms(text: String) {
        #expect(HTTPDate(text.utf8, wallNow: Self.now)?.unixSeconds == 784_111_777)
    }

    @Test(
        "what is almost a date is none",
        arguments: [
            "", "0", "-1", "now", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun 06 Nov 1994 08:49:37 GMT", "Sun, 06  Nov 1994 08:49:37 GMT", "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08.49.37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 29 Feb 1900 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 0000 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT", "Foo, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 06 Nov 1994 08:49:37 GMTx", "Sun Nov 6 08:49:37 1994",
            "Sun, +6 Nov 1994 08:49:37 GMT",
        ]
    )
    func invalid(text: String) {
        #expect(HTTPDate(text.utf8, wallNow: Self.now) == nil)
    }

    @Test(
        "a two-digit year is the nearest that is not 50 years ahead",
        arguments: [("94", 1994), ("26", 2026), ("75", 2075), ("76", 2076), ("77", 1977), ("00", 2000)]
    )
    func twoDigitYear(digits: String, year: Int) {
        let long = HTTPDate("Sun, 06 Nov \(year) 08:49:37 GMT".utf8, wallNow: Self.now)
        #expect(HTTPDate("Sunday, 06-Nov-\(digits) 08:49:37 GMT".utf8, wallNow: Self.now) == long)
    }

    @Test("every date is read as it was written, and as the platform writes it")
    func roundTrip() {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(secondsFromGMT: 0)
        formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        // Thirty-odd days and a while apart, from 1901 to 2200: each month, leap days, ends of centuries.
        var seconds = -2_177_452_800
        while seconds < 7_258_118_400 {
            let date = HTTPDate(unixSeconds: seconds)
            #expect(HTTPDate(date.bytes, wallNow: Self.now) == date)
            let expected = formatter.string(from: Date(timeIntervalSince1970: Double(seconds)))
            #expect(String(decoding: date.bytes, as: UTF8.self) == expected)
            seconds += 2_629_743
        }
    }

    @Test(
        "moments beyond the years with four digits are moved to their ends",
        arguments: [Int.min, -62_135_596_801, 253_402_300_800, Int.max]
    )
    func ends(seconds: Int) {
        let text = String(decoding: HTTPDate(unixSeconds: seconds).bytes, as: UTF8.self)
        #expect(text == (seconds < 0 ? "Mon, 01 Jan 0001 00:00:00 GMT" : "Fri, 31 Dec 9999 23:59:59 GMT"))
    }

    @Test("a leap second is the second before it")
    func leapSecond() {
        let leap = HTTPDate("Sat, 31 Dec 2016 23:59:60 GMT".utf8, wallNow: Self.now)
        #expect(leap == HTTPDate("Sat, 31 Dec 2016 23:59:59 GMT".utf8, wallNow: Self.now))
    }

    @Test("no bytes trap")
    func garbage() {
        var generator = SplitMix64(seed: 9)
        let good = Array("Sun, 06 Nov 1994 08:49:37 GMT".utf8)
        for _ in 0..<20_000 {
            var bytes = good
            bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            if let date = HTTPDate(bytes, wallNow: Self.now) {
                #expect(HTTPDate(date.bytes, wallNow: Self.now) == date)
            }
        }
        #expect(HTTPDate([UInt8](repeating: 0x20, count: 10_000), wallNow: .max) == nil)
        #expect(HTTPDate(good, wallNow: .min) != nil)
    }
}
