// Reads a document with expat, which calls back for each tag and each piece of text, into a tree.

import CExpat
import Charsets

/// Builds a tree from expat's callbacks. Lives for one document, on one thread, where expat's pointer to it leads.
///
/// A value and not an object: its properties are looked at at every tag, and each look at an object's is checked for
/// exclusivity. No method may hold it while it lets expat parse.
struct XMLReader {
    /// An element that is open.
    private struct Open {
        var index: Int
        /// Where its text begins in `texts`.
        var text: Int
    }

    private let parser: XML_Parser
    private let limits: XMLImage.Limits
    private let collection: [[UInt8]]
    private var tree = XMLTree()
    /// The elements that are open, from the root in.
    private var open = Growing<Open>()
    /// The text of each of them so far, one behind the other.
    private var texts = Growing<UInt8>(capacity: 1024)
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

    /// - Returns: a tree that the caller has to deallocate.
    static func read(
        _ text: XMLText,
        collection: [[UInt8]],
        lists: XMLLists?,
        limits: XMLImage.Limits
    ) throws(XMLError) -> XMLTree {
        // The text is UTF-8 by now, whatever its declaration says.
        guard let parser = XML_ParserCreate("UTF-8") else { throw XMLError(reason: .noMemory, offset: 0) }
        defer { XML_ParserFree(parser) }
        let reader = UnsafeMutablePointer<XMLReader>.allocate(capacity: 1)
        reader.initialize(to: XMLReader(parser: parser, collection: collection, lists: lists, limits: limits))
        defer {
            reader.pointee.open.deallocate()
            reader.pointee.texts.deallocate()
            reader.deinitialize(count: 1)
            reader.deallocate()
        }
        do throws(XMLError) {
            try self.read(text, with: reader)
        } catch {
            reader.pointee.tree.deallocate()
            throw error
        }
        return reader.pointee.tree
    }

    private init(parser: XML_Parser, collection: [[UInt8]], lists: XMLLists?, limits: XMLImage.Limits) {
        self.parser = parser
        self.collection = collection
        self.limits = limits
        self.tree.paths = lists.map(XMLPaths.init)
    }

    private static func read(_ text: XMLText, with reader: UnsafeMutablePointer<XMLReader>) throws(XMLError) {
        let parser = reader.pointee.parser
        XML_SetUserData(parser, reader)
        XML_SetElementHandler(
            parser,
            { reader, name, attributes in XMLReader.from(reader)?.pointee.started(name, attributes) },
            { reader, _ in XMLReader.from(reader)?.pointee.ended() }
        )
        XML_SetCharacterDataHandler(parser) { reader, text, count in
            XMLReader.from(reader)?.pointee.received(text, count)
        }
        XML_SetAttlistDeclHandler(parser) { reader, _, _, _, _, _ in
            XMLReader.from(reader)?.pointee.declaredAttribute()
        }
        var text = text
        guard let entities = XMLEntities(in: text.bytes[text.start...]) else {
            throw XMLError(reason: .entity, offset: text.start)
        }
        if !entities.names.isEmpty { text.dropStandalone() }
        self.prepare(reader, for: entities)
        let isComplete = self.feed(text.bytes, from: text.start, to: reader)
        let fault = isComplete ? nil : XMLError(reason: reader.pointee.fault, offset: reader.pointee.offset)
        if var failure = reader.pointee.failure ?? fault {
            failure.offset += text.start
            // The parser says of bytes that are no text what it says of a stray `&`.
            if case .malformed = failure.reason, let place = TextEncoding.firstInvalidUTF8(in: text.bytes[...]) {
                failure = XMLError(reason: .encoding("not valid UTF-8"), offset: place)
            }
            throw failure
        }
    }

    private static func feed(_ body: [UInt8], from start: Int, to reader: UnsafeMutablePointer<XMLReader>) -> Bool {
        let parser = reader.pointee.parser
        return body.withUnsafeBytes { bytes in
            let input = UnsafeRawBufferPointer(rebasing: bytes[start...])
            reader.pointee.input = input
            defer { reader.pointee.input = UnsafeRawBufferPointer(start: nil, count: 0) }
            let text = input.assumingMemoryBound(to: CChar.self).baseAddress
            return XML_Parse(parser, text, Int32(clamping: input.count), 1) == XML_STATUS_OK
        }
    }

    private static func from(_ pointer: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<XMLReader>? {
        pointer?.assumingMemoryBound(to: XMLReader.self)
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

    private mutating func fail(_ reason: XMLError.Reason) {
        guard self.failure == nil else { return }
        self.failure = XMLError(reason: reason, offset: self.offset)
        XML_StopParser(self.parser, 0)
    }

    // MARK: Callbacks

    private mutating func started(
        _ name: UnsafePointer<CChar>?,
        _ attributes: UnsafeMutablePointer<UnsafePointer<CChar>?>?
    ) {
        guard self.failure == nil, let name else { return }
        guard self.open.count < self.limits.maxDepth else { return self.fail(.tooDeep(limit: self.limits.maxDepth)) }
        let number = self.tree.names.number(of: name.bytes)
        let parent = self.open.last?.index
        let index = self.tree.append(number, to: parent)
        self.tree.findPath(of: index, in: parent)
        if !self.declaredEntities.isEmpty, XMLEntities.tag(self.currentTag, refersTo: self.declaredEntities) {
            return self.fail(.entity)
        }
        self.matchCollection(at: index, in: parent)
        if let parent, !self.tree[index].isItem {
            self.tree.base[index].isItem = self.tree.names.isItem(number, in: Int(self.tree[parent].name))
        }
        self.open.append(Open(index: index, text: self.texts.count))
        self.nodes += 1
        if let attributes, attributes[0] != nil { self.keep(attributes, of: index) }
        if self.nodes > self.limits.maxNodes { self.fail(.tooManyNodes(limit: self.limits.maxNodes)) }
    }

    /// Those that the document itself has: defaults of a document type come after them.
    private mutating func keep(_ attributes: UnsafeMutablePointer<UnsafePointer<CChar>?>, of index: Int) {
        let count = Int(XML_GetSpecifiedAttributeCount(self.parser)) / 2
        guard count > 0 else { return }
        let piece = self.tree.keep { text in
            for attribute in 0..<count {
                guard let name = attributes[2 * attribute], let value = attributes[2 * attribute + 1] else { break }
                if attribute > 0 { text.append(UInt8(ascii: ",")) }
                text.appendJSONString(name.bytes, prefix: "@")
                text.append(UInt8(ascii: ":"))
                text.appendJSONString(value.bytes)
            }
        }
        self.tree.base[index].attributes = piece
        self.nodes += count
    }

    /// A document type declares an attribute.
    private mutating func declaredAttribute() {
        self.declarations += 1
        guard self.declarations > XMLImage.Limits.maxDeclarations else { return }
        self.fail(.tooManyDeclarations(limit: XMLImage.Limits.maxDeclarations))
    }

    /// Follows the way to the source's items.
    private mutating func matchCollection(at index: Int, in parent: Int?) {
        let depth = self.open.count
        guard depth == self.matched, depth < self.collection.count,
            self.tree.names.text(Int(self.tree[index].name)).elementsEqual(self.collection[depth])
        else { return }
        if depth == self.collection.count - 1 {
            self.tree.base[index].isItem = true
            self.tree.itemName = Int(self.tree[index].name)
            if let parent { self.tree.base[parent].lacksItems = false }
            return
        }
        self.matched += 1
        if depth == self.collection.count - 2, let last = self.collection.last {
            self.tree.base[index].lacksItems = true
            self.tree.itemName = last.withUnsafeBytes { self.tree.names.number(of: $0) }
        }
    }

    private mutating func received(_ text: UnsafePointer<CChar>?, _ count: Int32) {
        guard self.failure == nil, let text, count > 0, self.open.count > 0 else { return }
        self.texts.append(contentsOf: UnsafeRawBufferPointer(start: text, count: Int(count)))
    }

    private mutating func ended() {
        guard self.failure == nil, let element = self.open.last else { return }
        self.open.cut(to: self.open.count - 1)
        self.matched = min(self.matched, self.open.count)
        self.tree.groupChildren(of: element.index)
        self.keepText(from: element.text, of: element.index)
        // What is left is the text of the elements around it, which goes on behind it.
        self.texts.cut(to: element.text)
    }

    private mutating func keepText(from start: Int, of index: Int) {
        let text = Self.trimmed(self.texts.bytes[start...])
        guard !text.isEmpty else { return }
        let piece = self.tree.keep { $0.appendJSONString(text) }
        self.tree.base[index].text = piece
    }

    /// Without the white space of XML around it.
    private static func trimmed(_ text: Slice<UnsafeRawBufferPointer>) -> UnsafeRawBufferPointer {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }
        var (start, end) = (text.startIndex, text.endIndex)
        while start < end, isSpace(text[end - 1]) { end -= 1 }
        while start < end, isSpace(text[start]) { start += 1 }
        return UnsafeRawBufferPointer(rebasing: text[start..<end])
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
    private static func prepare(_ reader: UnsafeMutablePointer<XMLReader>, for entities: XMLEntities) {
        let parser = reader.pointee.parser
        _ = XML_SetBillionLaughsAttackProtectionMaximumAmplification(parser, Self.maxAmplification)
        _ = XML_SetBillionLaughsAttackProtectionActivationThreshold(parser, Self.amplificationThreshold)
        XML_SetParamEntityParsing(parser, XML_PARAM_ENTITY_PARSING_ALWAYS)
        XML_SetExternalEntityRefHandlerArg(parser, reader)
        XML_SetExternalEntityRefHandler(parser) { reader, context, _, systemID, publicID in
            let reader = reader.flatMap { XMLReader.from(UnsafeMutableRawPointer($0)) }
            return reader.map { XMLReader.referred($0, isGeneral: context != nil, systemID, publicID) } ?? 0
        }
        XML_SetStartDoctypeDeclHandler(parser) { reader, _, systemID, _, _ in
            XMLReader.from(reader)?.pointee.systemID = systemID.map { Array($0.bytes) }
        }
        guard !entities.names.isEmpty else { return }
        reader.pointee.documentType = entities.documentType
        XML_UseForeignDTD(parser, XML_Bool(1))
        // With such a handler the parser does not expand what the document declares.
        XML_SetDefaultHandler(parser) { _, _, _ in }
        XML_SetEntityDeclHandler(parser) { reader, name, isParameter, value, count, _, _, _, _ in
            guard let name, isParameter == 0 else { return }
            let text = value.map { Array(UnsafeRawBufferPointer(start: $0, count: Int(count))) }
            XMLReader.from(reader)?.pointee.declaredEntity(Array(name.bytes), as: text)
        }
        XML_SetSkippedEntityHandler(parser) { reader, name, isParameter in
            guard let name, isParameter == 0 else { return }
            XMLReader.from(reader)?.pointee.referred(to: Array(name.bytes))
        }
    }

    /// The document declares an entity; nil for what stands elsewhere.
    private mutating func declaredEntity(_ name: [UInt8], as text: [UInt8]?) {
        guard !self.isReadingOwnType, !XMLEntities.predefined.contains(name) else { return }
        if let text, text == HTMLEntities.text(of: name) { return }
        guard self.declaredEntities.count < XMLEntities.maxNames else {
            return self.fail(.tooManyDeclarations(limit: XMLEntities.maxNames))
        }
        self.declaredEntities.insert(name)
    }

    /// The text refers to an entity.
    private mutating func referred(to name: [UInt8]) {
        guard self.failure == nil, self.open.count > 0 else { return }
        guard !self.declaredEntities.contains(name), let text = HTMLEntities.text(of: name) else {
            return self.fail(.entity)
        }
        text.withUnsafeBytes { self.texts.append(contentsOf: $0) }
    }

    /// The document refers to what stands elsewhere: its own type, and HTML's names as the W3C publishes them, stand for
    /// the declarations given here; all else is refused.
    ///
    /// - Returns: 0 for a reference that ends the document.
    private static func referred(
        _ reader: UnsafeMutablePointer<XMLReader>,
        isGeneral: Bool,
        _ systemID: UnsafePointer<CChar>?,
        _ publicID: UnsafePointer<CChar>?
    ) -> Int32 {
        let isHTML = publicID.map { $0.bytes.starts(with: Self.namesOfHTML.utf8) } ?? false
        guard !isGeneral, isHTML || systemID.map({ Array($0.bytes) }) == reader.pointee.systemID else {
            reader.pointee.fail(.entity)
            return 0
        }
        let documentType = reader.pointee.documentType
        guard !documentType.isEmpty else { return 1 }
        guard let inner = XML_ExternalEntityParserCreate(reader.pointee.parser, nil, "UTF-8") else {
            reader.pointee.fail(.noMemory)
            return 0
        }
        defer { XML_ParserFree(inner) }
        reader.pointee.isReadingOwnType = true
        defer { reader.pointee.isReadingOwnType = false }
        return documentType.withUnsafeBytes { bytes in
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
