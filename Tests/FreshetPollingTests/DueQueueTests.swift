import FreshetCore
import FreshetTesting
import System
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("The queue of due times")
struct DueQueueTests {
    @Test("gives the earliest first, whatever is put in, moved and taken out", arguments: 0..<20 as Range<UInt64>)
    func model(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var queue = DueQueue()
        var model: [SourceID: MonotonicTime] = [:]
        for _ in 0..<2000 {
            let source = SourceID(index: Int.random(in: 0..<50, using: &generator))
            if Int.random(in: 0..<3, using: &generator) == 0 {
                queue.remove(source)
                model[source] = nil
            } else {
                let due = MonotonicTime(nanoseconds: Int64.random(in: 0..<20, using: &generator))
                queue.set(source, due: due)
                model[source] = due
            }
            let expected = model.min { ($0.value, $0.key) < ($1.value, $1.key) }
            #expect(queue.first?.source == expected?.key)
            #expect(queue.first?.due == expected?.value)
            #expect(queue.count == model.count)
        }
    }

    @Test("the distant future is nowhere in it")
    func distantFuture() {
        var queue = DueQueue()
        queue.set(SourceID(index: 1), due: MonotonicTime(nanoseconds: 1))
        queue.set(SourceID(index: 1), due: .distantFuture)
        queue.set(SourceID(index: 2), due: .distantFuture)
        #expect(queue.first == nil)
    }
}

@Suite("F82: the phase of a source")
struct SourcePhaseTests {
    @Test("spreads names that are alike")
    func spread() {
        let phases = (0..<1000).map { SourcePhase.phase(of: "source-\($0)") }
        #expect(phases.allSatisfy { (0..<1).contains($0) })
        for tenth in 0..<10 {
            let count = phases.count { Int($0 * 10) == tenth }
            #expect((60...140).contains(count), "\(count) of 1,000 in tenth \(tenth)")
        }
    }

    @Test("F82: polls under way peak at no more than twice their mean")
    func concurrency() {
        let names = (0..<500).map { "source-\($0)" }
        let (interval, duration) = (Duration.seconds(10), Duration.seconds(1))
        var generator = SplitMix64()
        var events: [(time: MonotonicTime, change: Int)] = []
        let start = MonotonicTime(nanoseconds: 5_000_000_000)
        for name in names {
            var configuration = SourceConfiguration(name: name, url: "http://upstream.test/\(name)")
            configuration.interval = .fixed(interval)
            let phase = SourcePhase.phase(of: name)
            let wall = WallTime(milliseconds: 0)
            var machine = SourceStateMachine(configuration: configuration, phase: phase, now: start, wall: wall)
            while machine.nextPoll < start + interval * 6 {
                let now = machine.nextPoll
                _ = machine.pollStarted(now: now, wall: wall)
                // The first polls of all are due at once.
                if now >= start + interval { events += [(now, 1), (now + duration, -1)] }
                let response = ExchangeResponse(status: 200, fields: [], body: Array("[1]".utf8))
                _ = machine.responseReceived(response, now: now + duration, wall: wall, using: &generator)
            }
        }
        events.sort { ($0.time, $0.change) < ($1.time, $1.change) }
        var (underWay, peak) = (0, 0)
        for event in events {
            underWay += event.change
            peak = max(peak, underWay)
        }
        let mean = Double(names.count) * (duration / interval)
        #expect(Double(peak) <= 2 * mean, "\(peak) at a mean of \(mean)")
    }

    @Test("is the same in every process")
    func stable() {
        #expect(Int(SourcePhase.phase(of: "rates") * 1_000_000) == 22472)
    }
}
