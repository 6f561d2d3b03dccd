import HTTPFields
import System
import Testing

@testable import FreshetCore

@Suite("Waits that upstreams ask for")
struct RequestedWaitTests {
    /// 2026-11-23 08:00:00 UTC.
    private static let now = 1_795_420_800

    /// Forms of "70 seconds from now", or of a delay of 70 seconds.
    static let seventySeconds = [
        "70", "70.0", "70.", "+70", "\"70\"", "70, 70", "70,70", "70;w=60", "70; comment", "69.25",
        "70s", "70 s", "70 seconds", "70sec", "1m10s", "1m 10s", "1M10S", "1.1666m", "70000ms", "0h1m10s", "PT70S",
        "PT1M10S",
        "69.999s", "1795420870", "1795420870.0", "1795420869.5", "1795420870000", "1795420870000000",
        "1795420870000000000",
        "\"1795420870\"", "1795420870;x=1", "Mon, 23 Nov 2026 08:01:10 GMT", "\"Mon, 23 Nov 2026 08:01:10 GMT\"",
        "Mon, 23 Nov 2026 08:01:10 GMT, Mon, 23 Nov 2026 08:01:10 GMT", "Monday, 23-Nov-26 08:01:10 GMT",
        "Mon Nov 23 08:01:10 2026", "Mon, 23 Nov 2026 08:01:10 +0000", "Mon, 23 Nov 2026 08:01:10 UTC",
        "Mon, 23 Nov 2026 08:01:10", "Mon, 23 Nov 2026 09:01:10 +0100", "Mon, 23 Nov 2026 03:01:10 EST",
        "23 Nov 2026 08:01:10 GMT", "mon, 23 nov 2026 08:01:10 gmt", "Mon,23 Nov 2026 08:01:10 GMT",
        "Mon Nov 23 2026 08:01:10 GMT+0000 (Coordinated Universal Time)", "2026-11-23T08:01:10Z", "2026-11-23T08:01:10",
        "2026-11-23 08:01:10", "2026-11-23T08:01:09.5Z", "2026-11-23T08:01:10.000000+00:00",
        "2026-11-23T10:01:10+02:00",
        "2026-11-23T00:01:10-0800", "20261123T080110Z", "2026-11-23 08:01:10 UTC", "2026-11-23t08:01:10z",
        "23/Nov/2026:08:01:10 +0000",
    ]

    @Test("R14 a wait is read in every spelling", arguments: seventySeconds)
    func spellings(text: String) {
        #expect(RequestedWait.seconds(Array(text.utf8)[...], wallNow: Self.now) == 70)
    }

    @Test(
        "R14 what is short, past, long, or of several elements",
        arguments: [
            ("0", 0), ("0.0", 0), ("-0", 0), ("0.2", 1), ("30.052", 31), ("20ms", 1), ("0ms", 0), ("1795420000", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 0), ("2026-11-23T07:00:00Z", 0), ("30, 60", 60), ("60, 30", 60),
            ("soon, 30", 30), ("-5, 30", 30), ("2147483648", 352_062_848), ("999999999", 999_999_999),
            ("99999999999999999999999", 2_147_483_648), ("2026-11-23T09:00Z", 3600), ("1h", 3600), ("2d", 172_800),
            ("P1DT1S", 86_401), ("150µs", 0),
        ]
    )
    func sizes(text: String, seconds: Int) {
        #expect(RequestedWait.seconds(Array(text.utf8)[...], wallNow: Self.now) == seconds)
    }

    @Test(
        "R14 junk asks for nothing",
        arguments: [
            "", " ", ",", ";", "\"", "soon", "never", "-5", "-1795420870", "1e30", "0x10", "NaN", "inf", "1.2.3",
            "5 parsecs",
            "30 -", "P", "PT", "PT5", "P1Y", "s", "ms", "12:00", "2026-11-23", "2026-13-40T99:99:99Z", "Mon",
            "Mon, 31 Feb 2026 08:00:00 GMT", "Mon, 23 Nov 2026 08:00:00 XYZ", "23 Nov 2026", "11/23/2026 08:00:00",
            "Mon, 23 Nov 2026 08:00:00 +9999999", "\u{0}", "é", "1m30", "1m30x",
        ]
    )
    func junk(text: String) {
        #expect(RequestedWait.seconds(Array(text.utf8)[...], wallNow: Self.now) == nil)
    }

    @Test("no bytes trap, however long", arguments: [0, .min, .max, now])
    func hostile(wallNow: Int) {
        var generator = SplitMix64(seed: 14)
        let alphabet = Array("0123456789.,;:+-\"'TZPsmhd GMNovun µ".utf8) + [0, 0xFF]
        for round in 0..<3000 {
            let length = round % 100 == 0 ? 20_000 : Int.random(in: 0...60, using: &generator)
            let text = (0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] }
            let wait = RequestedWait.seconds(text[...], wallNow: HTTPDate(unixSeconds: wallNow).unixSeconds)
            #expect((0...RequestedWait.longest).contains(wait ?? 0))
        }
    }
}

@Suite("Upstreams' quotas")
struct UpstreamQuotaTests {
    private static let now = 1_795_420_800

    private func read(_ lines: [String]) -> ResponseFreshness {
        let fields = lines.map { line in
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            return HeaderField(name: Array(parts[0].utf8), value: Array((parts.count > 1 ? parts[1] : "").utf8))
        }
        return ResponseFreshness(fields: fields, wallNow: Self.now)
    }

    @Test("R14 a reset is read in every spelling", arguments: RequestedWaitTests.seventySeconds)
    func resets(text: String) {
        #expect(read(["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: \(text)"]).quotaResetsIn == .seconds(70))
    }

    @Test("R14 Retry-After is read in every spelling", arguments: RequestedWaitTests.seventySeconds)
    func retryAfter(text: String) {
        #expect(read(["Retry-After: \(text)"]).retryAfter == .seconds(70))
    }

    @Test(
        "R14 what is left is read in every spelling",
        arguments: [
            ("0", true), ("0.0", true), ("0;w=21600", true), ("0; w=60", true), ("\"0\"", true), ("50, 0", true),
            ("0, 50", true),
            ("-1", true), ("00", true), ("+0", true), ("0/5000", true), ("0.4", true), ("0 requests", true),
            ("1", false),
            ("50", false), ("50, 20", false), ("49;w=0", false), ("1.0", false), ("5000", false), ("", false),
            ("none", false),
        ]
    )
    func remaining(text: String, isUsedUp: Bool) {
        let answer = read(["X-RateLimit-Remaining: \(text)", "X-RateLimit-Reset: 70"])
        #expect(answer.isQuotaUsedUp == isUsedUp)
        #expect(answer.quotaResetsIn == (isUsedUp ? .seconds(70) : nil))
    }

    @Test(
        "R14 the fields have every name that is in use",
        arguments: [
            ["x-ratelimit-remaining: 0", "x-ratelimit-reset: 1795420870"],
            ["X-Rate-Limit-Remaining: 0", "X-Rate-Limit-Reset: 1795420870"],
            ["RateLimit-Remaining: 0", "RateLimit-Reset: 70"],
            ["Rate-Limit-Remaining: 0", "Rate-Limit-Reset: 70"],
            ["X-RateLimit-Remaining: 0", "X-RateLimit-Reset-After: 69.25"],
            ["X-RateLimit-Remaining: 0", "Reset-After: 70"],
            ["X-RateLimit-Remaining: 0", "RateLimit-Reset: 70"],
            ["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1795420870.123"].map {
                $0.replacing("870.123", with: "869.877")
            },
            ["RateLimit-Remaining: 0", "RateLimit-ResetTime: Mon, 23 Nov 2026 08:01:10 GMT"],
            [
                "x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-requests: 1m10s",
                "x-ratelimit-remaining-tokens: 9",
            ],
            [
                "x-ratelimit-remaining-requests: 9", "x-ratelimit-reset-requests: 6m0s",
                "x-ratelimit-remaining-tokens: 0",
                "x-ratelimit-reset-tokens: 1m10s",
            ],
            ["anthropic-ratelimit-requests-remaining: 0", "anthropic-ratelimit-requests-reset: 2026-11-23T08:01:10Z"],
            ["X-RateLimit-UserRemaining: 0", "X-RateLimit-UserReset: 1795420870", "X-RateLimit-ClientRemaining: 9"],
            ["X-RateLimit-Remaining: 50, 0", "X-RateLimit-Reset: 3600, 70"],
            ["X-RateLimit-Remaining: 50, 0", "X-RateLimit-Reset: 70"],
            [
                "X-RateLimit-Remaining: 9", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 3600",
                "X-RateLimit-Reset: 70",
            ],
            ["RateLimit: \"d\";r=0;t=70"], ["RateLimit: d;r=0;t=70"], ["RateLimit: \"d\"; r=0; t=70"],
            ["RateLimit: \"d\";t=70;r=0"], ["RateLimit: \"a,b;c\";r=0;t=70"],
            ["RateLimit: \"d\";r=0;t=\"70\";pk=:YQ==:"],
            ["RateLimit: \"a\";r=9;t=3600, \"d\";r=0;t=70"],
            ["RateLimit: \"a\";r=9;t=3600", "RateLimit: \"d\";r=0;t=70"],
            ["RateLimit: limit=100, remaining=0, reset=70"], ["RateLimit: limit=100;w=60, remaining=0, reset=70"],
            ["RateLimit: \"d\";r=0", "RateLimit-Policy: \"d\";q=100;w=70"],
            ["RateLimit-Policy: \"a\";q=9;w=9, \"d\";q=100;w=70", "RateLimit: \"d\";r=0"],
            ["X-RateLimit-Limit: 60", "X-RateLimit-Used: 60", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 70"],
        ]
    )
    func names(lines: [String]) {
        #expect(read(lines).quotaResetsIn == .seconds(70))
        #expect(read(lines).isQuotaUsedUp)
    }

    @Test(
        "R14 what is no used-up quota holds nothing back",
        arguments: [
            ["X-RateLimit-Limit: 0", "X-RateLimit-Reset: 70"], ["X-RateLimit-Used: 0", "X-RateLimit-Reset: 70"],
            ["RateLimit: \"d\";r=1;t=70"], ["RateLimit-Policy: \"d\";q=0;w=70"], ["X-Remaining: 0", "X-Reset: 70"],
            ["X-RateLimit-Remaining: 0;"].map { $0.replacing("0;", with: "x") }, ["RateLimit: \"d\";r=;t=70"],
        ]
    )
    func notUsedUp(lines: [String]) {
        #expect(read(lines).quotaResetsIn == nil)
        #expect(!read(lines).isQuotaUsedUp)
    }

    @Test("R14 a quota that is used up without an end says no time, and an absurd end is a day at most")
    func ends() {
        #expect(read(["X-RateLimit-Remaining: 0"]).isQuotaUsedUp)
        #expect(read(["X-RateLimit-Remaining: 0"]).quotaResetsIn == nil)
        let far = read(["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 2100-01-01T00:00:00Z"])
        #expect(far.quotaResetsIn == .seconds(86_400))
        let cut = read(["Retry-After: 2100-01-01T00:00:00Z"])
        #expect(cut.retryAfter == .seconds(86_400) && cut.isRetryAfterCut)
        #expect(!read(["Retry-After: 86400"]).isRetryAfterCut)
    }

    @Test("many quotas in one answer cost no more than a few")
    func bounded() {
        let lines = (0..<200).flatMap { ["X-RateLimit-Remaining-\($0): 0", "X-RateLimit-Reset-\($0): 70"] }
        #expect(read(lines).quotaResetsIn == .seconds(70))
    }
}

@Suite("Dates that are almost dates")
struct LooseDateTests {
    @Test(
        "R15 a Last-Modified that a person can read is compared with the answer's time",
        arguments: [
            "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 09:49:37 +0100", "Sun, 06 Nov 1994 08:49:37 Z", "Sun, 06 Nov 1994 08:49:37",
            "Sun Nov 6 08:49:37 1994",
            "Sun, 06-Nov-1994 08:49:37 GMT", "Sunday, 6-Nov-94 08:49:37 GMT", "06 Nov 1994 08:49:37 GMT",
            "6 November 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT", "Sun 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z",
            "1994-11-06 08:49:37",
            "1994-11-06T08:49:37.123456Z", "1994-11-06T09:49:37+01:00", "1994-11-06T08:49:37+0000", "19941106T084937Z",
            "Sun, 06  Nov  1994 08:49:37 GMT", "Sun, 06 Nov 1994 8:49:37 GMT", "Sunday, 06 Nov 1994 08:49:37 GMT",
        ]
    )
    func forms(text: String) {
        #expect(LooseDate(Array(text.utf8)[...], wallNow: 1_795_420_800)?.unixSeconds == 784_111_777)
    }

    @Test(
        "R15 a time without a date, and a date without a time, are no moments",
        arguments: [
            "", "08:49:37", "Sun, 06 Nov 1994", "1994-11-06", "yesterday", "0", "784111777",
            "Sun, 31 Feb 1994 08:49:37 GMT",
        ]
    )
    func noMoments(text: String) {
        #expect(LooseDate(Array(text.utf8)[...], wallNow: 1_795_420_800) == nil)
    }
}
