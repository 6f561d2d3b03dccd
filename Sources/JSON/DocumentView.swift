// A document by the places on its tape, for rooms that look at every value of it.

/// The values and names of one document, each named by its place, 0 for the outermost. A member name stands at the place
/// in front of its value's.
///
/// Nothing is counted, copied or checked: places must be those of this document, and the view must not outlive the call
/// that gave it out. It is public because the compiler inlines into other modules only what is; a call for each of these
/// would cost as much as the rest of a check.
public struct DocumentView {
    @usableFromInline let nodes: UnsafePointer<Node>
    @usableFromInline let text: UnsafePointer<UInt8>

    /// Raw values of `Value.Kind`, as ``rawKind(_:)`` gives them.
    @inlinable @inline(__always) public static var number: UInt8 { 3 }
    @inlinable @inline(__always) public static var string: UInt8 { 4 }
    @inlinable @inline(__always) public static var array: UInt8 { 5 }
    @inlinable @inline(__always) public static var object: UInt8 { 6 }

    init(nodes: UnsafePointer<Node>, text: UnsafePointer<UInt8>) {
        self.nodes = nodes
        self.text = text
    }

    /// The raw value of the place's `Value.Kind`.
    @inlinable @inline(__always)
    public func rawKind(_ place: Int) -> UInt8 { UInt8(truncatingIfNeeded: self.nodes[place].tag & 7) }

    /// The place behind the value and all that it holds.
    @inlinable @inline(__always)
    public func end(_ place: Int) -> Int { Int(self.nodes[place].next) }

    /// The number of elements or members; 0 for a scalar.
    @inlinable @inline(__always)
    public func count(_ place: Int) -> Int { Int(self.nodes[place].tag >> 4) }

    /// As `Value.hash`.
    @inlinable @inline(__always)
    public func hash(_ place: Int) -> UInt64 { self.nodes[place].hash }

    /// Whether a string or name is written with escapes.
    @inlinable @inline(__always)
    public func isEscaped(_ place: Int) -> Bool { self.nodes[place].tag & 8 != 0 }

    /// The text of a string or name between its quotes, escapes unresolved.
    @inlinable @inline(__always)
    public func content(_ place: Int) -> UnsafeBufferPointer<UInt8> {
        let node = self.nodes[place]
        return UnsafeBufferPointer(start: self.text + Int(node.start) + 1, count: Int(node.length) - 2)
    }

    /// Whether the text of a string or name between its quotes is these bytes.
    package func hasContent(_ place: Int, _ bytes: UnsafePointer<UInt8>, count: Int) -> Bool {
        let node = self.nodes[place]
        return node.byteCount == count + 2 && bytesAreEqual(self.text + node.first + 1, bytes, count: count)
    }

    /// Whether two elements of an array have equal hashes: no two are equal where not. Without allocation, for short
    /// ones; true for the others.
    package func mayHaveEqualElements(_ place: Int) -> Bool {
        guard self.count(place) <= 16 else { return true }
        var element = place + 1
        let end = self.end(place)
        while element < end {
            var other = self.end(element)
            while other < end {
                if self.hash(other) == self.hash(element) { return true }
                other = self.end(other)
            }
            element = self.end(element)
        }
        return false
    }

    /// The exact value of a number.
    package func decimal(_ place: Int) -> DecimalText {
        let node = self.nodes[place]
        return DecimalText(self.text + Int(node.start), count: Int(node.length))
    }
}

extension Document {
    /// Calls `body` with a view of this document, which is valid until `body` returns.
    package func withView<Result>(_ body: (DocumentView) -> Result) -> Result? {
        self.storage.text.withUnsafeBufferPointer { text in
            text.baseAddress.map { body(DocumentView(nodes: self.storage.nodes, text: $0)) }
        }
    }

    /// The value at a place of this document's view; nil where there is no such place.
    package func value(place: Int) -> Value? {
        place >= 0 && place < self.storage.count ? Value(storage: self.storage, index: place) : nil
    }

    /// The content of the string or name at a place, escapes resolved. The place must be one of this document's view.
    package func unescapedText(place: Int) -> [UInt8] { self.storage.unescaped(place) }

    /// The pointer to the value at `place`: of a member name's, that of its value. Walks from the root.
    package func pointer(to place: Int) -> Pointer {
        var tokens: [Pointer.Token] = []
        var container = 0
        descending: while container != place {
            let isObject = self.storage.nodes[container].kind == .object
            var (child, position) = (container + 1, 0)
            while child < self.storage.nodes[container].end {
                let value = isObject ? child + 1 : child
                let end = self.storage.nodes[value].end
                if place < end {
                    let name = isObject ? self.storage.unescaped(child) : Array(String(position).utf8)
                    tokens.append(Pointer.Token(utf8: name))
                    guard place > value else { return Pointer(tokens: tokens) }
                    container = value
                    continue descending
                }
                child = end
                position += 1
            }
            break
        }
        return Pointer(tokens: tokens)
    }
}

extension Value {
    /// Where the value stands in its document's view: tells the values of one document apart.
    package var place: Int { self.index }

    /// Whether two elements of an array are equal; false for anything else. Linear but for forged hashes, of which there
    /// are none.
    package var hasEqualElements: Bool {
        guard self.kind == .array, self.count > 1 else { return false }
        let places = self.elements.map(\.index)
        let table = HashTable(places.map { self.storage.nodes[$0].hash })
        guard !table.isUnique else { return false }
        for (position, place) in places.enumerated() {
            var candidate = table.first(self.storage.nodes[place].hash)
            while let other = candidate {
                if other < position, self.storage.isEqual(place, in: self.storage, places[other]) { return true }
                candidate = table.next(after: other)
            }
        }
        return false
    }
}

/// The hash of a string or member name with this content, as `Value.hash` gives it. For this process only.
package func documentHash(ofName utf8: [UInt8]) -> UInt64 { HashSeed.process.string(utf8) }
