import System
import Testing

@testable import JSON

@Suite("Members of two objects, paired by name")
struct MemberPairingTests {
    private static func object(_ members: [(name: String, value: Int)]) throws -> Document {
        let text = members.map { #""\#($0.name)":\#($0.value)"# }.joined(separator: ",")
        return try Document(parsing: Array("{\(text)}".utf8))
    }

    /// Names as they are read from the nodes of a pairing.
    private static func names(_ old: Document, _ new: Document) -> [[String]] {
        old.withSides(to: new) { sides in
            func name(_ side: Side, _ node: Int) -> String { String(decoding: side.bytes(node), as: UTF8.self) }
            var pairing = MemberPairing()
            pairing.append(
                sides,
                old: 1,
                oldEnd: sides.old.nodes[0].end,
                new: 1,
                newEnd: sides.new.nodes[0].end
            )
            let changed = pairing.members.filter { $0.old >= 0 }
            return [
                changed.map { name(sides.new, $0.new) }, changed.map { name(sides.old, $0.old) },
                pairing.members.filter { $0.old < 0 }.map { name(sides.new, $0.new) },
                pairing.removed.map { name(sides.old, $0) },
            ]
        }
    }

    @Test("come, go, change and move as a table of names says: 20,000 random pairs")
    func random() throws {
        var generator = SplitMix64(seed: 410)
        var moved = 0
        for round in 0..<20_000 {
            let count = Int.random(in: 0...40, using: &generator)
            let old = (0..<count).map { (name: "n\($0)", value: $0) }
            var new = old
            for _ in 0..<Int.random(in: 0...6, using: &generator) {
                let position = Int.random(in: 0...new.count, using: &generator)
                switch Int.random(in: 0..<5, using: &generator) {
                case 0:
                    new.insert((name: "new\(new.count)-\(position)-\(generator.next() % 1000)", value: 1), at: position)
                case 1 where position < new.count: new[position].value += 1
                case 2 where position < new.count: new.removeSubrange(position..<min(new.count, position + 3))
                case 3 where position < new.count && generator.chance(2):
                    let member = new.remove(at: position)
                    new.insert(member, at: Int.random(in: 0...new.count, using: &generator))
                    moved += 1
                case 4 where generator.chance(8): new.shuffle(using: &generator)
                default: break
                }
            }
            let olds = Dictionary(uniqueKeysWithValues: old.map { ($0.name, $0.value) })
            let news = Set(new.map(\.name))
            guard news.count == new.count else { continue }
            let changed = new.filter { olds[$0.name] != nil && olds[$0.name] != $0.value }.map { "\"\($0.name)\"" }
            let expected = [
                changed, changed, new.filter { olds[$0.name] == nil }.map { "\"\($0.name)\"" },
                old.filter { !news.contains($0.name) }.map { "\"\($0.name)\"" },
            ]
            let found = try Self.names(Self.object(old), Self.object(new))
            if found != expected { Issue.record("round \(round): \(found), not \(expected)") }
        }
        #expect(moved > 1_000)
    }

    @Test("400,000 members merge in the time of a few parses")
    func manyMembers() throws {
        func map(_ change: Int) -> [UInt8] {
            let members = (0..<400_000).map { #""m\#($0)":\#($0 % 97 + ($0 % 3 == 0 ? change : 0))"# }
            return Array("{\(members.joined(separator: ","))}".utf8)
        }
        let (old, new) = (map(0), map(1))
        let clock = ContinuousClock()
        let start = clock.now
        let documents = try (Document(parsing: old), Document(parsing: new))
        let parsing = start.duration(to: clock.now)
        let before = clock.now
        let patch = try #require(documents.0.mergePatch(to: documents.1))
        let merging = before.duration(to: clock.now)
        #expect(try Document(parsing: patch).root.count == 133_334)
        // Copying a byte a member at each member took four hundred times as long as parsing.
        #expect(merging < parsing * 20, "\(merging) beside \(parsing)")
    }

    @Test("objects that are taken apart at every level cost no more than twice their size a level")
    func nested() throws {
        // Names change their place at each of 100 levels, so that each pair of objects is paired by the table.
        func nest(_ swapped: Bool) -> [UInt8] {
            var text = "1"
            for level in 0..<100 {
                let members = (0..<20).map { #""k\#($0)":\#(swapped ? level : $0)"# }
                let order = swapped ? members.reversed() : members
                text = "{\(order.joined(separator: ",")),\"inner\":\(text)}"
            }
            return Array(text.utf8)
        }
        let (old, new) = try (Document(parsing: nest(false)), Document(parsing: nest(true)))
        let patch = try #require(old.mergePatch(to: new))
        #expect(try old.applying(mergePatch: Document(parsing: patch)) == new)
        #expect(patch.count <= new.text.count)
    }
}
