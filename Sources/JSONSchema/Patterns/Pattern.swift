// A compiled pattern: an automaton whose states are followed all at once, so that time grows with text times pattern and
// never faster (Thompson 1968, Pike).

/// A regular expression, compiled. It may match anywhere in a text, as JSON Schema wants (Core §6.4).
final class Pattern: Sendable {
    enum Instruction: Sendable {
        case set(Int32)
        /// Both ways.
        case split(Int32, Int32)
        case jump(Int32)
        case assertion(PatternAssertion)
        /// Whether a lookaround, by number, holds here.
        case look(Int32, isNegated: Bool)
        case accept
    }

    /// The states of the pattern or of what a lookaround looks for.
    struct Automaton: Sendable {
        var instructions: [Instruction] = []
        /// Begins with `^`: only the first character can start a match.
        var isAnchored = false
    }

    /// A lookaround is evaluated for all positions of a text in one pass, against the direction it looks in; the pattern
    /// then asks the result. So it costs what a pattern of its size costs.
    struct Look: Sendable {
        var automaton: Automaton
        var isBehind: Bool
    }

    let main: Automaton
    let sets: [ScalarSet]
    /// Inner ones before those around them.
    let looks: [Look]

    convenience init(_ text: String, maxSize: Int) throws(PatternError) {
        try self.init(try PatternParser.parse(text), maxSize: maxSize)
    }

    init(_ tree: PatternTree, maxSize: Int) throws(PatternError) {
        var compiler = PatternCompiler(maxSize: maxSize)
        self.main = try compiler.automaton(tree, isReversed: false)
        self.sets = compiler.sets
        self.looks = compiler.looks
    }
}

/// Makes a pattern's automata from its tree.
private struct PatternCompiler {
    private(set) var sets: [ScalarSet] = []
    private(set) var looks: [Pattern.Look] = []
    private var size = 0
    private let maxSize: Int

    init(maxSize: Int) {
        self.maxSize = maxSize
    }

    mutating func automaton(_ tree: PatternTree, isReversed: Bool) throws(PatternError) -> Pattern.Automaton {
        var automaton = Pattern.Automaton()
        try self.emit(tree, into: &automaton, isReversed: isReversed)
        try self.append(.accept, to: &automaton)
        if case .assertion(.start) = automaton.instructions[0], !isReversed { automaton.isAnchored = true }
        return automaton
    }

    private mutating func append(_ instruction: Pattern.Instruction, to automaton: inout Pattern.Automaton)
        throws(PatternError)
    {
        self.size += 1
        guard self.size <= self.maxSize else {
            throw PatternError(reason: "with its repetitions it has more than \(self.maxSize) states", offset: 0)
        }
        automaton.instructions.append(instruction)
    }

    private mutating func emit(
        _ tree: PatternTree,
        into automaton: inout Pattern.Automaton,
        isReversed: Bool
    ) throws(PatternError) {
        switch tree {
        case .empty: break
        case .set(let set):
            self.sets.append(set)
            try self.append(.set(Int32(truncatingIfNeeded: self.sets.count - 1)), to: &automaton)
        case .sequence(let terms):
            for term in isReversed ? terms.reversed() : terms {
                try self.emit(term, into: &automaton, isReversed: isReversed)
            }
        case .choice(let branches): try self.emit(branches: branches, into: &automaton, isReversed: isReversed)
        case .loop(let body, let least, let most):
            try self.emit(body, least: least, most: most, into: &automaton, isReversed: isReversed)
        case .assertion(let assertion): try self.append(.assertion(assertion), to: &automaton)
        case .look(let body, let isBehind, let isNegated):
            let inner = try self.automaton(body, isReversed: !isBehind)
            self.looks.append(Pattern.Look(automaton: inner, isBehind: isBehind))
            let number = Int32(truncatingIfNeeded: self.looks.count - 1)
            try self.append(.look(number, isNegated: isNegated), to: &automaton)
        }
    }

    private mutating func emit(
        branches: [PatternTree],
        into automaton: inout Pattern.Automaton,
        isReversed: Bool
    ) throws(PatternError) {
        var jumps: [Int] = []
        for (position, branch) in branches.enumerated() {
            guard position < branches.count - 1 else {
                try self.emit(branch, into: &automaton, isReversed: isReversed)
                break
            }
            let split = automaton.instructions.count
            try self.append(.split(0, 0), to: &automaton)
            try self.emit(branch, into: &automaton, isReversed: isReversed)
            jumps.append(automaton.instructions.count)
            try self.append(.jump(0), to: &automaton)
            automaton.instructions[split] = .split(Self.place(split + 1), Self.place(automaton.instructions.count))
        }
        for jump in jumps { automaton.instructions[jump] = .jump(Self.place(automaton.instructions.count)) }
    }

    private mutating func emit(
        _ body: PatternTree,
        least: Int,
        most: Int?,
        into automaton: inout Pattern.Automaton,
        isReversed: Bool
    ) throws(PatternError) {
        var start = automaton.instructions.count
        for _ in 0..<least {
            start = automaton.instructions.count
            try self.emit(body, into: &automaton, isReversed: isReversed)
            // An empty body may be repeated at no cost.
            if automaton.instructions.count == start { break }
        }
        guard let most else {
            if least > 0 {
                let end = automaton.instructions.count
                try self.append(.split(Self.place(start), Self.place(end + 1)), to: &automaton)
            } else {
                let split = automaton.instructions.count
                try self.append(.split(0, 0), to: &automaton)
                try self.emit(body, into: &automaton, isReversed: isReversed)
                try self.append(.jump(Self.place(split)), to: &automaton)
                automaton.instructions[split] = .split(
                    Self.place(split + 1),
                    Self.place(automaton.instructions.count)
                )
            }
            return
        }
        var splits: [Int] = []
        for _ in least..<max(most, least) {
            splits.append(automaton.instructions.count)
            try self.append(.split(0, 0), to: &automaton)
            try self.emit(body, into: &automaton, isReversed: isReversed)
        }
        let end = Self.place(automaton.instructions.count)
        for split in splits { automaton.instructions[split] = .split(Self.place(split + 1), end) }
    }

    private static func place(_ position: Int) -> Int32 { Int32(truncatingIfNeeded: position) }
}
