import Foundation
import Testing

@testable import FreshetCore

@Suite("Elementary functions")
struct ElementaryTests {
    /// Relative error, or absolute where the expected value is zero.
    private func error(_ value: Double, of expected: Double) -> Double {
        expected == 0 ? abs(value) : abs(value - expected) / abs(expected)
    }

    @Test("exp agrees with the platform's over the whole range")
    func exponential() {
        var worst = 0.0
        for step in -744_000...709_000 where step % 37 == 0 {
            let x = Double(step) / 1000
            let expected = Foundation.exp(x)
            // Below the normal range there are fewer digits to agree on.
            if expected > 1e-300 { worst = max(worst, error(Elementary.exp(x), of: expected)) }
        }
        #expect(worst < 1e-15)
    }

    @Test("exp minus one keeps its digits near zero")
    func exponentialMinusOne() {
        var worst = 0.0
        for exponent in stride(from: -18.0, through: 1.5, by: 0.01) {
            for sign in [-1.0, 1.0] {
                let x = sign * pow(10, exponent)
                worst = max(worst, error(Elementary.expMinusOne(x), of: expm1(x)))
            }
        }
        #expect(worst < 2e-15)
    }

    @Test("log agrees with the platform's over the whole range")
    func logarithm() {
        var worst = 0.0
        for exponent in stride(from: -307.0, through: 308, by: 0.0137) {
            let x = pow(10, exponent)
            worst = max(worst, error(Elementary.log(x), of: Foundation.log(x)))
        }
        for step in 1...100_000 {
            let x = 0.5 + Double(step) / 50_000
            worst = max(worst, error(Elementary.log(x), of: Foundation.log(x)))
        }
        #expect(worst < 2e-15)
    }

    @Test("the ends of the range are as everywhere")
    func ends() {
        #expect(Elementary.exp(0) == 1)
        #expect(Elementary.exp(1000) == .infinity)
        #expect(Elementary.exp(.infinity) == .infinity)
        #expect(Elementary.exp(-1000) == 0)
        #expect(Elementary.exp(-.infinity) == 0)
        #expect(Elementary.exp(.nan).isNaN)
        #expect(error(Elementary.exp(-740), of: Foundation.exp(-740)) < 1e-2)
        #expect(Elementary.log(1) == 0)
        #expect(Elementary.log(0) == -.infinity)
        #expect(Elementary.log(-1).isNaN)
        #expect(Elementary.log(.infinity) == .infinity)
        #expect(error(Elementary.log(.leastNonzeroMagnitude), of: -744.4400719213812) < 1e-14)
    }
}
