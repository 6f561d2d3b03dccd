// Reads the text of a query: the grammar of RFC 9535, and its types (§2.4.3).

import JSON
import JSONSchema

/// Reads one query. Recursive, but no deeper than ``PathLimits/maxDepth`` filters and parentheses.
struct PathParser {
    let text: [UInt32]
    var position = 0
    var depth = 0

    init(_ text: String) throws(PathError) {
        self.text = text.unicodeScalars.map(\.value)
        guard text.utf8.count <= PathLimits.maxTextBytes else {
            throw PathError(reason: "it is longer than \(PathLimits.maxTextBytes) bytes", column: 1)
        }
    }

    func error(_ reason: String) -> PathError { PathError(reason: reason, column: self.position + 1) }

    var next: UInt32? { self.position < self.text.count ? self.text[self.position] : nil }

    func peeks(_ text: StaticString) -> Bool {
        var index = self.position
        return text.withUTF8Buffer { utf8 in
            for byte in utf8 {
                guard index < self.text.count, self.text[index] == UInt32(byte) else { return false }
                index += 1
            }
            return true
        }
    }

    mutating func take(_ text: StaticString) -> Bool {
        guard self.peeks(text) else { return false }
        self.position += text.utf8CodeUnitCount
        return true
    }

    mutating func skipBlanks() {
        while let next = self.next, [0x20, 0x09, 0x0A, 0x0D].contains(next) { self.position += 1 }
    }

    mutating func path() throws(PathError) -> Query {
        guard self.take("$") else { throw self.error("a query begins with $") }
        let segments = try self.segments()
        guard self.position == self.text.count else { throw self.error("this is no segment of a query") }
        return Query(isRelative: false, segments: segments)
    }

    /// What follows `$` or `@`. Stops in front of what is no segment, blanks included.
    mutating func segments() throws(PathError) -> [Segment] {
        var segments: [Segment] = []
        while true {
            let start = self.position
            self.skipBlanks()
            if self.take("..") {
                if self.peeks("[") {
                    segments.append(Segment(selectors: try self.brackets(), isDescendant: true))
                } else {
                    segments.append(Segment(selectors: [try self.shorthand()], isDescendant: true))
                }
            } else if self.take(".") {
                segments.append(Segment(selectors: [try self.shorthand()], isDescendant: false))
            } else if self.peeks("[") {
                segments.append(Segment(selectors: try self.brackets(), isDescendant: false))
            } else {
                self.position = start
                return segments
            }
        }
    }

    /// A name or `*` after a point.
    private mutating func shorthand() throws(PathError) -> Selector {
        if self.take("*") { return .wildcard }
        var name = String.UnicodeScalarView()
        while let next = self.next, Self.isNameCharacter(next, isFirst: name.isEmpty),
            let scalar = Unicode.Scalar(next)
        {
            name.append(scalar)
            self.position += 1
        }
        guard !name.isEmpty else { throw self.error("a name or * is missing") }
        return Self.name(Array(String(name).utf8))
    }

    private static func isNameCharacter(_ scalar: UInt32, isFirst: Bool) -> Bool {
        switch scalar {
        case 0x41...0x5A, 0x61...0x7A, 0x5F, 0x80...0x10FFFF: true
        case 0x30...0x39: !isFirst
        case _: false
        }
    }

    static func name(_ utf8: [UInt8]) -> Selector { .name(utf8, hash: documentHash(ofName: utf8)) }

    private mutating func brackets() throws(PathError) -> [Selector] {
        self.position += 1
        var selectors: [Selector] = []
        repeat {
            self.skipBlanks()
            selectors.append(try self.selector())
            self.skipBlanks()
        } while self.take(",")
        guard self.take("]") else { throw self.error("a ] is missing") }
        return selectors
    }

    private mutating func selector() throws(PathError) -> Selector {
        if self.take("*") { return .wildcard }
        if self.peeks("\"") || self.peeks("'") { return Self.name(try self.string()) }
        if self.take("?") {
            self.skipBlanks()
            return .filter(try self.condition())
        }
        return try self.indexOrSlice()
    }

    private mutating func indexOrSlice() throws(PathError) -> Selector {
        let first = try self.integer()
        let start = self.position
        self.skipBlanks()
        guard self.take(":") else {
            self.position = start
            guard let first else { throw self.error("this is no selector") }
            return .index(first)
        }
        self.skipBlanks()
        let end = try self.integer()
        let behind = self.position
        self.skipBlanks()
        guard self.take(":") else {
            self.position = behind
            return .slice(start: first, end: end, step: 1)
        }
        let colon = self.position
        self.skipBlanks()
        let step = try self.integer()
        if step == nil { self.position = colon }
        return .slice(start: first, end: end, step: step ?? 1)
    }

    /// An integer of I-JSON: no leading zeros, no `-0`, within ±(2⁵³ − 1); nil where none begins here.
    private mutating func integer() throws(PathError) -> Int? {
        let start = self.position
        let isNegative = self.take("-")
        var value = 0
        let first = self.position
        while let next = self.next, (0x30...0x39).contains(next) {
            value = min(value * 10 + Int(next - 0x30), 1 << 54)
            self.position += 1
        }
        let digits = self.position - first
        if digits == 0, !isNegative { return nil }
        guard digits > 0, value < 1 << 53, digits == 1 || self.text[first] != 0x30, !isNegative || value > 0 else {
            self.position = start
            throw self.error("this is no integer between -(2^53 - 1) and 2^53 - 1")
        }
        return isNegative ? -value : value
    }

    // MARK: Strings

    /// A string in either quotes, as UTF-8.
    mutating func string() throws(PathError) -> [UInt8] {
        guard let quote = self.next else { throw self.error("a string is missing") }
        self.position += 1
        var string = String.UnicodeScalarView()
        while true {
            guard let next = self.next else { throw self.error("a string is not closed") }
            self.position += 1
            if next == quote { return Array(String(string).utf8) }
            let value = next == 0x5C ? try self.escape(quote) : next
            guard next >= 0x20, let scalar = Unicode.Scalar(value) else {
                self.position -= 1
                throw self.error("this character has to be escaped")
            }
            string.append(scalar)
        }
    }

    private mutating func escape(_ quote: UInt32) throws(PathError) -> UInt32 {
        guard let letter = self.next else { throw self.error("a string is not closed") }
        self.position += 1
        switch Unicode.Scalar(letter) {
        case "b": return 0x08
        case "f": return 0x0C
        case "n": return 0x0A
        case "r": return 0x0D
        case "t": return 0x09
        case "/", "\\": return letter
        case "u": return try self.unicodeEscape()
        case _ where letter == quote: return letter
        case _:
            self.position -= 1
            throw self.error("this escape is not known")
        }
    }

    private mutating func unicodeEscape() throws(PathError) -> UInt32 {
        let first = try self.hexadecimal()
        switch first {
        case 0xD800...0xDBFF:
            guard self.take("\\u") else { throw self.error("half of a surrogate pair") }
            let second = try self.hexadecimal()
            guard (0xDC00...0xDFFF).contains(second) else { throw self.error("half of a surrogate pair") }
            return 0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)
        case 0xDC00...0xDFFF: throw self.error("half of a surrogate pair")
        case _: return first
        }
    }

    private mutating func hexadecimal() throws(PathError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let next = self.next, next < 0x80, let digit = Character(Unicode.Scalar(UInt8(next))).hexDigitValue
            else { throw self.error("four hexadecimal digits are missing") }
            value = value << 4 | UInt32(digit)
            self.position += 1
        }
        return value
    }
}
