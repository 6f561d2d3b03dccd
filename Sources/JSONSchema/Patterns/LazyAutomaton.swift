// A pattern whose sets of states are remembered, for texts that come in thousands.

/// A deterministic automaton that is made while it runs: a set of states that was reached before, and the set that a
/// character leads to, are looked up instead of followed again. For patterns without lookarounds and word boundaries,
/// which ask for more than the next character.
struct LazyAutomaton {
    private let pattern: Pattern
    /// By state: the `set` instructions that it stands for.
    private var threads: [[Int32]] = []
    /// By state: what it says about the text so far.
    private var flags: [UInt8] = []
    private static let accepts: UInt8 = 1
    private static let acceptsAtEnd: UInt8 = 2
    /// No character can lead to a match any more.
    private static let isDead: UInt8 = 4
    private var stateOfSeeds: [[Int32]: Int32] = [:]
    /// By state and ASCII character: the next state, or negative where that is not known yet.
    private var table: [Int32] = []
    private var marks: [Int]
    private var turn = 0
    private var start: Int32 = 0

    /// Past this many states all are forgotten: their number can grow with 2ⁿ, the time cannot.
    private static let maxStates = 200

    /// nil where the pattern asks for more than the next character.
    init?(_ pattern: Pattern) {
        for instruction in pattern.main.instructions {
            switch instruction {
            case .look, .assertion(.wordBoundary), .assertion(.noWordBoundary): return nil
            case .set, .split, .jump, .assertion, .accept: break
            }
        }
        self.pattern = pattern
        self.marks = [Int](repeating: 0, count: pattern.main.instructions.count)
    }

    /// Whether the pattern matches somewhere in the text, which is UTF-8. As `PatternMatcher.matches`.
    mutating func matches(_ text: UnsafeBufferPointer<UInt8>, steps: inout Int) -> Bool {
        if self.flags.isEmpty { self.start = self.state(from: [0], isStart: true, steps: &steps) }
        var state = Int(self.start)
        var index = 0
        while true {
            self.follow(text, &index, &state, steps: &steps)
            guard steps >= 0 else { return false }
            let flags = self.flags[state]
            if flags & Self.accepts != 0 { return true }
            guard index < text.count else { return flags & Self.acceptsAtEnd != 0 }
            guard flags & Self.isDead == 0 else { return false }
            let byte = text[index]
            if byte < 128 {
                index += 1
                state = Int(self.next(state, UInt32(byte), steps: &steps))
            } else {
                state = Int(self.next(state, Self.scalar(text, &index), steps: &steps))
            }
            steps -= 1
        }
    }

    /// Follows what is known already: the loop that long texts spend their time in.
    private func follow(_ text: UnsafeBufferPointer<UInt8>, _ index: inout Int, _ state: inout Int, steps: inout Int) {
        self.table.withUnsafeBufferPointer { table in
            self.flags.withUnsafeBufferPointer { flags in
                let start = index
                while index < text.count, text[index] < 128, flags[state] & (Self.accepts | Self.isDead) == 0 {
                    let next = table[state << 7 | Int(text[index])]
                    guard next >= 0 else { break }
                    state = Int(next)
                    index += 1
                }
                steps -= index - start
            }
        }
    }

    /// The scalar of several bytes at `index`, which moves behind it. The parser has checked the encoding.
    private static func scalar(_ text: UnsafeBufferPointer<UInt8>, _ index: inout Int) -> UInt32 {
        let first = UInt32(text[index])
        let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
        var value = first & (0xFF >> UInt32(length + 1))
        index += 1
        for _ in 1..<length where index < text.count {
            value = value << 6 | UInt32(text[index] & 0x3F)
            index += 1
        }
        return value
    }

    private mutating func next(_ state: Int, _ scalar: UInt32, steps: inout Int) -> Int32 {
        let threads = self.threads[state]
        steps -= threads.count
        var seeds: [Int32] = []
        for thread in threads {
            guard case .set(let set) = self.pattern.main.instructions[Int(thread)] else { continue }
            if self.pattern.sets[Int(set)].contains(scalar) { seeds.append(thread + 1) }
        }
        if !self.pattern.main.isAnchored { seeds.append(0) }
        if let known = self.stateOfSeeds[seeds] {
            if scalar < 128 { self.table[state << 7 | Int(scalar)] = known }
            return known
        }
        guard self.flags.count < Self.maxStates else {
            self.threads.removeAll(keepingCapacity: true)
            self.flags.removeAll(keepingCapacity: true)
            self.stateOfSeeds.removeAll(keepingCapacity: true)
            self.table.removeAll(keepingCapacity: true)
            self.start = self.state(from: [0], isStart: true, steps: &steps)
            return self.state(from: seeds, isStart: false, steps: &steps)
        }
        let new = self.state(from: seeds, isStart: false, steps: &steps)
        if scalar < 128 { self.table[state << 7 | Int(scalar)] = new }
        return new
    }

    /// A new state: what can be reached from `seeds` without a character.
    private mutating func state(from seeds: [Int32], isStart: Bool, steps: inout Int) -> Int32 {
        let accept = self.pattern.main.instructions.count - 1
        let atEnd = self.reach(seeds, isStart: isStart, isEnd: true, steps: &steps)
        let isRightAtEnd = self.marks[accept] == self.turn
        let threads = self.reach(seeds, isStart: isStart, isEnd: false, steps: &steps)
        steps -= atEnd.count + 128 / 8
        var flags = self.marks[accept] == self.turn ? Self.accepts : 0
        if isRightAtEnd { flags |= Self.acceptsAtEnd }
        if threads.isEmpty, self.pattern.main.isAnchored { flags |= Self.isDead }
        self.threads.append(threads)
        self.flags.append(flags)
        self.table.append(contentsOf: repeatElement(-1, count: 128))
        let state = Int32(truncatingIfNeeded: self.flags.count - 1)
        if !isStart { self.stateOfSeeds[seeds] = state }
        return state
    }

    private mutating func reach(_ seeds: [Int32], isStart: Bool, isEnd: Bool, steps: inout Int) -> [Int32] {
        self.turn += 1
        var threads: [Int32] = []
        var stack = seeds
        while let place = stack.popLast() {
            guard self.marks[Int(place)] != self.turn else { continue }
            self.marks[Int(place)] = self.turn
            steps -= 1
            switch self.pattern.main.instructions[Int(place)] {
            case .set: threads.append(place)
            case .jump(let target): stack.append(target)
            case .split(let first, let second):
                stack.append(second)
                stack.append(first)
            case .assertion(.start):
                if isStart { stack.append(place + 1) }
            case .assertion(.end):
                if isEnd { stack.append(place + 1) }
            case .assertion, .look, .accept: break
            }
        }
        return threads
    }
}
