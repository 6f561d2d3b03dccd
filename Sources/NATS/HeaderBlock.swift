// Headers as brokers store them, and base64 in JSON.

/// A block of headers: `NATS/1.0`, then a line each, then an empty line.
package enum HeaderBlock {
    private static let firstLine = Array("NATS/1.0".utf8)
    /// More than any message of ours has.
    private static let maxHeaders = 1024

    /// The headers by name, then value; none for no bytes. `nil` for what is no such block.
    package static func parse(_ block: [UInt8]) -> [NATSHeader]? {
        guard !block.isEmpty else { return [] }
        let lines = block.split(separator: 0x0A, omittingEmptySubsequences: false).map { line in
            line.last == 0x0D ? line.dropLast() : line
        }
        guard let first = lines.first, first.starts(with: self.firstLine), lines.count <= self.maxHeaders else {
            return nil
        }
        var headers: [NATSHeader] = []
        for line in lines.dropFirst() where !line.isEmpty {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex else { return nil }
            headers.append(
                NATSHeader(self.text(line[..<colon]), self.text(self.trimmed(line[line.index(after: colon)...])))
            )
        }
        return headers.sorted { ($0.name, $0.value) < ($1.name, $1.value) }
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var bytes = bytes
        while let first = bytes.first, first == 0x20 || first == 0x09 { bytes.removeFirst() }
        while let last = bytes.last, last == 0x20 || last == 0x09 { bytes.removeLast() }
        return bytes
    }
}

/// base64 with padding (RFC 4648 §4), as Go writes bytes into JSON.
package enum Base64Text {
    private static let padding = UInt8(ascii: "=")

    /// `nil` for what is no base64.
    package static func decode(_ text: [UInt8]) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3)
        var position = 0
        while position < text.count {
            let isLast = position + 4 == text.count
            let missing =
                isLast ? (text[position + 3] == self.padding ? (text[position + 2] == self.padding ? 2 : 1) : 0) : 0
            var bits: UInt32 = 0
            for index in 0..<4 {
                guard index < 4 - missing else {
                    bits <<= 6
                    continue
                }
                guard let value = self.value(text[position + index]) else { return nil }
                bits = bits << 6 | value
            }
            bytes.append(UInt8(truncatingIfNeeded: bits >> 16))
            if missing < 2 { bytes.append(UInt8(truncatingIfNeeded: bits >> 8)) }
            if missing < 1 { bytes.append(UInt8(truncatingIfNeeded: bits)) }
            position += 4
        }
        return bytes
    }

    private static func value(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        case _: nil
        }
    }
}
