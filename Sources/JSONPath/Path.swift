// JSONPath (RFC 9535): selects values of a document.

package import JSON

/// A query of RFC 9535, read and checked: whatever it selects, it is well-formed and well-typed. Immutable.
package struct Path: Sendable {
    /// As it was written.
    package let text: String
    let query: Query

    /// - Throws: the first mistake, with its place.
    package init(_ text: String) throws(PathError) {
        var parser = try PathParser(text)
        self.query = try parser.path()
        self.text = text
    }

    /// Whether it can select no more than one value: names and positions lead to it.
    package var isSingular: Bool { self.query.isSingular }

    /// The values that it selects, in the order of RFC 9535; a value that is selected twice is there twice.
    ///
    /// - Throws: where that takes more work than ``PathLimits`` allow.
    package func values(in document: Document) throws(PathLimitError) -> [Value] {
        let places = document.withView { view -> [Int]? in
            var evaluator = PathEvaluator(document, view)
            let places = evaluator.nodes(of: self.query, from: 0)
            return evaluator.hasFailed ? nil : places
        }
        guard let places, let places else { throw PathLimitError() }
        return places.compactMap { document.value(place: $0) }
    }

    /// What it makes of a document: the value that it selects where it is singular, nil where that is not there; else the
    /// values that it selects as an array.
    ///
    /// - Throws: as ``values(in:)``.
    package func value(in document: Document) throws(PathLimitError) -> Document? {
        let values = try self.values(in: document)
        guard !self.isSingular else { return values.first?.document }
        var text: [UInt8] = [UInt8(ascii: "[")]
        for value in values {
            if text.count > 1 { text.append(UInt8(ascii: ",")) }
            text.append(contentsOf: value.text)
            guard text.count <= PathLimits.maxBytes else { throw PathLimitError() }
        }
        text.append(UInt8(ascii: "]"))
        guard let value = try? Document(parsing: text, limits: .widest) else { throw PathLimitError() }
        return value
    }
}

extension Path: Hashable {
    package static func == (left: Path, right: Path) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(self.text)
    }
}

/// What one selection may cost, whatever the query and the document are.
package enum PathLimits {
    /// Steps: a value that is looked at, or one state of a pattern on one character.
    package static let maxSteps = 20_000_000
    /// Values that one segment of a query selects.
    package static let maxNodes = 1_000_000
    /// The text of the result.
    package static let maxBytes = 256 << 20
    /// Filters and parentheses inside one another.
    static let maxDepth = 64
    /// Of a query.
    package static let maxTextBytes = 16 << 10
}

/// A selection takes more than ``PathLimits`` allow.
package struct PathLimitError: Error, Hashable, Sendable {}

/// Why a text is no query.
package struct PathError: Error, Hashable, Sendable, CustomStringConvertible {
    package var reason: String
    /// In characters from the start, from 1.
    package var column: Int

    /// One line.
    package var description: String { "\(self.reason) at character \(self.column)" }
}

// MARK: - Its parts

struct Query: Sendable {
    /// Begins at the value that a filter looks at, `@`, and not at the root.
    var isRelative: Bool
    var segments: [Segment]

    var isSingular: Bool { self.segments.allSatisfy(\.isSingular) }
}

struct Segment: Sendable {
    var selectors: [Selector]
    /// `..`
    var isDescendant: Bool

    var isSingular: Bool { !self.isDescendant && self.selectors.count == 1 && self.selectors[0].isSingular }
}

indirect enum Selector: Sendable {
    case name([UInt8], hash: UInt64)
    case wildcard
    case index(Int)
    case slice(start: Int?, end: Int?, step: Int)
    case filter(Condition)

    var isSingular: Bool {
        switch self {
        case .name, .index: true
        case .wildcard, .slice, .filter: false
        }
    }
}

indirect enum Condition: Sendable {
    case any([Condition])
    case all([Condition])
    case not(Condition)
    case comparison(Operand, Comparison, Operand)
    case exists(Query)
    /// `match`, `search`.
    case test(PatternTest)
}

enum Comparison: Sendable {
    case equal
    case notEqual
    case less
    case lessOrEqual
    case greater
    case greaterOrEqual
}

/// What gives one value, or nothing.
indirect enum Operand: Sendable {
    case literal(Value)
    /// A singular query.
    case query(Query)
    case length(Operand)
    case count(Query)
    case value(Query)
}

/// `match(text, pattern)` or `search(text, pattern)`.
struct PatternTest: Sendable {
    var text: Operand
    var pattern: Operand
    var isWhole: Bool
    /// Where the pattern is a literal: nil for one that is no I-Regexp, and matches nothing.
    var compiled: IRegexpLiteral
}
