import System
import Testing

@testable import FreshetStreaming

@Suite("The plan of a drain")
struct DrainPlanTests {
    @Test(
        "with a successor nobody comes back before the drain is over, and no half second has twice the mean",
        arguments: [(drain: 0, retry: 2000), (5000, 2000), (3000, 1000), (20_000, 2000), (1000, 10_000)]
    )
    func spread(drain: Int64, retry: Int64) {
        var random = SplitMix64(seed: 5)
        let count = 10_000
        var plan = DrainPlan(order: [], start: 1000, nanoseconds: drain * 1_000_000, done: [])
        plan.hasSuccessor = true
        var returns: [Int64] = []
        for index in 0..<Int64(count) {
            // Ended one after the other, as the plan has it.
            let ended = drain * index / Int64(count)
            let wait = plan.wait(at: plan.start + ended * 1_000_000, retry: retry, using: &random)
            returns.append(ended + wait)
        }
        let window = max(retry, drain)
        #expect(returns.allSatisfy { $0 >= drain + retry / 2 && $0 <= drain + retry / 2 + window })
        returns.sort()
        var (start, most) = (0, 0)
        for (index, time) in returns.enumerated() {
            while time - returns[start] > 500 { start += 1 }
            most = max(most, index - start + 1)
        }
        let mean = Double(count) * 500 / Double(returns[count - 1] - returns[0])
        #expect(Double(most) < 2 * mean, "\(most), \(mean)")
    }

    /// Takes no time to speak of.
    @Test("however many are due, all are closed in the time: a turn that leaves some over is followed by one at once")
    func many() {
        let drain: Int64 = 3_000_000_000
        let order = (0..<Int32(50_000)).map { SlotKey(index: $0, generation: 0) }
        var plan = DrainPlan(order: order, start: 1000, nanoseconds: drain, done: [{}])
        var (now, most) = (plan.start, 0)
        // As `Delivery` has its turns: each closes a few, in less than half a millisecond.
        while plan.next < order.count, now < plan.start + 10 * drain {
            plan.next = min(plan.target(at: now), plan.next + TurnLimits.ends)
            most = max(most, plan.target(at: now) - plan.next)
            now += plan.isBehind(at: now) ? 500_000 : plan.step
        }
        #expect(plan.next == order.count)
        #expect(now <= plan.start + drain + 2 * plan.step, "\(now)")
        #expect(most < order.count / 50)
        #expect(!plan.isBehind(at: .max))
        // A drain whose end was told closes no more.
        plan = DrainPlan(order: order, start: 0, nanoseconds: drain, done: [])
        #expect(!plan.isBehind(at: drain))
    }

    @Test("times out of the plan are bounded, whatever the clock says")
    func bounds() {
        var random = SplitMix64(seed: 6)
        let plan = DrainPlan(order: [], start: 0, nanoseconds: 1_000_000_000, done: [])
        for now in [Int64.min, -1, 0, 2_000_000_000, Int64.max] {
            let wait = plan.wait(at: now, retry: 100, using: &random)
            #expect((0...(1000 + 50 + 1000)).contains(wait))
        }
    }
}
