import Testing

@testable import FreshetCore

@Suite("Poll budget")
struct PollBudgetTests {
    @Test(
        "no more polls start than the budget and one burst allow, however many are due",
        arguments: [40.0, 3600, 100_000]
    )
    func ceiling(requestsPerHour: Double) {
        var budget = PollBudget(requestsPerHour: requestsPerHour, now: 500)
        var starts: [Double] = []
        for index in 0..<5000 {
            // Ten at a time, ten times too many.
            let due = 500 + Double(index / 10) * budget.step
            starts.append(budget.take(due: due, now: due))
        }
        #expect(starts == starts.sorted())
        for index in starts.indices.dropFirst(20) {
            #expect(starts[index] - starts[index - 20] >= budget.step * 9.999)
        }
        let rate = Double(starts.count - 10) / ((starts[starts.count - 1] - 500) / 3600)
        #expect(rate <= requestsPerHour * 1.001)
    }

    @Test("an idle process saves up ten polls, no more")
    func burst() {
        var budget = PollBudget(requestsPerHour: 3600, now: 0)
        let starts = (0..<15).map { _ in budget.take(due: 1000, now: 1000) }
        #expect(starts.filter { $0 == 1000 }.count == 10)
        #expect(abs(starts[14] - 1005) < 1e-6)
    }

    @Test("the price rises while polls wait and falls while tokens pile up, within its bounds")
    func price() {
        var waiting = PollBudget(requestsPerHour: 60, now: 0, theta: 60)
        for _ in 0..<10 { _ = waiting.take(due: 0, now: 0) }
        #expect(waiting.theta > 60)
        for _ in 0..<3000 { _ = waiting.take(due: 0, now: 0) }
        #expect(waiting.theta == 1e5)

        var idle = PollBudget(requestsPerHour: 60, now: 0, theta: 60, lowestTheta: 30)
        for hour in 1..<10 { _ = idle.take(due: Double(hour) * 3600, now: Double(hour) * 3600) }
        #expect(idle.theta < 60)
        for hour in 10..<300 { _ = idle.take(due: Double(hour) * 3600, now: Double(hour) * 3600) }
        #expect(idle.theta == 30)
    }

    @Test("a part of the budget fills as much more slowly, and what was saved up stays within its burst")
    func share() {
        var budget = PollBudget(requestsPerHour: 3600, now: 0)
        budget.use(share: 0.25, now: 1000)
        #expect(budget.requestsPerHour == 900 && budget.step == 4)
        let starts = (0..<4).map { _ in budget.take(due: 1000, now: 1000) }
        #expect(starts.filter { $0 == 1000 }.count == 2)
        #expect(abs(starts[3] - 1006) < 1e-6)
        budget.use(share: 1, now: 1006)
        #expect(budget.step == 1)
        #expect(abs(budget.earliestStart(now: 1006) - 1007) < 1e-6)
        // Who has no part of it has next to nothing, and does not divide by it.
        budget.use(share: 0, now: 1007)
        #expect(budget.step == 360_000)
    }

    @Test("looking takes nothing")
    func look() {
        let budget = PollBudget(requestsPerHour: 3600, now: 0)
        #expect(budget.earliestStart(now: 0) == 1)
        #expect(budget.earliestStart(now: 0.25) == 1)
        #expect(budget.earliestStart(now: 50) == 50)
    }

    @Test("a budget that cannot be is a very small one", arguments: [0, -5, Double.nan])
    func impossible(requestsPerHour: Double) {
        #expect(PollBudget(requestsPerHour: requestsPerHour, now: 0).step == 360_000)
    }
}
