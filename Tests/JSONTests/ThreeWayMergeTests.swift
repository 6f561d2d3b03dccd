// Two edits of one document as one: a table, and 5,000 triples beside an oracle that merges lists of edits.

import Foundation
import System
import Testing

@testable import JSON

/// Merges by another way: what each side changed as a list of places, which collide where one names or holds the other.
private enum MergeOracle {
    /// Values with the elements of keyed arrays by their identity, where all three sides have one.
    indirect enum Tree: Hashable {
        case leaf(Model)
        case branch([[UInt8]: Tree])
        case keyed([Model: Tree])
    }

    enum Step: Hashable {
        case name([UInt8])
        case identity(Model)
    }

    static func trees(_ sides: [Model?]) -> [Tree?] {
        let present = sides.compactMap { $0 }
        if sides.count == present.count,
            let objects = self.all(present, { if case .object(let members) = $0 { members } else { nil } })
        {
            var branches = objects.map { _ in [[UInt8]: Tree]() }
            for name in Set(objects.flatMap(\.keys)) {
                for (place, tree) in self.trees(objects.map { $0[name] }).enumerated() { branches[place][name] = tree }
            }
            return branches.map(Tree.branch)
        }
        if sides.count == present.count, let lists = self.all(present, self.keyed) {
            var branches = lists.map { _ in [Model: Tree]() }
            for identity in Set(lists.flatMap(\.keys)) {
                for (place, tree) in self.trees(lists.map { $0[identity] }).enumerated() {
                    branches[place][identity] = tree
                }
            }
            return branches.map(Tree.keyed)
        }
        return sides.map { $0.map(Tree.leaf) }
    }

    private static func all<Part>(_ values: [Model], _ part: (Model) -> Part?) -> [Part]? {
        let parts = values.compactMap(part)
        return parts.count == values.count ? parts : nil
    }

    private static func keyed(_ value: Model) -> [Model: Model]? {
        guard case .array(let elements) = value else { return nil }
        var found: [Model: Model] = [:]
        for element in elements {
            guard case .object(let members) = element, let identity = members[Array("id".utf8)],
                found.updateValue(element, forKey: identity) == nil
            else { return nil }
            switch identity {
            case .string, .number: break
            default: return nil
            }
        }
        return found
    }

    static func edits(from old: Tree?, to new: Tree?, at path: [Step], _ edits: inout [[Step]: Tree?]) {
        guard old != new else { return }
        switch (old, new) {
        case (.branch(let old)?, .branch(let new)?):
            for name in Set(old.keys).union(new.keys) {
                self.edits(from: old[name], to: new[name], at: path + [.name(name)], &edits)
            }
        case (.keyed(let old)?, .keyed(let new)?):
            for identity in Set(old.keys).union(new.keys) {
                self.edits(from: old[identity], to: new[identity], at: path + [.identity(identity)], &edits)
            }
        default:
            edits.updateValue(new, forKey: path)
        }
    }

    /// The merged tree; `nil` where two edits collide.
    static func merge(_ base: Model, _ theirs: Model, _ mine: Model) -> Tree? {
        let trees = self.trees([base, theirs, mine])
        var (left, right): ([[Step]: Tree?], [[Step]: Tree?]) = ([:], [:])
        self.edits(from: trees[0], to: trees[1], at: [], &left)
        self.edits(from: trees[0], to: trees[2], at: [], &right)
        for (one, value) in left {
            for (other, wanted) in right where one.starts(with: other) || other.starts(with: one) {
                if one != other || value != wanted { return nil }
            }
        }
        var merged = trees[0]
        for (path, value) in left.merging(right, uniquingKeysWith: { $1 }) {
            merged = self.set(value, at: path[...], in: merged)
        }
        return merged
    }

    private static func set(_ value: Tree?, at path: ArraySlice<Step>, in tree: Tree?) -> Tree? {
        guard let step = path.first else { return value }
        switch (tree, step) {
        case (.branch(var members)?, .name(let name)):
            members[name] = self.set(value, at: path.dropFirst(), in: members[name])
            return .branch(members)
        case (.keyed(var elements)?, .identity(let identity)):
            elements[identity] = self.set(value, at: path.dropFirst(), in: elements[identity])
            return .keyed(elements)
        default:
            return tree
        }
    }

    /// Whether a value is that tree; the order of keyed elements is not looked at.
    static func isSame(_ value: Model, _ tree: Tree) -> Bool {
        switch (value, tree) {
        case (_, .leaf(let model)): value == model
        case (.object(let members), .branch(let wanted)):
            members.count == wanted.count
                && members.allSatisfy { name, value in wanted[name].map { self.isSame(value, $0) } ?? false }
        case (.array(let elements), .keyed(let wanted)):
            elements.count == wanted.count
                && elements.allSatisfy { element in
                    guard case .object(let members) = element, let identity = members[Array("id".utf8)] else {
                        return false
                    }
                    return wanted[identity].map { self.isSame(element, $0) } ?? false
                }
        default: false
        }
    }
}

/// Documents and edits of them.
private struct Triples {
    var random: SplitMix64
    private var next = 0

    init(seed: UInt64) { self.random = SplitMix64(seed: seed) }

    mutating func document(_ depth: Int = 0) -> Model {
        if depth >= 3 { return self.scalar() }
        switch Int.random(in: 0..<(depth == 0 ? 3 : 5), using: &self.random) {
        case 0, 1:
            var members: [[UInt8]: Model] = [:]
            for name in ["a", "b", "c", "d"] where !self.random.chance(3) {
                members[Array(name.utf8)] = self.document(depth + 1)
            }
            return .object(members)
        case 2:
            return .array((0..<Int.random(in: 0...3, using: &self.random)).map { self.element($0, depth) })
        case 3:
            return .array((0..<Int.random(in: 0...3, using: &self.random)).map { _ in self.scalar() })
        default:
            return self.scalar()
        }
    }

    private mutating func element(_ identity: Int, _ depth: Int) -> Model {
        .object([Array("id".utf8): Model.integer(identity), Array("v".utf8): self.document(depth + 2)])
    }

    private mutating func scalar() -> Model {
        self.next += 1
        return self.random.pick([
            .null, .bool(true), .string(Array("s\(self.next % 5)".utf8)), Model.integer(self.next % 7),
        ])
    }

    /// A few changes somewhere.
    mutating func edited(_ value: Model, _ depth: Int = 0) -> Model {
        if self.random.chance(6) { return self.document(depth) }
        switch value {
        case .object(var members):
            for name in members.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) where self.random.chance(3) {
                if name != Array("id".utf8) {
                    members[name] = self.random.chance(4) ? nil : members[name].map { self.edited($0, depth + 1) }
                }
            }
            if self.random.chance(5) {
                members[Array("n\(Int.random(in: 0...2, using: &self.random))".utf8)] = self.scalar()
            }
            return .object(members)
        case .array(var elements):
            for place in elements.indices where self.random.chance(3) {
                elements[place] = self.edited(elements[place], depth + 1)
            }
            if self.random.chance(5), !elements.isEmpty {
                elements.remove(at: Int.random(in: 0..<elements.count, using: &self.random))
            }
            if self.random.chance(5) {
                elements.append(self.element(10 + Int.random(in: 0...3, using: &self.random), depth))
            }
            return .array(elements)
        default:
            return self.scalar()
        }
    }
}

extension Model {
    fileprivate static func integer(_ number: Int) -> Model {
        Model.parse(Array("\(number)".utf8))?.value ?? .null
    }

    fileprivate var text: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let text): text
        case .string(let utf8): "\"\(String(decoding: utf8, as: UTF8.self))\""
        case .array(let elements): "[\(elements.map(\.text).joined(separator: ","))]"
        case .object(let members):
            "{"
                + members.map { "\"\(String(decoding: $0.key, as: UTF8.self))\":\($0.value.text)" }.sorted().joined(
                    separator: ","
                ) + "}"
        }
    }
}

@Suite("Three-way merge")
struct ThreeWayMergeTests {
    private static func document(_ text: String) throws -> Document { try Document(parsing: Array(text.utf8)) }

    /// What is merged, or the places that collide.
    private static func merge(_ base: String, _ theirs: String, _ mine: String, _ rule: ItemRule? = nil) throws
        -> String
    {
        switch ThreeWayMerge.merge(
            base: try self.document(base),
            theirs: try self.document(theirs),
            mine: try self.document(mine),
            items: rule
        ) {
        case .merged(let document): return String(decoding: document.text, as: UTF8.self)
        case .conflicts(let conflicts): return conflicts.map { "!\($0.path)" }.joined(separator: " ")
        }
    }

    @Test(
        "what only one side changed is taken from it, and nothing is guessed",
        arguments: [
            (#"{"a":1}"#, #"{"a":1}"#, #"{"a":2}"#, #"{"a":2}"#),
            (#"{"a":1,"b":1}"#, #"{"a":2,"b":1}"#, #"{"a":1,"b":2}"#, #"{"a":2,"b":2}"#),
            (#"{"a":1}"#, #"{"a":2}"#, #"{"a":3}"#, "!/a"),
            (#"{"a":1}"#, #"{"a":2}"#, #"{"a":2.0}"#, #"{"a":2}"#),
            (#"{"a":1}"#, #"{}"#, #"{"a":2}"#, "!/a"),
            (#"{"a":1}"#, #"{"a":2}"#, #"{}"#, "!/a"),
            (#"{"a":1}"#, #"{}"#, #"{}"#, #"{}"#),
            (#"{}"#, #"{"a":{"x":1}}"#, #"{"a":{"y":1}}"#, "!/a"),
            (#"{"a":{"x":1}}"#, #"{"a":{"x":2}}"#, #"{"a":7}"#, "!/a"),
            (#"{"a":{"x":1,"y":1}}"#, #"{"a":{"x":2,"y":1}}"#, #"{"a":{"x":1}}"#, #"{"a":{"x":2}}"#),
            ("1", "2", "3", "!"),
            // A list without identities is one value.
            ("[1,2]", "[1,2,3]", "[0,1,2]", "!"),
            (#"{"l":[1],"m":1}"#, #"{"l":[2],"m":1}"#, #"{"l":[1],"m":2}"#, #"{"l":[2],"m":2}"#),
            // Keyed: edits of two elements, two additions, a removal against a change.
            (
                #"[{"id":1,"v":1},{"id":2,"v":1}]"#, #"[{"id":1,"v":2},{"id":2,"v":1}]"#,
                #"[{"id":1,"v":1},{"id":2,"v":2}]"#, #"[{"id":1,"v":2},{"id":2,"v":2}]"#
            ),
            (#"[{"id":1}]"#, #"[{"id":1},{"id":2}]"#, #"[{"id":1},{"id":3}]"#, #"[{"id":1},{"id":3},{"id":2}]"#),
            (#"[{"id":1,"v":1}]"#, #"[]"#, #"[{"id":1,"v":2}]"#, "!/0"),
            (
                #"[{"id":1},{"id":2}]"#, #"[{"id":2},{"id":1}]"#, #"[{"id":1},{"id":2},{"id":3}]"#,
                #"[{"id":2},{"id":3},{"id":1}]"#
            ),
            (
                #"[{"id":1},{"id":2},{"id":3}]"#, #"[{"id":2},{"id":1},{"id":3}]"#, #"[{"id":1},{"id":3},{"id":2}]"#,
                "!"
            ),
        ]
    )
    func table(base: String, theirs: String, mine: String, expected: String) throws {
        #expect(try Self.merge(base, theirs, mine) == expected)
    }

    @Test("a collection is merged by its own key, and the whole merge lists every collision")
    func rule() throws {
        let rule = ItemRule(items: try #require(Pointer("/list")), key: Pointer("/meta/nr"))
        let base = #"{"list":[{"meta":{"nr":1},"v":1},{"meta":{"nr":2},"v":1}]}"#
        let theirs = #"{"list":[{"meta":{"nr":1},"v":2},{"meta":{"nr":2},"v":2}]}"#
        let mine = #"{"list":[{"meta":{"nr":1},"v":3},{"meta":{"nr":2},"v":3}]}"#
        #expect(try Self.merge(base, theirs, mine, rule) == "!/list/0/v !/list/1/v")
        #expect(try Self.merge(base, theirs, mine) == "!/list")
    }

    @Test("5,000 triples agree with the oracle, and edits of different places merge always")
    func oracle() throws {
        var triples = Triples(seed: 41)
        var (merged, collided) = (0, 0)
        for number in 0..<5_000 {
            let base = triples.document()
            let (theirs, mine) = (triples.edited(base), triples.edited(base))
            let result = ThreeWayMerge.merge(
                base: try Self.document(base.text),
                theirs: try Self.document(theirs.text),
                mine: try Self.document(mine.text)
            )
            let expected = MergeOracle.merge(base, theirs, mine)
            let triple = "\(number): \(base.text) | \(theirs.text) | \(mine.text)"
            switch (result, expected) {
            case (.merged(let document), let tree?):
                merged += 1
                let value = try #require(Model.parse(document.text)?.value, "\(triple)")
                #expect(MergeOracle.isSame(value, tree), "\(triple) gave \(value.text)")
            case (.conflicts(let conflicts), nil):
                collided += 1
                #expect(!conflicts.isEmpty)
            case (.merged(let document), nil):
                Issue.record("\(triple) merged to \(String(decoding: document.text, as: UTF8.self)), and collides")
            case (.conflicts(let conflicts), _?):
                Issue.record("\(triple) merges, and collided at \(conflicts.map(\.path.description))")
            }
        }
        #expect(merged > 1_000 && collided > 1_000, "\(merged) merged, \(collided) collided")
    }
}
