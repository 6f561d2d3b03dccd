// Which encoding a document is in, and its text in UTF-8 (RFC 7303 §3, XML 1.0 appendix F).

import Charsets

/// A document's text in UTF-8.
///
/// A byte order mark says what the encoding is; without one the field of the response says it, and without that the
/// document's own declaration. Without any of them it is UTF-8.
struct XMLText {
    private(set) var bytes: [UInt8]
    /// Where the document begins: behind a byte order mark, and behind empty lines, which many an upstream sends, XML
    /// forbids before its declaration, and that carries no meaning.
    let start: Int

    /// Converts a document.
    ///
    /// - Parameters:
    ///   - body: As it came.
    ///   - charset: What the response's field says.
    ///   - maxBytes: Of the text in UTF-8.
    /// - Throws: ``XMLError`` for an encoding that is unknown, or that the bytes are not in.
    init(_ body: [UInt8], charset: TextEncoding?, maxBytes: Int) throws(XMLError) {
        let mark = ByteOrderMark(of: body)
        let known = mark?.encoding ?? charset ?? TextEncoding(wideStart: body)
        let encoding = if let known { known } else { try Self.declared(in: body) }
        var start = 0
        if encoding == .utf8 {
            self.bytes = body
            start = mark?.length ?? 0
        } else {
            do throws(TextDecodingError) {
                self.bytes = try encoding.decode(body[...], maxBytes: maxBytes)
            } catch {
                throw XMLError(error)
            }
        }
        self.start = start + Self.blank(in: self.bytes[start...])
    }

    /// Takes `standalone="yes"` out of the declaration. With it the parser takes no entity that is declared outside of
    /// the document, and HTML's are.
    mutating func dropStandalone() {
        guard let declaration = Self.declaration(in: self.bytes[self.start...]),
            let place = declaration.firstRange(ofASCII: "standalone")
        else { return }
        for index in place.lowerBound..<(declaration.endIndex - 2) { self.bytes[index] = 0x20 }
    }

    private static func blank(in bytes: ArraySlice<UInt8>) -> Int {
        bytes.prefix { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }.count
    }

    /// `<?xml … ?>`, where the document begins with it.
    private static func declaration(in bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard bytes.starts(with: "<?xml".utf8) else { return nil }
        let head = bytes.prefix(self.maxDeclarationBytes)
        guard let end = head.firstRange(ofASCII: "?>") else { return nil }
        return head[..<end.upperBound]
    }

    /// The longest declaration that is read for its encoding.
    private static let maxDeclarationBytes = 1024

    /// What the declaration says, if it says anything.
    private static func declared(in body: [UInt8]) throws(XMLError) -> TextEncoding {
        guard let declaration = self.declaration(in: body.dropFirst(self.blank(in: body[...]))),
            let name = declaration.firstRange(ofASCII: "encoding")
        else { return .utf8 }
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }
        var rest = declaration[name.upperBound...].drop(while: isSpace)
        guard rest.first == UInt8(ascii: "=") else { return .utf8 }
        rest = rest.dropFirst().drop(while: isSpace)
        guard let quote = rest.first, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else { return .utf8 }
        let label = rest.dropFirst().prefix { $0 != quote }
        guard let encoding = TextEncoding(label: label) else {
            let shown = label.prefix(40).filter { $0 > 0x20 && $0 < 0x7F }
            let text = "unknown encoding \(String(decoding: shown, as: UTF8.self))"
            throw XMLError(reason: .encoding(text), offset: label.startIndex)
        }
        // Where the declaration could be read, the bytes are no UTF-16, whatever it says.
        return encoding.isWide ? .utf8 : encoding
    }
}

extension ArraySlice<UInt8> {
    /// Where a word of ASCII stands first.
    fileprivate func firstRange(ofASCII word: StaticString) -> Range<Int>? {
        let word = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        var start = self.startIndex
        while self.endIndex - start >= word.count {
            if self[start..<(start + word.count)].elementsEqual(word) { return start..<(start + word.count) }
            start += 1
        }
        return nil
    }
}

extension XMLError {
    fileprivate init(_ error: TextDecodingError) {
        switch error.reason {
        case .invalid(let offset): self.init(reason: .encoding("not valid \(error.encoding.name)"), offset: offset)
        case .tooLong(let limit): self.init(reason: .tooLong(limitBytes: limit), offset: 0)
        case .noConverter: self.init(reason: .encoding(error.description), offset: 0)
        case .noMemory: self.init(reason: .noMemory, offset: 0)
        }
    }
}
