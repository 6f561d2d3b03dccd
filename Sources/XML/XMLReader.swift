// Reads a document with expat, which calls back for each tag and each piece of text, into a tree.

import CExpat

/// Builds a tree from expat's callbacks. Lives for one document, on one thread.
final class XMLReader {
    private let parser: XML_Parser
    private let limits: XMLImage.Limits
    private let collection: [[UInt8]]
    private var tree = XMLTree()
    /// The elements that are open, from the root in, and the text of each so far.
    private var open: [Int] = []
    private var texts: [[UInt8]] = []
    /// How many elements of the way to the source's items are open, from the root in.
    private var matched = 0
    private var nodes = 0
    private var declarations = 0
    private var failure: XMLError?

    static func read(
        _ body: [UInt8],
        collection: [[UInt8]],
        limits: XMLImage.Limits
    ) throws(XMLError) -> XMLTree {
        guard body.count <= XMLImage.Limits.maxBytes else {
            throw XMLError(reason: .tooLong(limitBytes: XMLImage.Limits.maxBytes), offset: XMLImage.Limits.maxBytes)
        }
        guard let parser = XML_ParserCreate(nil) else { throw XMLError(reason: .noMemory, offset: 0) }
        defer { XML_ParserFree(parser) }
        return try XMLReader(parser: parser, collection: collection, limits: limits).read(body)
    }

    private init(parser: XML_Parser, collection: [[UInt8]], limits: XMLImage.Limits) {
        self.parser = parser
        self.collection = collection
        self.limits = limits
    }

    private func read(_ body: [UInt8]) throws(XMLError) -> XMLTree {
        XML_SetUserData(self.parser, Unmanaged.passUnretained(self).toOpaque())
        XML_SetElementHandler(
            self.parser,
            { reader, name, attributes in XMLReader.from(reader)?.started(name, attributes) },
            { reader, _ in XMLReader.from(reader)?.ended() }
        )
        XML_SetCharacterDataHandler(self.parser) { reader, text, count in
            XMLReader.from(reader)?.received(text, count)
        }
        // A declared entity could be expanded without end in attributes too, so its declaration is refused. One that a
        // document type elsewhere may declare is not known: text without it would be another text.
        XML_SetEntityDeclHandler(self.parser) { reader, _, _, _, _, _, _, _, _ in
            XMLReader.from(reader)?.fail(.entity)
        }
        XML_SetAttlistDeclHandler(self.parser) { reader, _, _, _, _, _ in XMLReader.from(reader)?.declared() }
        XML_SetSkippedEntityHandler(self.parser) { reader, _, isParameter in
            if isParameter == 0 { XMLReader.from(reader)?.fail(.entity) }
        }
        XML_SetUnknownEncodingHandler(
            self.parser,
            { _, name, info in
                guard let name, let info, XMLReader.isWindows1252(name) else { return XML_STATUS_ERROR.asInt }
                cexpat_set_windows_1252(info)
                return XML_STATUS_OK.asInt
            },
            nil
        )
        // Many an upstream begins with an empty line, which XML forbids before its declaration and nobody misses.
        let blank = body.prefix { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }.count
        let isComplete = withExtendedLifetime(self) { self.feed(body, from: blank) }
        if var failure = self.failure ?? (isComplete ? nil : XMLError(reason: self.fault, offset: self.offset)) {
            failure.offset += blank
            throw failure
        }
        return self.tree
    }

    private func feed(_ body: [UInt8], from start: Int) -> Bool {
        body.withUnsafeBytes { bytes in
            let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
            let text = rest.assumingMemoryBound(to: CChar.self).baseAddress
            return XML_Parse(self.parser, text, Int32(clamping: rest.count), 1) == XML_STATUS_OK
        }
    }

    private static func from(_ pointer: UnsafeMutableRawPointer?) -> XMLReader? {
        pointer.map { Unmanaged<XMLReader>.fromOpaque($0).takeUnretainedValue() }
    }

    private static func isWindows1252(_ name: UnsafePointer<CChar>) -> Bool {
        ["windows-1252", "cp1252", "x-cp1252"].contains(String(cString: name).lowercased())
    }

    /// What the parser itself found.
    private var fault: XMLError.Reason {
        let code = XML_GetErrorCode(self.parser)
        let text = XML_ErrorString(code).map { String(cString: $0) } ?? "not well-formed"
        switch code {
        case XML_ERROR_UNDEFINED_ENTITY, XML_ERROR_EXTERNAL_ENTITY_HANDLING, XML_ERROR_BINARY_ENTITY_REF,
            XML_ERROR_ATTRIBUTE_EXTERNAL_ENTITY_REF, XML_ERROR_ENTITY_DECLARED_IN_PE,
            XML_ERROR_AMPLIFICATION_LIMIT_BREACH:
            return .entity
        case XML_ERROR_UNKNOWN_ENCODING, XML_ERROR_INCORRECT_ENCODING, XML_ERROR_PARTIAL_CHAR:
            return .encoding(text)
        case XML_ERROR_NO_MEMORY:
            return .noMemory
        default:
            return .malformed(text)
        }
    }

    /// Of the tag or text that the parser is at, from where it began to read.
    private var offset: Int { max(0, Int(XML_GetCurrentByteIndex(self.parser))) }

    private func fail(_ reason: XMLError.Reason) {
        guard self.failure == nil else { return }
        self.failure = XMLError(reason: reason, offset: self.offset)
        XML_StopParser(self.parser, 0)
    }

    // MARK: Callbacks

    private func started(
        _ name: UnsafePointer<CChar>?,
        _ attributes: UnsafeMutablePointer<UnsafePointer<CChar>?>?
    ) {
        guard self.failure == nil, let name else { return }
        guard self.open.count < self.limits.maxDepth else { return self.fail(.tooDeep(limit: self.limits.maxDepth)) }
        let number = self.tree.names.number(of: name.bytes)
        let index = self.tree.append(number, to: self.open.last)
        self.matchCollection(at: index)
        if let parent = self.open.last, !self.tree[index].isItem {
            self.tree[index].isItem = Vocabulary.isItem(
                self.tree.names.text(number),
                in: self.tree.names.text(Int(self.tree[parent].name))
            )
        }
        self.open.append(index)
        if self.texts.count < self.open.count { self.texts.append([]) }
        self.nodes += 1
        if let attributes { self.keep(attributes, of: index) }
        if self.nodes > self.limits.maxNodes { self.fail(.tooManyNodes(limit: self.limits.maxNodes)) }
    }

    /// Those that the document itself has: defaults of a document type come after them.
    private func keep(_ attributes: UnsafeMutablePointer<UnsafePointer<CChar>?>, of index: Int) {
        let count = Int(XML_GetSpecifiedAttributeCount(self.parser)) / 2
        guard count > 0 else { return }
        self.tree[index].attributes = self.tree.keep { text in
            for attribute in 0..<count {
                guard let name = attributes[2 * attribute], let value = attributes[2 * attribute + 1] else { break }
                if attribute > 0 { text.append(UInt8(ascii: ",")) }
                text.appendJSONString(name.bytes, prefix: "@")
                text.append(UInt8(ascii: ":"))
                text.appendJSONString(value.bytes)
            }
        }
        self.nodes += count
    }

    /// A document type declares an attribute.
    private func declared() {
        self.declarations += 1
        guard self.declarations > XMLImage.Limits.maxDeclarations else { return }
        self.fail(.tooManyDeclarations(limit: XMLImage.Limits.maxDeclarations))
    }

    /// Follows the way to the source's items.
    private func matchCollection(at index: Int) {
        let depth = self.open.count
        guard depth == self.matched, depth < self.collection.count,
            self.tree.names.text(Int(self.tree[index].name)).elementsEqual(self.collection[depth])
        else { return }
        if depth == self.collection.count - 1 {
            self.tree[index].isItem = true
            self.tree.itemName = Int(self.tree[index].name)
            if let parent = self.open.last { self.tree[parent].lacksItems = false }
            return
        }
        self.matched += 1
        if depth == self.collection.count - 2, let last = self.collection.last {
            self.tree[index].lacksItems = true
            self.tree.itemName = last.withUnsafeBytes { self.tree.names.number(of: $0) }
        }
    }

    private func received(_ text: UnsafePointer<CChar>?, _ count: Int32) {
        guard self.failure == nil, let text, count > 0, !self.open.isEmpty else { return }
        self.texts[self.open.count - 1]
            .append(contentsOf: UnsafeRawBufferPointer(start: text, count: Int(count)))
    }

    private func ended() {
        guard self.failure == nil, let index = self.open.popLast() else { return }
        let depth = self.open.count
        self.matched = min(self.matched, depth)
        self.tree.groupChildren(of: index)
        self.keepText(at: depth, of: index)
        // Nothing else refers to the text any more: a shared one would be given a new buffer as long as the longest.
        self.texts[depth].removeAll(keepingCapacity: true)
    }

    private func keepText(at depth: Int, of index: Int) {
        let text = Self.trimmed(self.texts[depth][...])
        guard !text.isEmpty else { return }
        self.tree[index].text = self.tree.keep { $0.appendJSONString(text) }
    }

    /// Without the white space of XML around it.
    private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }
        guard let first = text.firstIndex(where: { !isSpace($0) }),
            let last = text.lastIndex(where: { !isSpace($0) })
        else { return [] }
        return text[first...last]
    }
}

extension UnsafePointer<CChar> {
    /// A C string's bytes, without its end.
    fileprivate var bytes: UnsafeRawBufferPointer {
        var count = 0
        while self[count] != 0 { count += 1 }
        return UnsafeRawBufferPointer(start: self, count: count)
    }
}

extension XML_Status {
    fileprivate var asInt: Int32 { Int32(self.rawValue) }
}
