import System
import Testing

@testable import FreshetCore

@Suite("Tokens of OAuth 2")
struct TokenTests {
    private func time(_ seconds: Double) -> MonotonicTime { MonotonicTime(nanoseconds: Int64(seconds * 1e9)) }

    private func grant(_ body: String, status: Int = 200) -> String {
        do throws(UpstreamError) {
            let grant = try TokenGrant(status: status, body: Array(body.utf8))
            return "\(grant.token) \(grant.life.text)"
        } catch {
            return error.kind.rawValue
        }
    }

    @Test("what an endpoint answers (RFC 6749 §5)")
    func grants() {
        #expect(self.grant(#"{"access_token":"t","token_type":"Bearer","expires_in":3600}"#) == "t 1h")
        #expect(self.grant(#"{"access_token":"t","token_type":"bearer","expires_in":"3"}"#) == "t 3s")
        #expect(self.grant(#"{"access_token":"t"}"#) == "t 1h")
        #expect(self.grant(#"{"access_token":"t","expires_in":1e99}"#) == "t 8760h")
        for body in [
            "", "[]", "{}", #"{"access_token":""}"#, #"{"access_token":7}"#, #"{"access_token":"a b"}"#,
            #"{"access_token":"a\r\nX: y"}"#, #"{"access_token":"t","token_type":"mac"}"#,
            #"{"access_token":"t","expires_in":0}"#, #"{"access_token":"t","expires_in":-1}"#,
            #"{"access_token":"t","expires_in":"soon"}"#,
        ] { #expect(self.grant(body) == "unexpected", "\(body)") }
        for (status, kind) in [(400, "auth"), (401, "auth"), (403, "auth"), (429, "throttled"), (500, "status")] {
            #expect(self.grant(#"{"error":"invalid_client"}"#, status: status) == kind)
        }
    }

    @Test("an error is named where the RFC has it, and nothing else is repeated")
    func errors() {
        for (body, isNamed) in [(#"{"error":"invalid_scope"}"#, true), (#"{"error":"secret"}"#, false)] {
            let error = #expect(throws: UpstreamError.self) { try TokenGrant(status: 400, body: Array(body.utf8)) }
            #expect(error?.message.contains("invalid_scope") == isNamed)
            #expect(error?.message.contains("secret") == false)
        }
    }

    @Test(
        "a token is replaced after half of its life and before its end",
        arguments: [0.001, 0.4, 1, 3, 60, 3600, 86400]
    )
    func lease(life: Double) throws {
        let grant = try TokenGrant(status: 200, body: Array(#"{"access_token":"t","expires_in":\#(life)}"#.utf8))
        let lease = TokenLease(grant, number: 1, askedAt: self.time(100))
        #expect(lease.renewsAt >= self.time(100 + life / 2 - 0.001))
        #expect(lease.renewsAt <= lease.endsAt)
        #expect(lease.endsAt <= self.time(100 + life))
    }

    /// What a table of calls says, so that it reads as one.
    private struct Trace {
        var machine = TokenStateMachine()

        mutating func wants(at seconds: Double) -> Bool {
            self.machine.wanted(now: MonotonicTime(nanoseconds: Int64(seconds * 1e9)))
        }

        mutating func refuses(_ number: Int) -> Bool { self.machine.refused(number: number) }
    }

    @Test("one request for all who want a token; one back-off for all where there is none")
    func machine() throws {
        var generator = SplitMix64(seed: 1)
        var trace = Trace()
        var asked: [Bool] = []
        for _ in 0..<100 { asked.append(trace.wants(at: 0)) }
        trace.machine.asked(now: self.time(0))
        var waits: [Duration] = []
        for _ in 0..<10 {
            waits.append(trace.machine.failed(retryAfter: nil, using: &generator))
            for _ in 0..<100 { asked.append(trace.wants(at: 1000)) }
        }
        #expect(asked == [true] + Array(repeating: false, count: 1099))
        #expect(waits.allSatisfy { $0 >= .seconds(1) && $0 <= .seconds(60) })
        let long = trace.machine.failed(retryAfter: .seconds(90), using: &generator)
        #expect(long == .seconds(90))
    }

    @Test("a token is replaced in its time, or when it is refused, and no other is")
    func renewals() throws {
        var trace = Trace()
        let grant = try TokenGrant(status: 200, body: Array(#"{"access_token":"t","expires_in":100}"#.utf8))
        _ = trace.wants(at: 0)
        trace.machine.asked(now: self.time(0))
        let lease = trace.machine.granted(grant)
        #expect(lease.number == 1 && lease.renewsAt == self.time(90))
        let wants = [89, 90, 91].map { trace.wants(at: $0) }
        #expect(wants == [false, true, false])
        let early = trace.refuses(1)
        #expect(!early, "a new one is on its way")
        trace.machine.asked(now: self.time(91))
        let next = trace.machine.granted(grant)
        #expect(next.number == 2)
        let refusals = [1, 2, 2].map { trace.refuses($0) }
        #expect(refusals == [false, true, false], "the first is not in force, the second is asked for already")
    }
}
