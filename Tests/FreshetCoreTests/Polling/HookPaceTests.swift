import Testing

@testable import FreshetCore

@Suite("Polls that an upstream asks for")
struct HookPaceTests {
    private static func trace() -> Trace {
        var trace = Trace { $0.interval = .fixed(.seconds(3600)) }
        _ = trace.poll(.body("[1]", etag: "\"1\""))
        // Well after the poll, and well before the next.
        trace.now = trace.now + .seconds(60)
        return trace
    }

    private static func call(_ trace: inout Trace) -> Bool {
        trace.machine.hookReceived(now: trace.now, wall: trace.wall)
    }

    @Test("a call has the source polled within a moment, and once")
    func once() {
        var trace = Self.trace()
        let regular = trace.machine.nextPoll
        #expect(Self.call(&trace))
        #expect(trace.machine.nextPoll == trace.now + HookPace.quiet)
        #expect(trace.machine.status.intervalReason == "the upstream said that something changed")
        #expect(trace.poll(.body("[2]", etag: "\"2\"")).change != nil)
        #expect(trace.machine.nextPoll == regular)
    }

    @Test("a burst of 1,000 calls is one poll")
    func burst() {
        var trace = Self.trace()
        let first = trace.now
        for _ in 0..<1000 {
            _ = Self.call(&trace)
            #expect(trace.machine.nextPoll <= first + HookPace.longest)
            #expect(trace.machine.nextPoll > trace.now)
            trace.now = trace.now + .microseconds(500)
        }
        let polls = trace.machine.status.polls
        _ = trace.poll(.body("[2]"))
        #expect(trace.machine.status.polls == polls + 1)
        #expect(trace.machine.nextPoll > trace.now + .seconds(60))
    }

    @Test("a call while a poll is under way is followed by another poll, no sooner than min_interval")
    func underWay() {
        var trace = Self.trace()
        _ = Self.call(&trace)
        let verdict = trace.poll(.body("[2]"), taking: .milliseconds(10)) { machine, now, wall in
            let isMoved = machine.hookReceived(now: now, wall: wall)
            #expect(!isMoved)
            return nil
        }
        #expect(verdict.change != nil)
        #expect(trace.machine.nextPoll == trace.now + .milliseconds(990))
        #expect(trace.machine.status.intervalReason == "the upstream said that something changed")
    }

    @Test("a paused source is not polled by a call")
    func paused() {
        var trace = Self.trace()
        _ = trace.machine.pauseRequested(wall: trace.wall)
        #expect(!Self.call(&trace))
        #expect(trace.machine.nextPoll == .distantFuture)
    }
}
