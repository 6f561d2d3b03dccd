// The conditions of filters, with the functions of RFC 9535 §2.4.

import JSON
import JSONSchema

extension PathParser {
    /// What stands in a condition, before it is known what it is for.
    private enum Term {
        case literal(Value)
        case query(Query)
        /// `length`, `count`, `value`.
        case operand(Operand)
        /// `match`, `search`.
        case test(PatternTest)
    }

    mutating func condition() throws(PathError) -> Condition {
        self.depth += 1
        defer { self.depth -= 1 }
        guard self.depth <= PathLimits.maxDepth else { throw self.error("it is nested too deep") }
        var conditions = [try self.conjunction()]
        while self.takeAfterBlanks("||") { conditions.append(try self.conjunction()) }
        return conditions.count == 1 ? conditions[0] : .any(conditions)
    }

    private mutating func conjunction() throws(PathError) -> Condition {
        var conditions = [try self.basic()]
        while self.takeAfterBlanks("&&") { conditions.append(try self.basic()) }
        return conditions.count == 1 ? conditions[0] : .all(conditions)
    }

    /// Takes an operator and the blanks around it.
    private mutating func takeAfterBlanks(_ text: StaticString) -> Bool {
        let start = self.position
        self.skipBlanks()
        guard self.take(text) else {
            self.position = start
            return false
        }
        self.skipBlanks()
        return true
    }

    private mutating func basic() throws(PathError) -> Condition {
        let isNegated = self.take("!")
        if isNegated { self.skipBlanks() }
        if self.take("(") {
            self.skipBlanks()
            let inner = try self.condition()
            self.skipBlanks()
            guard self.take(")") else { throw self.error("a ) is missing") }
            return isNegated ? .not(inner) : inner
        }
        let start = self.position
        let term = try self.term()
        guard let comparison = self.comparison() else {
            let test = try self.test(term, at: start)
            return isNegated ? .not(test) : test
        }
        guard !isNegated else { throw self.error("a comparison is negated in parentheses only") }
        let left = try self.operand(term, at: start)
        let place = self.position
        return .comparison(left, comparison, try self.operand(try self.term(), at: place))
    }

    private mutating func comparison() -> Comparison? {
        let operators: [(StaticString, Comparison)] = [
            ("==", .equal), ("!=", .notEqual), ("<=", .lessOrEqual), (">=", .greaterOrEqual), ("<", .less),
            (">", .greater),
        ]
        for (text, comparison) in operators where self.takeAfterBlanks(text) { return comparison }
        return nil
    }

    /// A term that is true or false by itself.
    private func test(_ term: Term, at start: Int) throws(PathError) -> Condition {
        switch term {
        case .query(let query): return .exists(query)
        case .test(let test): return .test(test)
        case .literal: throw PathError(reason: "a literal is no condition; compare it", column: start + 1)
        case .operand: throw PathError(reason: "this function gives a value; compare it", column: start + 1)
        }
    }

    /// A term that is a value.
    private func operand(_ term: Term, at start: Int) throws(PathError) -> Operand {
        switch term {
        case .literal(let value): return .literal(value)
        case .operand(let operand): return operand
        case .query(let query):
            guard query.isSingular else {
                throw PathError(
                    reason: "only a query that selects at most one value can be compared",
                    column: start + 1
                )
            }
            return .query(query)
        case .test: throw PathError(reason: "this function gives no value to compare", column: start + 1)
        }
    }

    private mutating func term() throws(PathError) -> Term {
        guard let next = self.next else { throw self.error("a condition is missing") }
        switch Unicode.Scalar(next) {
        case "@":
            self.position += 1
            return .query(Query(isRelative: true, segments: try self.segments()))
        case "$":
            self.position += 1
            return .query(Query(isRelative: false, segments: try self.segments()))
        case "\"", "'":
            var text: [UInt8] = []
            appendJSONString(utf8: try self.string(), to: &text)
            return .literal(try self.literal(text))
        case "-", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9": return .literal(try self.number())
        case _: return try self.word()
        }
    }

    private func literal(_ text: [UInt8]) throws(PathError) -> Value {
        guard let document = try? Document(parsing: text) else { throw self.error("this is no literal") }
        return document.root
    }

    /// A number of RFC 8259, `-0` among them.
    private mutating func number() throws(PathError) -> Value {
        var text: [UInt8] = []
        while let next = self.next, next < 0x80, "+-.0123456789Ee".utf8.contains(UInt8(next)) {
            text.append(UInt8(next))
            self.position += 1
        }
        return try self.literal(text)
    }

    /// `true`, `false`, `null`, or a function.
    private mutating func word() throws(PathError) -> Term {
        let start = self.position
        var name: [UInt8] = []
        while let next = self.next, next < 0x80, Self.isFunctionCharacter(UInt8(next), isFirst: name.isEmpty) {
            name.append(UInt8(next))
            self.position += 1
        }
        guard self.take("(") else {
            guard ["true", "false", "null"].contains(String(decoding: name, as: UTF8.self)) else {
                self.position = start
                throw self.error("this is no condition")
            }
            return .literal(try self.literal(name))
        }
        self.depth += 1
        defer { self.depth -= 1 }
        guard self.depth <= PathLimits.maxDepth else { throw self.error("it is nested too deep") }
        return try self.function(String(decoding: name, as: UTF8.self), try self.arguments(), at: start)
    }

    private static func isFunctionCharacter(_ byte: UInt8, isFirst: Bool) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"): true
        case UInt8(ascii: "_"), UInt8(ascii: "0")...UInt8(ascii: "9"): !isFirst
        case _: false
        }
    }

    private mutating func arguments() throws(PathError) -> [(term: Term, place: Int)] {
        self.skipBlanks()
        if self.take(")") { return [] }
        var arguments: [(term: Term, place: Int)] = []
        repeat {
            self.skipBlanks()
            let place = self.position
            arguments.append((try self.term(), place))
            self.skipBlanks()
        } while self.take(",")
        guard self.take(")") else { throw self.error("no function takes a condition; a comma or ) is missing") }
        return arguments
    }

    private func function(
        _ name: String,
        _ arguments: [(term: Term, place: Int)],
        at start: Int
    ) throws(PathError) -> Term {
        func nodes() throws(PathError) -> Query {
            guard arguments.count == 1, case .query(let query) = arguments[0].term else {
                throw PathError(reason: "\(name) takes one query", column: start + 1)
            }
            return query
        }
        switch name {
        case "count": return .operand(.count(try nodes()))
        case "value": return .operand(.value(try nodes()))
        case "length":
            guard arguments.count == 1 else { throw PathError(reason: "length takes one value", column: start + 1) }
            return .operand(.length(try self.operand(arguments[0].term, at: arguments[0].place)))
        case "match", "search":
            guard arguments.count == 2 else {
                throw PathError(reason: "\(name) takes a text and a pattern", column: start + 1)
            }
            let text = try self.operand(arguments[0].term, at: arguments[0].place)
            let pattern = try self.operand(arguments[1].term, at: arguments[1].place)
            let isWhole = name == "match"
            let compiled = Self.compiled(pattern, isWhole: isWhole)
            return .test(PatternTest(text: text, pattern: pattern, isWhole: isWhole, compiled: compiled))
        case _: throw PathError(reason: "there is no function \(name)", column: start + 1)
        }
    }

    private static func compiled(_ pattern: Operand, isWhole: Bool) -> IRegexpLiteral {
        guard case .literal(let value) = pattern else { return .unknown }
        guard let text = value.utf8, let pattern = IRegexp(text, isWhole: isWhole) else { return .invalid }
        return .compiled(pattern)
    }
}
