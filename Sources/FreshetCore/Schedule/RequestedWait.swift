// How long a field asks to wait. Upstreams write the same wish in a dozen ways, and one reader takes them all.

import HTTPFields

/// Reads waits: `30`, `30.052`, `"30"`, `30, 30`, `30;w=60`, `25s`, `1m30s`, `PT30S`, unix time in s, ms, µs or ns, an
/// HTTP date, something close to one, ISO 8601.
///
/// A bare number is sized by plausibility: no upstream asks to wait 30 years, so 1,000,000,000 and more is a moment, and
/// its size tells the unit. What is negative, or none of these, is as if it were not there.
enum RequestedWait {
    /// The longest wait of a single element: about 68 years. Whoever calls has a bound of his own below it.
    static let longest = CacheControl.longest

    /// The longest of the waits that the elements of a value ask for: seconds from now, rounded up, at most
    /// ``longest``; nil where none is readable. A moment in the past is 0.
    static func seconds(_ value: ArraySlice<UInt8>, wallNow: Int) -> Int? {
        self.elements(of: value).lazy.compactMap { self.seconds(ofElement: $0, wallNow: wallNow) }.max()
    }

    /// The elements of a list, without parameters and quotes. The comma inside a date does not separate.
    static func elements(of value: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        var elements: [ArraySlice<UInt8>] = []
        var weekday: ArraySlice<UInt8>?
        for element in FieldValue.elements(of: value) {
            if let start = weekday {
                elements.append(value[start.startIndex..<element.endIndex])
                weekday = nil
            } else if self.isWeekday(element) {
                weekday = element
            } else {
                elements.append(element)
            }
        }
        return elements.map { element in
            FieldValue.unquoted(FieldValue.elements(of: element, separator: UInt8(ascii: ";")).first ?? []).trimmed
        }
    }

    /// As ``seconds(_:wallNow:)``, for one element as ``elements(of:)`` gives it.
    static func seconds(ofElement element: ArraySlice<UInt8>, wallNow: Int) -> Int? {
        guard element.count <= self.longestText else { return nil }
        if let (number, rest) = DecimalText.read(element) {
            if rest.isEmpty { return self.seconds(ofNumber: number, wallNow: wallNow) }
            if let duration = self.duration(element) { return self.roundedUp(duration) }
        }
        if let duration = self.standardDuration(element) { return self.roundedUp(duration) }
        guard let date = LooseDate(element, wallNow: wallNow) else { return nil }
        return min(self.longest, max(0, date.unixSeconds - wallNow + (date.hasFraction ? 1 : 0)))
    }

    /// A longer text asks for nothing.
    private static let longestText = 128

    private static func isWeekday(_ element: ArraySlice<UInt8>) -> Bool {
        let names = DateReader.dayNames
        return element.count >= 3
            && names.contains { name in
                (element.count == 3 || element.count == name.count)
                    && zip(element, name).allSatisfy { $0.lowercasedASCII == $1.lowercasedASCII }
            }
    }

    /// A delay or a moment, by its size.
    private static func seconds(ofNumber number: Double, wallNow: Int) -> Int? {
        guard number >= 0 else { return nil }
        let moment: Double
        switch number {
        case ..<1e9: return self.roundedUp(number)
        case ..<1e11: moment = number
        case ..<1e14: moment = number / 1e3
        case ..<1e17: moment = number / 1e6
        case ..<1e20: moment = number / 1e9
        case _: return self.longest
        }
        return self.roundedUp(max(0, moment - Double(wallNow)))
    }

    /// To whole seconds. What is less than a millisecond is noise of the arithmetic.
    private static func roundedUp(_ seconds: Double) -> Int? {
        guard seconds >= 0 else { return nil }
        guard seconds < Double(self.longest) else { return self.longest }
        return Int(((seconds * 1000).rounded() / 1000).rounded(.up))
    }

    // MARK: Durations

    /// Units in seconds, by every name that is in use.
    private static let units: [(names: [StaticString], seconds: Double)] = [
        (["s", "sec", "secs", "second", "seconds"], 1), (["ms", "msec", "msecs", "millisecond", "milliseconds"], 1e-3),
        (["us", "µs", "μs", "microsecond", "microseconds"], 1e-6), (["ns", "nanosecond", "nanoseconds"], 1e-9),
        (["m", "min", "mins", "minute", "minutes"], 60), (["h", "hr", "hrs", "hour", "hours"], 3600),
        (["d", "day", "days"], 86_400),
    ]

    /// `25s`, `1m30s`, `1h 5m`, `20ms`, `30 seconds`.
    private static func duration(_ element: ArraySlice<UInt8>) -> Double? {
        var rest = element
        var total = 0.0
        while !rest.isEmpty {
            guard let (number, after) = DecimalText.read(rest), number >= 0 else { return nil }
            let named = after.trimmed
            let name = named.prefix { $0 >= 0x80 || (0x61...0x7A).contains($0.lowercasedASCII) }
            guard let unit = self.units.first(where: { $0.names.contains { FieldValue.matches(name, $0) } }) else {
                return nil
            }
            total += number * unit.seconds
            rest = named[name.endIndex...].trimmed
        }
        return total
    }

    /// `PT30S`, `P1DT2H` (ISO 8601). Years and months have no length, and are refused.
    private static func standardDuration(_ element: ArraySlice<UInt8>) -> Double? {
        guard let first = element.first, first.lowercasedASCII == UInt8(ascii: "p"), element.count > 2 else {
            return nil
        }
        var rest = element.dropFirst()
        var total = 0.0
        var isTime = false
        while let byte = rest.first {
            if byte.lowercasedASCII == UInt8(ascii: "t"), !isTime {
                isTime = true
                rest.removeFirst()
                continue
            }
            guard let (number, after) = DecimalText.read(rest), number >= 0, let unit = after.first else { return nil }
            switch (unit.lowercasedASCII, isTime) {
            case (UInt8(ascii: "w"), false): total += number * 604_800
            case (UInt8(ascii: "d"), false): total += number * 86_400
            case (UInt8(ascii: "h"), true): total += number * 3600
            case (UInt8(ascii: "m"), true): total += number * 60
            case (UInt8(ascii: "s"), true): total += number
            case _: return nil
            }
            rest = after.dropFirst()
        }
        return total
    }
}

/// A decimal number at the start of a text.
enum DecimalText {
    /// The number and what follows it: `+5`, `-1`, `0.0`, `30.`; nil where no number stands. Of many digits the first 17
    /// count exactly.
    static func read(_ text: ArraySlice<UInt8>) -> (number: Double, rest: ArraySlice<UInt8>)? {
        var rest = text
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative || rest.first == UInt8(ascii: "+") { rest.removeFirst() }
        guard let first = rest.first, first.isDigit else { return nil }
        var number = 0.0
        while let byte = rest.first, byte.isDigit {
            number = min(number * 10 + Double(byte - UInt8(ascii: "0")), 1e300)
            rest.removeFirst()
        }
        if rest.first == UInt8(ascii: ".") {
            rest.removeFirst()
            var scale = 0.1
            while let byte = rest.first, byte.isDigit {
                number += Double(byte - UInt8(ascii: "0")) * scale
                scale /= 10
                rest.removeFirst()
            }
        }
        return (isNegative ? -number : number, rest)
    }
}
