// A value inside a document, as other rooms read it.

/// One value of a document. It keeps the document's storage alive; copying it costs a reference count.
package struct Value: Sendable {
    /// The seven kinds (RFC 8259 §3, with the two truth values apart).
    package enum Kind: UInt8, Hashable, Sendable {
        case null
        case `false`
        case `true`
        case number
        case string
        case array
        case object
    }

    let storage: Storage
    let index: Int

    var node: Node { self.storage.nodes[self.index] }

    package var kind: Kind { self.node.kind }

    /// The minified JSON text of this value, a string's quotes included.
    package var text: ArraySlice<UInt8> { self.storage.sourceText(self.index) }

    /// As `Document.hash`, of this value alone.
    package var hash: UInt64 { self.node.hash }

    /// The number of elements of an array or members of an object; 0 for anything else.
    package var count: Int { self.node.count }

    /// This value as a document of its own. Copies.
    package var document: Document {
        self.index == 0 ? Document(storage: self.storage) : Document(storage: self.storage.copy(of: self.index))
    }
}

extension Value: Equatable {
    /// Exact JSON equality, as of documents.
    package static func == (left: Value, right: Value) -> Bool {
        left.storage.isEqual(left.index, in: right.storage, right.index)
    }
}

// MARK: - Scalars

extension Value {
    package var isNull: Bool { self.kind == .null }

    /// The truth value; nil for anything else.
    package var bool: Bool? {
        switch self.kind {
        case .true: true
        case .false: false
        case .null, .number, .string, .array, .object: nil
        }
    }

    /// A string's content with its escapes resolved; nil for anything else.
    package var string: String? {
        self.utf8.map { String(decoding: $0, as: UTF8.self) }
    }

    /// A string's content as UTF-8, escapes resolved; nil for anything else. Compare these, never `String`s: Swift's
    /// equality takes `é` and `e` + U+0301 for the same.
    package var utf8: [UInt8]? {
        self.kind == .string ? self.storage.unescaped(self.index) : nil
    }

    /// A number that is an integer and fits, however it is written (`1e3`, `5.0`); nil for anything else.
    package var int: Int? {
        self.kind == .number ? self.storage.withDecimal(self.index) { $0.integer } : nil
    }

    /// The nearest double of a number; nil for anything else and for what exceeds the range, such as `1e400`.
    package var double: Double? {
        guard self.kind == .number, let value = Double(String(decoding: self.text, as: UTF8.self)), value.isFinite
        else { return nil }
        return value
    }
}

// MARK: - Containers

extension Value {
    /// A member of an object.
    package struct Member: Sendable {
        /// The name, a string value.
        package let key: Value
        package let value: Value

        /// The name with its escapes resolved.
        package var name: String { String(decoding: self.key.storage.unescaped(self.key.index), as: UTF8.self) }
    }

    /// The members of an object in the order of the text; none for anything else.
    package struct Members: Sequence, IteratorProtocol, Sendable {
        let storage: Storage
        var index: Int
        let end: Int

        package mutating func next() -> Member? {
            guard self.index < self.end else { return nil }
            let key = Value(storage: self.storage, index: self.index)
            let value = Value(storage: self.storage, index: self.index + 1)
            self.index = self.storage.nodes[self.index + 1].end
            return Member(key: key, value: value)
        }
    }

    /// The elements of an array in order; none for anything else.
    package struct Elements: Sequence, IteratorProtocol, Sendable {
        let storage: Storage
        var index: Int
        let end: Int

        package mutating func next() -> Value? {
            guard self.index < self.end else { return nil }
            defer { self.index = self.storage.nodes[self.index].end }
            return Value(storage: self.storage, index: self.index)
        }
    }

    /// An object or an array.
    package var isContainer: Bool { self.node.isContainer }

    package var members: Members {
        let first = self.index + 1
        return Members(storage: self.storage, index: first, end: self.kind == .object ? self.node.end : first)
    }

    package var elements: Elements {
        let first = self.index + 1
        return Elements(storage: self.storage, index: first, end: self.kind == .array ? self.node.end : first)
    }

    /// The member of that name, compared by code points; nil if absent or if this is not an object. Linear.
    package subscript(_ name: String) -> Value? {
        self[utf8: Array(name.utf8)]
    }

    /// The member whose unescaped name is these bytes.
    package subscript(utf8 name: [UInt8]) -> Value? {
        guard self.kind == .object else { return nil }
        let hash = HashSeed.process.string(name)
        var index = self.index + 1
        while index < self.node.end {
            if self.storage.nodes[index].hash == hash, self.storage.unescaped(index) == name {
                return Value(storage: self.storage, index: index + 1)
            }
            index = self.storage.nodes[index + 1].end
        }
        return nil
    }

    /// The element at that position; nil if absent or if this is not an array. Linear.
    package subscript(_ position: Int) -> Value? {
        guard self.kind == .array, position >= 0, position < self.count else { return nil }
        var index = self.index + 1
        for _ in 0..<position { index = self.storage.nodes[index].end }
        return Value(storage: self.storage, index: index)
    }

    /// The value that `pointer` names from here; nil if absent (RFC 6901 §4).
    package func value(at pointer: Pointer) -> Value? {
        var value = self
        for token in pointer.tokens {
            let next = value.kind == .array ? token.arrayIndex.flatMap { value[$0] } : value[utf8: token.utf8]
            guard let next else { return nil }
            value = next
        }
        return value
    }
}
