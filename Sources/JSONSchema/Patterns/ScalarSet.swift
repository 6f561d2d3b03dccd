// Sets of characters: classes, escapes and properties of a pattern.

/// A set of Unicode scalars.
struct ScalarSet: Sendable {
    /// The ASCII characters in the set, two words of bits; everything else counts in already.
    private var low: UInt64 = 0
    private var high: UInt64 = 0
    /// In order, apart from each other.
    private var ranges: [ClosedRange<UInt32>] = []
    private var properties: [(property: ScalarProperty, isNegated: Bool)] = []
    /// Sets inside a class that hold everything but something: `[a\D]`.
    private var others: [ScalarSet] = []
    private var isNegated = false

    init() {}

    init(_ ranges: [ClosedRange<UInt32>]) {
        self.ranges = ranges
        self.finish()
    }

    mutating func insert(_ range: ClosedRange<UInt32>) { self.ranges.append(range) }

    mutating func insert(_ property: ScalarProperty, isNegated: Bool) {
        self.properties.append((property, isNegated))
    }

    mutating func insert(_ other: ScalarSet) { self.others.append(other) }

    func negated() -> ScalarSet {
        var set = self
        set.isNegated.toggle()
        set.finish()
        return set
    }

    /// Brings the ranges into order; to be called once all are in.
    mutating func finish() {
        var merged: [ClosedRange<UInt32>] = []
        for range in self.ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = merged.last, range.lowerBound <= last.upperBound {
                merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                merged.append(range)
            }
        }
        self.ranges = merged
        (self.low, self.high) = (0, 0)
        for scalar in UInt32(0)..<128 where self.search(scalar) {
            if scalar < 64 { self.low |= 1 << UInt64(scalar) } else { self.high |= 1 << UInt64(scalar - 64) }
        }
    }

    @inline(__always)
    func contains(_ scalar: UInt32) -> Bool {
        guard scalar < 128 else { return self.search(scalar) }
        return (scalar < 64 ? self.low : self.high) >> UInt64(scalar & 63) & 1 == 1
    }

    private func search(_ scalar: UInt32) -> Bool {
        self.holds(scalar) != self.isNegated
    }

    private func holds(_ scalar: UInt32) -> Bool {
        var (first, end) = (0, self.ranges.count)
        while first < end {
            let middle = (first + end) / 2
            if self.ranges[middle].contains(scalar) { return true }
            if self.ranges[middle].lowerBound > scalar { end = middle } else { first = middle + 1 }
        }
        return self.properties.contains { $0.property.holds(scalar) != $0.isNegated }
            || self.others.contains { $0.search(scalar) }
    }

    // MARK: What the escapes stand for (ECMA-262 §22.2.2)

    static let digits = ScalarSet([0x30...0x39])
    static let word = ScalarSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
    static let space = ScalarSet([
        0x09...0x0D, 0x20...0x20, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029, 0x202F...0x202F,
        0x205F...0x205F, 0x3000...0x3000, 0xFEFF...0xFEFF,
    ])
    /// What `.` stands for: all but line ends.
    static let any = ScalarSet([0x0A...0x0A, 0x0D...0x0D, 0x2028...0x2029]).negated()
}

/// `\p{…}` (ECMA-262 tables 67–69), as far as the standard library knows it: categories and some binary properties,
/// no scripts.
enum ScalarProperty: Sendable {
    case categories(Set<Unicode.GeneralCategory>)
    case binary(@Sendable (Unicode.Scalar.Properties) -> Bool)
    case upTo(UInt32)

    func holds(_ value: UInt32) -> Bool {
        if case .upTo(let last) = self { return value <= last }
        guard let scalar = Unicode.Scalar(value) else { return false }
        switch self {
        case .categories(let categories): return categories.contains(scalar.properties.generalCategory)
        case .binary(let holds): return holds(scalar.properties)
        case .upTo: return false
        }
    }

    init?(_ name: String) {
        var name = name[...]
        if let equals = name.firstIndex(of: "=") {
            guard ["General_Category", "gc"].contains(name[..<equals]) else { return nil }
            name = name[name.index(after: equals)...]
        } else if let binary = Self.binary[String(name)] {
            self = binary
            return
        }
        let members = Self.categories.filter { row in row.names.contains { $0 == name } }.map(\.category)
        guard !members.isEmpty else { return nil }
        self = .categories(Set(members))
    }

    private static let binary: [String: ScalarProperty] = [
        "Any": .upTo(0x10FFFF), "ASCII": .upTo(0x7F),
        "Alphabetic": .binary(\.isAlphabetic), "Alpha": .binary(\.isAlphabetic),
        "Uppercase": .binary(\.isUppercase), "Upper": .binary(\.isUppercase),
        "Lowercase": .binary(\.isLowercase), "Lower": .binary(\.isLowercase),
        "White_Space": .binary(\.isWhitespace), "space": .binary(\.isWhitespace),
        "ASCII_Hex_Digit": .binary(\.isASCIIHexDigit), "AHex": .binary(\.isASCIIHexDigit),
        "Hex_Digit": .binary(\.isHexDigit), "Hex": .binary(\.isHexDigit),
        "ID_Start": .binary(\.isIDStart), "IDS": .binary(\.isIDStart),
        "ID_Continue": .binary(\.isIDContinue), "IDC": .binary(\.isIDContinue),
        "XID_Start": .binary(\.isXIDStart), "XIDS": .binary(\.isXIDStart),
        "XID_Continue": .binary(\.isXIDContinue), "XIDC": .binary(\.isXIDContinue),
        "Emoji": .binary(\.isEmoji), "Math": .binary(\.isMath), "Dash": .binary(\.isDash),
        "Ideographic": .binary(\.isIdeographic), "Ideo": .binary(\.isIdeographic),
    ]

    /// Each category with its own names and those of the groups it belongs to.
    private static let categories: [(category: Unicode.GeneralCategory, names: [String])] = [
        (.uppercaseLetter, ["Lu", "Uppercase_Letter", "LC", "Cased_Letter", "L", "Letter"]),
        (.lowercaseLetter, ["Ll", "Lowercase_Letter", "LC", "Cased_Letter", "L", "Letter"]),
        (.titlecaseLetter, ["Lt", "Titlecase_Letter", "LC", "Cased_Letter", "L", "Letter"]),
        (.modifierLetter, ["Lm", "Modifier_Letter", "L", "Letter"]),
        (.otherLetter, ["Lo", "Other_Letter", "L", "Letter"]),
        (.nonspacingMark, ["Mn", "Nonspacing_Mark", "M", "Mark", "Combining_Mark"]),
        (.spacingMark, ["Mc", "Spacing_Mark", "M", "Mark", "Combining_Mark"]),
        (.enclosingMark, ["Me", "Enclosing_Mark", "M", "Mark", "Combining_Mark"]),
        (.decimalNumber, ["Nd", "Decimal_Number", "digit", "N", "Number"]),
        (.letterNumber, ["Nl", "Letter_Number", "N", "Number"]),
        (.otherNumber, ["No", "Other_Number", "N", "Number"]),
        (.connectorPunctuation, ["Pc", "Connector_Punctuation", "P", "Punctuation", "punct"]),
        (.dashPunctuation, ["Pd", "Dash_Punctuation", "P", "Punctuation", "punct"]),
        (.openPunctuation, ["Ps", "Open_Punctuation", "P", "Punctuation", "punct"]),
        (.closePunctuation, ["Pe", "Close_Punctuation", "P", "Punctuation", "punct"]),
        (.initialPunctuation, ["Pi", "Initial_Punctuation", "P", "Punctuation", "punct"]),
        (.finalPunctuation, ["Pf", "Final_Punctuation", "P", "Punctuation", "punct"]),
        (.otherPunctuation, ["Po", "Other_Punctuation", "P", "Punctuation", "punct"]),
        (.mathSymbol, ["Sm", "Math_Symbol", "S", "Symbol"]),
        (.currencySymbol, ["Sc", "Currency_Symbol", "S", "Symbol"]),
        (.modifierSymbol, ["Sk", "Modifier_Symbol", "S", "Symbol"]),
        (.otherSymbol, ["So", "Other_Symbol", "S", "Symbol"]),
        (.spaceSeparator, ["Zs", "Space_Separator", "Z", "Separator"]),
        (.lineSeparator, ["Zl", "Line_Separator", "Z", "Separator"]),
        (.paragraphSeparator, ["Zp", "Paragraph_Separator", "Z", "Separator"]),
        (.control, ["Cc", "Control", "cntrl", "C", "Other"]),
        (.format, ["Cf", "Format", "C", "Other"]),
        (.surrogate, ["Cs", "Surrogate", "C", "Other"]),
        (.privateUse, ["Co", "Private_Use", "C", "Other"]),
        (.unassigned, ["Cn", "Unassigned", "C", "Other"]),
    ]
}
