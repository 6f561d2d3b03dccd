import FreshetCore
import HTTPFields
import JSON
import System
import Testing

@Suite("Source state machine")
struct SourceStateMachineTests {
    @Test("the first value is a change without a patch; the next one has a patch")
    func changes() throws {
        var trace = Trace()
        let first = try #require(trace.poll(.body(#"{"a":1,"b":"0123456789012345678901234567890123456789"}"#)).change)
        #expect(first.patch == nil)
        let second = try #require(trace.poll(.body(#"{"a":2,"b":"0123456789012345678901234567890123456789"}"#)).change)
        #expect(
            second.patch.map { String(decoding: $0, as: UTF8.self) } == #"[{"op":"replace","path":"/a","value":2}]"#
        )
        #expect(second.merge.map { String(decoding: $0, as: UTF8.self) } == #"{"a":2}"#)
        #expect(trace.machine.status.changes == 2)
    }

    @Test("a patch that is not smaller than the value is left out")
    func small() throws {
        var trace = Trace()
        _ = trace.poll(.body("[1,2]"))
        let change = try #require(trace.poll(.body("[3,4]")).change)
        #expect(change.patch == nil)
        #expect(change.document.text == Array("[3,4]".utf8))
    }

    @Test("validators go back byte-exact", arguments: [#""x""#, #"W/"x""#, "unquoted", "w/\"x\"", "\"\u{E9}\""])
    func validators(etag: String) {
        var trace = Trace()
        _ = trace.poll(.body("[1]", etag: etag))
        _ = trace.poll(.notModified())
        #expect(trace.requests.map(\.validators.etag) == [nil, Array(etag.utf8)])
        #expect(trace.machine.status.notModified == 1)
    }

    @Test("F24: another entity tag on the same bytes is no change")
    func flappingTag() {
        var trace = Trace()
        for tag in 0..<1000 {
            #expect(trace.poll(.body("[1,2,3]", etag: "\"\(tag)\"")).change == nil || tag == 0)
        }
        #expect(trace.machine.status.changes == 1)
        #expect(trace.requests.last?.validators.etag == Array("\"998\"".utf8))
    }

    @Test("F25: the same entity tag on other bytes is a change")
    func reusedTag() {
        var trace = Trace()
        _ = trace.poll(.body("[1,2,3]", etag: "\"x\""))
        #expect(trace.poll(.body("[1,2,4]", etag: "\"x\"")).change != nil)
    }

    @Test("F39e: white space and member order are no change")
    func layout() {
        var trace = Trace()
        _ = trace.poll(.body(#"{"a":1,"b":[1,2]}"#))
        #expect(trace.poll(.body("{ \"b\" : [1, 2.0],\n \"a\": 1e0 }")).outcome == .unchanged)
        #expect(trace.machine.status.unchanged == 1)
    }

    @Test("the bytes that the upstream sent last are known again, however it wrote the value before")
    func writtenOtherwise() {
        var trace = Trace()
        for text in [#"{"a":1}"#, #"{"a": 1}"#, #"{"a":1}"#, #"{"a":1.0}"#] {
            _ = trace.poll(.body(text))
            #expect(trace.machine.holds(Array(text.utf8)))
        }
        #expect(trace.machine.status.unchanged == 3)
    }

    @Test("F22: a 304 to the first poll is asked once more, then it is a failure")
    func unaskedNotModified() {
        var trace = Trace()
        let first = trace.poll(.notModified())
        #expect(first.transition == nil)
        #expect(trace.machine.nextPoll == trace.now)
        let second = trace.poll(.notModified())
        #expect(second.outcome == .failed(.protocol))
        #expect(second.transition == .failing)
        #expect(trace.requests.allSatisfy { $0.validators.isEmpty })
    }

    @Test("F23: a 304 with another entity tag adopts nothing")
    func foreignNotModified() {
        var trace = Trace()
        _ = trace.poll(.body("[1]", etag: "\"a\""))
        _ = trace.poll(.notModified(etag: "\"b\""))
        _ = trace.poll(.notModified())
        #expect(trace.requests.last?.validators.etag == Array("\"a\"".utf8))
    }

    @Test(
        "a bad answer keeps the last good value and says why",
        arguments: [
            (Answer.status(500), UpstreamError.Kind.status), (.status(401), .auth), (.status(404), .notFound),
            (.status(429), .throttled), (.status(302), .redirect), (.status(206), .status), (.body(""), .emptyBody),
            (.body(" \n"), .emptyBody), (.body("{\"a\":"), .malformed), (.body("[1] x"), .malformed),
            (.body("<html></html>", contentType: "text/html; charset=utf-8"), .contentType),
            (.body("[1]", contentType: "image/png"), .contentType), (.bytes([0x22, 0xFF, 0x22]), .encoding),
            (.body(String(repeating: "[", count: 100_000)), .tooLarge),
            (.failure(UpstreamError(.timeout, "slow")), .timeout),
        ]
    )
    func badAnswers(answer: Answer, kind: UpstreamError.Kind) {
        // Slow probes would find the value stale, which is a transition of its own.
        var trace = Trace { $0.staleness = .seconds(3600) }
        _ = trace.poll(.body("[1,2]", etag: "\"good\""))
        let verdict = trace.poll(answer)
        #expect(verdict.outcome == .failed(kind))
        #expect(verdict.change == nil)
        #expect(verdict.transition == (kind == .throttled ? .backoff : .failing))
        #expect(trace.machine.status.lastError?.error.kind == kind)
        #expect(trace.poll(answer).transition == nil, "one transition, however many failures")
        #expect(trace.poll(.body("[1,2]", etag: "\"good\"")).transition == .ok)
        #expect(trace.requests.dropFirst().allSatisfy { $0.validators.etag == Array("\"good\"".utf8) })
        #expect(trace.machine.status.changes == 1)
    }

    @Test("F08: a body that ends with the connection is refused unless it is allowed")
    func closeDelimited() {
        var trace = Trace()
        #expect(trace.poll(.body("[1]", isCloseDelimited: true)).outcome == .failed(.framing))
        var lenient = Trace { $0.allowCloseDelimited = true }
        #expect(lenient.poll(.body("[1]", isCloseDelimited: true)).outcome == .changed)
    }

    @Test("F28: Retry-After is waited for, and bounded")
    func retryAfter() {
        var trace = Trace()
        _ = trace.poll(.status(503, fields: ["retry-after": "120"]))
        #expect(trace.machine.nextPoll - trace.now >= .seconds(120))
        #expect(trace.machine.status.state == .backoff)
        _ = trace.poll(.status(429, fields: ["retry-after": "99999999"]))
        #expect(trace.machine.nextPoll - trace.now <= .seconds(86_400))
    }

    @Test("F33: a value that lost most of its items waits for a second response")
    func massDeletion() {
        let full = "[" + (0..<40).map { #"{"id":\#($0)}"# }.joined(separator: ",") + "]"
        var trace = Trace()
        _ = trace.poll(.body(full, etag: "\"full\""))
        #expect(trace.poll(.body("[]", etag: "\"empty\"")).change == nil)
        #expect(trace.poll(.body(full, etag: "\"full\"")).change == nil)
        #expect(trace.poll(.body("[]", etag: "\"empty\"")).change == nil, "confirmations must be in a row")
        #expect(trace.poll(.body("[]", etag: "\"empty\"")).change != nil)
        #expect(trace.requests.dropFirst(2).prefix(2).allSatisfy { $0.validators.etag == Array("\"full\"".utf8) })
    }

    @Test("F80: after a pause of the machine there is one poll, not many")
    func suspended() {
        var trace = Trace()
        _ = trace.poll(.body("[1]", etag: "\"a\""))
        trace.now = trace.now + .seconds(600)
        _ = trace.poll(.notModified(), waiting: false)
        #expect(trace.machine.nextPoll > trace.now)
        #expect(trace.machine.nextPoll - trace.now <= .seconds(10))
    }

    @Test("F80: sources that slept through their turn poll once each, spread over the interval")
    func asleep() {
        var traces = (0..<500).map { index in Trace(phase: (Double(index) + 0.5) / 500) }
        var tenths: [Int64: Int] = [:]
        for index in traces.indices {
            _ = traces[index].poll(.body("[1]"))
            traces[index].now = MonotonicTime(nanoseconds: 1_600_000_000_000)
            let (now, wall) = (traces[index].now, traces[index].wall)
            let isMoved = traces[index].machine.machineSlept(now: now, wall: wall)
            #expect(isMoved)
            let wait = traces[index].machine.nextPoll - now
            #expect(wait > .zero && wait <= .seconds(10))
            let isMovedAgain = traces[index].machine.machineSlept(now: now, wall: wall)
            #expect(!isMovedAgain)
            tenths[wait.milliseconds / 1000, default: 0] += 1
        }
        #expect(tenths.values.max() ?? .max <= 100, "no more than twice the mean of each second: \(tenths)")
    }

    @Test("F80: a poll that is late by less than its interval is made at once", arguments: [0, 9])
    func hardlyAsleep(seconds: Int) {
        var trace = Trace()
        _ = trace.poll(.body("[1]"))
        let due = trace.machine.nextPoll
        let isMoved = trace.machine.machineSlept(now: due + .seconds(seconds), wall: trace.wall)
        #expect(!isMoved)
        #expect(trace.machine.nextPoll == due)
    }

    @Test(
        "F79: steps of the wall clock move no poll",
        arguments: [3600, -3600, 315_360_000, -315_360_000],
        [false, true]
    )
    func wallClock(seconds: Int64, isAdaptive: Bool) {
        var steady = Trace { if isAdaptive { $0.interval = .adaptive } }
        var stepped = steady
        for number in 0..<40 {
            if number % 5 == 2 { stepped.wallOffset += seconds * 1000 }
            let answer: Answer = number % 7 == 3 ? .status(500) : .body("[\(number / 3)]", etag: "\"\(number / 3)\"")
            let outcomes = [steady.poll(answer).outcome, stepped.poll(answer).outcome]
            #expect(outcomes[0] == outcomes[1])
            #expect(steady.machine.nextPoll == stepped.machine.nextPoll, "poll \(number)")
        }
    }

    @Test("F79: a date to retry after is read once, by the clock of that moment")
    func retryDate() {
        var trace = Trace()
        _ = trace.poll(.body("[1]"))
        // A minute after the wall clock of the next poll.
        let wall = WallTime(milliseconds: trace.wall.milliseconds + (trace.machine.nextPoll - trace.now).milliseconds)
        let date = HTTPDate(unixSeconds: Int(wall.seconds) + 60)
        _ = trace.poll(.status(429, fields: ["retry-after": String(decoding: date.bytes, as: UTF8.self)]))
        let wait = trace.machine.nextPoll - trace.now
        #expect(wait >= .seconds(59))
        trace.wallOffset -= 315_360_000_000
        #expect(trace.machine.nextPoll - trace.now == wait)
    }

    @Test("F81: neither a leap second nor a change to daylight saving moves a poll")
    func calendar() {
        // The last poll before, and the first after, 2016-12-31T23:59:60Z and 2027-03-28T01:00:00Z.
        for second: Int64 in [1_483_228_800, 1_806_195_600] {
            var trace = Trace()
            trace.wallOffset = second * 1000 - 35_000 - trace.wall.milliseconds
            var times: [Duration] = []
            for _ in 0..<8 {
                let before = trace.now
                _ = trace.poll(.body("[1]"))
                times.append(trace.now - before)
            }
            #expect(times.dropFirst(2).allSatisfy { $0 == .seconds(10) }, "\(times)")
        }
    }

    @Test("F73: a source that is configured anew keeps value, validators, figures and state")
    func reconfigured() throws {
        var trace = Trace()
        _ = trace.poll(.body("[1]", etag: "\"a\""))
        _ = trace.poll(.status(500))
        var configuration = trace.machine.configuration
        configuration.interval = .fixed(.seconds(3))
        let old = trace.machine.status
        trace.machine = trace.machine.reconfigured(configuration, phase: 0.5, now: trace.now, wall: trace.wall)
        #expect(trace.machine.status.state == .failing)
        #expect(trace.machine.status.polls == old.polls)
        #expect(trace.machine.status.interval == .seconds(3))
        #expect(trace.machine.nextPoll - trace.now <= .seconds(1))
        let outcome = trace.poll(.notModified()).outcome
        #expect(outcome == .notModified)
        #expect(trace.requests.last?.validators.etag == Array("\"a\"".utf8))
        let change = try #require(trace.poll(.body("[1,2]", etag: "\"b\"")).change)
        #expect(change.document.text == Array("[1,2]".utf8))
        let repeated = trace.poll(.body("[1,2]", etag: "\"c\"")).change
        #expect(repeated == nil)
    }

    @Test("F73: another URL is another source: nothing of the old one is sent to it")
    func reidentified() throws {
        var trace = Trace()
        _ = trace.poll(.body("[1]", etag: "\"a\""))
        var configuration = trace.machine.configuration
        configuration.url = "http://upstream.test/other"
        trace.machine = trace.machine.reconfigured(configuration, phase: 0.5, now: trace.now, wall: trace.wall)
        let change = try #require(trace.poll(.body("[1]", etag: "\"a\"")).change)
        #expect(change.patch == nil)
        #expect(trace.requests.last?.validators.isEmpty == true)
    }

    @Test("F73: one that is paused stays paused")
    func reconfiguredWhilePaused() {
        var trace = Trace()
        _ = trace.poll(.body("[1]"))
        _ = trace.machine.pauseRequested(wall: trace.wall)
        var configuration = trace.machine.configuration
        configuration.timeout = .seconds(1)
        trace.machine = trace.machine.reconfigured(configuration, phase: 0.5, now: trace.now, wall: trace.wall)
        #expect(trace.machine.status.state == .paused)
        #expect(trace.machine.nextPoll == .distantFuture)
        let resumed = trace.machine.resumeRequested(now: trace.now, wall: trace.wall)
        #expect(resumed == .ok)
    }

    @Test("F82: sources of one interval spread over it")
    func phases() {
        var phases: Set<Int64> = []
        for index in 0..<100 {
            var trace = Trace(phase: (Double(index) + 0.5) / 100)
            _ = trace.poll(.body("[1]"))
            phases.insert(trace.machine.nextPoll.nanoseconds / 100_000_000 % 100)
        }
        #expect(phases.count == 100)
    }

    @Test("backoff grows with each failure, within its bounds and never under the interval")
    func backoff() {
        var trace = Trace()
        for failures in 1...12 {
            _ = trace.poll(.status(500))
            let wait = trace.machine.nextPoll - trace.now
            #expect(wait >= .seconds(10))
            #expect(wait <= min(.seconds(10) * (1 << failures), .seconds(300)))
        }
    }

    @Test("a pushed value takes the same checks, leaves the schedule, and the next poll is unconditional")
    func push() {
        var trace = Trace()
        _ = trace.poll(.body("[1]", etag: "\"a\""))
        let due = trace.machine.nextPoll
        let verdict = trace.machine.valuePushed(
            body: Array("[2]".utf8),
            contentType: nil,
            now: trace.now,
            wall: trace.wall
        )
        #expect(verdict.outcome == .changed)
        #expect(trace.machine.nextPoll == due)
        let refused = trace.machine.valuePushed(
            body: Array("[2".utf8),
            contentType: nil,
            now: trace.now,
            wall: trace.wall
        )
        #expect(refused.error?.kind == .malformed)
        _ = trace.poll(.body("[2]", etag: "\"b\""))
        #expect(trace.requests.last?.validators.isEmpty == true)
    }

    @Test("paused is polled no more, and resumed at once")
    func pause() {
        var trace = Trace()
        _ = trace.poll(.body("[1]"))
        #expect(trace.machine.pauseRequested(wall: trace.wall) == .paused)
        #expect(trace.machine.nextPoll == .distantFuture)
        let resumed = trace.machine.resumeRequested(now: trace.now, wall: trace.wall)
        #expect(resumed == .ok)
        #expect(trace.machine.nextPoll == trace.now)
    }

    @Test("ignored members make no change alone, and travel with the next one")
    func ignored() throws {
        var trace = Trace { $0.ignore = [PointerPattern("/at")].compactMap { $0 } }
        _ = trace.poll(.body(#"{"at":1,"v":1}"#))
        #expect(trace.poll(.body(#"{"at":2,"v":1}"#)).change == nil)
        let change = try #require(trace.poll(.body(#"{"at":3,"v":2}"#)).change)
        #expect(change.document.root["at"]?.int == 3)
    }

    @Test("`root` picks the value out of the payload, and its absence is a failure")
    func root() throws {
        var trace = Trace { $0.root = Pointer("/data") }
        let change = try #require(trace.poll(.body(#"{"data":[1],"page":1}"#)).change)
        #expect(change.document.text == Array("[1]".utf8))
        #expect(trace.poll(.body(#"{"data":[1],"page":2}"#)).change == nil)
        #expect(trace.poll(.body(#"{"error":"x"}"#)).outcome == .failed(.unexpected))
    }

    @Test("the upstream's freshness lifetime pushes the next poll back, as far as `max_interval`")
    func freshness() {
        var trace = Trace { $0.maxInterval = .seconds(40) }
        _ = trace.poll(.body("[1]", fields: ["cache-control": "max-age=30"]))
        #expect(trace.machine.nextPoll - trace.now == .seconds(30))
        _ = trace.poll(.body("[1]", fields: ["cache-control": "max-age=3000"]))
        #expect(trace.machine.nextPoll - trace.now == .seconds(40))
        var own = Trace { $0.respectCache = .none }
        _ = own.poll(.body("[1]", fields: ["cache-control": "max-age=30"]))
        #expect(own.machine.nextPoll - own.now <= .seconds(10))
    }
}
