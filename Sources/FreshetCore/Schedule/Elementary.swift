// The exponential and the logarithm that the polling policy needs. The core imports no C library, and the standard
// library has neither, so both are written here: range reduction, then a short series.

/// Elementary functions of doubles, within a few units in the last place. Total: every input has a result, none traps.
enum Elementary {
    /// ln 2 in two parts, so that `k * high` is exact for every exponent `k` of a double.
    private static let ln2High = 0x1.62e42feep-1
    private static let ln2Low = 0x1.a39ef35793c76p-33
    private static let log2E = 1.442695040888963407359924681001892137
    /// `1/13!` … `1/2!`: with |r| <= ln(2)/2 the first omitted term is below 1e-17.
    private static let inverseFactorials: [Double] = {
        var factorial = 1.0
        let upward = (2...13).map { (index: Int) -> Double in
            factorial *= Double(index)
            return 1 / factorial
        }
        return upward.reversed()
    }()

    /// e to the power of `x`: 0 below about -745, infinite above about 709.8, and not a number for not a number.
    static func exp(_ x: Double) -> Double {
        if x.isNaN { return x }
        if x > 709.79 { return .infinity }
        if x < -745.2 { return 0 }
        let k = floor(x * log2E + 0.5)
        let r = (x - k * ln2High) - k * ln2Low
        // Two factors: 2 to the power of `k` itself is not a normal number at either end of the range.
        let half = floor(k / 2)
        return (1 + seriesBelowOne(r)) * powerOfTwo(Int(half)) * powerOfTwo(Int(k - half))
    }

    /// e to the power of `x`, less 1, without the cancellation near zero.
    static func expMinusOne(_ x: Double) -> Double {
        abs(x) < 0.34 ? seriesBelowOne(x) : exp(x) - 1
    }

    /// The natural logarithm of `x`: negative infinity at 0, not a number below.
    static func log(_ x: Double) -> Double {
        if x.isNaN || x < 0 { return .nan }
        if x == 0 { return -.infinity }
        if x == .infinity { return x }
        var significand = x.significand
        var exponent = Double(x.exponent)
        if significand > 1.414213562373095 {
            significand /= 2
            exponent += 1
        }
        // ln m = 2 artanh(s), with |s| <= 0.172: the first omitted term is below 1e-18.
        let s = (significand - 1) / (significand + 1)
        let square = s * s
        var sum = 0.0
        var denominator = 23.0
        while denominator >= 3 {
            sum = (sum + 1 / denominator) * square
            denominator -= 2
        }
        return exponent * ln2High + (2 * s + (2 * s * sum + exponent * ln2Low))
    }

    /// The largest whole number not above `x`. The standard library's rounding would call into the C library.
    @inline(__always)
    static func floor(_ x: Double) -> Double {
        // From here on every double is whole; not a number goes the same way.
        guard abs(x) < 0x1p52 else { return x }
        let truncated = Double(Int64(x))
        return truncated > x ? truncated - 1 : truncated
    }

    /// The series of e^r - 1.
    private static func seriesBelowOne(_ r: Double) -> Double {
        var sum = 0.0
        for coefficient in inverseFactorials {
            sum = sum * r + coefficient
        }
        return r + r * r * sum
    }

    /// 2 to the power of `k`, for `k` in -1022...1023.
    private static func powerOfTwo(_ k: Int) -> Double {
        Double(sign: .plus, exponent: k, significand: 1)
    }
}
