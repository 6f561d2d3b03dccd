import System
import Testing

@testable import JSON

@Suite("The part of a document that takes its place")
struct NarrowingTests {
    private let place = Pointer().appending("data")

    /// A document that is not held by anybody else, with a tape of its own.
    private func document(_ inner: String, around: Int) throws -> Document {
        let others = (0..<around).map { #""other \#($0)":[\#($0)],"# }.joined()
        return try Document(parsing: Array(#"{\#(others)"data":\#(inner),"behind":{"a":1}}"#.utf8))
    }

    private func expectSame(_ document: Document?, _ inner: String, _ note: Comment) throws {
        let expected = try Document(parsing: Array(inner.utf8))
        let document = try #require(document, note)
        #expect(document.text == expected.text, note)
        #expect(document.nodeCount == expected.nodeCount && document.hash == expected.hash, note)
        let isSame = (0..<expected.nodeCount).allSatisfy { index in
            let (node, other) = (document.storage.nodes[index], expected.storage.nodes[index])
            return node.start == other.start && node.length == other.length && node.next == other.next
                && node.tag == other.tag && node.hash == other.hash
        }
        #expect(isSame, note)
    }

    @Test("nearly all of the document or not, of one that others hold too or not", arguments: [0, 1, 40])
    func parts(around: Int) throws {
        var generator = SplitMix64(seed: 35)
        for round in 0..<200 {
            let items = (0..<(round % 80)).map { _ in Sketch.random(&generator).text(&generator) }
            // Without whitespace, as a document has it.
            let list = try Document(parsing: Array("[\(items.joined(separator: ","))]".utf8))
            let inner = String(decoding: list.text, as: UTF8.self)
            let alone = try self.document(inner, around: around).narrowed(to: self.place)
            try self.expectSame(alone, inner, "round \(round), alone")
            let kept = try self.document(inner, around: around)
            try self.expectSame(kept.narrowed(to: self.place), inner, "round \(round), held")
            try self.expectSame(kept, String(decoding: kept.text, as: UTF8.self), "round \(round), what is held")
            try self.expectSame(kept.extracting(self.place), inner, "round \(round), copied")
        }
    }

    @Test("the whole document, and nothing")
    func edges() throws {
        let document = try self.document("[1]", around: 1)
        #expect(document.narrowed(to: Pointer())?.text == document.text)
        #expect(document.narrowed(to: Pointer().appending("absent")) == nil)
    }

    @Test("the tape of a document that nobody else holds stays where it is")
    func storage() throws {
        let inner = "[\((0..<500).map { "\($0)" }.joined(separator: ","))]"
        var document: Document? = try self.document(inner, around: 1)
        let nodes = document.map { UInt(bitPattern: $0.storage.nodes) }
        let part = document.take()?.narrowed(to: self.place)
        #expect(part.map { UInt(bitPattern: $0.storage.nodes) } == nodes)
    }
}
