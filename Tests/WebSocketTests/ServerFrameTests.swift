import Testing

@testable import WebSocket

@Suite("Frames of a server")
struct ServerFrameTests {
    @Test("say their length in the fewest bytes", arguments: [0, 1, 125, 126, 65_535, 65_536, 1 << 32])
    func headers(count: Int) {
        let expected: [UInt8] =
            switch count {
            case ..<126: [0x81, UInt8(count)]
            case ..<65_536: [0x81, 126, UInt8(count >> 8), UInt8(count & 0xFF)]
            case _: [0x81, 127] + (0..<8).map { UInt8(truncatingIfNeeded: count >> (56 - 8 * $0)) }
            }
        #expect(FrameHeader.bytes(.text, count: count) == expected)
        #expect(FrameHeader.bytes(.text, count: count, isCompressed: true)[0] == 0xC1)
    }

    @Test("end where their headers say, wherever they are cut")
    func boundaries() {
        let sizes = [0, 1, 125, 126, 300, 65_535, 65_536, 3]
        let frames = sizes.map { FrameHeader.frame(.text, [UInt8](repeating: 0xFF, count: $0)) }
        let bytes = frames.flatMap(\.self)
        var ends: Set<Int> = [0]
        for frame in frames { ends.insert((ends.max() ?? 0) + frame.count) }
        for step in [1, 2, 3, 11, 127, 1000, 70_000] {
            var boundary = FrameBoundary()
            for start in stride(from: 0, to: bytes.count, by: step) {
                let end = min(start + step, bytes.count)
                let next = ends.filter { $0 >= start }.min() ?? bytes.count
                let rest = bytes[start...].withUnsafeBytes { boundary.rest(in: $0) }
                #expect(rest == next - start)
                bytes[start..<end].withUnsafeBytes { boundary.pass($0) }
                #expect(boundary.isBetweenFrames == ends.contains(end))
            }
        }
    }

    @Test("are compressed where that makes them shorter, and say the same")
    func deflate() {
        let deflater = MessageDeflater()
        let inflater = MessageInflater()
        for text in [#"{"a":1}"#, String(repeating: #"{"source":"rates","value":1}"#, count: 50)] {
            let bytes = Array(text.utf8)
            let deflated = bytes.withUnsafeBytes { deflater.deflate($0) }
            guard let deflated else {
                #expect(bytes.count < 20)
                continue
            }
            #expect(deflated.count < bytes.count / 5)
            #expect(inflater.inflate(deflated, maxBytes: bytes.count) == .success(bytes))
            #expect(inflater.inflate(deflated, maxBytes: bytes.count - 1) == .failure(.tooLong))
        }
        var random = SystemRandomNumberGenerator()
        let noise = (0..<500).map { _ in UInt8.random(in: 0...255, using: &random) }
        #expect(noise.withUnsafeBytes { deflater.deflate($0) } == nil)
    }
}

@Suite("The opening handshake")
struct HandshakeTests {
    @Test("is answered as RFC 6455 has it")
    func accept() {
        #expect(WebSocketHandshake.accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        #expect(WebSocketHandshake.key(Array("the sample nonce".utf8)) == "dGhlIHNhbXBsZSBub25jZQ==")
        #expect(WebSocketHandshake.isKey("dGhlIHNhbXBsZSBub25jZQ=="))
        for key in [
            "", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZ===",
            "dGhlIHNhbXBsZSBub25j ZQ==", "dGhlIHNhbXBsZSBub25jZQ====",
        ] {
            #expect(!WebSocketHandshake.isKey(key))
        }
    }

    @Test(
        "agrees to compression that begins anew with each message",
        arguments: [
            ("permessage-deflate", true), ("permessage-deflate; client_max_window_bits", true),
            ("permessage-deflate; client_max_window_bits=10", true),
            ("Permessage-Deflate;server_no_context_takeover", true),
            (#"permessage-deflate; client_max_window_bits="10""#, true),
            ("x-webkit-deflate-frame, permessage-deflate", true),
            ("permessage-deflate; server_max_window_bits=10, permessage-deflate", true),
            ("permessage-deflate; server_max_window_bits=15", true),
            ("permessage-deflate; server_max_window_bits=10", false),
            ("permessage-deflate; server_max_window_bits", false),
            ("permessage-deflate; client_max_window_bits=16", false),
            ("permessage-deflate; client_max_window_bits=7", false),
            ("permessage-deflate; server_no_context_takeover=1", false),
            ("permessage-deflate; frobnicate", false),
            ("permessage-deflate; client_max_window_bits; client_max_window_bits", false),
            ("permessage-bzip2", false), ("", false), (";;", false),
        ]
    )
    func deflate(offer: String, isAccepted: Bool) {
        let answer = PerMessageDeflate.accept(offer)
        #expect((answer != nil) == isAccepted)
        #expect(answer?.hasPrefix(PerMessageDeflate.answer) ?? true)
    }
}
