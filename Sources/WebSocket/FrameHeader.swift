// The bytes in front of a payload (RFC 6455 §5.2).

/// What a frame is.
package enum Opcode: UInt8, Sendable {
    case continuation = 0
    case text = 1
    case binary = 2
    case close = 8
    case ping = 9
    case pong = 10

    var isControl: Bool { self.rawValue >= 8 }
}

/// The header of a frame that is sent: always a whole message.
package enum FrameHeader {
    /// The longest header of a frame without a mask.
    package static let maxBytes = 10
    /// The longest payload of a control frame.
    package static let maxControlBytes = 125

    /// The header of a server's frame, which has no mask, and so depends on the payload's length alone.
    package static func bytes(_ opcode: Opcode, count: Int, isCompressed: Bool = false) -> [UInt8] {
        var header: [UInt8] = []
        header.reserveCapacity(self.maxBytes)
        header.append(0x80 | (isCompressed ? 0x40 : 0) | opcode.rawValue)
        self.appendLength(count, mask: 0, to: &header)
        return header
    }

    private static func appendLength(_ count: Int, mask: UInt8, to header: inout [UInt8]) {
        switch count {
        case ..<126:
            header.append(mask | UInt8(truncatingIfNeeded: count))
        case ..<(1 << 16):
            header.append(mask | 126)
            header.append(UInt8(truncatingIfNeeded: count >> 8))
            header.append(UInt8(truncatingIfNeeded: count))
        case _:
            header.append(mask | 127)
            for shift in stride(from: 56, through: 0, by: -8) {
                header.append(UInt8(truncatingIfNeeded: count >> shift))
            }
        }
    }

    /// A whole frame of a server.
    package static func frame(_ opcode: Opcode, _ payload: some Collection<UInt8>) -> [UInt8] {
        self.bytes(opcode, count: payload.count) + payload
    }

    /// A whole Close frame of a server; a reason that is too long is cut.
    package static func close(_ code: CloseCode, _ reason: String) -> [UInt8] {
        self.frame(.close, self.closePayload(code, reason))
    }

    private static func closePayload(_ code: CloseCode, _ reason: String) -> [UInt8] {
        [UInt8(truncatingIfNeeded: code.rawValue >> 8), UInt8(truncatingIfNeeded: code.rawValue)]
            + reason.utf8.filter { $0 < 0x80 }.prefix(self.maxControlBytes - 2)
    }

    /// A whole frame of a client, whose payload is under `mask`, four bytes (RFC 6455 §5.3).
    package static func clientFrame(_ opcode: Opcode, _ payload: [UInt8], mask: [UInt8]) -> [UInt8] {
        guard mask.count == 4 else { return [] }
        var frame: [UInt8] = [0x80 | opcode.rawValue]
        self.appendLength(payload.count, mask: 0x80, to: &frame)
        frame += mask
        for (index, byte) in payload.enumerated() { frame.append(byte ^ mask[index & 3]) }
        return frame
    }

    /// A whole Close frame of a client.
    package static func clientClose(_ code: CloseCode, mask: [UInt8]) -> [UInt8] {
        self.clientFrame(.close, self.closePayload(code, ""), mask: mask)
    }
}
