// Goes through a document by a query, on the places of its tape.

import JSON
import JSONSchema

/// A pattern of a test, compiled where it is a literal.
enum IRegexpLiteral: Sendable {
    case compiled(IRegexp)
    /// Matches nothing (RFC 9535 §2.4.6).
    case invalid
    /// It is known only with the document.
    case unknown
}

/// One selection. Valid as long as the view is.
struct PathEvaluator {
    private let document: Document
    private let view: DocumentView
    private var steps = PathLimits.maxSteps
    /// It took more than is allowed; what it selected means nothing.
    private(set) var hasFailed = false
    /// Small numbers, which functions give.
    private var numbers: [Int: Value] = [:]
    /// Patterns of the document, by their text.
    private var patterns: [PatternKey: IRegexp?] = [:]

    private struct PatternKey: Hashable {
        var text: [UInt8]
        var isWhole: Bool
    }

    /// The most patterns of a document that are kept compiled.
    private static let maxPatterns = 64

    init(_ document: Document, _ view: DocumentView) {
        self.document = document
        self.view = view
    }

    private mutating func spend(_ count: Int) -> Bool {
        self.steps -= count
        if self.steps < 0 { self.hasFailed = true }
        return !self.hasFailed
    }

    /// The places that a query selects; `current` is what `@` stands for.
    mutating func nodes(of query: Query, from current: Int) -> [Int] {
        var nodes = [query.isRelative ? current : 0]
        for segment in query.segments {
            var selected: [Int] = []
            for node in nodes {
                if segment.isDescendant {
                    self.descend(node, segment.selectors, into: &selected)
                } else {
                    for selector in segment.selectors { self.select(selector, of: node, into: &selected) }
                }
                guard !self.hasFailed, selected.count <= PathLimits.maxNodes else {
                    self.hasFailed = true
                    return []
                }
            }
            nodes = selected
        }
        return nodes
    }

    /// Applies selectors to a value and to all inside it. Only containers have something to select from, and no name is one,
    /// so that the tape is gone through as it stands.
    private mutating func descend(_ node: Int, _ selectors: [Selector], into selected: inout [Int]) {
        let end = self.view.end(node)
        guard self.spend(end - node) else { return }
        for place in node..<end where self.isContainer(place) {
            for selector in selectors { self.select(selector, of: place, into: &selected) }
            guard !self.hasFailed, selected.count <= PathLimits.maxNodes else {
                self.hasFailed = true
                return
            }
        }
    }

    private func isContainer(_ place: Int) -> Bool { self.view.rawKind(place) >= DocumentView.array }
    private func isArray(_ place: Int) -> Bool { self.view.rawKind(place) == DocumentView.array }

    private mutating func select(_ selector: Selector, of node: Int, into selected: inout [Int]) {
        guard self.isContainer(node) else { return }
        switch selector {
        case .name(let name, let hash):
            guard !self.isArray(node), let value = self.member(name, hash, of: node) else { return }
            selected.append(value)
        case .wildcard:
            guard self.spend(self.view.count(node)) else { return }
            self.eachChild(of: node) { selected.append($0) }
        case .index(let index):
            guard self.isArray(node) else { return }
            let count = self.view.count(node)
            let position = index < 0 ? count + index : index
            guard position >= 0, position < count, self.spend(position + 1) else { return }
            var place = node + 1
            for _ in 0..<position { place = self.view.end(place) }
            selected.append(place)
        case .slice(let start, let end, let step):
            guard self.isArray(node), step != 0, self.spend(self.view.count(node)) else { return }
            self.slice(node, start, end, step, into: &selected)
        case .filter(let condition):
            guard self.spend(self.view.count(node)) else { return }
            var children: [Int] = []
            self.eachChild(of: node) { children.append($0) }
            for child in children where self.holds(condition, for: child) {
                guard !self.hasFailed else { return }
                selected.append(child)
            }
        }
    }

    private func eachChild(of node: Int, _ body: (Int) -> Void) {
        let end = self.view.end(node)
        let nameCount = self.isArray(node) ? 0 : 1
        var place = node + 1 + nameCount
        while place < end {
            body(place)
            place = self.view.end(place) + nameCount
        }
    }

    private mutating func member(_ name: [UInt8], _ hash: UInt64, of node: Int) -> Int? {
        let end = self.view.end(node)
        guard self.spend(self.view.count(node)) else { return nil }
        var place = node + 1
        while place < end {
            if self.view.hash(place) == hash, self.document.unescapedText(place: place) == name { return place + 1 }
            place = self.view.end(place + 1)
        }
        return nil
    }

    /// RFC 9535 §2.3.4.2.2.
    private func slice(_ node: Int, _ start: Int?, _ end: Int?, _ step: Int, into selected: inout [Int]) {
        var children: [Int] = []
        self.eachChild(of: node) { children.append($0) }
        let count = children.count
        func normal(_ index: Int) -> Int { index >= 0 ? index : count + index }
        if step > 0 {
            let lower = min(max(normal(start ?? 0), 0), count)
            let upper = min(max(normal(end ?? count), 0), count)
            for index in stride(from: lower, to: upper, by: step) { selected.append(children[index]) }
        } else {
            let upper = min(max(start.map(normal) ?? count - 1, -1), count - 1)
            let lower = min(max(end.map(normal) ?? -1, -1), count - 1)
            for index in stride(from: upper, to: lower, by: step) { selected.append(children[index]) }
        }
    }

    // MARK: Conditions

    private mutating func holds(_ condition: Condition, for current: Int) -> Bool {
        guard self.spend(1) else { return false }
        switch condition {
        case .any(let conditions):
            for condition in conditions where self.holds(condition, for: current) { return true }
            return false
        case .all(let conditions):
            for condition in conditions where !self.holds(condition, for: current) { return false }
            return true
        case .not(let condition): return !self.holds(condition, for: current)
        case .exists(let query): return !self.nodes(of: query, from: current).isEmpty
        case .comparison(let left, let comparison, let right):
            return self.compare(self.value(of: left, current), comparison, self.value(of: right, current))
        case .test(let test): return self.holds(test, for: current)
        }
    }

    private mutating func value(of operand: Operand, _ current: Int) -> Value? {
        switch operand {
        case .literal(let value): return value
        case .query(let query):
            return self.nodes(of: query, from: current).first.flatMap { self.document.value(place: $0) }
        case .count(let query): return self.number(self.nodes(of: query, from: current).count)
        case .value(let query):
            let nodes = self.nodes(of: query, from: current)
            return nodes.count == 1 ? self.document.value(place: nodes[0]) : nil
        case .length(let operand):
            guard let value = self.value(of: operand, current) else { return nil }
            switch value.kind {
            case .array, .object: return self.number(value.count)
            case .string:
                guard let utf8 = value.utf8, self.spend(utf8.count) else { return nil }
                // Every scalar has one byte that does not go on another.
                return self.number(utf8.count { $0 & 0xC0 != 0x80 })
            case .null, .true, .false, .number: return nil
            }
        }
    }

    private mutating func number(_ number: Int) -> Value? {
        if let known = self.numbers[number] { return known }
        let value = try? Document(parsing: Array(String(number).utf8)).root
        if number < 1024 { self.numbers[number] = value }
        return value
    }

    /// RFC 9535 §2.3.5.2.2.
    private mutating func compare(_ left: Value?, _ comparison: Comparison, _ right: Value?) -> Bool {
        switch comparison {
        case .equal: return self.areEqual(left, right)
        case .notEqual: return !self.areEqual(left, right)
        case .less: return self.isLess(left, right)
        case .greater: return self.isLess(right, left)
        case .lessOrEqual: return self.isLess(left, right) || self.areEqual(left, right)
        case .greaterOrEqual: return self.isLess(right, left) || self.areEqual(left, right)
        }
    }

    private mutating func areEqual(_ left: Value?, _ right: Value?) -> Bool {
        guard let left, let right else { return left == nil && right == nil }
        guard left.hash == right.hash, self.spend(left.isContainer ? left.text.count : 1) else { return false }
        return left == right
    }

    private func isLess(_ left: Value?, _ right: Value?) -> Bool {
        guard let left, let right else { return false }
        if left.kind == .number, right.kind == .number { return left.isLess(than: right) }
        guard let one = left.utf8, let other = right.utf8 else { return false }
        // The order of UTF-8 is that of Unicode scalars.
        return one.lexicographicallyPrecedes(other)
    }

    private mutating func holds(_ test: PatternTest, for current: Int) -> Bool {
        guard let text = self.value(of: test.text, current)?.utf8 else { return false }
        let pattern: IRegexp?
        switch test.compiled {
        case .invalid: return false
        case .compiled(let known): pattern = known
        case .unknown:
            guard let source = self.value(of: test.pattern, current)?.utf8 else { return false }
            let key = PatternKey(text: source, isWhole: test.isWhole)
            if let known = self.patterns[key] {
                pattern = known
            } else {
                guard self.spend(source.count + IRegexp.maxSize / 100) else { return false }
                pattern = IRegexp(source, isWhole: test.isWhole)
                if self.patterns.count >= Self.maxPatterns { self.patterns = [:] }
                self.patterns[key] = .some(pattern)
            }
        }
        guard let pattern else { return false }
        guard let matches = pattern.matches(text, steps: &self.steps) else {
            self.hasFailed = true
            return false
        }
        return matches
    }
}
