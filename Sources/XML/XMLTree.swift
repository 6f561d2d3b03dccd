// What was read of a document, flat: elements in document order, their names, and one store of JSON fragments.

/// The elements of one document. The first is the root. To be deallocated.
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

    private var elements = Growing<Element>(capacity: 256)
    var names = XMLNames()
    /// Where lists keep their shape; nil where an element is an array only beside another one.
    var paths: XMLPaths?
    /// JSON text.
    private(set) var store = Growing<UInt8>(capacity: 4096)
    /// The name of the source's items, where its configuration says where they are.
    var itemName: Int?

    func deallocate() {
        self.elements.deallocate()
        self.names.deallocate()
        self.store.deallocate()
    }

    /// The elements by number, until the next one is appended.
    var base: UnsafeMutablePointer<Element> { self.elements.base }

    subscript(index: Int) -> Element { self.elements.base[index] }

    /// Whether an element that is the first of its name is written as an array.
    func isArray(_ element: Element) -> Bool {
        element.isItem || element.next >= 0 || self.paths?.isList(Int(element.path)) == true
    }

    /// What was kept, until more is.
    func json(_ piece: Piece) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self.store.bytes[piece.range])
    }

    /// Keeps the JSON that `write` appends.
    @inline(__always)
    mutating func keep(_ write: (inout Growing<UInt8>) -> Void) -> Piece {
        let start = self.store.count
        write(&self.store)
        return Piece(start..<self.store.count)
    }

    /// Adds a child to an element that is open; the root has no parent.
    mutating func append(_ name: Int, to parent: Int?) -> Int {
        let index = self.elements.count
        self.elements.append(Element(name: Int32(clamping: name)))
        guard let parent else { return index }
        let last = Int(self.elements.base[parent].lastChild)
        if last >= 0 {
            self.elements.base[last].next = Int32(clamping: index)
        } else {
            self.elements.base[parent].firstChild = Int32(clamping: index)
        }
        self.elements.base[parent].lastChild = Int32(clamping: index)
        return index
    }

    /// Notes the way to an element from its parent's, where lists keep their shape.
    mutating func findPath(of index: Int, in parent: Int?) {
        guard self.paths != nil else { return }
        let name = Int(self.elements.base[index].name)
        let above = parent.map { Int(self.elements.base[$0].path) }
        let path = self.paths?.number(of: name, text: self.names.text(name), in: above) ?? -1
        self.elements.base[index].path = Int32(clamping: path)
    }

    /// Links the children of an element that has ended by name, in the order of each name's first appearance.
    mutating func groupChildren(of parent: Int) {
        var child = Int(self.elements.base[parent].firstChild)
        var firstOfLastName: Int?
        while child >= 0 {
            let name = Int(self.elements.base[child].name)
            let next = Int(self.elements.base[child].next)
            self.elements.base[child].next = -1
            if let previous = self.names.lastChild(of: name, in: parent) {
                self.elements.base[previous].next = Int32(clamping: child)
                if !self.elements.base[child].isItem { self.paths?.noteList(Int(self.elements.base[child].path)) }
            } else {
                if let firstOfLastName { self.elements.base[firstOfLastName].nextName = Int32(clamping: child) }
                firstOfLastName = child
            }
            self.names.setLastChild(child, of: name, in: parent)
            child = next
        }
    }
}
