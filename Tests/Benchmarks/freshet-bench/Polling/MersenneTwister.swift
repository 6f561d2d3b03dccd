// The random generator of the policy's reference harness. With it a run of ours meets the same draws as a run of the
// reference, so that what differs between their figures is the policy and not the dice.

/// MT19937, seeded and read as Python's `random.Random` does.
struct MersenneTwister: RandomNumberGenerator {
    private static let size = 624
    private static let middle = 397

    private var state: [UInt32]
    private var index = Self.size

    /// One for each source and seed: the CRC-32 of the source's name plus `seed`.
    init(name: String, seed: UInt64) {
        self.init(seed: UInt64(Self.checksum(of: name.utf8)) &+ seed)
    }

    /// `init_by_array` of the 32-bit words of `seed`, least significant first.
    init(seed: UInt64) {
        let words = [UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)]
        let key = words[1] == 0 ? [words[0]] : words
        self.state = Self.initialState(19_650_218)
        var place = 1
        func previous(_ state: [UInt32]) -> UInt32 { state[place - 1] ^ (state[place - 1] >> 30) }
        func advance(_ state: inout [UInt32]) {
            place += 1
            if place >= Self.size {
                state[0] = state[Self.size - 1]
                place = 1
            }
        }
        for step in 0..<Self.size {
            let word = step % key.count
            self.state[place] =
                (self.state[place] ^ (previous(self.state) &* 1_664_525)) &+ key[word] &+ UInt32(word)
            advance(&self.state)
        }
        for _ in 1..<Self.size {
            self.state[place] = (self.state[place] ^ (previous(self.state) &* 1_566_083_941)) &- UInt32(place)
            advance(&self.state)
        }
        self.state[0] = 0x8000_0000
    }

    /// The 53 bits of Python's `random()`, lowest first: the standard library takes the same bits for a double.
    mutating func next() -> UInt64 {
        let high = UInt64(self.word() >> 5)
        return high << 26 | UInt64(self.word() >> 6)
    }

    /// From 0 to 1, without 1.
    mutating func unit() -> Double { Double(self.next()) * 0x1p-53 }

    private mutating func word() -> UInt32 {
        if self.index >= Self.size { self.twist() }
        var word = self.state[self.index]
        self.index += 1
        word ^= word >> 11
        word ^= (word << 7) & 0x9D2C_5680
        word ^= (word << 15) & 0xEFC6_0000
        return word ^ (word >> 18)
    }

    private mutating func twist() {
        for place in 0..<Self.size {
            let next = self.state[(place + 1) % Self.size]
            let bits = (self.state[place] & 0x8000_0000) | (next & 0x7FFF_FFFF)
            let shifted = (bits >> 1) ^ (bits & 1 == 0 ? 0 : 0x9908_B0DF)
            self.state[place] = self.state[(place + Self.middle) % Self.size] ^ shifted
        }
        self.index = 0
    }

    private static func initialState(_ seed: UInt32) -> [UInt32] {
        var state = [seed]
        for place in 1..<size {
            let previous = state[place - 1]
            state.append(1_812_433_253 &* (previous ^ (previous >> 30)) &+ UInt32(place))
        }
        return state
    }

    /// CRC-32 as zlib has it.
    private static func checksum(of bytes: some Sequence<UInt8>) -> UInt32 {
        ~bytes.reduce(0xFFFF_FFFF) { (checksum: UInt32, byte: UInt8) in
            (0..<8).reduce(checksum ^ UInt32(byte)) { value, _ in
                (value >> 1) ^ (value & 1 == 0 ? 0 : 0xEDB8_8320)
            }
        }
    }
}
