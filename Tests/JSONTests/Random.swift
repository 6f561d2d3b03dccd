// Random documents and random edits, reproducible from a seed.

import System

extension SplitMix64 {
    mutating func chance(_ oneIn: Int) -> Bool { Int.random(in: 0..<oneIn, using: &self) == 0 }

    mutating func pick<Element>(_ choices: [Element]) -> Element {
        choices[Int.random(in: 0..<choices.count, using: &self)]
    }
}

/// A JSON text as a tree of source texts, so that one value can be spelt in many ways.
indirect enum Sketch {
    case scalar(String)
    case array([Sketch])
    /// Names as source texts without quotes; a name may come twice.
    case object([(name: String, value: Sketch)])

    /// The text, with whitespace where `spaced` says so.
    func text(_ generator: inout SplitMix64, spaced: Bool = false) -> String {
        func space() -> String { spaced ? generator.pick(["", "", " ", "\n  ", "\t", "\r\n          "]) : "" }
        switch self {
        case .scalar(let text):
            return space() + text + space()
        case .array(let elements):
            let inner = elements.map { $0.text(&generator, spaced: spaced) }.joined(separator: ",")
            return space() + "[" + inner + space() + "]" + space()
        case .object(let members):
            var parts: [String] = []
            for member in members {
                parts.append("\(space())\"\(member.name)\"\(space()):\(member.value.text(&generator, spaced: spaced))")
            }
            return space() + "{" + parts.joined(separator: ",") + space() + "}" + space()
        }
    }

    static let scalars = [
        "null", "true", "false", "0", "-0", "0.0", "1", "1.0", "1e0", "10e-1", "-1", "12", "120", "1.2e2", "3.25",
        "-122.665415", "1716134440000", "9007199254740992", "9007199254740993", "18446744073709551616",
        "123456789012345678901234567890", "0.1", "0.10", "1e400", "1E+400", "10e399", "-1e-400", "1e-7", "0.0000001",
        "\"\"", "\"a\"", "\"A\"", "\"\\u0041\"", "\"\\u0061\"", "\"eight888\"", "\"nine99999\"", "\"é\"",
        "\"e\u{301}\"",
        "\"\\u00e9\"", "\"😀\"", "\"\\ud83d\\ude00\"", "\"\\\"quoted\\\"\"", "\"a/b\"", "\"a\\/b\"", "\"line\\nline\"",
        "\"\\u0000\"", "\"日本語のテキスト\"", "\"a long string without any escapes, of more than forty bytes\"",
    ]
    static let names = [
        "a", "b", "c", "id", "name", "key", "a/b", "m~n", "~1", "", " ", "\\u0061", "é", "e\u{301}", "\\\"", "\\n", "0",
        "1",
        "-", "日本", "a longer name than the others", "*",
    ]

    static func random(_ generator: inout SplitMix64, depth: Int = 0) -> Sketch {
        if depth >= 3 || (depth > 0 && generator.chance(2)) { return .scalar(generator.pick(self.scalars)) }
        let count = Int.random(in: 0...5, using: &generator)
        if generator.chance(5) { return self.records(&generator) }
        if generator.chance(2) {
            return .array((0..<count).map { _ in self.random(&generator, depth: depth + 1) })
        }
        return .object(
            (0..<count).map { _ in (generator.pick(self.names), self.random(&generator, depth: depth + 1)) }
        )
    }

    /// A list of records with an identity, some of them nested or odd.
    static func records(_ generator: inout SplitMix64) -> Sketch {
        let key = generator.pick(["id", "uuid", "name", "County Name", "key"])
        let count = Int.random(in: 0...12, using: &generator)
        return .array(
            (0..<count).map { number in
                let identity = Sketch.scalar(generator.chance(20) ? "null" : "\"r\(number)\"")
                let value = Sketch.scalar(generator.pick(self.scalars))
                if key == "uuid" { return .object([("properties", .object([(key, identity)])), ("v", value)]) }
                return .object([(key, identity), ("v", value), ("tags", .array([value, value]))])
            }
        )
    }

    /// A few edits somewhere in the tree.
    func edited(_ generator: inout SplitMix64, depth: Int = 0) -> Sketch {
        if generator.chance(12) { return .random(&generator, depth: depth) }
        switch self {
        case .scalar:
            return generator.chance(4) ? .scalar(generator.pick(Self.scalars)) : self
        case .array(var elements):
            for _ in 0..<Int.random(in: 0...2, using: &generator) { Self.edit(&elements, &generator, depth: depth) }
            for index in elements.indices where generator.chance(3) {
                elements[index] = elements[index].edited(&generator, depth: depth + 1)
            }
            return .array(elements)
        case .object(var members):
            if generator.chance(5) { members.shuffle(using: &generator) }
            if generator.chance(4), !members.isEmpty {
                members.remove(at: Int.random(in: 0..<members.count, using: &generator))
            }
            if generator.chance(4) {
                members.append((generator.pick(Self.names), .random(&generator, depth: depth + 1)))
            }
            for index in members.indices where generator.chance(3) {
                members[index].value = members[index].value.edited(&generator, depth: depth + 1)
            }
            return .object(members)
        }
    }

    private static func edit(_ elements: inout [Sketch], _ generator: inout SplitMix64, depth: Int) {
        func position(_ count: Int) -> Int { Int.random(in: 0..<count, using: &generator) }
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: elements.insert(.random(&generator, depth: depth + 1), at: position(elements.count + 1))
        case 1 where !elements.isEmpty: elements.remove(at: position(elements.count))
        case 2 where !elements.isEmpty: elements.insert(elements.remove(at: position(elements.count)), at: 0)
        case 3 where !elements.isEmpty:
            let moved = elements.remove(at: position(elements.count))
            elements.insert(moved, at: position(elements.count + 1))
        case 4 where !elements.isEmpty: elements.append(elements[position(elements.count)])
        case 5 where generator.chance(3): elements.shuffle(using: &generator)
        default: break
        }
    }
}
