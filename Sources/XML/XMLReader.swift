// Reads a document with expat, which calls back for each tag and each piece of text, into a tree.

import CExpat
import Charsets

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

    /// What the parser is fed, while it is.
    private var input = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The document type that declares HTML's names, for a document that uses any.
    private var documentType: [UInt8] = []
    private var isReadingOwnType = false
    /// Where the document says that its own type is.
    private var systemID: [UInt8]?
    /// Entities that the document declares, but for those of HTML that it declares as HTML does.
    private var declaredEntities: Set<[UInt8]> = []

    static func read(
        _ text: XMLText,
        collection: [[UInt8]],
        lists: XMLLists?,
        limits: XMLImage.Limits
    ) throws(XMLError) -> XMLTree {
        // The text is UTF-8 by now, whatever its declaration says.
        guard let parser = XML_ParserCreate("UTF-8") else { throw XMLError(reason: .noMemory, offset: 0) }
        defer { XML_ParserFree(parser) }
        return try XMLReader(parser: parser, collection: collection, lists: lists, limits: limits).read(text)
    }

    private init(parser: XML_Parser, collection: [[UInt8]], lists: XMLLists?, limits: XMLImage.Limits) {
        self.parser = parser
        self.collection = collection
        self.limits = limits
        self.tree.paths = lists.map(XMLPaths.init)
    }

    private func read(_ text: XMLText) throws(XMLError) -> XMLTree {
        XML_SetUserData(self.parser, Unmanaged.passUnretained(self).toOpaque())
        XML_SetElementHandler(
            self.parser,
            { reader, name, attributes in XMLReader.from(reader)?.started(name, attributes) },
            { reader, _ in XMLReader.from(reader)?.ended() }
        )
        XML_SetCharacterDataHandler(self.parser) { reader, text, count in
            XMLReader.from(reader)?.received(text, count)
        }
        XML_SetAttlistDeclHandler(self.parser) { reader, _, _, _, _, _ in XMLReader.from(reader)?.declaredAttribute() }
        var text = text
        guard let entities = XMLEntities(in: text.bytes[text.start...]) else {
            throw XMLError(reason: .entity, offset: text.start)
        }
        if !entities.names.isEmpty { text.dropStandalone() }
        self.prepare(for: entities)
        let isComplete = withExtendedLifetime(self) { self.feed(text.bytes, from: text.start) }
        if var failure = self.failure ?? (isComplete ? nil : XMLError(reason: self.fault, offset: self.offset)) {
            failure.offset += text.start
            // The parser says of bytes that are no text what it says of a stray `&`.
            if case .malformed = failure.reason, let place = TextEncoding.firstInvalidUTF8(in: text.bytes[...]) {
                failure = XMLError(reason: .encoding("not valid UTF-8"), offset: place)
            }
            throw failure
        }
        return self.tree
    }

    private func feed(_ body: [UInt8], from start: Int) -> Bool {
        body.withUnsafeBytes { bytes in
            self.input = UnsafeRawBufferPointer(rebasing: bytes[start...])
            defer { self.input = UnsafeRawBufferPointer(start: nil, count: 0) }
            let text = self.input.assumingMemoryBound(to: CChar.self).baseAddress
            return XML_Parse(self.parser, text, Int32(clamping: self.input.count), 1) == XML_STATUS_OK
        }
    }

    private static func from(_ pointer: UnsafeMutableRawPointer?) -> XMLReader? {
        pointer.map { Unmanaged<XMLReader>.fromOpaque($0).takeUnretainedValue() }
    }

    /// What the parser itself found.
    private var fault: XMLError.Reason {
        let code = XML_GetErrorCode(self.parser)
        let text = XML_ErrorString(code).map { String(cString: $0) } ?? "not well-formed"
        switch code {
        case XML_ERROR_UNDEFINED_ENTITY, XML_ERROR_EXTERNAL_ENTITY_HANDLING, XML_ERROR_BINARY_ENTITY_REF,
            XML_ERROR_ATTRIBUTE_EXTERNAL_ENTITY_REF, XML_ERROR_ENTITY_DECLARED_IN_PE, XML_ERROR_RECURSIVE_ENTITY_REF,
            XML_ERROR_AMPLIFICATION_LIMIT_BREACH:
            return .entity
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
        self.tree.findPath(of: index, in: self.open.last)
        if !self.declaredEntities.isEmpty, XMLEntities.tag(self.currentTag, refersTo: self.declaredEntities) {
            return self.fail(.entity)
        }
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
    private func declaredAttribute() {
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

// MARK: - Entities

extension XMLReader {
    /// How much longer than the document what it expands to may be, once it is longer than a little. The parser expands
    /// entities in the attributes of one tag before that tag is refused.
    private static let maxAmplification: Float = 4
    private static let amplificationThreshold: UInt64 = 1 << 20
    /// How the public identifiers of HTML's entity sets begin (XHTML 1.0 appendix A.2).
    private static let namesOfHTML = "-//W3C//ENTITIES "

    /// Sees to it that no entity is expanded but HTML's.
    ///
    /// What a document type elsewhere may declare is never fetched; in its place the parser is given declarations of
    /// HTML's names. References in the text are reported by name, those in attributes are expanded by the parser.
    private func prepare(for entities: XMLEntities) {
        _ = XML_SetBillionLaughsAttackProtectionMaximumAmplification(self.parser, Self.maxAmplification)
        _ = XML_SetBillionLaughsAttackProtectionActivationThreshold(self.parser, Self.amplificationThreshold)
        XML_SetParamEntityParsing(self.parser, XML_PARAM_ENTITY_PARSING_ALWAYS)
        XML_SetExternalEntityRefHandlerArg(self.parser, Unmanaged.passUnretained(self).toOpaque())
        XML_SetExternalEntityRefHandler(self.parser) { reader, context, _, systemID, publicID in
            let reader = reader.flatMap { XMLReader.from(UnsafeMutableRawPointer($0)) }
            return reader?.referred(isGeneral: context != nil, systemID, publicID) ?? 0
        }
        XML_SetStartDoctypeDeclHandler(self.parser) { reader, _, systemID, _, _ in
            XMLReader.from(reader)?.systemID = systemID.map { Array($0.bytes) }
        }
        guard !entities.names.isEmpty else { return }
        self.documentType = entities.documentType
        XML_UseForeignDTD(self.parser, XML_Bool(1))
        // With such a handler the parser does not expand what the document declares.
        XML_SetDefaultHandler(self.parser) { _, _, _ in }
        XML_SetEntityDeclHandler(self.parser) { reader, name, isParameter, value, count, _, _, _, _ in
            guard let name, isParameter == 0 else { return }
            let text = value.map { Array(UnsafeRawBufferPointer(start: $0, count: Int(count))) }
            XMLReader.from(reader)?.declaredEntity(Array(name.bytes), as: text)
        }
        XML_SetSkippedEntityHandler(self.parser) { reader, name, isParameter in
            guard let name, isParameter == 0 else { return }
            XMLReader.from(reader)?.referred(to: Array(name.bytes))
        }
    }

    /// The document declares an entity; nil for what stands elsewhere.
    private func declaredEntity(_ name: [UInt8], as text: [UInt8]?) {
        guard !self.isReadingOwnType, !XMLEntities.predefined.contains(name) else { return }
        if let text, text == HTMLEntities.text(of: name) { return }
        guard self.declaredEntities.count < XMLEntities.maxNames else {
            return self.fail(.tooManyDeclarations(limit: XMLEntities.maxNames))
        }
        self.declaredEntities.insert(name)
    }

    /// The text refers to an entity.
    private func referred(to name: [UInt8]) {
        guard self.failure == nil, let depth = self.open.indices.last else { return }
        guard !self.declaredEntities.contains(name), let text = HTMLEntities.text(of: name) else {
            return self.fail(.entity)
        }
        self.texts[depth].append(contentsOf: text)
    }

    /// The document refers to what stands elsewhere: its own type, and HTML's names as the W3C publishes them, stand for
    /// the declarations given here; all else is refused.
    ///
    /// - Returns: 0 for a reference that ends the document.
    private func referred(
        isGeneral: Bool,
        _ systemID: UnsafePointer<CChar>?,
        _ publicID: UnsafePointer<CChar>?
    ) -> Int32 {
        let isHTML = publicID.map { $0.bytes.starts(with: Self.namesOfHTML.utf8) } ?? false
        guard !isGeneral, isHTML || systemID.map({ Array($0.bytes) }) == self.systemID else {
            self.fail(.entity)
            return 0
        }
        guard !self.documentType.isEmpty else { return 1 }
        guard let inner = XML_ExternalEntityParserCreate(self.parser, nil, "UTF-8") else {
            self.fail(.noMemory)
            return 0
        }
        defer { XML_ParserFree(inner) }
        self.isReadingOwnType = true
        defer { self.isReadingOwnType = false }
        return self.documentType.withUnsafeBytes { bytes in
            let text = bytes.assumingMemoryBound(to: CChar.self).baseAddress
            return XML_Parse(inner, text, Int32(clamping: bytes.count), 1) == XML_STATUS_OK ? 1 : 0
        }
    }

    /// The tag that the parser is at, as the document writes it.
    private var currentTag: UnsafeRawBufferPointer {
        let start = min(self.offset, self.input.count)
        let count = max(0, min(Int(XML_GetCurrentByteCount(self.parser)), self.input.count - start))
        return UnsafeRawBufferPointer(rebasing: self.input[start..<(start + count)])
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
