// Kinds, numbers and strings.

import JSON

extension Validator {
    func kindReason(_ rules: Rules, _ place: Int) -> String {
        let names = ["null", "a boolean", "a boolean", "a number", "a string", "an array", "an object"]
        var allowed: [String] = []
        for (bit, name) in names.enumerated() where rules.kinds >> UInt8(bit) & 1 == 1 && !allowed.contains(name) {
            allowed.append(name)
        }
        if rules.kinds & Rules.integerBit != 0, !allowed.contains("a number") { allowed.append("an integer") }
        let found = names[Int(self.view.rawKind(place))]
        guard !allowed.isEmpty else { return "is \(found), and no type is allowed" }
        return "is \(found), not \(allowed.joined(separator: " or "))"
    }

    mutating func checkNumber(_ rules: Rules, _ place: Int) -> Bool {
        let row = self.program.numbers[Int(rules.number)]
        let number = self.view.decimal(place)
        let program = self.program
        func compare(_ bound: Row) -> Int { number.compare(to: program.decimals[Int(bound)]) }
        func text(_ bound: Row) -> String { Library.short(program.decimals[Int(bound)].text) }
        var isValid = true
        if row.minimum >= 0, compare(row.minimum) < 0 {
            isValid = self.fail(rules, place, "minimum", "is less than \(text(row.minimum))")
        }
        if row.exclusiveMinimum >= 0, compare(row.exclusiveMinimum) <= 0 {
            isValid = self.fail(rules, place, "exclusiveMinimum", "is not more than \(text(row.exclusiveMinimum))")
        }
        if row.maximum >= 0, compare(row.maximum) > 0 {
            isValid = self.fail(rules, place, "maximum", "is more than \(text(row.maximum))")
        }
        if row.exclusiveMaximum >= 0, compare(row.exclusiveMaximum) >= 0 {
            isValid = self.fail(rules, place, "exclusiveMaximum", "is not less than \(text(row.exclusiveMaximum))")
        }
        if row.divisor >= 0, !number.isMultiple(of: program.decimals[Int(row.divisor)]) {
            isValid = self.fail(rules, place, "multipleOf", "is not a multiple of \(text(row.divisor))")
        }
        return isValid
    }

    mutating func checkString(_ rules: Rules, _ place: Int) -> Bool {
        let row = self.program.strings[Int(rules.string)]
        var isValid = true
        if row.minLength > 0 || row.maxLength < .max {
            let length = self.length(place)
            if length < row.minLength {
                isValid = self.fail(rules, place, "minLength", "is shorter than \(row.minLength) characters")
            }
            if length > row.maxLength {
                isValid = self.fail(rules, place, "maxLength", "is longer than \(row.maxLength) characters")
            }
        }
        guard row.pattern >= 0, isValid || !self.isEnough else { return isValid }
        guard self.matches(row.pattern, place) else {
            return self.fail(rules, place, "pattern", "does not match the pattern")
        }
        return isValid
    }

    /// In code points (RFC 8259 §7, Validation §6.3.1).
    private func length(_ place: Int) -> Int {
        self.withContent(place) { $0.reduce(into: 0) { $0 += $1 & 0xC0 == 0x80 ? 0 : 1 } }
    }

    /// Whether the string or name at `place` matches a pattern.
    mutating func matches(_ pattern: Row, _ place: Int) -> Bool {
        let compiled = self.program.patterns[Int(pattern)]
        guard self.view.isEscaped(place) else {
            return self.matcher.matches(compiled, number: pattern, self.view.content(place))
        }
        let text = self.unescaped(place)
        return text.withUnsafeBufferPointer { self.matcher.matches(compiled, number: pattern, $0) }
    }

    private func withContent<Result>(_ place: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        guard self.view.isEscaped(place) else { return body(self.view.content(place)) }
        return self.unescaped(place).withUnsafeBufferPointer(body)
    }

    func unescaped(_ place: Int) -> [UInt8] { self.document.unescapedText(place: place) }

    /// Whether the string or name at `place` has the content of one of the schema's names.
    @inline(__always)
    func isName(_ place: Int, _ name: Row) -> Bool {
        let expected = self.program.nameRanges[Int(name)]
        guard self.view.isEscaped(place) else {
            return self.view.hasContent(place, self.program.nameBytes + expected.lowerBound, count: expected.count)
        }
        return self.unescaped(place).elementsEqual(
            UnsafeBufferPointer(start: self.program.nameBytes + expected.lowerBound, count: expected.count)
        )
    }
}
