import HTTPFields
import Testing

@testable import FreshetCore

@Suite("Upstreams that ask to be left alone")
struct RefusalTests {
    /// 2025-11-23 06:00:00 UTC, when a ``Trace`` begins.
    private static let start = 1_763_877_600

    static let resets: [[String: String]] = [
        ["x-ratelimit-remaining": "0", "x-ratelimit-reset": "\(start + 900)"],
        ["x-ratelimit-remaining": "0", "x-ratelimit-reset": "900"],
        ["x-ratelimit-remaining": "0", "x-ratelimit-reset-after": "899.5"],
        ["x-ratelimit-remaining": "0.0", "x-ratelimit-reset": "2025-11-23T06:15:00Z"],
        ["ratelimit": "\"d\";r=0;t=900"], ["ratelimit-remaining": "0", "ratelimit-reset": "900"],
        ["x-rate-limit-remaining": "0", "x-rate-limit-reset": "\(start + 900)000"],
    ]

    @Test("R13 a refusal waits for the quota's reset, in every spelling", arguments: [403, 429, 503], resets)
    func reset(status: Int, fields: [String: String]) throws {
        var trace = Trace()
        let verdict = trace.poll(.status(status, fields: fields))
        #expect(verdict.outcome == .failed(.throttled))
        let wait = trace.machine.nextPoll - trace.now
        #expect(wait >= .seconds(898) && wait <= .seconds(912), "\(wait)")
        #expect(trace.machine.status.intervalReason.contains("rate limit is used up"))
        #expect(trace.machine.status.state == .backoff)
        let held: Double? =
            switch verdict.host {
            case .throttled(let wait): wait
            case .unavailable(let wait): wait
            case .answered, .failed: nil
            }
        #expect(try #require(held) >= 898 && held ?? 0 <= 901)
    }

    @Test("R13 a 403 is about the rate limit where the answer says so, else about credentials")
    func forbidden() {
        let cases: [([String: String], UpstreamError.Kind, HostGate.Outcome)] = [
            ([:], .auth, .answered), (["x-ratelimit-remaining": "5"], .auth, .answered),
            (["x-ratelimit-remaining": "0"], .throttled, .throttled(retryAfter: nil)),
            (["retry-after": "60"], .throttled, .throttled(retryAfter: 60)),
            (
                ["retry-after": "60", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "900"], .throttled,
                .throttled(retryAfter: 60)
            ),
        ]
        for (fields, kind, host) in cases {
            var trace = Trace()
            let verdict = trace.poll(.status(403, fields: fields))
            #expect(verdict.outcome == .failed(kind), "\(fields)")
            #expect(verdict.host == host, "\(fields)")
        }
        var trace = Trace()
        #expect(trace.poll(.status(401, fields: ["retry-after": "60"])).outcome == .failed(.auth))
    }

    @Test("R14 a quota holds back for no longer than max_interval, Retry-After for up to a day, and both say so")
    func longest() {
        var quota = Trace { $0.maxInterval = .seconds(600) }
        let verdict = quota.poll(.status(429, fields: ["x-ratelimit-remaining": "0", "x-ratelimit-reset": "7200"]))
        #expect(quota.machine.nextPoll - quota.now == .seconds(600))
        #expect(verdict.host == .throttled(retryAfter: 600))
        var ok = Trace { $0.maxInterval = .seconds(600) }
        _ = ok.poll(.body("[1]", fields: ["x-ratelimit-remaining": "0", "x-ratelimit-reset": "7200"]))
        #expect(ok.machine.nextPoll - ok.now <= .seconds(600))
        var explicit = Trace { $0.maxInterval = .seconds(600) }
        _ = explicit.poll(.status(503, fields: ["retry-after": "7200"]))
        #expect(explicit.machine.nextPoll - explicit.now == .seconds(7200))
        var absurd = Trace()
        #expect(absurd.poll(.status(429, fields: ["retry-after": "31536000"])).host == .throttled(retryAfter: 86_400))
        #expect(absurd.machine.nextPoll - absurd.now == .seconds(86_400))
        #expect(absurd.machine.status.intervalReason.contains("more than a day"))
    }

    @Test("F28 a slow answer's Retry-After counts from the answer")
    func latency() {
        var trace = Trace { $0.interval = .fixed(.seconds(1)) }
        let verdict = trace.poll(.body("[1]", fields: ["retry-after": "30"]), taking: .seconds(5))
        #expect(verdict.outcome == .changed)
        #expect(trace.machine.nextPoll - trace.now >= .seconds(30))
    }

    @Test(
        "what an answer says about the host",
        arguments: [
            (200, false, HostGate.Outcome.answered), (304, false, .answered), (404, true, .answered),
            (500, false, .failed),
            (503, false, .failed), (503, true, .unavailable(retryAfter: 7)), (429, false, .throttled(retryAfter: nil)),
            (429, true, .throttled(retryAfter: 7)), (403, false, .answered), (403, true, .throttled(retryAfter: 7)),
        ]
    )
    func outcomes(status: Int, asksToWait: Bool, expected: HostGate.Outcome) {
        let fields = asksToWait ? [HeaderField(name: Array("retry-after".utf8), value: [0x37])] : []
        let answer = ResponseFreshness(fields: fields, status: status, wallNow: Self.start)
        #expect(HostGate.Outcome(status: status, answer, longestQuotaWait: .seconds(600)) == expected)
    }
}
