import FreshetCore
import JSON
import Testing

@Suite("Sources without a URL")
struct PushedSourceTests {
    private static func trace(_ staleness: Duration? = nil) -> Trace {
        Trace {
            $0.url = ""
            $0.staleness = staleness
        }
    }

    private static func push(_ text: String, to trace: inout Trace) -> SourceStateMachine.Verdict {
        trace.machine.valuePushed(body: Array(text.utf8), contentType: nil, now: trace.now, wall: trace.wall)
    }

    @Test("nothing makes it due: neither a push, nor a pause and its end, nor another configuration, nor a sleep")
    func neverDue() {
        var trace = Self.trace()
        func isIdle() -> Bool {
            trace.machine.nextPoll == .distantFuture && trace.machine.status.nextPollAt == nil
                && !trace.machine.status.isPolled
        }
        #expect(isIdle())
        #expect(trace.machine.status.intervalReason == SourceStateMachine.isOnlyPushed)
        #expect(trace.machine.status.state == .starting)
        let first = Self.push("[1]", to: &trace)
        #expect(first.transition == .ok)
        #expect(isIdle())
        #expect(trace.machine.pauseRequested(wall: trace.wall) == .paused)
        let second = Self.push("[2]", to: &trace)
        #expect(second.change != nil)
        #expect(trace.machine.resumeRequested(now: trace.now, wall: trace.wall) == .ok)
        #expect(isIdle())
        #expect(trace.machine.status.intervalReason == SourceStateMachine.isOnlyPushed)
        var other = trace.machine.configuration
        other.maxBodyBytes = 10
        trace.machine = trace.machine.reconfigured(other, phase: 0.5, now: trace.now, wall: trace.wall)
        #expect(isIdle())
        #expect(trace.machine.status.state == .ok)
        trace.now = trace.now + .seconds(1_000_000)
        let isPutOff = trace.machine.machineSlept(now: trace.now, wall: trace.wall)
        #expect(!isPutOff)
        #expect(isIdle())
        #expect(trace.machine.status.polls == 0)
    }

    @Test("its value is stale after `staleness` from the last push, and never without it", arguments: [nil, 60])
    func staleness(seconds: Int?) {
        var trace = Self.trace(seconds.map { .seconds($0) })
        #expect(trace.machine.staleDeadline == .distantFuture)
        _ = Self.push("[1]", to: &trace)
        #expect(trace.machine.staleDeadline == (seconds.map { trace.now + .seconds($0) } ?? .distantFuture))
        trace.now = trace.now + .seconds(3600)
        let transition = trace.machine.timePassed(now: trace.now, wall: trace.wall)
        #expect(transition == (seconds == nil ? nil : .stale))
        let verdict = Self.push("[1]", to: &trace)
        #expect(verdict.outcome == .unchanged)
        #expect(trace.machine.status.state == .ok)
    }

    @Test("with a URL it is another source: its value is not taken over")
    func identity() {
        var trace = Self.trace()
        _ = Self.push("[1]", to: &trace)
        var polled = trace.machine.configuration
        polled.url = "http://upstream.test/"
        #expect(polled.identity != trace.machine.configuration.identity)
        trace.machine = trace.machine.reconfigured(polled, phase: 0.5, now: trace.now, wall: trace.wall)
        #expect(trace.machine.status.state == .starting)
        #expect(trace.machine.nextPoll < .distantFuture)
    }
}
