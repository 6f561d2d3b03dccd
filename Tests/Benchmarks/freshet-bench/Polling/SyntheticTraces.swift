// Sources with known habits: memoryless, clock-driven, bursty, diurnal, dead, and ones that change their habits.

import Foundation

/// Makes the synthetic pool: 30 sources over a number of days, the same in every run.
enum SyntheticTraces {
    static func make(days: Double) -> [Trace] {
        let duration = days * 86_400
        return memoryless(duration) + clocks(duration) + bursts(duration) + diurnal(duration) + dead(duration)
            + switching(duration)
    }

    private static func trace(_ name: String, _ times: [Double], _ duration: Double) -> Trace {
        let changes = times.filter { $0 > 0 && $0 < duration }.sorted()
        return Trace(name: name, start: 0, end: duration, changes: changes, versions: changes.count)
    }

    private static func memoryless(_ duration: Double) -> [Trace] {
        (0..<8).map { index in
            var random = Variates("poisson\(index)")
            // Around one change an hour, spread over a factor of 4.5 either way, and never more than one a minute.
            let rate = min(1.0 / 60, exp(1.5 * random.normal()) / 3600)
            return trace("poisson\(index)", random.arrivals(rate: rate, until: duration), duration)
        }
    }

    private static func clocks(_ duration: Double) -> [Trace] {
        let habits: [(name: String, period: Double, offset: Double, jitter: Double)] = [
            ("clock5m", 300, 120, 1), ("clock10m", 600, 7, 10), ("clock15m", 900, 65, 20), ("clock1h", 3600, 300, 5),
            ("clock1h-jitter", 3600, 1500, 120), ("clock6h", 21_600, 600, 60), ("clock1d", 86_400, 7200, 300),
            ("timer37m", 2220, 11, 15),
        ]
        return habits.map { habit in
            var random = Variates(habit.name)
            let times = stride(from: habit.offset, to: duration, by: habit.period).map { (time: Double) -> Double in
                time + habit.jitter * random.normal()
            }
            return trace(habit.name, times, duration)
        }
    }

    /// Each change calls forth others, on average `branching` of them, after an exponential time.
    private static func bursts(_ duration: Double) -> [Trace] {
        let habits: [(rate: Double, branching: Double, delay: Double)] = [
            (1 / 7200, 0.8, 600), (1 / 21_600, 0.85, 300), (1 / 43_200, 0.9, 1200), (1 / 86_400, 0.9, 120),
        ]
        return habits.enumerated().map { index, habit in
            var random = Variates("hawkes\(index)")
            var times = random.arrivals(rate: habit.rate, until: duration)
            var next = 0
            while next < times.count {
                // The number of arrivals in unit time is a Poisson variate.
                for _ in random.arrivals(rate: habit.branching, until: 1) {
                    times.append(times[next] + random.exponential() * habit.delay)
                }
                next += 1
            }
            return trace("hawkes\(index)", times, duration)
        }
    }

    /// Twice the rate at noon, none at night.
    private static func diurnal(_ duration: Double) -> [Trace] {
        let intervals: [Double] = [600, 1800, 3600, 7200]
        return intervals.enumerated().map { (index: Int, interval: Double) -> Trace in
            var random = Variates("diurnal\(index)")
            let times = random.arrivals(rate: 2 / interval, until: duration).filter { (time: Double) -> Bool in
                let phase = time / 86_400 - 0.6
                return random.generator.unit() < cos(2 * Double.pi * phase)
            }
            return trace("diurnal\(index)", times, duration)
        }
    }

    private static func dead(_ duration: Double) -> [Trace] {
        [trace("dead0", [], duration), trace("dead1", [], duration), trace("dead2", [3600], duration)]
    }

    /// Between two rates, from one to the other after so many days.
    private static func switching(_ duration: Double) -> [Trace] {
        let habits: [(quick: Double, slow: Double, days: Double)] = [
            (1 / 300, 1 / 21_600, 2), (1 / 120, 1 / 43_200, 1), (1 / 3600, 1 / 86_400, 4),
        ]
        return habits.enumerated().map { index, habit in
            var random = Variates("switch\(index)")
            let times = random.arrivals(rate: habit.quick, until: duration).filter { time in
                let isSlow = Int(time / (habit.days * 86_400)) % 2 == 0
                return !isSlow || random.generator.unit() < habit.slow / habit.quick
            }
            return trace("switch\(index)", times, duration)
        }
    }
}

/// Random numbers of the usual distributions.
private struct Variates {
    var generator: MersenneTwister

    init(_ name: String) {
        self.generator = MersenneTwister(name: name, seed: 7)
    }

    /// With mean 1.
    mutating func exponential() -> Double {
        -log(1 - generator.unit())
    }

    /// With mean 0 and standard deviation 1.
    mutating func normal() -> Double {
        (2 * exponential()).squareRoot() * cos(2 * .pi * generator.unit())
    }

    /// The times of a Poisson process.
    mutating func arrivals(rate: Double, until end: Double) -> [Double] {
        var times: [Double] = []
        var time = exponential() / rate
        while time < end {
            times.append(time)
            time += exponential() / rate
        }
        return times
    }
}
