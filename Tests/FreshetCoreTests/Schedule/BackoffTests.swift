import System
import Testing

@testable import FreshetCore

@Suite("Back-off")
struct BackoffTests {
    @Test(
        "the ceilings are those of the documented table",
        arguments: [
            (1, 1.0, 4.0), (2, 1, 8), (3, 1, 16), (5, 1, 64), (9, 1, 1024), (20, 1, 3600),
            (1, 10, 20), (2, 10, 40), (3, 10, 80), (5, 10, 320), (9, 10, 3600), (20, 10, 3600),
            (1, 600, 1200), (2, 600, 2400), (3, 600, 3600), (5, 600, 3600), (9, 600, 3600), (20, 600, 3600),
            (0, 1, 2), (-3, 1, 2), (Int.max, 1, 3600), (3, 86_400, 86_400),
        ]
    )
    func ceiling(failures: Int, minimum: Double, expected: Double) {
        #expect(Backoff.ceiling(failures: failures, minimum: minimum) == expected)
    }

    @Test("delays fill the whole range below the ceiling, from the minimum on", arguments: [1, 4, 8, 30])
    func fullJitter(failures: Int) {
        var generator = SplitMix64(seed: UInt64(failures))
        let ceiling = Backoff.ceiling(failures: failures, minimum: 1)
        let delays = (0..<1000).map { _ in Backoff.delay(failures: failures, minimum: 1, using: &generator) }
        #expect(delays.allSatisfy { $0 >= 1 && $0 <= ceiling })
        // A quarter of them in each quarter, more or less: full jitter, not some per cent around the ceiling.
        for quarter in 0..<4 {
            let inside = delays.filter {
                $0 / ceiling >= Double(quarter) / 4 && $0 / ceiling <= Double(quarter + 1) / 4
            }
            #expect(inside.count > 150)
        }
    }

    @Test("where the minimum is short, the ceiling grows from the base")
    func base() {
        #expect(Backoff.ceiling(failures: 3, minimum: 0.01, base: 0.5) == 4)
        #expect(Backoff.ceiling(failures: 3, minimum: 10, base: 0.5) == 80)
    }

    @Test("a cap below the minimum does not shorten the minimum")
    func capBelowMinimum() {
        var generator = SplitMix64(seed: 4)
        #expect(Backoff.delay(failures: 3, minimum: 90, longest: 60, using: &generator) == 90)
        #expect(Backoff.delay(failures: 3, minimum: .nan, longest: 60, using: &generator) >= 2)
    }
}
