import System
import Testing

@testable import FreshetCore

@Suite("HAZE model")
struct HazeTests {
    /// A model that has watched a source which changes at second 7 of every `period`, polled every `interval`.
    private func clockModel(period: Double, interval: Double, until end: Double, wallOffset: Double = 0) -> Haze {
        var model = Haze(now: -wallOffset, wallOffset: wallOffset)
        var time = 0.0
        while time < end {
            let before = Elementary.floor((time - 7) / period)
            time += interval
            let after = Elementary.floor((time - 7) / period)
            model.observe(now: time - wallOffset, changed: after > before)
        }
        return model
    }

    /// The expected age at `end`, by summing the probability of a change second by second, with no closed form.
    private func expectedAge(_ model: Haze, seconds: Int) -> Double {
        guard let index = model.selection else { return .nan }
        let table = HazardTable.all[index]
        let belief = model.numbers[Haze.beliefStart...].map(Double.init)
        var warped = 0.0
        var age = 0.0
        for second in 0..<seconds {
            let time = model.lastPoll + model.wallOffset + Double(second) + 0.5
            let cell = table.stretch(from: time, to: time + 1, lastChange: model.lastChange + model.wallOffset).cell
            let factor = model.factor(ofCell: table.firstCell + cell)
            let unchanged = zip(belief, RateGrid.rates).reduce(0) {
                $0 + $1.0 * Elementary.exp(-$1.1 * (warped + factor / 2))
            }
            age += 1 - unchanged
            warped += factor
        }
        return age
    }

    @Test(
        "the due time is where the expected age reaches the price, many rounds of the clock away",
        arguments: [(300.0, 60.0, 2, Haze.Pattern.fiveMinuteClock), (3600, 240, 40, .hourlyClock)]
    )
    func closedForm(period: Double, interval: Double, silentPolls: Int, pattern: Haze.Pattern) {
        var model = clockModel(period: period, interval: interval, until: 200 * period)
        #expect(model.pattern == pattern)
        // Silence, so that many rounds pass before the price is reached.
        for poll in 1...silentPolls { model.observe(now: 200 * period + Double(poll) * 1800, changed: false) }
        #expect(model.pattern == pattern)
        for theta in [30.0, 300, 3000] {
            let due = model.due(theta: theta, horizon: 400_000) - model.lastPoll
            #expect(due < 400_000)
            let age = expectedAge(model, seconds: Int(due))
            #expect(abs(age - theta) < 0.01 * theta + 1.5, "theta \(theta), due \(due), age \(age)")
        }
    }

    @Test("a clock is followed wherever the monotonic axis begins", arguments: [0, 1_763_000_000, -4e6])
    func wallOffset(offset: Double) {
        let plain = clockModel(period: 3600, interval: 240, until: 500_000)
        let moved = clockModel(period: 3600, interval: 240, until: 500_000, wallOffset: offset)
        #expect(moved.pattern == .hourlyClock)
        let wait = moved.due(theta: 60, horizon: 86_400) - moved.lastPoll
        #expect(abs(wait - (plain.due(theta: 60, horizon: 86_400) - plain.lastPoll)) < 0.5)
    }

    @Test("the expected wait falls as the price does, and never passes the horizon")
    func monotonic() {
        let model = clockModel(period: 300, interval: 77, until: 100_000)
        var last = Double.infinity
        for theta in [1e9, 1e5, 1e4, 1000, 100, 10, 1, 0.1] {
            let wait = model.due(theta: theta, horizon: 50_000) - model.lastPoll
            #expect(wait <= last && wait >= 0 && wait <= 50_000)
            last = wait
        }
        #expect(model.due(theta: 60, weight: 16, horizon: 86_400) == model.due(theta: 3.75, horizon: 86_400))
    }

    @Test("Last-Modified places a change that polling alone would smear")
    func lastModified() {
        var told = Haze(now: 0)
        var blind = Haze(now: 0)
        for hour in 1...200 {
            let now = Double(hour) * 3600 + 1800
            let modified = Double(hour) * 3600 + 90
            told.observe(now: now, changed: true, lastModified: modified)
            blind.observe(now: now, changed: true)
            #expect(told.lastChange == modified)
        }
        // The hourly cell that holds second 90: told sees all changes there, blind spreads them.
        let cell = HazardTable.all[2].firstCell + 1
        #expect(told.factor(ofCell: cell) > 10 * blind.factor(ofCell: cell))
    }

    @Test(
        "F27 a Last-Modified in the future or before the last poll is no evidence",
        arguments: [1e12, 5001, 100, -1, .nan]
    )
    func uselessLastModified(modified: Double) {
        var with = Haze(now: 100)
        var without = Haze(now: 100)
        with.observe(now: 5000, changed: true, lastModified: modified)
        without.observe(now: 5000, changed: true)
        #expect(with == without)
    }

    @Test(
        "no sequence of times breaks the model",
        arguments: [
            [0, 0, 0], [100, 50, 20], [1e300, -1e300, 0], [.nan, 5, .nan], [.infinity, 0], [1e-9, 2e-9],
            [1e10, 2e10, 3e10],
        ] as [[Double]]
    )
    func hostileTimes(times: [Double]) {
        for wallOffset in [0, 1.7e9, -1e300, .nan] {
            var model = Haze(now: 0, wallOffset: wallOffset)
            for round in 0..<20 {
                for time in times { model.observe(now: time, changed: round % 3 == 0, lastModified: time - 1) }
            }
            let belief = model.numbers[Haze.beliefStart...]
            #expect(model.numbers.allSatisfy { $0.isFinite && $0 >= 0 })
            #expect(abs(belief.reduce(0, +) - 1) < 1e-4)
            for theta in [0, -1, 60, .nan, .infinity] {
                for horizon in [0, -5, 86_400, 1e300, .nan] {
                    let wait = model.due(theta: theta, weight: 0, horizon: horizon) - model.lastPoll
                    #expect(wait >= 0 && wait <= 1e9 + 1)
                }
            }
        }
    }

    @Test("the state has a constant size")
    func size() {
        let young = Haze(now: 0)
        let old = clockModel(period: 300, interval: 61, until: 1e6)
        #expect(young.encoded.count == old.encoded.count)
        #expect(old.encoded.count < 1750)
        #expect(MemoryLayout<Haze>.size + old.numbers.count * MemoryLayout<Float>.size < 1850)
    }

    @Test("a stored state is read back as it was, on another axis")
    func storedState() throws {
        let model = clockModel(period: 3600, interval: 240, until: 300_000)
        let restored = try #require(Haze(encoded: model.encoded, now: 50, wallOffset: 300_000))
        #expect(restored.numbers == model.numbers)
        #expect(restored.scores == model.scores)
        #expect(restored.pattern == model.pattern)
        #expect(restored.lastPoll + 300_000 == model.lastPoll)
        #expect(restored.lastChange + 300_000 == model.lastChange)
    }

    @Test("a last poll in the future becomes now")
    func futureState() throws {
        let model = clockModel(period: 3600, interval: 240, until: 300_000)
        let restored = try #require(Haze(encoded: model.encoded, now: 10))
        #expect(restored.lastPoll == 10)
        #expect(restored.lastChange <= 10)
    }

    @Test("what is not a stored state is refused")
    func foreignState() {
        let good = clockModel(period: 3600, interval: 240, until: 300_000).encoded
        #expect(Haze(encoded: [], now: 0) == nil)
        #expect(Haze(encoded: Array(good.dropLast()), now: 0) == nil)
        #expect(Haze(encoded: good + [0], now: 0) == nil)
        #expect(Haze(encoded: [2] + good.dropFirst(), now: 0) == nil)
        #expect(Haze(encoded: [UInt8](repeating: 0, count: good.count), now: 0) == nil)
        #expect(Haze(encoded: [1] + [UInt8](repeating: 0xFF, count: good.count - 1), now: 0) == nil)
        #expect(Haze(encoded: good, now: 0) != nil)
    }

    @Test("a damaged state is refused or works")
    func damagedState() {
        let good = clockModel(period: 3600, interval: 240, until: 300_000).encoded
        var generator = SplitMix64(seed: 77)
        var accepted = 0
        for _ in 0..<600 {
            var bytes = good
            for _ in 0..<3 {
                bytes[Int.random(in: 1..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            guard var model = Haze(encoded: bytes, now: 1e6) else { continue }
            accepted += 1
            model.observe(now: 1e6 + 100, changed: true)
            let due = model.due(theta: 60, horizon: 86_400)
            #expect(due >= model.lastPoll && due <= model.lastPoll + 86_400)
        }
        #expect(accepted > 0 && accepted < 600)
    }
}
