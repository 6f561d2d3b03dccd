import HTTPFields
import JSON
import Testing

@testable import FreshetCore

@Suite("What a poll is conditional on")
struct ConditionTests {
    private static let modified = "Sun, 23 Nov 2014 06:00:00 GMT"

    @Test("R07 the date is sent only where there is no tag")
    func oneCondition() {
        var trace = Trace()
        _ = trace.poll(.body("[1]", etag: "\"a\"", fields: ["last-modified": Self.modified]))
        _ = trace.poll(.body("[2]", fields: ["last-modified": Self.modified]))
        _ = trace.poll(.body("[3]", etag: "", fields: ["last-modified": Self.modified]))
        _ = trace.poll(.notModified())
        let sent = trace.requests.map(\.validators)
        #expect(sent.map { $0.etag.map { String(decoding: $0, as: UTF8.self) } } == [nil, "\"a\"", nil, nil])
        #expect(sent.map { $0.lastModified != nil } == [false, false, true, true])
    }

    @Test(
        "R15 a Last-Modified that is almost a date goes back byte for byte",
        arguments: [
            "Sun, 2 Nov 2025 06:00:00 GMT", "Sun, 02 Nov 2025 06:00:00 UTC", "Sun, 02 Nov 2025 06:00:00 +0000",
            "2025-11-02T06:00:00Z", "2025-11-02T06:00:00.123+00:00", "2025-11-02 06:00:00", "Sun Nov 2 06:00:00 2025",
            "sunday, 2-nov-25 06:00:00 gmt",
        ]
    )
    func almostDate(text: String) {
        var trace = Trace()
        _ = trace.poll(.body("[1]", fields: ["last-modified": text]))
        _ = trace.poll(.notModified())
        #expect(trace.requests.last?.validators.lastModified == Array(text.utf8))
        #expect(trace.machine.status.notModified == 1)
    }

    @Test("R15, F27 one that names the second of the answer, in whatever form, is not sent")
    func tooYoung() {
        var trace = Trace()
        let fields = ["last-modified": "2025-11-23T06:00:00Z", "date": "Sun, 23 Nov 2025 06:00:01 GMT"]
        for _ in 0..<2 { _ = trace.poll(.body("[1]", fields: fields)) }
        #expect(trace.requests.allSatisfy { $0.validators.isEmpty })
    }

    // MARK: R04

    /// Polls, and answers from where redirects led.
    private func poll(_ trace: inout Trace, from url: String?, _ status: Int, _ body: String, etag: String)
        -> PollOutcome
    {
        trace.answer(
            ExchangeResponse(
                status: status,
                fields: [HeaderField(name: Array("etag".utf8), value: Array(etag.utf8))],
                body: Array(body.utf8),
                url: url
            )
        ).outcome
    }

    @Test("R04 a validator goes to the URL that gave it, and to no other", arguments: [nil, "http://u/v1.json"])
    func ownURL(first: String?) {
        var trace = Trace()
        #expect(self.poll(&trace, from: first, 200, "[1]", etag: "\"1\"") == .changed)
        #expect(self.poll(&trace, from: first, 304, "", etag: "\"1\"") == .notModified)
        let sent = trace.requests.last?.validators ?? Validators()
        #expect(!sent.applying(to: first).isEmpty)
        for other in [nil, "http://u/v1.json", "http://u/v2.json", "http://u/v1.json?x"] where other != first {
            #expect(sent.applying(to: other).isEmpty)
        }
        #expect(self.poll(&trace, from: "http://u/v2.json", 200, "[2]", etag: "\"1\"") == .changed)
        #expect(trace.requests.count == 3)
        #expect(trace.machine.status.warnings.isEmpty, "the same tag at another URL was not used twice")
        #expect(trace.machine.status.validators.url == "http://u/v2.json")
    }

    @Test("R04 a 304 from a URL to which no validator was sent is not believed")
    func foreignNotModified() {
        var trace = Trace()
        _ = self.poll(&trace, from: "http://u/v1.json", 200, "[1]", etag: "\"1\"")
        #expect(self.poll(&trace, from: "http://u/v2.json", 304, "", etag: "\"1\"") == .superseded)
        #expect(trace.machine.nextPoll == trace.now)
        #expect(self.poll(&trace, from: "http://u/v2.json", 200, "[2]", etag: "\"1\"") == .changed)
        #expect(trace.requests.last?.validators.isEmpty == true)
    }

    // MARK: R11

    @Test("R11 a refused condition is asked without at once, and not sent again", arguments: [400, 412])
    func refused(status: Int) {
        var trace = Trace()
        _ = trace.poll(.body("[1]", etag: "\"a\""))
        #expect(trace.poll(.status(status)).outcome == .superseded)
        #expect(trace.machine.nextPoll == trace.now)
        #expect(trace.machine.status.failures == 0)
        #expect(trace.poll(.body("[2]", etag: "\"b\"")).outcome == .changed)
        for number in 3..<8 { #expect(trace.poll(.body("[\(number)]", etag: "\"\(number)\"")).outcome == .changed) }
        #expect(trace.requests.dropFirst(2).allSatisfy { $0.validators.isEmpty })
        #expect(trace.machine.status.warnings.map(\.kind) == [.conditionRefused])
    }

    @Test("R11 a refused date is not sent again, a tag that comes later is")
    func refusedDate() {
        var trace = Trace()
        _ = trace.poll(.body("[1]", fields: ["last-modified": Self.modified]))
        #expect(trace.poll(.status(412)).outcome == .superseded)
        _ = trace.poll(.body("[2]", fields: ["last-modified": Self.modified]))
        _ = trace.poll(.body("[3]", etag: "\"a\"", fields: ["last-modified": Self.modified]))
        #expect(trace.requests.last?.validators.isEmpty == true)
        _ = trace.poll(.notModified())
        #expect(trace.requests.last?.validators == Validators(etag: Array("\"a\"".utf8)))
    }

    @Test(
        "R11 a 412 that names the tag that was sent means unchanged",
        arguments: [("\"a\"", "\"a\""), ("\"a\"", "W/\"a\"")]
    )
    func preconditionUnchanged(sent: String, answered: String) {
        var trace = Trace()
        _ = trace.poll(.body("[1]", etag: sent))
        for _ in 0..<3 { #expect(trace.poll(.status(412, fields: ["etag": answered])).outcome == .notModified) }
        #expect(trace.requests.count == 4)
        #expect(trace.machine.status.state == .ok)
        #expect(trace.machine.status.warnings.isEmpty)
    }

    @Test("R11 a 412 that names another tag is asked without")
    func preconditionChanged() {
        var trace = Trace()
        _ = trace.poll(.body("[1]", etag: "\"a\""))
        #expect(trace.poll(.status(412, fields: ["etag": "\"b\""])).outcome == .superseded)
        #expect(trace.poll(.body("[2]", etag: "\"b\"")).outcome == .changed)
    }

    @Test(
        "R11 where the request without a condition fails too, the condition was not the reason",
        arguments: [400, 412, 500]
    )
    func refusedAnyway(status: Int) {
        var trace = Trace()
        _ = trace.poll(.body("[1]", etag: "\"a\""))
        #expect(trace.poll(.status(400)).outcome == .superseded)
        #expect(trace.poll(.status(status)).outcome == .failed(.status))
        #expect(trace.machine.nextPoll > trace.now)
        #expect(trace.poll(.notModified()).outcome == .notModified)
        #expect(trace.requests.last?.validators.etag == Array("\"a\"".utf8))
        #expect(trace.machine.status.warnings.isEmpty)
    }

    @Test("R11 400 and 412 to a request without a condition are failures", arguments: [400, 412])
    func unconditional(status: Int) {
        var trace = Trace()
        #expect(trace.poll(.status(status)).outcome == .failed(.status))
    }

    @Test("R11 another request is asked conditionally again")
    func reconfigured() {
        var trace = Trace()
        _ = trace.poll(.body("[1]", etag: "\"a\""))
        _ = trace.poll(.status(400))
        _ = trace.poll(.body("[1]", etag: "\"a\""))
        var configuration = trace.machine.configuration
        configuration.headers = [.init(name: "X-New", value: "1")]
        trace.machine = trace.machine.reconfigured(configuration, phase: 0.5, now: trace.now, wall: trace.wall)
        _ = trace.poll(.notModified())
        #expect(trace.requests.last?.validators.etag == Array("\"a\"".utf8))
    }
}

@Suite("Polls that a push overtakes")
struct OvertakenPollTests {
    private func push(_ trace: inout Trace, _ body: String) -> PollOutcome {
        trace.machine.valuePushed(body: Array(body.utf8), contentType: nil, now: trace.now, wall: trace.wall).outcome
    }

    @Test(
        "R06 the answer of a poll that began before a push is dropped, and the upstream is asked again at once",
        arguments: [
            Answer.body("[1]", etag: "\"1\""), .body("[0]", etag: "\"0\""), .notModified(), .notModified(etag: "\"1\""),
            .body("[2]", etag: "\"2\""),
        ]
    )
    func overtaken(answer: Answer) {
        for pushed in ["[2]", "[1]"] {
            var trace = Trace()
            _ = trace.poll(.body("[1]", etag: "\"1\""))
            let pushes = trace.poll(answer) {
                $0.valuePushed(body: Array(pushed.utf8), contentType: nil, now: $1, wall: $2)
            }
            #expect(pushes.outcome == .superseded)
            #expect(pushes.change == nil && pushes.transition == nil)
            #expect(trace.machine.nextPoll == trace.now)
            let unchanged = trace.poll(.body(pushed, etag: "\"3\"")).outcome
            #expect(unchanged == .unchanged)
            #expect(trace.machine.status.changes == (pushed == "[2]" ? 2 : 1))
            #expect(trace.machine.nextPoll > trace.now)
        }
    }

    @Test("R06 a push that is refused overtakes nothing")
    func refusedPush() {
        var trace = Trace()
        _ = trace.poll(.body("[1]"))
        let verdict = trace.poll(.body("[2]")) { $0.valuePushed(body: [0x5B], contentType: nil, now: $1, wall: $2) }
        #expect(verdict.outcome == .changed)
    }

    @Test("R06 a push before a poll overtakes nothing, and a failure counts whatever was pushed")
    func others() {
        var trace = Trace()
        _ = trace.poll(.body("[1]"))
        #expect(self.push(&trace, "[2]") == .changed)
        #expect(trace.poll(.body("[3]")).outcome == .changed)
        let failed = trace.poll(.status(500)) {
            $0.valuePushed(body: Array("[4]".utf8), contentType: nil, now: $1, wall: $2)
        }
        #expect(failed.outcome == .failed(.status))
        #expect(trace.machine.nextPoll - trace.now >= .seconds(10))
    }

    @Test("R06 an upstream that pushes faster than it answers is asked again ever later, up to its interval")
    func storm() {
        var trace = Trace { $0.interval = .fixed(.seconds(1)) }
        _ = trace.poll(.body("[1]"))
        var waits: [Duration] = []
        for number in 2..<12 {
            let verdict = trace.poll(.body("[1]")) {
                $0.valuePushed(body: Array("[\(number)]".utf8), contentType: nil, now: $1, wall: $2)
            }
            #expect(verdict.outcome == .superseded)
            waits.append(trace.machine.nextPoll - trace.now)
        }
        #expect(waits.first == .zero && waits.last == .seconds(1) && waits == waits.sorted())
        #expect(trace.poll(.body("[11]")).outcome == .unchanged)
        let again = trace.poll(.body("[1]")) {
            $0.valuePushed(body: Array("[12]".utf8), contentType: nil, now: $1, wall: $2)
        }
        #expect(again.outcome == .superseded && trace.machine.nextPoll == trace.now)
    }

    @Test("R06 a paused source is not asked again")
    func paused() {
        var trace = Trace()
        _ = trace.poll(.body("[1]"))
        let verdict = trace.poll(.body("[1]")) { machine, now, wall in
            _ = machine.pauseRequested(wall: wall)
            return machine.valuePushed(body: Array("[2]".utf8), contentType: nil, now: now, wall: wall)
        }
        #expect(verdict.outcome == .superseded)
        #expect(trace.machine.nextPoll == .distantFuture)
    }
}
