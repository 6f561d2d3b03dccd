// Reads the text of a pattern: ECMA-262 §22.2.1 in Unicode mode, with the liberties that published schemas take.

/// Why a text is no pattern that can be used here.
struct PatternError: Error {
    var reason: String
    /// In Unicode scalars from the start.
    var offset: Int
}

/// A pattern as a tree.
indirect enum PatternTree {
    case empty
    case set(ScalarSet)
    case sequence([PatternTree])
    case choice([PatternTree])
    /// `most` is nil where there is no upper bound. Whether the loop is greedy does not matter: only whether there is a
    /// match is asked.
    case loop(PatternTree, least: Int, most: Int?)
    case assertion(PatternAssertion)
    /// `(?=…)`, `(?!…)`, `(?<=…)`, `(?<!…)`.
    case look(PatternTree, isBehind: Bool, isNegated: Bool)
}

/// What holds between two characters.
enum PatternAssertion: Sendable {
    case start
    case end
    case wordBoundary
    case noWordBoundary
}

/// Reads one pattern. Recursive, but no deeper than `maxDepth` groups.
struct PatternParser {
    private let text: [UInt32]
    private var position = 0
    private var depth = 0
    private static let maxDepth = 50
    private static let maxRepetitions = 1_000_000

    init(_ text: String) {
        self.text = text.unicodeScalars.map(\.value)
    }

    static func parse(_ text: String) throws(PatternError) -> PatternTree {
        var parser = PatternParser(text)
        let tree = try parser.choice()
        guard parser.position == parser.text.count else { throw parser.error("a ) closes nothing") }
        return tree
    }

    private func error(_ reason: String) -> PatternError { PatternError(reason: reason, offset: self.position) }

    private var next: UInt32? { self.position < self.text.count ? self.text[self.position] : nil }

    private func peeks(_ text: String) -> Bool {
        self.text[self.position...].starts(with: text.unicodeScalars.map(\.value))
    }

    private mutating func take(_ text: String) -> Bool {
        guard self.peeks(text) else { return false }
        self.position += text.unicodeScalars.count
        return true
    }

    // MARK: Terms

    private mutating func choice() throws(PatternError) -> PatternTree {
        self.depth += 1
        defer { self.depth -= 1 }
        guard self.depth <= Self.maxDepth else { throw self.error("groups are nested more than \(Self.maxDepth) deep") }
        var branches = [try self.sequence()]
        while self.take("|") { branches.append(try self.sequence()) }
        return branches.count == 1 ? branches[0] : .choice(branches)
    }

    private mutating func sequence() throws(PatternError) -> PatternTree {
        var terms: [PatternTree] = []
        while let next = self.next, next != 0x7C, next != 0x29 {
            let term = try self.atom()
            terms.append(try self.repeated(term))
        }
        return terms.isEmpty ? .empty : terms.count == 1 ? terms[0] : .sequence(terms)
    }

    private mutating func repeated(_ term: PatternTree) throws(PatternError) -> PatternTree {
        let least: Int
        let most: Int?
        if self.take("*") {
            (least, most) = (0, nil)
        } else if self.take("+") {
            (least, most) = (1, nil)
        } else if self.take("?") {
            (least, most) = (0, 1)
        } else if let bounds = try self.bounds() {
            (least, most) = bounds
        } else {
            return term
        }
        if case .assertion = term { throw self.error("there is nothing to repeat") }
        _ = self.take("?")
        return .loop(term, least: least, most: most)
    }

    /// `{n}`, `{n,}` or `{n,m}`; any other brace is a character.
    private mutating func bounds() throws(PatternError) -> (least: Int, most: Int?)? {
        let start = self.position
        guard self.take("{"), let least = self.number() else {
            self.position = start
            return nil
        }
        var most: Int? = least
        if self.take(",") { most = self.number() }
        guard self.take("}") else {
            self.position = start
            return nil
        }
        guard most ?? least >= least else { throw self.error("a repetition has its bounds in the wrong order") }
        return (least, most)
    }

    private mutating func number() -> Int? {
        var value: Int?
        while let next = self.next, (0x30...0x39).contains(next) {
            value = min((value ?? 0) * 10 + Int(next - 0x30), Self.maxRepetitions)
            self.position += 1
        }
        return value
    }

    private mutating func atom() throws(PatternError) -> PatternTree {
        guard let next = self.next else { throw self.error("the pattern ends too early") }
        switch next {
        case 0x5E:
            self.position += 1
            return .assertion(.start)
        case 0x24:
            self.position += 1
            return .assertion(.end)
        case 0x2E:
            self.position += 1
            return .set(.any)
        case 0x28: return try self.group()
        case 0x5B: return .set(try self.characterClass())
        case 0x5C: return try self.escape()
        case 0x2A, 0x2B, 0x3F: throw self.error("there is nothing to repeat")
        case _:
            self.position += 1
            return .set(ScalarSet([next...next]))
        }
    }

    private mutating func group() throws(PatternError) -> PatternTree {
        var look: (isBehind: Bool, isNegated: Bool)?
        if self.take("(?=") {
            look = (false, false)
        } else if self.take("(?!") {
            look = (false, true)
        } else if self.take("(?<=") {
            look = (true, false)
        } else if self.take("(?<!") {
            look = (true, true)
        } else if self.take("(?:") {
        } else if self.take("(?<") {
            while let next = self.next, next != 0x3E { self.position += 1 }
            guard self.take(">") else { throw self.error("the name of a group has no end") }
        } else if self.peeks("(?") {
            throw self.error("this kind of group is not known")
        } else {
            self.position += 1
        }
        let tree = try self.choice()
        guard self.take(")") else { throw self.error("a group is not closed") }
        return look.map { .look(tree, isBehind: $0.isBehind, isNegated: $0.isNegated) } ?? tree
    }

    // MARK: Escapes

    private mutating func escape() throws(PatternError) -> PatternTree {
        if self.take("\\b") { return .assertion(.wordBoundary) }
        if self.take("\\B") { return .assertion(.noWordBoundary) }
        if self.position + 1 < self.text.count, (0x31...0x39).contains(self.text[self.position + 1]) {
            throw self.error("a backreference cannot be matched in linear time")
        }
        if self.peeks("\\k") { throw self.error("a backreference cannot be matched in linear time") }
        return .set(try self.escapedSet())
    }

    /// The set that an escape stands for, in or outside a class.
    private mutating func escapedSet() throws(PatternError) -> ScalarSet {
        self.position += 1
        guard let letter = self.next else { throw self.error("the pattern ends after a backslash") }
        self.position += 1
        switch Unicode.Scalar(letter) {
        case "d": return .digits
        case "D": return ScalarSet.digits.negated()
        case "w": return .word
        case "W": return ScalarSet.word.negated()
        case "s": return .space
        case "S": return ScalarSet.space.negated()
        case "p", "P": return try self.property(isNegated: letter == 0x50)
        case _:
            self.position -= 1
            let scalar = try self.escapedScalar()
            return ScalarSet([scalar...scalar])
        }
    }

    private mutating func property(isNegated: Bool) throws(PatternError) -> ScalarSet {
        guard self.take("{") else { throw self.error("\\p needs a property in braces") }
        var name = String.UnicodeScalarView()
        while let next = self.next, next != 0x7D, let scalar = Unicode.Scalar(next) {
            name.append(scalar)
            self.position += 1
        }
        guard self.take("}"), let property = ScalarProperty(String(name)) else {
            throw self.error("this Unicode property is not known here")
        }
        var set = ScalarSet()
        set.insert(property, isNegated: isNegated)
        set.finish()
        return set
    }

    /// The character that an escape stands for; the position is at the letter.
    private mutating func escapedScalar() throws(PatternError) -> UInt32 {
        guard let letter = self.next else { throw self.error("the pattern ends after a backslash") }
        self.position += 1
        switch Unicode.Scalar(letter) {
        case "t": return 0x09
        case "n": return 0x0A
        case "v": return 0x0B
        case "f": return 0x0C
        case "r": return 0x0D
        case "0": return 0
        case "b": return 0x08
        case "c":
            guard let control = self.next, (0x41...0x5A).contains(control & ~0x20) else {
                throw self.error("\\c needs a letter")
            }
            self.position += 1
            return control & 0x1F
        case "x": return try self.hexadecimal(2)
        case "u": return try self.unicodeEscape()
        case _:
            let isLetterOrDigit =
                (0x30...0x39).contains(letter) || (0x41...0x5A).contains(letter) || (0x61...0x7A).contains(letter)
            guard !isLetterOrDigit else { throw self.error("this escape is not known") }
            return letter
        }
    }

    private mutating func unicodeEscape() throws(PatternError) -> UInt32 {
        if self.take("{") {
            var digits = 0
            while let next = self.next, next != 0x7D {
                digits += 1
                self.position += 1
            }
            self.position -= digits
            let value = try self.hexadecimal(digits)
            guard self.take("}"), value <= 0x10FFFF else { throw self.error("\\u{…} is no character") }
            return value
        }
        let first = try self.hexadecimal(4)
        guard (0xD800...0xDBFF).contains(first), self.peeks("\\u") else { return first }
        let start = self.position
        self.position += 2
        let second = try self.hexadecimal(4)
        guard (0xDC00...0xDFFF).contains(second) else {
            self.position = start
            return first
        }
        return 0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)
    }

    private mutating func hexadecimal(_ count: Int) throws(PatternError) -> UInt32 {
        guard (1...8).contains(count) else { throw self.error("hexadecimal digits are missing") }
        var value: UInt32 = 0
        for _ in 0..<count {
            guard let next = self.next, let digit = Self.hexadecimalDigit(next), value < 1 << 24 else {
                throw self.error("hexadecimal digits are missing")
            }
            value = value << 4 | digit
            self.position += 1
        }
        return value
    }

    private static func hexadecimalDigit(_ scalar: UInt32) -> UInt32? {
        switch scalar {
        case 0x30...0x39: scalar - 0x30
        case 0x41...0x46: scalar - 0x41 + 10
        case 0x61...0x66: scalar - 0x61 + 10
        case _: nil
        }
    }

    // MARK: Classes

    private mutating func characterClass() throws(PatternError) -> ScalarSet {
        self.position += 1
        let isNegated = self.take("^")
        var set = ScalarSet()
        while true {
            guard let next = self.next else { throw self.error("a class is not closed") }
            if next == 0x5D { break }
            let first = try self.classMember(&set)
            // A hyphen between two characters makes a range; elsewhere it is one.
            let isRange =
                self.peeks("-") && self.position + 1 < self.text.count && self.text[self.position + 1] != 0x5D
            guard isRange, let first else {
                if let first { set.insert(first...first) }
                continue
            }
            self.position += 1
            if let last = try self.classMember(&set) {
                guard last >= first else { throw self.error("a range is in the wrong order") }
                set.insert(first...last)
            } else {
                set.insert(first...first)
                set.insert(0x2D...0x2D)
            }
        }
        self.position += 1
        set.finish()
        return isNegated ? set.negated() : set
    }

    /// One character, or nil for an escape that stands for several, which is put into the set.
    private mutating func classMember(_ set: inout ScalarSet) throws(PatternError) -> UInt32? {
        guard let next = self.next else { throw self.error("a class is not closed") }
        self.position += 1
        guard next == 0x5C else { return next }
        guard let letter = self.next else { throw self.error("the pattern ends after a backslash") }
        if letter == 0x2D {
            self.position += 1
            return letter
        }
        guard let scalar = Unicode.Scalar(letter), "dDwWsSpP".unicodeScalars.contains(scalar) else {
            return try self.escapedScalar()
        }
        self.position -= 1
        set.insert(try self.escapedSet())
        return nil
    }
}
