import FreshetCore
import Testing

@Suite("Webhooks: retries")
struct WebhookRetryTests {
    private static let seconds: [Int64] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]

    @Test("the table of Standard Webhooks 1.0, to the second, and a day from then on")
    func table() {
        for (index, seconds) in Self.seconds.enumerated() {
            #expect(WebhookRetry.delay(refusals: index + 1, jitter: 0) == .seconds(seconds))
        }
        #expect(WebhookRetry.delay(refusals: 10, jitter: 0) == .seconds(86_400))
        #expect(WebhookRetry.delay(refusals: .max, jitter: 0) == .seconds(86_400))
    }

    @Test(
        "jitter adds up to a tenth, and what is no share adds no more",
        arguments: [0.0, 0.25, 0.999, 1, 7, -3, .nan]
    )
    func jitter(share: Double) {
        for refusals in 1...10 {
            let plain = WebhookRetry.delay(refusals: refusals, jitter: 0)
            let delay = WebhookRetry.delay(refusals: refusals, jitter: share)
            #expect(delay >= plain && delay <= plain + plain / 10 + .nanoseconds(1))
        }
        #expect(WebhookRetry.delay(refusals: 1, jitter: 0.5) == .milliseconds(5250))
    }

    @Test("Retry-After delays the next try and never hastens it; a day is the longest")
    func requested() {
        #expect(WebhookRetry.delay(refusals: 1, jitter: 0, requested: .seconds(60)) == .seconds(60))
        #expect(WebhookRetry.delay(refusals: 2, jitter: 0, requested: .seconds(60)) == .seconds(300))
        #expect(WebhookRetry.delay(refusals: 1, jitter: 0, requested: .seconds(1 << 40)) == .seconds(86_400))
        let now = WallTime(milliseconds: 1_700_000_000_000)
        let date = WebhookOutcome(status: 503, retryAfter: Array("Tue, 14 Nov 2023 22:14:20 GMT".utf8), now: now)
        #expect(date.requested == .seconds(60))
        #expect(WebhookOutcome(status: 429, retryAfter: Array("7".utf8), now: now).requested == .seconds(7))
        #expect(WebhookOutcome(status: 429, retryAfter: Array("soon".utf8), now: now).requested == nil)
    }

    @Test(
        "what an answer means",
        arguments: [
            (200, WebhookOutcome.Verdict.delivered), (202, .delivered), (204, .delivered), (299, .delivered),
            (301, .refused), (307, .refused), (400, .refused), (404, .refused), (500, .refused), (410, .gone),
            (429, .unavailable), (502, .unavailable), (503, .unavailable), (504, .unavailable), (100, .refused),
        ]
    )
    func verdict(status: Int, verdict: WebhookOutcome.Verdict) {
        #expect(WebhookOutcome(status: status, now: WallTime(milliseconds: 0)).verdict == verdict)
    }
}
