// A regular expression for a whole text, in linear time, for rules that are not schemas.

/// A regular expression of ECMA-262, as JSON Schema's `pattern` takes it, that has to match a text from its first character
/// to its last. Matching takes time in proportion to text times pattern, whoever wrote either. Any thread.
package struct WholePattern: Hashable, Sendable {
    /// As it was written.
    package let text: String
    private let pattern: Pattern

    /// The most instructions of a compiled pattern; a bounded repetition counts as often as it may repeat.
    package static let maxSize = 10_000

    /// Why a text is no pattern.
    package struct Malformed: Error, Hashable, Sendable {
        package var reason: String
    }

    /// - Throws: ``Malformed`` for what is no pattern by itself, or is too large.
    package init(_ text: String) throws(Malformed) {
        do throws(PatternError) {
            // By itself first: `a)(b` would be one between parentheses.
            _ = try Pattern(text, maxSize: Self.maxSize)
            self.pattern = try Pattern("^(?:\(text))$", maxSize: Self.maxSize + 16)
        } catch {
            throw Malformed(reason: error.reason)
        }
        self.text = text
    }

    package func matches(_ text: String) -> Bool {
        var matcher = PatternMatcher(steps: .max)
        var text = text
        return text.withUTF8 { matcher.matches(self.pattern, $0) }
    }

    package static func == (left: Self, right: Self) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(self.text)
    }
}
