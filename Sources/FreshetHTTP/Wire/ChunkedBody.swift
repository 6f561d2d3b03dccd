// The lines of the chunked coding (RFC 9112 §7.1).

import HTTPFields

enum ChunkedBody {
    /// Reads `chunk-size [ chunk-ext ]`. Extensions are checked and then ignored (§7.1.1); white space has no place
    /// in the line outside of quotes, though the grammar once tolerated it.
    static func size(_ line: [UInt8]) throws(Problem) -> Int {
        let end = line.firstIndex(of: UInt8(ascii: ";")) ?? line.endIndex
        var size = 0
        for byte in line[..<end] {
            guard let digit = byte.hexDigit, size <= Int.max >> 5 else {
                throw .malformed("A chunk size is not a hexadecimal number.")
            }
            size = size << 4 | Int(digit)
        }
        guard end > 0 else { throw .malformed("A chunk has no size.") }
        guard self.areExtensions(line[end...]) else { throw .malformed("A chunk extension is malformed.") }
        return size
    }

    /// `*( ";" token [ "=" ( token / quoted-string ) ] )`
    private static func areExtensions(_ bytes: ArraySlice<UInt8>) -> Bool {
        var rest = bytes
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: ";"), self.skipToken(&rest) else { return false }
            guard rest.first == UInt8(ascii: "=") else { continue }
            rest.removeFirst()
            guard rest.first == UInt8(ascii: "\"") ? self.skipQuoted(&rest) : self.skipToken(&rest) else {
                return false
            }
        }
        return true
    }

    private static func skipToken(_ rest: inout ArraySlice<UInt8>) -> Bool {
        let token = rest.prefix(while: \.isTokenCharacter)
        rest = rest[token.endIndex...]
        return !token.isEmpty
    }

    private static func skipQuoted(_ rest: inout ArraySlice<UInt8>) -> Bool {
        rest.removeFirst()
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\"") { return true }
            if byte == UInt8(ascii: "\\"), rest.popFirst() == nil { return false }
            guard byte >= 0x20 || byte == 0x09 else { return false }
        }
        return false
    }

    /// A trailer that could move the end of the message or its destination is an attack (RFC 9110 §6.5.1).
    static func checkTrailers(_ fields: [RequestHead.Field]) throws(Problem) {
        let forbidden: Set = [
            "content-length", "transfer-encoding", "host", "content-type", "content-encoding", "trailer",
        ]
        guard !fields.contains(where: { forbidden.contains($0.name) }) else {
            throw .malformed("A trailer holds a field that belongs in the header.")
        }
    }
}
