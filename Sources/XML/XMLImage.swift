// XML as JSON: one fixed image, the same for the same bytes, made so that a new version of a document differs from the
// last one only where its content does.

package import Charsets

/// Turns XML documents into JSON text.
///
/// | XML | JSON |
/// | --- | --- |
/// | the document | an object with the root element as its only member |
/// | an element with neither attributes nor children | its text, a string; `""` where it is empty |
/// | any other element | an object: attributes, then children, then its own text |
/// | an attribute | the member `@name`, a string |
/// | children of one name | one member in the place of the first: an array in document order if there are several |
/// | text beside attributes or children | the member `#text` |
///
/// A lone child is an array too where it is an item of a collection, so that a feed of one item has the shape of a feed
/// of two: where the source's configuration names it as its `items`; where its parent has the name of its plural
/// (`stop` in `stops`); where the vocabulary says so (``Vocabulary``); and, for a reader that remembers them, where
/// several stood once (``XMLLists``), be it in an earlier document or elsewhere in this one.
///
/// Names keep their prefixes, and `xmlns` is an attribute like any other. Text is what is between the tags, CDATA
/// included, in one piece, without the white space around it. Comments, processing instructions and the document type
/// are left out. Character references, the five entities of XML and the named characters of HTML are resolved; the use
/// of any other entity, which the document would have to declare, is an error, and nothing is ever fetched.
package struct XMLImage {
    /// What one document may cost.
    package struct Limits: Hashable, Sendable {
        /// The most elements open at once. The default is 63, which takes 127 levels of JSON.
        package var maxDepth: Int
        /// The most elements and attributes together. The default is 2,000,000.
        package var maxNodes: Int
        /// The most attributes that a document type may declare: each would be gone through at every element.
        static let maxDeclarations = 256
        /// The longest document in bytes: 1 GiB.
        static let maxBytes = 1 << 30
        /// The longest text of a document that is converted to UTF-8, in bytes. The default is 1 GiB.
        package var maxTextBytes: Int

        package init(maxDepth: Int = 63, maxNodes: Int = 2_000_000, maxTextBytes: Int = maxBytes) {
            self.maxDepth = maxDepth
            self.maxNodes = maxNodes
            self.maxTextBytes = min(maxTextBytes, Self.maxBytes)
        }
    }

    /// The image as JSON text without white space. Little longer than the document in UTF-8.
    package let json: [UInt8]
    /// Where this document and the earlier ones held lists, to be given to the next one.
    package let lists: XMLLists

    /// Reads a document.
    ///
    /// - Parameters:
    ///   - body: In any encoding of ``TextEncoding``: by its byte order mark, else by `charset`, else by its declaration
    ///     (RFC 7303).
    ///   - charset: What the field of the response says of the encoding.
    ///   - collection: The element names from the root to the source's items, if it says where they are.
    ///   - lists: Where earlier documents held lists; nil for an image that depends on nothing but this document.
    ///   - limits: What it may cost.
    /// - Throws: ``XMLError``.
    package init(
        parsing body: [UInt8],
        charset: TextEncoding? = nil,
        collection: [[UInt8]] = [],
        lists: XMLLists? = nil,
        limits: Limits = Limits()
    ) throws(XMLError) {
        guard body.count <= Limits.maxBytes else {
            throw XMLError(reason: .tooLong(limitBytes: Limits.maxBytes), offset: Limits.maxBytes)
        }
        let text = try XMLText(body, charset: charset, maxBytes: limits.maxTextBytes)
        let tree = try XMLReader.read(text, collection: collection, lists: lists, limits: limits)
        defer { tree.deallocate() }
        var writer = XMLImageWriter(tree: tree)
        defer { writer.deallocate() }
        writer.write()
        self.json = Array(writer.text.bytes)
        self.lists = tree.paths?.found ?? XMLLists()
    }
}

/// Writes a tree without recursion: a document nests as deep as its author likes. To be deallocated.
private struct XMLImageWriter {
    /// An object that is being written.
    private struct Frame {
        let element: Int
        /// The first child of the next name; -1 when all are written.
        var group: Int
        /// The next child of the present name, inside its array.
        var member = -1
        var isInArray = false
        var isEmpty: Bool
    }

    private let tree: XMLTree
    private var frames = Growing<Frame>()
    private(set) var text: Growing<UInt8>

    init(tree: XMLTree) {
        self.tree = tree
        self.text = Growing(capacity: tree.store.count * 2)
    }

    func deallocate() {
        self.frames.deallocate()
        self.text.deallocate()
    }

    mutating func write() {
        self.text.append(UInt8(ascii: "{"))
        self.appendName(of: 0)
        self.open(0)
        while let frame = self.frames.last {
            self.step(frame)
        }
        self.text.append(UInt8(ascii: "}"))
    }

    private mutating func step(_ frame: Frame) {
        let top = self.frames.count - 1
        if frame.isInArray {
            guard frame.member >= 0 else {
                self.text.append(UInt8(ascii: "]"))
                self.frames.base[top].isInArray = false
                return
            }
            self.text.append(UInt8(ascii: ","))
            self.frames.base[top].member = Int(self.tree[frame.member].next)
            self.open(frame.member)
        } else if frame.group >= 0 {
            let child = self.tree[frame.group]
            self.separate(top)
            self.appendName(of: frame.group)
            self.frames.base[top].group = Int(child.nextName)
            if self.tree.isArray(child) {
                self.text.append(UInt8(ascii: "["))
                self.frames.base[top].isInArray = true
                self.frames.base[top].member = Int(child.next)
            }
            self.open(frame.group)
        } else {
            self.close(top)
        }
    }

    /// Writes an element's value, or begins it where it has children.
    private mutating func open(_ index: Int) {
        let element = self.tree[index]
        guard element.isObject else {
            if element.text.isEmpty {
                self.text.append("\"\"")
            } else {
                self.text.append(contentsOf: self.tree.json(element.text))
            }
            return
        }
        self.text.append(UInt8(ascii: "{"))
        self.text.append(contentsOf: self.tree.json(element.attributes))
        self.frames.append(Frame(element: index, group: Int(element.firstChild), isEmpty: element.attributes.isEmpty))
    }

    private mutating func close(_ top: Int) {
        let element = self.tree[self.frames.base[top].element]
        if element.lacksItems, let name = self.tree.itemName {
            self.separate(top)
            self.text.append(contentsOf: self.tree.names.json(name))
            self.text.append(":[]")
        }
        if !element.text.isEmpty {
            self.separate(top)
            self.text.append("\"#text\":")
            self.text.append(contentsOf: self.tree.json(element.text))
        }
        self.text.append(UInt8(ascii: "}"))
        self.frames.cut(to: top)
    }

    private mutating func separate(_ top: Int) {
        if !self.frames.base[top].isEmpty { self.text.append(UInt8(ascii: ",")) }
        self.frames.base[top].isEmpty = false
    }

    private mutating func appendName(of index: Int) {
        self.text.append(contentsOf: self.tree.names.json(Int(self.tree[index].name)))
        self.text.append(UInt8(ascii: ":"))
    }
}
