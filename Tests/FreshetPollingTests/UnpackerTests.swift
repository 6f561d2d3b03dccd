import Foundation
import FreshetCore
import FreshetTesting
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

/// Makes zstd frames by hand (RFC 8878 §3.1), so that no compressor is needed.
enum Zstd {
    enum Block {
        case raw([UInt8])
        /// One byte, so many times.
        case run(UInt8, Int)
    }

    /// A frame whose window is 2 to the power of `windowLog`.
    static func frame(_ blocks: [Block], windowLog: UInt8 = 20) -> [UInt8] {
        var bytes: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, (windowLog - 10) << 3]
        for (index, block) in blocks.enumerated() {
            let isLast = index == blocks.count - 1
            switch block {
            case .raw(let content): bytes += self.header(isLast, type: 0, size: content.count) + content
            case .run(let byte, let count): bytes += self.header(isLast, type: 1, size: count) + [byte]
            }
        }
        return bytes
    }

    private static func header(_ isLast: Bool, type: Int, size: Int) -> [UInt8] {
        let value = (isLast ? 1 : 0) | type << 1 | size << 3
        return [UInt8(value & 0xFF), UInt8(value >> 8 & 0xFF), UInt8(value >> 16 & 0xFF)]
    }

    static func frame(_ text: String) -> [UInt8] { self.frame([.raw(Array(text.utf8))]) }
}

@Suite(
    "Brotli and zstd",
    .enabled(if: Unpacker.canDecode(.brotli) && Unpacker.canDecode(.zstd), "the libraries are not installed")
)
struct UnpackerTests {
    private static let text = #"{"a":[1,2,3],"b":"hello, hello, hello, hello, hello"}"#
    /// By `zstd -19 --check`, and by brotli at quality 11.
    private static let zstd = Self.bytes("KLUv/SQ1DQEA2HsiYSI6WzEsMiwzXSwiYiI6ImhlbGxvLCAifQEAyS5jOsdlXw==")
    private static let brotli = Self.bytes("GzQA+I3UYs0Z7gS1uVTl8he1RTFsMFgQRl/p9JUkVEUCz89CuULZYoN7Zp4MAQ==")
    /// 32 MiB of spaces.
    private static let brotliBomb = Self.bytes(
        "y///P/glQOKxQCD3/o///3/wSwDEYRGA7v0f////4JcAiMMCAN37v/z//8MvARCHBQC6938="
    )
    private static let zstdBomb = Zstd.frame(Array(repeating: .run(0x20, 128 << 10), count: 256))

    private static func bytes(_ base64: String) -> [UInt8] { Data(base64Encoded: base64).map { [UInt8]($0) } ?? [] }

    private func collect(
        _ wire: [UInt8],
        _ coding: FreshetUpstream.ResponseHead.ContentCoding,
        maxBytes: Int = 1 << 20,
        step: Int = 7
    ) -> Result<[UInt8], UpstreamError> {
        let scratch = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 64)
        defer { scratch.deallocate() }
        do throws(UpstreamError) {
            var collector = try BodyCollector(coding: coding, maxBytes: maxBytes, expectedBytes: nil)
            for start in stride(from: 0, to: wire.count, by: step) {
                let piece = Array(wire[start..<min(start + step, wire.count)])
                try piece.withUnsafeBufferPointer { (bytes) throws(UpstreamError) in
                    try collector.received(bytes, scratch: scratch)
                }
            }
            return .success(try collector.finished())
        } catch {
            return .failure(error)
        }
    }

    private func kind(
        _ wire: [UInt8],
        _ coding: FreshetUpstream.ResponseHead.ContentCoding,
        maxBytes: Int = 1 << 20
    ) -> UpstreamError.Kind? {
        if case .failure(let error) = self.collect(wire, coding, maxBytes: maxBytes) { return error.kind }
        return nil
    }

    @Test("F11: a whole body arrives, in pieces of any size", arguments: [1, 2, 3, 17, 1000])
    func whole(step: Int) throws {
        let text = Array(Self.text.utf8)
        #expect(try self.collect(Self.zstd, .zstd, step: step).get() == text)
        #expect(try self.collect(Self.brotli, .brotli, step: step).get() == text)
        #expect(try self.collect(Zstd.frame(Self.text), .zstd, step: step).get() == text)
    }

    @Test("F11: a body that is cut anywhere is refused")
    func truncated() {
        for length in Self.zstd.indices {
            #expect(self.kind(Array(Self.zstd[..<length]), .zstd) == .decode, "\(length)")
        }
        for length in Self.brotli.indices {
            #expect(self.kind(Array(Self.brotli[..<length]), .brotli) == .decode, "\(length)")
        }
    }

    @Test("F11: a checksum that does not fit, and garbage after the end, are refused")
    func broken() {
        for index in Self.zstd.indices.suffix(4) {
            var wire = Self.zstd
            wire[index] ^= 1
            #expect(self.kind(wire, .zstd) == .decode)
        }
        for garbage in [[0], [1], Array("{}".utf8)] as [[UInt8]] {
            #expect(self.kind(Self.zstd + garbage, .zstd) == .decode)
            #expect(self.kind(Self.brotli + garbage, .brotli) == .decode)
        }
        #expect(self.kind(Self.brotli + Self.brotli, .brotli) == .decode)
        #expect(self.kind(Self.zstd, .brotli) != nil)
        #expect(self.kind(Self.brotli, .zstd) == .decode)
        #expect(self.kind(Gzip.member(Self.text), .zstd) == .decode)
    }

    @Test("several zstd frames are one body")
    func frames() throws {
        #expect(try self.collect(Zstd.frame("[1,") + Zstd.frame("2]"), .zstd).get() == Array("[1,2]".utf8))
        #expect(self.kind(Zstd.frame("[1,") + Zstd.frame("2]").dropLast(), .zstd) == .decode)
    }

    @Test("F12: a bomb is refused by its size, and by its ratio where the size would pass")
    func bombs() {
        for limit in [1 << 20, 1 << 30] {
            #expect(self.kind(Self.zstdBomb, .zstd, maxBytes: limit) == .tooLarge)
            #expect(self.kind(Self.brotliBomb, .brotli, maxBytes: limit) == .tooLarge)
        }
    }

    @Test("F12: zstd may not ask for a window of more than 8 MiB")
    func window() {
        let content = [Zstd.Block.raw(Array("[1]".utf8))]
        #expect(self.kind(Zstd.frame(content, windowLog: 23), .zstd) == nil)
        #expect(self.kind(Zstd.frame(content, windowLog: 24), .zstd) == .decode)
        #expect(self.kind(Zstd.frame(content, windowLog: 31), .zstd) == .decode)
    }

    @Test("both are undone on the way, and counted as they came over the wire")
    func overTheWire() async throws {
        let upstream = try ScriptedUpstream()
        for (coding, wire) in [("br", Self.brotli), ("zstd", Self.zstd)] {
            upstream.on("/", respond: UpstreamResponse(headers: ["Content-Encoding": coding], body: wire))
            let result = await TransportProbe().poll(upstream.url())
            #expect(result.body == Self.text)
            #expect(result.response?.wireBytes == wire.count)
            upstream.on("/", respond: UpstreamResponse(headers: ["Content-Encoding": coding], body: wire.dropLast()))
            #expect(await TransportProbe().poll(upstream.url()).kind == .decode)
        }
    }
}
