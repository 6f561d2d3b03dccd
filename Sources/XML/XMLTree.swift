// What was read of a document, flat: elements in document order, their names, and one store of JSON fragments.

/// The elements of one document. The first is the root.
struct XMLTree {
    /// Kept small, since a document of 8 MiB can hold two million of them: links are indices, -1 for none.
    struct Element {
        var name: Int32
        /// The next element with the same parent; once that has ended, the next one of the same name too.
        var next: Int32 = -1
        /// The first child, which is also the first of the first name.
        var firstChild: Int32 = -1
        /// The last child, until the element ends.
        var lastChild: Int32 = -1
        /// The first sibling of the next name, for an element that is the first of its own.
        var nextName: Int32 = -1
        /// `"@name":"value"`, separated by commas.
        var attributes = Piece()
        /// A JSON string; empty where there is no text.
        var text = Piece()
        /// The way from the root, in ``XMLTree/paths``; -1 where it is not distinguished.
        var path: Int32 = -1
        /// Stands in an array even if it is the only one.
        var isItem = false
        /// Would hold the source's items, and has none.
        var lacksItems = false

        var isObject: Bool { !self.attributes.isEmpty || self.firstChild >= 0 || self.lacksItems }
    }

    /// A part of the store. What is read is at most 1 GiB long, and what is stored of it at most three times that.
    struct Piece {
        private var start: UInt32 = 0
        private var end: UInt32 = 0

        init() {}

        init(_ range: Range<Int>) {
            self.start = UInt32(clamping: range.lowerBound)
            self.end = UInt32(clamping: range.upperBound)
        }

        var isEmpty: Bool { self.start == self.end }
        var range: Range<Int> { Int(self.start)..<Int(self.end) }
    }

    private(set) var elements: [Element] = []
    var names = XMLNames()
    /// Where lists keep their shape; nil where an element is an array only beside another one.
    var paths: XMLPaths?
    /// JSON text.
    private(set) var store: [UInt8] = []
    /// The name of the source's items, where its configuration says where they are.
    var itemName: Int?

    subscript(index: Int) -> Element {
        get { self.elements[index] }
        set { self.elements[index] = newValue }
    }

    /// Whether an element that is the first of its name is written as an array.
    func isArray(_ element: Element) -> Bool {
        element.isItem || element.next >= 0 || self.paths?.isList(Int(element.path)) == true
    }

    func json(_ piece: Piece) -> ArraySlice<UInt8> { self.store[piece.range] }

    /// Keeps the JSON that `write` appends.
    mutating func keep(_ write: (inout [UInt8]) -> Void) -> Piece {
        let start = self.store.count
        write(&self.store)
        return Piece(start..<self.store.count)
    }

    /// Adds a child to an element that is open; the root has no parent.
    mutating func append(_ name: Int, to parent: Int?) -> Int {
        let index = self.elements.count
        self.elements.append(Element(name: Int32(clamping: name)))
        guard let parent else { return index }
        let last = Int(self.elements[parent].lastChild)
        if last >= 0 {
            self.elements[last].next = Int32(clamping: index)
        } else {
            self.elements[parent].firstChild = Int32(clamping: index)
        }
        self.elements[parent].lastChild = Int32(clamping: index)
        return index
    }

    /// Notes the way to an element from its parent's, where lists keep their shape.
    mutating func findPath(of index: Int, in parent: Int?) {
        guard self.paths != nil else { return }
        let name = Int(self.elements[index].name)
        let above = parent.map { Int(self.elements[$0].path) }
        let path = self.paths?.number(of: name, text: self.names.text(name), in: above) ?? -1
        self.elements[index].path = Int32(clamping: path)
    }

    /// Links the children of an element that has ended by name, in the order of each name's first appearance.
    mutating func groupChildren(of parent: Int) {
        var child = Int(self.elements[parent].firstChild)
        var firstOfLastName: Int?
        while child >= 0 {
            let name = Int(self.elements[child].name)
            let next = Int(self.elements[child].next)
            self.elements[child].next = -1
            if let previous = self.names.lastChild(of: name, in: parent) {
                self.elements[previous].next = Int32(clamping: child)
                if !self.elements[child].isItem { self.paths?.noteList(Int(self.elements[child].path)) }
            } else {
                if let firstOfLastName { self.elements[firstOfLastName].nextName = Int32(clamping: child) }
                firstOfLastName = child
            }
            self.names.setLastChild(child, of: name, in: parent)
            child = next
        }
    }
}

/// The distinct element names of a document, by number.
struct XMLNames {
    private struct Entry {
        /// The name in `bytes`, and as a JSON string in `json`.
        var bytes: Range<Int>
        var json: Range<Int>
        var hash: Int
        /// The last child of this name that was met in `parent`.
        var parent = -1
        var lastChild = -1
    }

    private var bytes: [UInt8] = []
    private var json: [UInt8] = []
    private var entries: [Entry] = []
    /// Open addressing: numbers of entries, or -1. The size is a power of two, at least twice the entries.
    private var slots = [Int](repeating: -1, count: 64)

    /// The number of a name. Hashed with the process's own seed, so that no upstream can make names that collide.
    mutating func number(of name: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: name)
        let hash = hasher.finalize()
        var slot = hash & (self.slots.count - 1)
        while self.slots[slot] >= 0 {
            let entry = self.entries[self.slots[slot]]
            if entry.hash == hash, self.bytes[entry.bytes].elementsEqual(name) { return self.slots[slot] }
            slot = (slot + 1) & (self.slots.count - 1)
        }
        let number = self.entries.count
        let (start, jsonStart) = (self.bytes.count, self.json.count)
        self.bytes.append(contentsOf: name)
        self.json.appendJSONString(name)
        self.entries.append(
            Entry(bytes: start..<self.bytes.count, json: jsonStart..<self.json.count, hash: hash)
        )
        self.slots[slot] = number
        if self.entries.count * 2 > self.slots.count { self.grow() }
        return number
    }

    /// The name as a JSON string.
    func json(_ number: Int) -> ArraySlice<UInt8> { self.json[self.entries[number].json] }

    func text(_ number: Int) -> ArraySlice<UInt8> { self.bytes[self.entries[number].bytes] }

    func lastChild(of name: Int, in parent: Int) -> Int? {
        self.entries[name].parent == parent ? self.entries[name].lastChild : nil
    }

    mutating func setLastChild(_ child: Int, of name: Int, in parent: Int) {
        self.entries[name].parent = parent
        self.entries[name].lastChild = child
    }

    private mutating func grow() {
        self.slots = [Int](repeating: -1, count: self.slots.count * 2)
        for (number, entry) in self.entries.enumerated() {
            var slot = entry.hash & (self.slots.count - 1)
            while self.slots[slot] >= 0 { slot = (slot + 1) & (self.slots.count - 1) }
            self.slots[slot] = number
        }
    }
}

extension [UInt8] {
    /// Appends UTF-8 text as a JSON string.
    mutating func appendJSONString(_ text: some Collection<UInt8>, prefix: StaticString = "") {
        self.append(UInt8(ascii: "\""))
        self.append(contentsOf: UnsafeBufferPointer(start: prefix.utf8Start, count: prefix.utf8CodeUnitCount))
        let isPlain = text.withContiguousStorageIfAvailable { bytes in
            guard bytes.allSatisfy({ $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) else {
                return false
            }
            self.append(contentsOf: bytes)
            return true
        }
        if isPlain != true {
            for byte in text { self.appendEscaped(byte) }
        }
        self.append(UInt8(ascii: "\""))
    }

    private mutating func appendEscaped(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): self += [UInt8(ascii: "\\"), byte]
        case 0x0A: self += "\\n".utf8
        case 0x0D: self += "\\r".utf8
        case 0x09: self += "\\t".utf8
        case 0..<0x20:
            // XML has no other control characters; escaped all the same, so that no parser's leniency reaches JSON.
            let digits = Array("0123456789abcdef".utf8)
            self += "\\u00".utf8
            self += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        default: self.append(byte)
        }
    }
}
