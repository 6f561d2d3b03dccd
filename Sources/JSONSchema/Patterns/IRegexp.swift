// I-Regexp (RFC 9485), as JSONPath's functions take it: read strictly, matched by the same automata as other patterns.

/// A regular expression of RFC 9485, compiled. Time grows with text times pattern and never faster.
package struct IRegexp: Sendable {
    private let pattern: Pattern

    /// The most states: a bounded repetition counts as often as it may repeat.
    package static let maxSize = 10_000

    /// `isWhole`: it has to match all of a text, else any part of it. Nil for what is no I-Regexp, or has more than ``maxSize``
    /// states.
    package init?(_ text: [UInt8], isWhole: Bool) {
        var parser = IRegexpParser(text)
        guard var tree = parser.parse() else { return nil }
        if isWhole { tree = .sequence([.assertion(.start), tree, .assertion(.end)]) }
        guard let pattern = try? Pattern(tree, maxSize: Self.maxSize) else { return nil }
        self.pattern = pattern
    }

    /// Whether it matches a text, which is UTF-8; nil where that takes more than `steps`, from which what it took is taken.
    package func matches(_ text: [UInt8], steps: inout Int) -> Bool? {
        var matcher = PatternMatcher(steps: steps)
        let isMatch = text.withUnsafeBufferPointer { matcher.matches(self.pattern, $0) }
        steps = matcher.steps
        return steps < 0 ? nil : isMatch
    }
}

/// Reads the grammar of RFC 9485 §4. Recursive, but no deeper than `maxDepth` groups.
private struct IRegexpParser {
    private let text: [UInt32]
    private var position = 0
    private var depth = 0
    private static let maxDepth = 50
    private static let maxRepetitions = 1_000_000
    /// All but line feed and carriage return.
    private static let any = ScalarSet([0x0A...0x0A, 0x0D...0x0D]).negated()
    private static let categories: Set<String> = [
        "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Pe", "Pf",
        "Pi", "Po", "Ps", "Z", "Zl", "Zp", "Zs", "S", "Sc", "Sk", "Sm", "So", "C", "Cc", "Cf", "Cn", "Co",
    ]

    init(_ text: [UInt8]) {
        self.text = String(decoding: text, as: UTF8.self).unicodeScalars.map(\.value)
    }

    private var next: UInt32? { self.position < self.text.count ? self.text[self.position] : nil }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard self.next == character.value else { return false }
        self.position += 1
        return true
    }

    mutating func parse() -> PatternTree? {
        guard let tree = self.choice(), self.position == self.text.count else { return nil }
        return tree
    }

    private mutating func choice() -> PatternTree? {
        self.depth += 1
        defer { self.depth -= 1 }
        guard self.depth <= Self.maxDepth else { return nil }
        var branches: [PatternTree] = []
        repeat {
            guard let branch = self.branch() else { return nil }
            branches.append(branch)
        } while self.take("|")
        return branches.count == 1 ? branches[0] : .choice(branches)
    }

    private mutating func branch() -> PatternTree? {
        var pieces: [PatternTree] = []
        while let next = self.next, next != 0x7C, next != 0x29 {
            guard let atom = self.atom(), let piece = self.repeated(atom) else { return nil }
            pieces.append(piece)
        }
        return pieces.isEmpty ? .empty : .sequence(pieces)
    }

    private mutating func repeated(_ atom: PatternTree) -> PatternTree? {
        if case .assertion = atom { return self.peeksQuantifier ? nil : atom }
        if self.take("*") { return .loop(atom, least: 0, most: nil) }
        if self.take("+") { return .loop(atom, least: 1, most: nil) }
        if self.take("?") { return .loop(atom, least: 0, most: 1) }
        guard self.take("{") else { return atom }
        guard let least = self.number() else { return nil }
        var most: Int? = least
        if self.take(",") { most = self.number() }
        guard self.take("}"), most ?? least >= least else { return nil }
        return .loop(atom, least: least, most: most)
    }

    private var peeksQuantifier: Bool {
        self.next.map { next in "*+?{".unicodeScalars.contains { $0.value == next } } ?? false
    }

    private mutating func number() -> Int? {
        var value: Int?
        while let next = self.next, (0x30...0x39).contains(next) {
            value = min((value ?? 0) * 10 + Int(next - 0x30), Self.maxRepetitions)
            self.position += 1
        }
        return value
    }

    private mutating func atom() -> PatternTree? {
        guard let next = self.next else { return nil }
        switch Unicode.Scalar(next) {
        case "(":
            self.position += 1
            guard let tree = self.choice(), self.take(")") else { return nil }
            return tree
        case ".":
            self.position += 1
            return .set(Self.any)
        // As in the regular expressions that RFC 9485 §5 maps it to, and as JSONPath's compliance suite has it.
        case "^":
            self.position += 1
            return .assertion(.start)
        case "$":
            self.position += 1
            return .assertion(.end)
        case "[": return self.characterClass().map(PatternTree.set)
        case "\\": return self.escape().map(PatternTree.set)
        case "*", "+", "?", "{", "}", "]", ")", "|": return nil
        case _:
            self.position += 1
            return .set(ScalarSet([next...next]))
        }
    }

    private mutating func escape() -> ScalarSet? {
        guard self.position + 1 < self.text.count else { return nil }
        let letter = Unicode.Scalar(self.text[self.position + 1])
        guard letter == "p" || letter == "P" else { return self.singleEscape().map { ScalarSet([$0...$0]) } }
        self.position += 2
        guard self.take("{") else { return nil }
        var name = ""
        while let next = self.next, next != 0x7D, let scalar = Unicode.Scalar(next) {
            name.unicodeScalars.append(scalar)
            self.position += 1
        }
        guard self.take("}"), Self.categories.contains(name), let property = ScalarProperty(name) else { return nil }
        var set = ScalarSet()
        set.insert(property, isNegated: letter == "P")
        set.finish()
        return set
    }

    private mutating func singleEscape() -> UInt32? {
        guard self.take("\\"), let letter = self.next else { return nil }
        self.position += 1
        switch Unicode.Scalar(letter) {
        case "n": return 0x0A
        case "r": return 0x0D
        case "t": return 0x09
        case "(", ")", "*", "+", "-", ".", "?", "[", "\\", "]", "^", "{", "|", "}": return letter
        case _: return nil
        }
    }

    private mutating func characterClass() -> ScalarSet? {
        self.position += 1
        let isNegated = self.take("^")
        var set = ScalarSet()
        var isEmpty = true
        if self.take("-") {
            set.insert(0x2D...0x2D)
            isEmpty = false
        }
        while let next = self.next, next != 0x5D {
            if next == 0x2D {
                // The last hyphen is one.
                self.position += 1
                set.insert(0x2D...0x2D)
                guard !isEmpty, self.next == 0x5D else { return nil }
                break
            }
            isEmpty = false
            if next == 0x5C, self.position + 1 < self.text.count, [0x70, 0x50].contains(self.text[self.position + 1]) {
                guard let escaped = self.escape() else { return nil }
                set.insert(escaped)
                continue
            }
            guard let first = self.classCharacter() else { return nil }
            let isRange =
                self.next == 0x2D && self.position + 1 < self.text.count && self.text[self.position + 1] != 0x5D
            guard isRange else {
                set.insert(first...first)
                continue
            }
            self.position += 1
            guard let last = self.classCharacter(), last >= first else { return nil }
            set.insert(first...last)
        }
        guard !isEmpty, self.take("]") else { return nil }
        set.finish()
        return isNegated ? set.negated() : set
    }

    private mutating func classCharacter() -> UInt32? {
        guard let next = self.next else { return nil }
        if next == 0x5C { return self.singleEscape() }
        guard next != 0x2D, next != 0x5B, next != 0x5D else { return nil }
        self.position += 1
        return next
    }
}
