// A text with places for parameters, and what may stand in each of them.

import JSON

/// A URL, the value of a request field or a body, with `{name}` where a parameter's value goes.
///
/// A value never leaves its place: what a place could not hold as one piece is encoded, and where a place knows no
/// encoding, a value that would need one does not fit (FAULTS S15).
struct TemplateText: Hashable, Sendable {
    /// What a value may be in the place where it goes.
    enum Place: Hashable, Sendable {
        /// Percent-encoded, all but the unreserved characters.
        case url
        /// As it is, where it has no character that separates parts of a field's value (RFC 9110 §5.6).
        case field
        /// Escaped, between the quotes of a string of JSON.
        case jsonString
        /// Outside of a string of JSON, a number.
        case jsonNumber
        /// Percent-encoded, in `application/x-www-form-urlencoded`.
        case form
    }

    private enum Piece: Hashable, Sendable {
        case text([UInt8])
        /// The number of a parameter, and where its value goes.
        case parameter(Int, Place)
    }

    private var pieces: [Piece] = []

    /// The parameters that the text has, by their numbers.
    var parameters: Set<Int> {
        Set(
            self.pieces.compactMap { piece in
                if case .parameter(let number, _) = piece { number } else { nil }
            }
        )
    }

    /// - Parameters:
    ///   - text: with `{name}`s.
    ///   - names: the parameters. Other braces are text.
    ///   - start: braces before this byte are text.
    ///   - place: of the parameter that begins at a byte.
    init(_ text: [UInt8], names: [String], from start: Int = 0, _ place: (Int) -> Place) {
        var literal: [UInt8] = []
        var next = 0
        for placeholder in Placeholder.all(in: text) where placeholder.range.lowerBound >= start {
            guard let number = names.firstIndex(of: placeholder.name) else { continue }
            literal += text[next..<placeholder.range.lowerBound]
            if !literal.isEmpty { self.pieces.append(.text(literal)) }
            literal = []
            self.pieces.append(.parameter(number, place(placeholder.range.lowerBound)))
            next = placeholder.range.upperBound
        }
        literal += text[next...]
        if !literal.isEmpty { self.pieces.append(.text(literal)) }
    }

    /// The text with these values, one for each parameter; `nil` where one does not fit its place.
    func expanded(_ values: [String]) -> [UInt8]? {
        var text: [UInt8] = []
        for piece in self.pieces {
            switch piece {
            case .text(let bytes): text += bytes
            case .parameter(let number, let place):
                guard values.indices.contains(number), let bytes = place.bytes(of: values[number]) else { return nil }
                text += bytes
            }
        }
        return text
    }
}

extension TemplateText.Place {
    fileprivate func bytes(of value: String) -> [UInt8]? {
        switch self {
        case .url, .form: return Array(PercentEncoding.encoded(value).utf8)
        case .field: return value.utf8.allSatisfy(Self.isFieldByte) ? Array(value.utf8) : nil
        case .jsonString:
            var text: [UInt8] = []
            appendJSONString(utf8: Array(value.utf8), to: &text)
            return Array(text.dropFirst().dropLast())
        case .jsonNumber:
            let bytes = Array(value.utf8)
            let isNumber =
                bytes.allSatisfy { (0x30...0x39).contains($0) || "+-.eE".utf8.contains($0) }
                && (try? Document(parsing: bytes))?.root.kind == .number
            return isNumber ? bytes : nil
        }
    }

    /// A visible character of ASCII that neither ends a member of a list nor begins a string or a comment.
    private static func isFieldByte(_ byte: UInt8) -> Bool {
        (0x21...0x7E).contains(byte) && !#""(),;<>\"#.utf8.contains(byte)
    }
}

/// A `{name}` in a text.
package struct Placeholder: Hashable, Sendable {
    /// Letters and digits of ASCII and `_`, beginning with a letter.
    package let name: String
    /// With its braces, in bytes.
    package let range: Range<Int>

    /// Those of a text, in order.
    package static func all(in text: [UInt8]) -> [Placeholder] {
        var found: [Placeholder] = []
        var start: Int?
        for (index, byte) in text.enumerated() {
            switch byte {
            case UInt8(ascii: "{"): start = index
            case UInt8(ascii: "}"):
                if let begin = start, self.isName(text[(begin + 1)..<index]) {
                    let name = String(decoding: text[(begin + 1)..<index], as: UTF8.self)
                    found.append(Placeholder(name: name, range: begin..<index + 1))
                }
                start = nil
            case _: break
            }
        }
        return found
    }

    /// Whether a text can name a parameter.
    package static func isName(_ text: some Collection<UInt8>) -> Bool {
        guard let first = text.first, self.isLetter(first), text.count <= 64 else { return false }
        return text.allSatisfy { self.isLetter($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "_") }
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }
}
