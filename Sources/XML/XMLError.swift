// Why bytes are not XML that can be taken.

/// The first fault of an XML document.
package struct XMLError: Error, Hashable, Sendable {
    package enum Reason: Hashable, Sendable {
        /// Not well-formed (XML 1.0 §2.1); in the parser's words.
        case malformed(String)
        /// An encoding that is unknown or contradicts the bytes; a sentence's end that names it.
        case encoding(String)
        /// An entity is used that neither XML nor HTML defines. None is ever expanded.
        case entity
        /// More open elements than the limit.
        case tooDeep(limit: Int)
        /// More elements and attributes than the limit.
        case tooManyNodes(limit: Int)
        /// The document type declares more attributes than the limit.
        case tooManyDeclarations(limit: Int)
        /// Longer than the limit, as it came or as UTF-8.
        case tooLong(limitBytes: Int)
        /// No parser could be made: memory is short.
        case noMemory
    }

    package var reason: Reason
    /// In bytes from the start of the input; of its text in UTF-8, where it was converted and is not well-formed.
    package var offset: Int

    package init(reason: Reason, offset: Int) {
        self.reason = reason
        self.offset = offset
    }
}

extension XMLError: CustomStringConvertible {
    /// One line for a log; it never quotes the input.
    package var description: String {
        let what =
            switch self.reason {
            case .malformed(let fault): fault
            case .encoding(let fault): fault
            case .entity: "an entity that neither XML nor HTML names; declared entities are never expanded"
            case .tooDeep(let limit): "elements nested deeper than \(limit)"
            case .tooManyNodes(let limit): "more than \(limit) elements and attributes"
            case .tooManyDeclarations(let limit): "more than \(limit) attributes declared in the document type"
            case .tooLong(let limit): "longer than \(limit) bytes"
            case .noMemory: "no memory for a parser"
            }
        return "\(what) (byte \(self.offset))"
    }
}
