// Follows a pattern's states over a text.

/// Matches texts. Reused between them, so that its buffers are made once.
struct PatternMatcher {
    /// Steps left: one for each state followed over each character. Below zero, the answer means nothing.
    var steps: Int
    private var scalars: [UInt32] = []
    private var threads: [Int32] = []
    private var following: [Int32] = []
    /// Per instruction: the turn in which it was last reached.
    private var marks: [Int] = []
    private var turn = 0
    private var stack: [Int32] = []
    /// Of each lookaround: whether it holds in front of each character and at the end.
    private var lookResults: [[Bool]] = []

    init(steps: Int) {
        self.steps = steps
    }

    /// By number of a pattern: how often it was asked for, and its automaton once that is worth making.
    private var uses: [Int] = []
    private var automata: [LazyAutomaton?] = []
    private static let usesBeforeAutomaton = 16

    /// As below, of the pattern with that number: one that is asked for often gets faster.
    mutating func matches(_ pattern: Pattern, number: Int32, _ text: UnsafeBufferPointer<UInt8>) -> Bool {
        let number = Int(number)
        if number >= self.uses.count {
            let missing = number + 1 - self.uses.count
            self.uses.append(contentsOf: repeatElement(0, count: missing))
            self.automata.append(contentsOf: repeatElement(nil, count: missing))
        }
        if let found = self.automata[number]?.matches(text, steps: &self.steps) { return found }
        self.uses[number] += 1
        if self.uses[number] == Self.usesBeforeAutomaton { self.automata[number] = LazyAutomaton(pattern) }
        return self.matches(pattern, text)
    }

    /// Whether `pattern` matches somewhere in the text, which is UTF-8.
    mutating func matches(_ pattern: Pattern, _ text: UnsafeBufferPointer<UInt8>) -> Bool {
        self.decode(text)
        self.lookResults.removeAll(keepingCapacity: true)
        for look in pattern.looks {
            self.steps -= self.scalars.count
            guard self.steps >= 0 else { return false }
            var holds = [Bool](repeating: false, count: self.scalars.count + 1)
            _ = self.run(look.automaton, of: pattern, isForward: look.isBehind) { holds[$0] = true }
            self.lookResults.append(holds)
        }
        return self.run(pattern.main, of: pattern, isForward: true, onAccept: nil)
    }

    private mutating func decode(_ text: UnsafeBufferPointer<UInt8>) {
        self.scalars.removeAll(keepingCapacity: true)
        self.steps -= text.count / 8
        guard self.steps >= 0 else { return }
        var decoder = Unicode.UTF8.ForwardParser()
        var bytes = text.makeIterator()
        loop: while true {
            switch decoder.parseScalar(from: &bytes) {
            case .valid(let encoded): self.scalars.append(Unicode.UTF8.decode(encoded).value)
            case .error: self.scalars.append(0xFFFD)
            case .emptyInput: break loop
            }
        }
    }

    /// Runs over the text. Without `onAccept` it stops at the first match; with it, it reports every position at which a
    /// match ends and goes on.
    private mutating func run(
        _ automaton: Pattern.Automaton,
        of pattern: Pattern,
        isForward: Bool,
        onAccept: ((Int) -> Void)?
    ) -> Bool {
        self.threads.removeAll(keepingCapacity: true)
        if self.marks.count < automaton.instructions.count {
            self.marks = [Int](repeating: 0, count: automaton.instructions.count)
        }
        self.turn += 1
        let count = self.scalars.count
        for offset in 0...count {
            let position = isForward ? offset : count - offset
            // The turn of this position has begun with what the character before has led to.
            var isAccepted = false
            if offset == 0 || !automaton.isAnchored || onAccept != nil {
                self.reach(0, automaton, at: position)
            }
            isAccepted = self.marks[automaton.instructions.count - 1] == self.turn
            if isAccepted {
                guard let onAccept else { return true }
                onAccept(position)
            }
            self.steps -= self.threads.count + 1
            guard self.steps >= 0, offset < count else { return false }
            if self.threads.isEmpty, automaton.isAnchored, onAccept == nil { return false }
            let scalar = self.scalars[isForward ? position : position - 1]
            swap(&self.threads, &self.following)
            self.threads.removeAll(keepingCapacity: true)
            self.turn += 1
            let next = isForward ? position + 1 : position - 1
            for thread in self.following {
                guard case .set(let set) = automaton.instructions[Int(thread)] else { continue }
                if pattern.sets[Int(set)].contains(scalar) { self.reach(thread + 1, automaton, at: next) }
            }
        }
        return false
    }

    /// Adds the states that can be reached from `start` without a character.
    private mutating func reach(_ start: Int32, _ automaton: Pattern.Automaton, at position: Int) {
        self.stack.append(start)
        while let place = self.stack.popLast() {
            guard self.marks[Int(place)] != self.turn else { continue }
            self.marks[Int(place)] = self.turn
            self.steps -= 1
            switch automaton.instructions[Int(place)] {
            case .set: self.threads.append(place)
            case .jump(let target): self.stack.append(target)
            case .split(let first, let second):
                self.stack.append(second)
                self.stack.append(first)
            case .assertion(let assertion):
                if self.holds(assertion, at: position) { self.stack.append(place + 1) }
            case .look(let number, let isNegated):
                if self.lookResults[Int(number)][position] != isNegated { self.stack.append(place + 1) }
            case .accept: break
            }
        }
    }

    private func holds(_ assertion: PatternAssertion, at position: Int) -> Bool {
        switch assertion {
        case .start: position == 0
        case .end: position == self.scalars.count
        case .wordBoundary: self.isWord(position - 1) != self.isWord(position)
        case .noWordBoundary: self.isWord(position - 1) == self.isWord(position)
        }
    }

    private func isWord(_ position: Int) -> Bool {
        self.scalars.indices.contains(position) && ScalarSet.word.contains(self.scalars[position])
    }
}
