import Testing

@testable import WebSocket

@Suite("Frames of a client")
struct MessageReaderTests {
    /// A frame written by hand: nothing of it comes from the room under test.
    static func frame(
        _ first: UInt8,
        _ payload: [UInt8],
        mask: [UInt8]? = [0x37, 0xFA, 0x21, 0x3D],
        length: [UInt8]? = nil
    ) -> [UInt8] {
        let bit: UInt8 = mask == nil ? 0 : 0x80
        var bytes = [first]
        if let length {
            bytes += [bit | length[0]] + length.dropFirst()
        } else if payload.count < 126 {
            bytes.append(bit | UInt8(payload.count))
        } else if payload.count < 65_536 {
            bytes += [bit | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        } else {
            bytes += [bit | 127] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
        }
        guard let mask else { return bytes + payload }
        return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 % 4] }
    }

    private static func reader(_ maxBytes: Int = 1000, inflates: Bool = false) -> MessageReader {
        MessageReader(from: .client, maxMessageBytes: maxBytes, inflates: inflates)
    }

    /// Everything that comes of bytes which arrive in pieces of `step`.
    private static func events(
        _ bytes: [UInt8],
        step: Int,
        maxBytes: Int = 1000,
        inflates: Bool = false
    ) -> (events: [WebSocketEvent], failure: CloseCode?) {
        var reader = self.reader(maxBytes, inflates: inflates)
        let inflater = inflates ? MessageInflater() : nil
        var events: [WebSocketEvent] = []
        for start in stride(from: 0, to: bytes.count, by: step) {
            bytes[start..<min(start + step, bytes.count)].withUnsafeBytes { reader.append($0) }
            do {
                while let event = try reader.next(inflater) { events.append(event) }
            } catch let failure {
                return (events, failure.code)
            }
        }
        return (events, nil)
    }

    /// One frame by RFC 6455 §5.7, and what is put together from several.
    @Test("are read wherever they are cut", arguments: [1, 2, 3, 7, 4096])
    func whole(step: Int) {
        let hello: [UInt8] = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]
        let long = [UInt8](repeating: UInt8(ascii: "x"), count: 700)
        let bytes =
            hello + Self.frame(0x89, Array("ping".utf8)) + Self.frame(0x01, Array("Hel".utf8))
            + Self.frame(0x8A, []) + Self.frame(0x80, Array("lo".utf8)) + Self.frame(0x81, [])
            + Self.frame(0x81, long) + Self.frame(0x88, [0x03, 0xE8])
        let (events, failure) = Self.events(bytes, step: step)
        #expect(failure == nil)
        #expect(
            events == [
                .text(Array("Hello".utf8)), .ping(Array("ping".utf8)), .pong, .text(Array("Hello".utf8)), .text([]),
                .text(long), .close(.normal),
            ]
        )
    }

    private struct Refused: CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let code: CloseCode

        init(_ name: String, _ code: CloseCode, _ bytes: [UInt8]) {
            self.testDescription = name
            self.bytes = bytes
            self.code = code
        }
    }

    private static let refusals: [Refused] = {
        var all: [Refused] = []
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] as [UInt8] {
            all.append(Refused("opcode \(opcode)", .protocolError, MessageReaderTests.frame(0x80 | opcode, [])))
        }
        for bits in [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70] as [UInt8] {
            for opcode in [0, 1, 8, 9, 10] as [UInt8] {
                all.append(
                    Refused(
                        "bits \(bits) of opcode \(opcode)",
                        .protocolError,
                        MessageReaderTests.frame(0x80 | bits | opcode, [])
                    )
                )
            }
        }
        for opcode in [8, 9, 10] as [UInt8] {
            all.append(Refused("a fragment of opcode \(opcode)", .protocolError, MessageReaderTests.frame(opcode, [])))
            let long = [UInt8](repeating: 0, count: 126)
            all.append(
                Refused("126 bytes of opcode \(opcode)", .protocolError, MessageReaderTests.frame(0x80 | opcode, long))
            )
        }
        all += [
            Refused("no mask", .protocolError, MessageReaderTests.frame(0x81, [65], mask: nil)),
            Refused("a continuation of nothing", .protocolError, MessageReaderTests.frame(0x80, [65])),
            Refused(
                "a continuation after an end",
                .protocolError,
                MessageReaderTests.frame(0x81, [65]) + MessageReaderTests.frame(0x80, [65])
            ),
            Refused(
                "a message in a message",
                .protocolError,
                MessageReaderTests.frame(0x01, [65]) + MessageReaderTests.frame(0x81, [65])
            ),
            Refused("binary", .unsupportedData, MessageReaderTests.frame(0x82, [65])),
            Refused("125 in two bytes", .protocolError, MessageReaderTests.frame(0x81, [], length: [126, 0, 125])),
            Refused(
                "65535 in eight bytes",
                .protocolError,
                MessageReaderTests.frame(0x81, [], length: [127, 0, 0, 0, 0, 0, 0, 255, 255])
            ),
            Refused(
                "a length of 2^63",
                .protocolError,
                MessageReaderTests.frame(0x81, [], length: [127, 128, 0, 0, 0, 0, 0, 0, 0])
            ),
            Refused(
                "a length of 2^63-1",
                .tooBig,
                MessageReaderTests.frame(0x81, [], length: [127, 127] + [UInt8](repeating: 255, count: 7))
            ),
            Refused("1001 bytes", .tooBig, MessageReaderTests.frame(0x81, [UInt8](repeating: 65, count: 1001))),
            Refused(
                "1001 bytes in two",
                .tooBig,
                MessageReaderTests.frame(0x01, [UInt8](repeating: 65, count: 1000))
                    + MessageReaderTests.frame(0x80, [65])
            ),
            Refused("half a code", .protocolError, MessageReaderTests.frame(0x88, [3])),
            Refused("a reason that is not UTF-8", .invalidData, MessageReaderTests.frame(0x88, [0x03, 0xE8, 0xFF])),
        ]
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
            let payload = [UInt8(code >> 8), UInt8(code & 0xFF)]
            all.append(Refused("code \(code)", .protocolError, MessageReaderTests.frame(0x88, payload)))
        }
        for text in MessageReaderTests.malformedText {
            all.append(Refused("text \(text)", .invalidData, MessageReaderTests.frame(0x81, text)))
        }
        return all
    }()

    private static let malformedText: [[UInt8]] = [
        [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xC2, 0x41], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF],
        [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xE2, 0x82], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF],
        [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFE], [0xFF], [0x41, 0xFE, 0x41],
    ]

    @Test("that break the protocol end it with the code that names why", arguments: refusals, [1, 4096])
    private func ends(_ refused: Refused, step: Int) {
        #expect(Self.events(refused.bytes, step: step).failure == refused.code)
    }

    @Test("hold text that is cut inside of a character, and are refused at the first byte that is wrong")
    func characters() {
        let text = "κόσμε €𐍈\u{10FFFF}\u{D7FF}\u{E000}"
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            let frames = Self.frame(0x01, Array(bytes[..<cut])) + Self.frame(0x80, Array(bytes[cut...]))
            #expect(Self.events(frames, step: 4096).events == [.text(bytes)])
        }
        // The rest of the frame has not come, and need not.
        var reader = Self.reader()
        let frame = Self.frame(0x01, [0x41, 0xF4, 0x90] + [UInt8](repeating: 0x41, count: 100))
        frame[..<9].withUnsafeBytes { reader.append($0) }
        #expect(throws: WebSocketFailure(.invalidData, "A message is not UTF-8.")) { try reader.next() }
    }

    @Test("may say these codes at their end", arguments: [1000, 1001, 1002, 1003, 1007, 1008, 1014, 3000, 4999])
    func codes(code: Int) {
        let payload = [UInt8(code >> 8), UInt8(code & 0xFF)] + Array("Äh".utf8)
        let bytes = Self.frame(0x88, payload) + Self.frame(0x81, [65])
        #expect(Self.events(bytes, step: 4096).events == [.close(CloseCode(rawValue: UInt16(code)))])
        #expect(Self.events(Self.frame(0x88, []), step: 1).events == [.close(nil)])
    }

    @Test("are under their mask at every place of it", arguments: [0, 1, 5, 8, 9, 63, 125, 126, 999])
    func masks(count: Int) {
        let text = (0..<count).map { UInt8(ascii: "a") + UInt8($0 % 26) }
        for mask in [[0, 0, 0, 0], [1, 2, 3, 4], [255, 0, 255, 0]] as [[UInt8]] {
            for step in [1, 3, 5, 4096] {
                #expect(Self.events(Self.frame(0x81, text, mask: mask), step: step).events == [.text(text)])
            }
        }
    }

    @Test("are held no longer than their message")
    func held() throws {
        var reader = Self.reader()
        #expect(!reader.isInsideMessage)
        let bytes = Self.frame(0x01, [65, 66]) + Self.frame(0x80, [67])
        bytes.dropLast().withUnsafeBytes { reader.append($0) }
        #expect(try reader.next() == nil)
        #expect(reader.isInsideMessage && reader.heldBytes > 0)
        bytes.suffix(1).withUnsafeBytes { reader.append($0) }
        #expect(try reader.next() == .text([65, 66, 67]))
        #expect(!reader.isInsideMessage && reader.heldBytes == 0)
    }

    @Test("are compressed where that was agreed on, and a bomb stops at the limit", arguments: [1, 7, 4096])
    func compressed(step: Int) throws {
        // RFC 7692 §7.2.3.1 and §7.2.3.3.
        let hello: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]
        let stored: [UInt8] = [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00]
        let last: [UInt8] = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]
        let text = Array("Hello".utf8)
        let bytes =
            Self.frame(0xC1, hello) + Self.frame(0x41, Array(hello[..<3])) + Self.frame(0x80, Array(hello[3...]))
            + Self.frame(0xC1, stored) + Self.frame(0xC1, last) + Self.frame(0x81, text)
        let (events, failure) = Self.events(bytes, step: step, inflates: true)
        #expect(failure == nil && events == [WebSocketEvent](repeating: .text(text), count: 5))
        let zeros = [UInt8](repeating: UInt8(ascii: "0"), count: 200_000)
        let bomb = try #require(zeros.withUnsafeBytes { MessageDeflater().deflate($0) })
        #expect(bomb.count < 1000)
        #expect(Self.events(Self.frame(0xC1, bomb), step: step, inflates: true).failure == .tooBig)
        #expect(
            Self.events(Self.frame(0xC1, bomb), step: step, maxBytes: 200_000, inflates: true).events == [.text(zeros)]
        )
        #expect(Self.events(Self.frame(0xC1, [0xFF, 0xFF, 0xFF]), step: step, inflates: true).failure == .invalidData)
        #expect(Self.events(Self.frame(0xC1, hello), step: step).failure == .protocolError)
        #expect(
            Self.events(Self.frame(0x41, hello) + Self.frame(0xC0, []), step: step, inflates: true).failure
                == .protocolError
        )
        let broken = try #require(
            [UInt8](repeating: 0xFF, count: 200).withUnsafeBytes { MessageDeflater().deflate($0) }
        )
        #expect(Self.events(Self.frame(0xC1, broken), step: step, inflates: true).failure == .invalidData)
    }
}
