// When 304 has been said too often to be believed (FAULTS F25): some upstreams give out a tag that never changes.

/// Learns how often a source changes, by the hour of the day, and says when a silence is longer than that makes likely.
///
/// The measure is the number of changes that were to be expected since a body was last compared. Where that number
/// reaches ``patience``, one poll asks without a condition. Each of these that finds nothing costs a body, and beyond one
/// for fifty bodies that changes brought, each makes the patience longer by two thirds: an honest source pays two per cent
/// and little more, however irregular it is, and a tag that lies is found all the same.
struct SilenceDoubt: Sendable {
    /// Changes that are expected and do not come, until a 304 is doubted.
    static let patience = 1.5
    /// Bodies that came of themselves, for each that doubt may cost.
    static let bodiesPerDoubt = 50.0
    /// The patience grows with two to the power of so much for each check that was one too many, and so far at most.
    private static let growth = 0.7
    private static let longestGrowth = 8.0
    /// What is known fades with this half-life, in seconds.
    private static let halfLife = 14.0 * 86_400
    /// Before anything is known, a change is expected in so many intervals.
    private static let firstGuess = 10.0
    /// So many expected changes are put in the balance against what one hour of the day shows.
    private static let hourWeight = 3.0

    private var changes = 0.0
    private var seconds = 0.0
    /// By the hour of the day (UTC): changes, and what was to be expected without hours.
    private var hourChanges = [Float](repeating: 0, count: 24)
    private var hourSeconds = [Float](repeating: 0, count: 24)
    private var hour = 0
    private var lastAnswer: MonotonicTime?
    /// Changes to be expected since a body was compared.
    private(set) var missed = 0.0
    private var bodies = 0.0
    /// Unconditional polls that doubt has made, of which none found anything.
    private(set) var checks = 0

    /// Whether the next poll should ask without a condition.
    var isDoubtful: Bool { self.missed >= self.threshold }

    private var threshold: Double {
        let excess = max(0, Double(self.checks) - self.bodies / Self.bodiesPerDoubt)
        return Self.patience * Self.power(min(excess * Self.growth, Self.longestGrowth))
    }

    /// 2 to the power of `exponent`, which is not negative, to a few per cent: this room has no library for it.
    private static func power(_ exponent: Double) -> Double {
        let whole = exponent.rounded(.down)
        let fraction = exponent - whole
        return Double(sign: .plus, exponent: Int(whole), significand: 1 + fraction * (0.6565 + 0.3435 * fraction))
    }

    /// The upstream said that nothing has changed. `interval`: between polls.
    mutating func confirmed(at now: MonotonicTime, wall: WallTime, interval: Duration) {
        self.passed(until: now, wall: wall, interval: interval)
    }

    /// A body was compared, and differed or not. `isCheck`: the poll was made in doubt.
    mutating func compared(
        _ isChange: Bool,
        isCheck: Bool,
        at now: MonotonicTime,
        wall: WallTime,
        interval: Duration
    ) {
        self.passed(until: now, wall: wall, interval: interval)
        self.missed = 0
        if isChange {
            self.changes += 1
            self.hourChanges[self.hour] += 1
        }
        if isCheck, !isChange { self.checks = min(self.checks + 1, 1_000_000) } else { self.bodies += 1 }
    }

    private mutating func passed(until now: MonotonicTime, wall: WallTime, interval: Duration) {
        defer { self.lastAnswer = now }
        guard let last = self.lastAnswer, now > last else { return }
        let elapsed = (now - last).inSeconds
        let hour = Int(((wall.seconds / 3600) % 24 + 24) % 24)
        if hour != self.hour { self.fade(hours: max(1, elapsed / 3600)) }
        self.hour = hour
        self.seconds += elapsed
        self.hourSeconds[hour] += Float(elapsed)
        let rate = (self.changes + 1) / (self.seconds + Self.firstGuess * max(interval.inSeconds, 0.001))
        let expected = Double(self.hourSeconds[hour]) * rate
        let factor = (Double(self.hourChanges[hour]) + Self.hourWeight) / (expected + Self.hourWeight)
        self.missed += elapsed * rate * factor
    }

    private mutating func fade(hours: Double) {
        let kept = 1 - min(0.5, 0.6931 * hours * 3600 / Self.halfLife)
        self.changes *= kept
        self.seconds *= kept
        for hour in 0..<24 {
            self.hourChanges[hour] *= Float(kept)
            self.hourSeconds[hour] *= Float(kept)
        }
    }
}
