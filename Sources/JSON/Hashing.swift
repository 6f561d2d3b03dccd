// Hashes of JSON values: 64 bits, seeded once per process so that no upstream can prepare two values that collide.
//
// Strings hash over their unescaped bytes, numbers over their exact decimal value, objects as a sum over members
// (order does not count), arrays as a chain. A 64-bit seeded hash is trusted where a mistake means a skipped change:
// one in 10¹⁹ per comparison.

/// The secrets of this process and the ways in which hashes are combined.
struct HashSeed: Sendable {
    let string: UInt64
    let number: UInt64
    let negative: UInt64
    let array: UInt64
    let object: UInt64
    let name: UInt64
    let value: UInt64
    let multiplier: UInt64

    init(using generator: inout some RandomNumberGenerator) {
        self.string = generator.next()
        self.number = generator.next()
        self.negative = generator.next()
        self.array = generator.next()
        self.object = generator.next()
        self.name = generator.next()
        self.value = generator.next()
        // The constant spreads bits even should the draw be sparse; odd, so that no bit of an operand is lost.
        self.multiplier = (generator.next() ^ 0x9E37_79B9_7F4A_7C15) | 1
    }

    static let process: HashSeed = {
        var generator = SystemRandomNumberGenerator()
        return HashSeed(using: &generator)
    }()

    /// `true`, `false` and `null`.
    @inline(__always)
    func literal(_ kind: Value.Kind) -> UInt64 {
        fold(self.value ^ UInt64(kind.rawValue), self.multiplier)
    }

    /// One member's contribution to its object. Contributions are added, wrapping.
    @inline(__always)
    func member(name: UInt64, value: UInt64) -> UInt64 {
        fold(name ^ self.name, value ^ self.value)
    }

    @inline(__always)
    func closeObject(_ sum: UInt64, count: UInt64) -> UInt64 {
        fold(sum ^ self.object, self.multiplier ^ count)
    }

    /// The next element of an array whose chain so far, from `array`, is `chain`.
    @inline(__always)
    func element(_ chain: UInt64, _ value: UInt64) -> UInt64 {
        fold(chain ^ value, self.multiplier)
    }

    @inline(__always)
    func closeArray(_ chain: UInt64, count: UInt64) -> UInt64 {
        fold(chain ^ self.object, self.multiplier ^ count)
    }

    /// The last step of a string's hash: `tail` holds the zero to seven bytes after the last whole word.
    @inline(__always)
    func closeString(_ state: UInt64, tail: UInt64, count: Int) -> UInt64 {
        fold(state ^ tail, self.multiplier ^ UInt64(truncatingIfNeeded: count))
    }

    /// The hash of unescaped bytes.
    func string(_ bytes: UnsafePointer<UInt8>, count: Int) -> UInt64 {
        var state = self.string
        var index = 0
        while count &- index >= 8 {
            state = fold(state ^ loadWord(bytes + index), self.multiplier)
            index &+= 8
        }
        var tail: UInt64 = 0
        var shift: UInt64 = 0
        while index < count {
            tail |= UInt64(bytes[index]) &<< shift
            shift &+= 8
            index &+= 1
        }
        return self.closeString(state, tail: tail, count: count)
    }

    func string(_ bytes: [UInt8]) -> UInt64 {
        bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return self.closeString(self.string, tail: 0, count: 0) }
            return self.string(base, count: buffer.count)
        }
    }
}

/// A hash of any bytes, for this process only. Several bytes a nanosecond.
package func processHash(of bytes: [UInt8]) -> UInt64 {
    let seed = HashSeed.process
    return bytes.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return seed.string }
        // Four chains side by side, since each step of one waits for the step before.
        var (a, b, c, d) = (seed.string, seed.number, seed.array, seed.object)
        var index = 0
        while buffer.count &- index >= 32 {
            a = fold(a ^ loadWord(base + index), seed.multiplier)
            b = fold(b ^ loadWord(base + index + 8), seed.multiplier)
            c = fold(c ^ loadWord(base + index + 16), seed.multiplier)
            d = fold(d ^ loadWord(base + index + 24), seed.multiplier)
            index &+= 32
        }
        let tail = seed.string(base + index, count: buffer.count &- index)
        return [b, c, d, UInt64(buffer.count)].reduce(fold(tail ^ a, seed.multiplier)) { hash, part in
            fold(hash ^ part, seed.multiplier)
        }
    }
}

/// Multiplies to 128 bits and folds the halves: two instructions that mix all bits.
@inline(__always)
func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let product = left.multipliedFullWidth(by: right)
    return product.high ^ product.low
}

/// Eight bytes as a number whose lowest byte is the first one, at any alignment.
@inline(__always)
func loadWord(_ bytes: UnsafePointer<UInt8>) -> UInt64 {
    UInt64(littleEndian: UnsafeRawPointer(bytes).loadUnaligned(as: UInt64.self))
}

/// How many of the first `limit` bytes of two runs are the same, up to the first that differs.
func equalCount(_ left: UnsafePointer<UInt8>, _ right: UnsafePointer<UInt8>, limit: Int) -> Int {
    var count = 0
    while limit &- count >= 32 {
        let a = loadWord(left + count) ^ loadWord(right + count)
        let b = loadWord(left + count + 8) ^ loadWord(right + count + 8)
        let c = loadWord(left + count + 16) ^ loadWord(right + count + 16)
        let d = loadWord(left + count + 24) ^ loadWord(right + count + 24)
        guard a | b | c | d == 0 else { break }
        count &+= 32
    }
    while limit &- count >= 8 {
        let difference = loadWord(left + count) ^ loadWord(right + count)
        guard difference == 0 else { return count &+ difference.trailingZeroBitCount >> 3 }
        count &+= 8
    }
    while count < limit, left[count] == right[count] { count &+= 1 }
    return count
}

/// Whether two runs of `count` bytes are the same.
@inline(__always)
func bytesAreEqual(_ left: UnsafePointer<UInt8>, _ right: UnsafePointer<UInt8>, count: Int) -> Bool {
    equalCount(left, right, limit: count) == count
}

/// Whether two texts are the same, byte for byte: `==` of arrays takes one byte at a time, which shows where a poll compares
/// a whole body with the last one.
package func textsAreEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    guard left.count == right.count else { return false }
    return left.withUnsafeBufferPointer { left in
        right.withUnsafeBufferPointer { right in
            guard let a = left.baseAddress, let b = right.baseAddress, a != b else { return true }
            return bytesAreEqual(a, b, count: left.count)
        }
    }
}
