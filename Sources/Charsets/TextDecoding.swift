// From bytes in an encoding to UTF-8, within bounds.

import CIconv

/// Why bytes could not be read as text.
package struct TextDecodingError: Error, Hashable, Sendable {
    package enum Reason: Hashable, Sendable {
        /// The encoding has no such sequence; the offset is in bytes from the start of the input.
        case invalid(offset: Int)
        /// More UTF-8 than the limit.
        case tooLong(limitBytes: Int)
        /// The system lacks the converter.
        case noConverter
        case noMemory
    }

    package var reason: Reason
    package var encoding: TextEncoding
}

extension TextDecodingError: CustomStringConvertible {
    /// What is wrong, as the end of a sentence about the body. Never quotes the input.
    package var description: String {
        switch self.reason {
        case .invalid(let offset): "not valid \(self.encoding.name) (byte \(offset))"
        case .tooLong(let limit): "more than \(limit) bytes when it is converted from \(self.encoding.name) to UTF-8"
        case .noConverter:
            "in \(self.encoding.name), for which this system has no converter: install glibc's gconv modules"
        case .noMemory: "in \(self.encoding.name), and there is no memory to convert it"
        }
    }
}

/// The byte order mark that a text begins with.
package struct ByteOrderMark: Hashable, Sendable {
    package let encoding: TextEncoding
    package let length: Int

    /// nil if absent. `FF FE 00 00` is UTF-32: no text format begins with U+0000.
    package init?(of bytes: some Collection<UInt8>) {
        let start = Array(bytes.prefix(4))
        func isMark(_ mark: [UInt8]) -> Bool { start.starts(with: mark) }
        if isMark([0xEF, 0xBB, 0xBF]) {
            (self.encoding, self.length) = (.utf8, 3)
        } else if isMark([0xFF, 0xFE, 0, 0]) {
            (self.encoding, self.length) = (.utf32LittleEndian, 4)
        } else if isMark([0, 0, 0xFE, 0xFF]) {
            (self.encoding, self.length) = (.utf32BigEndian, 4)
        } else if isMark([0xFF, 0xFE]) {
            (self.encoding, self.length) = (.utf16LittleEndian, 2)
        } else if isMark([0xFE, 0xFF]) {
            (self.encoding, self.length) = (.utf16BigEndian, 2)
        } else {
            return nil
        }
    }
}

extension TextEncoding {
    /// The encoding of a text whose first character is one of US-ASCII, where its bytes show that it is UTF-16 or
    /// UTF-32 (RFC 4627 §3): JSON, and XML by its `<`. nil where they do not.
    package init?(wideStart bytes: some Collection<UInt8>) {
        let start = Array(bytes.prefix(4))
        guard start.count >= 2 else { return nil }
        switch (start[0] == 0, start[1] == 0) {
        case (false, false): return nil
        case (true, true):
            guard start.count == 4 else { return nil }
            self = .utf32BigEndian
        case (true, false): self = .utf16BigEndian
        case (false, true):
            self = start.count == 4 && start[2] == 0 && start[3] == 0 ? .utf32LittleEndian : .utf16LittleEndian
        }
    }

    /// The encoding with the byte order that the text shows; little-endian, as the web has it, where it shows none.
    private func ordered(in bytes: ArraySlice<UInt8>) -> TextEncoding {
        let found = TextEncoding(wideStart: bytes)
        switch self {
        case .utf16: return found == .utf16BigEndian ? .utf16BigEndian : .utf16LittleEndian
        case .utf32: return found == .utf32BigEndian ? .utf32BigEndian : .utf32LittleEndian
        case _: return self
        }
    }

    /// Converts a text to UTF-8.
    ///
    /// - Parameters:
    ///   - bytes: The text in this encoding, with or without a byte order mark, which wins over this encoding.
    ///   - maxBytes: Of the result.
    /// - Returns: The text without the mark. What claims to be UTF-8 is returned as it is: its reader finds what is wrong
    ///   with it.
    /// - Throws: ``TextDecodingError``.
    package func decode(_ bytes: ArraySlice<UInt8>, maxBytes: Int) throws(TextDecodingError) -> [UInt8] {
        let mark = ByteOrderMark(of: bytes)
        let text = mark.map { bytes.dropFirst($0.length) } ?? bytes
        let encoding = mark?.encoding ?? self.ordered(in: bytes)
        if encoding == .utf8 || encoding.holdsASCII && text.allSatisfy({ $0 < 0x80 }) { return Array(text) }
        if encoding == .ascii, Self.firstInvalidUTF8(in: text) == nil { return Array(text) }
        return try encoding.convert(text, from: bytes.startIndex, maxBytes: maxBytes)
    }

    private func convert(
        _ text: ArraySlice<UInt8>,
        from start: Int,
        maxBytes: Int
    ) throws(TextDecodingError) -> [UInt8] {
        var converted: UnsafeMutablePointer<UInt8>?
        var length = 0
        var offset = 0
        let result = text.withUnsafeBufferPointer { bytes in
            Int(ciconv_utf8(self.converter, bytes.baseAddress, bytes.count, maxBytes, &converted, &length, &offset))
        }
        defer { ciconv_free(converted) }
        let reason: TextDecodingError.Reason
        switch result {
        case CICONV_OK: return Array(UnsafeBufferPointer(start: converted, count: length))
        case CICONV_INVALID: reason = .invalid(offset: text.startIndex - start + offset)
        case CICONV_TOO_LONG: reason = .tooLong(limitBytes: maxBytes)
        case CICONV_UNKNOWN: reason = .noConverter
        default: reason = .noMemory
        }
        throw TextDecodingError(reason: reason, encoding: self)
    }

    /// Where the first sequence that is not UTF-8 begins, counted from the start of the slice; nil where all are.
    package static func firstInvalidUTF8(in bytes: ArraySlice<UInt8>) -> Int? {
        // The standard library is many times faster at finding that there is none.
        if bytes.allSatisfy({ $0 < 0x80 }) || String(validating: bytes, as: UTF8.self) != nil { return nil }
        var decoder = UTF8()
        var rest = bytes.makeIterator()
        var offset = 0
        while true {
            switch decoder.decode(&rest) {
            case .scalarValue(let scalar): offset += UTF8.width(scalar)
            case .emptyInput, .error: return offset
            }
        }
    }
}
