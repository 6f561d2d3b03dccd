// A parsed representation: its own minified bytes and a tape over them.

/// One JSON text (RFC 8259), parsed and immutable.
///
/// Copies share their storage. Numbers and strings stay as the upstream wrote them; only whitespace and a byte order
/// mark are gone. Where an object names a member twice, the last one counts and the earlier ones are dropped from the
/// text (RFC 8259 §4 leaves this open), so that a document never holds a name twice.
package struct Document: Sendable {
    private(set) var storage: Storage

    /// Parses `bytes`.
    ///
    /// - Parameters:
    ///   - bytes: the text.
    ///   - last: an earlier version of the same text, or of a part of it, if there is one. What is the same in both is taken
    ///     from it, which is faster; the result does not depend on it.
    ///   - place: where in the text that part is.
    ///   - limits: what the document may cost.
    /// - Throws: why and where they are not a JSON text within `limits`.
    package init(
        parsing bytes: [UInt8],
        after last: Document? = nil,
        at place: Pointer = Pointer(),
        limits: ParseLimits = ParseLimits()
    ) throws(ParseError) {
        let way = last == nil ? [] : place.tokens.map { documentHash(ofName: $0.utf8) }
        let result = bytes.withUnsafeBytes {
            Storage.parse($0, of: bytes, after: last?.storage, at: way, limits: limits)
        }
        self.storage = try result.get()
    }

    /// Parses `bytes`, which are not needed afterwards.
    ///
    /// - Throws: why and where they are not a JSON text within `limits`.
    package init(parsing bytes: UnsafeRawBufferPointer, limits: ParseLimits = ParseLimits()) throws(ParseError) {
        self.storage = try Storage.parse(bytes, limits: limits).get()
    }

    init(storage: Storage) {
        self.storage = storage
    }

    /// The minified JSON text. Numbers and strings are the source's text. O(1), shared with the document.
    package var text: [UInt8] { self.storage.text }

    /// The outermost value.
    package var root: Value { Value(storage: self.storage, index: 0) }

    /// The number of values and member names.
    package var nodeCount: Int { self.storage.count }

    /// Of the whole value: equal for equal documents, whatever the order of members and the writing of numbers and
    /// strings (`1`, `1.0` and `1e0` are equal). Seeded: not comparable between processes, never to be stored.
    package var hash: UInt64 { self.storage.nodes[0].hash }

    /// The value that `pointer` names; nil if absent.
    package func value(at pointer: Pointer) -> Value? {
        self.root.value(at: pointer)
    }

    /// The value that `pointer` names as a document of its own; nil if absent. Copies, does not parse again.
    package func extracting(_ pointer: Pointer) -> Document? {
        guard let index = self.value(at: pointer)?.index else { return nil }
        guard index > 0 else { return self }
        return Document(storage: self.storage.copy(of: index, depth: pointer.tokens.count))
    }

    /// The same of a document that is not needed any more: where nobody else holds it and the value is nearly all of it, the
    /// tape stays where it is, which of a large document is most of the work.
    package consuming func narrowed(to pointer: Pointer) -> Document? {
        guard let index = self.value(at: pointer)?.index else { return nil }
        guard index > 0 else { return self }
        guard isKnownUniquelyReferenced(&self.storage), self.storage.isNearlyAll(index) else {
            return Document(storage: self.storage.copy(of: index, depth: pointer.tokens.count))
        }
        return Document(storage: self.storage.cut(to: index, depth: pointer.tokens.count))
    }
}

/// The text and the tape of a document.
///
/// Unchecked sendability: both are written before `init` returns and never again.
final class Storage: @unchecked Sendable {
    let text: [UInt8]
    /// `count` nodes, at least one, owned by this object. Freed at once: there is no object per value.
    let nodes: UnsafePointer<Node>
    let count: Int
    /// The limit of depth that the text was accepted within.
    let maxDepth: Int
    /// How many of the next versions are not to be compared with the version before, since comparing did not pay.
    let plainVersions: Int
    /// Another storage has the nodes; this one is good for nothing any more.
    private var isCut = false

    /// Takes over `nodes`, an allocation that holds `count` of them.
    init(text: [UInt8], nodes: UnsafePointer<Node>, count: Int, maxDepth: Int, plainVersions: Int = 0) {
        self.text = text
        self.nodes = nodes
        self.count = count
        self.maxDepth = maxDepth
        self.plainVersions = plainVersions
    }

    deinit {
        if !self.isCut { self.nodes.deallocate() }
    }

    /// Whether hardly a node is outside the subtree at `index`: each would be kept in vain.
    func isNearlyAll(_ index: Int) -> Bool {
        let count = self.nodes[index].end - index
        return self.count - count <= count / 32
    }

    /// The subtree at `index` in the place of this storage, which must not be used again and which nobody else may hold.
    func cut(to index: Int, depth: Int) -> Storage {
        let top = self.nodes[index]
        let count = top.end - index
        let nodes = UnsafeMutablePointer(mutating: self.nodes)
        // To the front, from the first node on: what is overwritten was read before.
        Node.copy(nodes + index, count: count, to: nodes, NodeShift(text: -top.first, nodes: -index))
        self.isCut = true
        return self.part(top, nodes, count: count, depth: depth)
    }

    /// A copy of the subtree at `index`, around which `depth` containers are known to be.
    func copy(of index: Int, depth: Int = 0) -> Storage {
        let top = self.nodes[index]
        let count = top.end - index
        let nodes = UnsafeMutablePointer<Node>.allocate(capacity: count)
        Node.copy(self.nodes + index, count: count, to: nodes, NodeShift(text: -top.first, nodes: -index))
        return self.part(top, nodes, count: count, depth: depth)
    }

    private func part(_ top: Node, _ nodes: UnsafePointer<Node>, count: Int, depth: Int) -> Storage {
        let text = Array(self.text[top.first..<(top.first + top.byteCount)])
        return Storage(
            text: text,
            nodes: nodes,
            count: count,
            maxDepth: max(0, self.maxDepth - depth),
            plainVersions: self.plainVersions
        )
    }
}
