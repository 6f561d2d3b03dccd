// A parsed representation: its own minified bytes and a tape over them.

/// One JSON text (RFC 8259), parsed and immutable.
///
/// Copies share their storage. Numbers and strings stay as the upstream wrote them; only whitespace and a byte order
/// mark are gone. Where an object names a member twice, the last one counts and the earlier ones are dropped from the
/// text (RFC 8259 §4 leaves this open), so that a document never holds a name twice.
package struct Document: Sendable {
    let storage: Storage

    /// Parses `bytes`.
    ///
    /// - Throws: why and where they are not a JSON text within `limits`.
    package init(parsing bytes: [UInt8], limits: ParseLimits = ParseLimits()) throws(ParseError) {
        let result: Result<Storage, ParseError> = bytes.withUnsafeBytes { Storage.parse($0, limits: limits) }
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
        self.value(at: pointer)?.document
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

    /// Takes over `nodes`, an allocation that holds `count` of them.
    init(text: [UInt8], nodes: UnsafePointer<Node>, count: Int) {
        self.text = text
        self.nodes = nodes
        self.count = count
    }

    deinit {
        self.nodes.deallocate()
    }

    /// A copy of the subtree at `index`.
    func copy(of index: Int) -> Storage {
        let top = self.nodes[index]
        let count = top.end - index
        let nodes = UnsafeMutablePointer<Node>.allocate(capacity: count)
        for offset in 0..<count {
            var node = self.nodes[index + offset]
            node.start &-= top.start
            node.next &-= UInt32(truncatingIfNeeded: index)
            (nodes + offset).initialize(to: node)
        }
        return Storage(text: Array(self.text[top.first..<(top.first + top.byteCount)]), nodes: nodes, count: count)
    }
}

// MARK: - Parsing

extension Storage {
    static func parse(_ source: UnsafeRawBufferPointer, limits: ParseLimits) -> Result<Storage, ParseError> {
        let limits = limits.clamped
        let length = source.count
        guard length <= limits.maxBytes else {
            return .failure(ParseError(reason: .tooLong(limitBytes: limits.maxBytes), offset: limits.maxBytes))
        }
        guard let base = source.baseAddress, length > 0 else {
            return .failure(ParseError(reason: .unexpectedEnd, offset: 0))
        }
        var tape: Result<Tape, ParseError> = .failure(ParseError(reason: .unexpectedEnd, offset: 0))
        var text = [UInt8](unsafeUninitializedCapacity: length + Parser.padding) { buffer, count in
            guard let bytes = buffer.baseAddress else { return }
            UnsafeMutableRawPointer(bytes).copyMemory(from: base, byteCount: length)
            (bytes + length).initialize(repeating: 0, count: Parser.padding)
            tape = Tape.parse(bytes, end: length, limits: limits)
            if case .success(let tape) = tape { count = tape.textLength }
        }
        switch tape {
        case .failure(let error):
            return .failure(error)
        case .success(let tape):
            if length - text.count > length / 4 {
                // Mostly indentation: do not keep a buffer of the input's size for as long as the document lives.
                text = text.withUnsafeBufferPointer { Array($0) }
            }
            let storage = Storage(text: text, nodes: tape.nodes, count: tape.count)
            return tape.mayRepeatNames ? storage.withoutRepeatedNames() : .success(storage)
        }
    }
}

/// What a parser leaves behind.
private struct Tape {
    var nodes: UnsafePointer<Node>
    var count: Int
    var textLength: Int
    var mayRepeatNames: Bool

    static func parse(
        _ bytes: UnsafeMutablePointer<UInt8>,
        end: Int,
        limits: ParseLimits
    ) -> Result<Tape, ParseError> {
        var parser = Parser(bytes: bytes, end: end, limits: limits, seed: .process)
        do throws(ParseError) {
            let textLength = try parser.document()
            parser.finish()
            return .success(
                Tape(
                    nodes: parser.exactNodes(),
                    count: parser.count,
                    textLength: textLength,
                    mayRepeatNames: parser.names.foundDuplicate
                )
            )
        } catch {
            parser.finish()
            parser.nodes.deallocate()
            return .failure(error)
        }
    }
}

extension Parser {
    /// The nodes in an allocation that is not much larger than they are; the parser's own is given up.
    fileprivate mutating func exactNodes() -> UnsafePointer<Node> {
        guard self.capacity - self.count > self.capacity / 4 else { return UnsafePointer(self.nodes) }
        let nodes = UnsafeMutablePointer<Node>.allocate(capacity: max(self.count, 1))
        nodes.moveInitialize(from: self.nodes, count: self.count)
        self.nodes.deallocate()
        self.nodes = nodes
        self.capacity = self.count
        return UnsafePointer(nodes)
    }
}
