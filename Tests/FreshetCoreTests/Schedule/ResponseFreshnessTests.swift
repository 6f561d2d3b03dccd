import HTTPFields
import System
import Testing

@testable import FreshetCore

@Suite("Response freshness")
struct ResponseFreshnessTests {
    /// 2026-11-23 08:00:00 UTC.
    private static let now = 1_795_420_800

    private func read(_ lines: [String], status: Int = 200, countsShared: Bool = false) -> ResponseFreshness {
        let fields = lines.map { line in
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            return HeaderField(name: Array(parts[0].utf8), value: Array((parts.count > 1 ? parts[1] : "").utf8))
        }
        return ResponseFreshness(fields: fields, status: status, wallNow: Self.now, countsShared: countsShared)
    }

    private static func date(_ offset: Int) -> String {
        String(decoding: HTTPDate(unixSeconds: now + offset).bytes, as: UTF8.self)
    }

    @Test(
        "the lifetime is what the first rule that applies says",
        arguments: [
            ([], nil),
            (["Cache-Control: max-age=60"], 60),
            (["cache-control: MAX-AGE=60"], 60),
            (["Cache-Control: max-age=60, s-maxage=5"], 60),
            (["Cache-Control: s-maxage=5, private, max-age=60"], 60),
            (["Cache-Control: max-age=60", "Cache-Control: max-age=5"], 60),
            (["Cache-Control: public,,  ,max-age=60"], 60),
            (["Cache-Control: max-age=\"60\""], 60),
            (["Cache-Control: ext=\"a, max-age=9\", max-age=60"], 60),
            (["Cache-Control: ext=\"a\\\", max-age=9\", max-age=60"], 60),
            (["Cache-Control: ext=\"never closed, max-age=60"], nil),
            (["Cache-Control: max-age"], 0),
            (["Cache-Control: max-age="], 0),
            (["Cache-Control: max-age=-60"], 0),
            (["Cache-Control: max-age=+60"], 0),
            (["Cache-Control: max-age=1e30"], 0),
            (["Cache-Control: max-age=60.5"], 0),
            (["Cache-Control: max-age=60s"], 0),
            (["Cache-Control: max-age='60'"], 0),
            (["Cache-Control: max-age=99999999999999999999999999"], 2_147_483_648),
            (["Cache-Control: max-age=60", "Expires: 0"], 60),
            (["Expires: \(date(90))", "Date: \(date(0))"], 90),
            (["Expires: \(date(90))", "Date: \(date(-10))"], 100),
            (["Expires: \(date(90))"], 90),
            (["Expires: \(date(90))", "Date: garbage"], 90),
            (["Expires: \(date(-90))"], 0),
            (["Expires: 0", "Expires: \(date(90))"], 0),
            (["Expires:"], 0),
        ] as [([String], Int?)]
    )
    func lifetime(lines: [String], seconds: Int?) {
        #expect(read(lines).lifetime == seconds.map { .seconds($0) })
    }

    @Test(
        "R17 s-maxage counts where the source says so, and then wins over max-age",
        arguments: [
            ("s-maxage=3600", nil, 3600), ("s-maxage=3600, max-age=5", 5, 3600), ("max-age=5, s-maxage=3600", 5, 3600),
            ("public, s-maxage=3600, max-age=0", 0, 3600), ("S-MAXAGE=3600", nil, 3600),
            ("s-maxage=3600, private, max-age=5", 5, 5), ("s-maxage=5, max-age=3600", 3600, 5),
        ] as [(String, Int?, Int?)]
    )
    func sharedLifetime(control: String, own: Int?, shared: Int?) {
        let line = "Cache-Control: \(control)"
        #expect(read([line]).lifetime == own.map { .seconds($0) })
        #expect(read([line], countsShared: true).lifetime == shared.map { .seconds($0) })
        let expires = Self.date(90)
        #expect(read(["Cache-Control: s-maxage=3600", "Expires: \(expires)"]).lifetime == .seconds(90))
    }

    @Test("R17 a shared cache in between is stale when its own lifetime ends, not when ours does")
    func sharedRevalidation() {
        let control = "Cache-Control: public, max-age=0, s-maxage=60, stale-while-revalidate=300"
        #expect(!read([control, "Age: 30"]).isBeingRevalidated)
        #expect(read([control, "Age: 90"]).isBeingRevalidated)
    }

    @Test(
        "the age is the larger of Age and what Date shows",
        arguments: [
            ([], 0), (["Age: 30"], 30), (["Age: 30, 900"], 30), (["Age: 30", "Age: 900"], 30), (["Age: -30"], 0),
            (["Age: x"], 0),
            (["Age: 1.5"], 0), (["Age: 99999999999999999999"], 2_147_483_648), (["Date: \(date(-45))"], 45),
            (["Date: \(date(-45))", "Age: 30"], 45), (["Date: \(date(45))"], 0),
            (["Date: \(date(45))", "Age: 30"], 30),
        ]
    )
    func age(lines: [String], seconds: Int) {
        #expect(read(lines).age == .seconds(seconds))
    }

    @Test(
        "F35 the floor under the next poll is what is left of the lifetime",
        arguments: [
            (["Cache-Control: max-age=3600"], 3600), (["Cache-Control: max-age=3600", "Age: 600"], 3000),
            (["Cache-Control: max-age=3600", "Age: 4000"], 0), (["Cache-Control: max-age=3600, no-store"], 0),
            (["Cache-Control: max-age=3600, no-cache"], 0),
            (["Cache-Control: max-age=3600, no-cache=\"set-cookie\""], 0),
            (["Cache-Control: max-age=3600", "Vary: *"], 0), (["Cache-Control: max-age=3600", "Vary: accept, *"], 0),
            (["Cache-Control: max-age=3600", "Vary: accept"], 3600), (["Cache-Control: max-age=3600, private"], 3600),
            (["X-Poll-Interval: 60"], 60), (["X-Poll-Interval: 60", "Cache-Control: max-age=30"], 60),
            (["X-Poll-Interval: -60"], 0), (["X-Poll-Interval: 1e30"], 0),
            (["X-Poll-Interval: 999999999999999999999"], 86_400),
            (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: \(now + 70)"], 70),
            (["Last-Modified: \(date(-86_400))"], 0),
        ]
    )
    func pollFloor(lines: [String], seconds: Int) {
        #expect(read(lines).pollFloor == .seconds(seconds))
    }

    @Test(
        "F28 Retry-After is seconds or a date, at most a day, and garbage is nothing",
        arguments: [
            (["Retry-After: 120"], 120), (["Retry-After: 0"], 0), (["Retry-After:  120 "], 120),
            (["Retry-After: 31536000"], 86_400), (["Retry-After: 99999999999999999999999"], 86_400),
            (["Retry-After: -5"], nil),
            (["Retry-After: soon"], nil), (["Retry-After: 1e30"], nil), (["Retry-After:"], nil),
            (["Retry-After: 1.5"], 2),
            (["Retry-After: \(date(120))"], 120), (["Retry-After: \(date(-120))"], 0),
            (["Retry-After: soon", "Retry-After: 7"], 7),
            (["Retry-After: Monday, 23-Nov-26 08:02:00 GMT"], 120), (["Retry-After: Mon Nov 23 08:02:00 2026"], 120),
            ([], nil),
        ] as [([String], Int?)]
    )
    func retryAfter(lines: [String], seconds: Int?) {
        #expect(read(lines).retryAfter == seconds.map { .seconds($0) })
    }

    @Test(
        "F29 a used-up rate limit is waited for, in every spelling",
        arguments: [
            (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: \(now + 70)"], 70),
            (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 70"], 70),
            (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: \(now + 70)000"], 70),
            (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 69.25"], 70),
            (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset-After: 69.25"], 70),
            (["x-rate-limit-remaining: 0", "x-rate-limit-reset: \(now + 70)"], 70),
            (["RateLimit-Remaining: 0", "RateLimit-Reset: 70"], 70),
            (["RateLimit-Limit: 10, 10;w=60", "RateLimit-Remaining: 0", "RateLimit-Reset: 70"], 70),
            (["RateLimit: limit=100, remaining=0, reset=70"], 70),
            (["RateLimit: \"default\";r=0;t=70"], 70),
            (["RateLimit: \"burst\";r=3;t=5, \"daily\";r=0;t=70"], 70),
            (["RateLimit: \"daily\";r=0;t=70, \"burst\";r=0;t=5"], 70),
            (["RateLimit: \"default\";r=1;t=70"], nil),
            (["X-RateLimit-Remaining: 1", "X-RateLimit-Reset: 70"], nil),
            (["X-RateLimit-Reset: 70"], nil),
            (["X-RateLimit-Remaining: 0"], nil),
            (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: never"], nil),
            (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: -70"], nil),
            (["X-RateLimit-Remaining: -1", "X-RateLimit-Reset: 70"], 70),
            (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: \(now - 70)"], 0),
            (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 99999999999999999999999"], 86_400),
        ] as [([String], Int?)]
    )
    func quota(lines: [String], seconds: Int?) {
        #expect(read(lines).quotaResetsIn == seconds.map { .seconds($0) })
    }

    @Test(
        "stale-if-error keeps the value good for its window, unless staleness is forbidden",
        arguments: [
            ("max-age=10, stale-if-error=60", 69, true), ("max-age=10, stale-if-error=60", 71, false),
            ("max-age=10", 11, false),
            ("max-age=10", 9, true), ("stale-if-error=60", 1, false),
            ("max-age=10, stale-if-error=60, must-revalidate", 11, false),
            ("max-age=10, stale-if-error=60, proxy-revalidate", 11, false),
            ("max-age=10, stale-if-error=60, no-cache", 11, false),
            ("max-age=10, s-maxage=10, stale-if-error=60", 11, true), ("max-age=10, stale-if-error=1e9", 11, false),
            ("max-age=10, stale-if-error=99999999999999999999", 1_000_000, true),
        ]
    )
    func staleIfError(control: String, elapsed: Int, isGood: Bool) {
        #expect(read(["Cache-Control: \(control)"]).mayBeServedOnError(after: .seconds(elapsed)) == isGood)
    }

    @Test(
        "a stale answer of a cache that is revalidating asks for one early poll",
        arguments: [
            ("max-age=10, stale-while-revalidate=60", "11", true),
            ("max-age=10, stale-while-revalidate=60", "9", false),
            ("max-age=10, stale-while-revalidate=60", "71", false), ("max-age=10", "11", false),
            ("max-age=10, stale-while-revalidate=60, no-cache", "11", false),
        ]
    )
    func revalidation(control: String, age: String, isBeingRevalidated: Bool) {
        let freshness = read(["Cache-Control: \(control)", "Age: \(age)"])
        #expect(freshness.isBeingRevalidated == isBeingRevalidated)
        #expect(freshness.hints.isBeingRevalidated == isBeingRevalidated)
    }

    @Test(
        "F27 a Last-Modified tells versions apart only when the answer is two seconds younger",
        arguments: [-100, -2, -1, 0, 1, 3600]
    )
    func lastModified(offset: Int) {
        let isValidator = offset <= -2
        let dated = read(["Last-Modified: \(Self.date(offset))", "Date: \(Self.date(0))"])
        #expect(dated.lastModified == Self.now + offset)
        #expect(dated.lastModifiedIsValidator(wallNow: 0) == isValidator)
        #expect(read(["Last-Modified: \(Self.date(offset))"]).lastModifiedIsValidator(wallNow: Self.now) == isValidator)
        #expect(!read(["Last-Modified: yesterday"]).lastModifiedIsValidator(wallNow: Self.now))
    }

    @Test("hints say in seconds what the fields say")
    func hints() {
        let hints = read([
            "Cache-Control: max-age=100", "Age: 40", "X-Poll-Interval: 60", "Retry-After: 5",
            "RateLimit: \"d\";r=0;t=7",
        ]).hints
        let expected = PollHints(
            freshFor: 60,
            cameFromCache: true,
            isBeingRevalidated: false,
            pollInterval: 60,
            quotaResetsIn: 7,
            retryAfter: 5
        )
        #expect(hints == expected)
        #expect(read([]).hints == PollHints())
    }

    private static let names = [
        "Cache-Control", "Expires", "Date", "Age", "Retry-After", "X-Poll-Interval", "RateLimit", "RateLimit-Remaining",
        "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Reset", "Last-Modified", "Vary", "Connection",
    ]

    @Test(
        "hostile values neither trap nor make a wait of more than the caps",
        arguments: [
            "", " ", ",", "=", "\"", "\\", "\"\\", ";;;,,,===", "max-age=,s-maxage=", "1e30", "-1",
            "-9223372036854775808",
            "9223372036854775807", "9223372036854775808", "0x10", "NaN", "inf", "\u{0}", "é", "max-age=\"",
            "r=0;t=1e30", "*, *",
        ]
    )
    func hostileValues(value: String) {
        for bytes in [
            Array(value.utf8), Array(String(repeating: value + ",", count: 300).utf8),
            [UInt8](repeating: 0xFF, count: 3000),
        ] {
            let fields = Self.names.map { HeaderField(name: Array($0.utf8), value: bytes) }
            for wallNow in [Self.now, 0, .min, .max] {
                let freshness = ResponseFreshness(fields: fields + fields, status: -1, wallNow: wallNow)
                #expect(freshness.pollFloor <= .seconds(2_147_483_648))
                #expect(freshness.age <= .seconds(2_147_483_648) && freshness.age >= .zero)
                #expect((freshness.retryAfter ?? .zero) <= ResponseFreshness.longestRetryAfter)
                #expect((freshness.quotaResetsIn ?? .zero) <= .seconds(86_400))
                #expect((freshness.pollInterval ?? .zero) <= .seconds(86_400))
            }
            #expect(StoredFields(received: fields).fields.count <= fields.count)
        }
    }

    @Test("random bytes in every field neither trap nor pass the caps")
    func randomValues() {
        var generator = SplitMix64(seed: 30)
        let alphabet = Array("0123456789=,;\"\\ -.*abemaxgrtGMTSun: ".utf8) + [0, 0xFF]
        for _ in 0..<3000 {
            let fields = Self.names.map { name in
                let length = Int.random(in: 0...40, using: &generator)
                let value = (0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] }
                return HeaderField(name: Array(name.utf8), value: value)
            }
            let freshness = ResponseFreshness(fields: fields, wallNow: Self.now)
            #expect(freshness.pollFloor >= .zero && freshness.pollFloor <= .seconds(2_147_483_648))
            #expect((freshness.retryAfter ?? .zero) <= ResponseFreshness.longestRetryAfter)
        }
    }
}
