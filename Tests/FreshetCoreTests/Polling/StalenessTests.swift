import FreshetCore
import JSON
import Testing

@Suite("When a source is stale")
struct StalenessTests {
    @Test("the default is three intervals, and at least half a minute", arguments: [(1, 30), (10, 30), (60, 180)])
    func standard(interval: Int, expected: Int) {
        var trace = Trace { $0.interval = .fixed(.seconds(interval)) }
        #expect(trace.machine.staleDeadline == .distantFuture, "without a value nothing is stale")
        _ = trace.poll(.body("[1]"))
        #expect(trace.machine.staleDeadline - trace.now == .seconds(expected))
    }

    @Test("it is entered once, left by the next good answer, and a later failure is no second transition")
    func transitions() {
        var trace = Trace { $0.staleness = .seconds(60) }
        #expect(trace.poll(.body("[1]", etag: "\"a\"")).transition == .ok)
        #expect(trace.poll(.status(500)).transition == .failing)
        let due = trace.machine.staleDeadline
        #expect(trace.machine.timePassed(now: due + .milliseconds(-1), wall: trace.wall) == nil)
        #expect(trace.machine.timePassed(now: due, wall: trace.wall) == .stale)
        #expect(trace.machine.timePassed(now: due + .seconds(9), wall: trace.wall) == nil)
        #expect(trace.machine.staleDeadline == .distantFuture)
        trace.now = due + .seconds(10)
        #expect(trace.poll(.status(500)).transition == nil)
        #expect(trace.machine.status.state == .stale)
        #expect(trace.machine.status.lastError?.error.kind == .status)
        #expect(trace.poll(.notModified()).transition == .ok)
    }

    @Test("a value that is confirmed is never stale, whatever the interval that the upstream asks for")
    func confirmed() {
        var trace = Trace()
        for _ in 0..<10 {
            _ = trace.poll(.body("[1]", fields: ["x-poll-interval": "600"]))
            #expect(trace.machine.staleDeadline > trace.machine.nextPoll)
        }
    }

    @Test("what HTTP calls fresh is not stale")
    func fresh() {
        var trace = Trace { $0.staleness = .seconds(20) }
        _ = trace.poll(.body("[1]", fields: ["cache-control": "max-age=600"]))
        #expect(trace.machine.staleDeadline - trace.now == .seconds(600))
    }

    @Test(
        "stale-if-error puts it off while the upstream fails, unless the upstream wants to be asked",
        arguments: [
            ("max-age=60, stale-if-error=3600", 3660), ("max-age=60, stale-if-error=3600, must-revalidate", 180),
            ("no-cache, stale-if-error=3600", 30), ("max-age=60", 180), ("no-store, max-age=60, stale-if-error=99", 30),
        ]
    )
    func staleIfError(control: String, expected: Int) {
        var trace = Trace()
        _ = trace.poll(.body("[1]", fields: ["cache-control": control]))
        let confirmed = trace.now
        _ = trace.poll(.status(503))
        #expect(trace.machine.staleDeadline - confirmed == .seconds(expected))
    }

    @Test("with an adaptive interval it counts from the poll that was planned")
    func adaptive() {
        var trace = Trace {
            $0.interval = .adaptive
            $0.staleness = .seconds(45)
        }
        _ = trace.poll(.body("[1]"))
        #expect(trace.machine.staleDeadline >= trace.machine.nextPoll + .seconds(44))
    }

    @Test("a value of an earlier process counts from the start of this one")
    func restored() throws {
        var trace = Trace()
        let document = try Document(parsing: Array("[1]".utf8))
        trace.machine.restored(document, validators: Validators(), at: WallTime(milliseconds: 0))
        #expect(trace.machine.status.state == .ok)
        #expect(trace.machine.staleDeadline - trace.now == .seconds(30))
    }

    @Test("a pause hides it, and the end of the pause shows it")
    func paused() {
        var trace = Trace()
        _ = trace.poll(.body("[1]"))
        _ = trace.machine.pauseRequested(wall: trace.wall)
        trace.now = trace.now + .seconds(3600)
        #expect(trace.machine.staleDeadline == .distantFuture)
        #expect(trace.machine.timePassed(now: trace.now, wall: trace.wall) == nil)
        #expect(trace.machine.resumeRequested(now: trace.now, wall: trace.wall) == .stale)
        #expect(trace.poll(.body("[1]")).transition == .ok)
    }
}
