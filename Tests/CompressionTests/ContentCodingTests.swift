// Pieces that stand for themselves: readable anywhere, and hardly longer than what they hold.

import Compression
import FreshetTesting
import Testing

@Suite("Content coding")
struct ContentCodingTests {
    @Test("bytes as they are cost at most 5 bytes for each 64 KiB", arguments: ContentCoding.allCases)
    func stored(coding: ContentCoding) throws {
        for count in [1, 5, 300, 0xFFFF, 0x10000, 0x10001, 200_000] {
            let plain = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 167 ^ $0 >> 7) }
            let piece = coding.stored(plain)
            #expect(piece.count <= count + 5 * (count + 0xFFFE) / 0xFFFF)
            let decoder = try ContentDecoder(coding.rawValue)
            #expect(try decoder.decode(coding.opening + piece) == plain)
        }
        #expect(coding.stored([]).isEmpty)
    }

    @Test("a piece can be read as soon as it is there, behind any other", arguments: ContentCoding.allCases)
    func independent(coding: ContentCoding) throws {
        let coder = IndependentCoder(coding)
        let decoder = try ContentDecoder(coding.rawValue)
        #expect(try decoder.decode(coding.opening) == [])
        var random = Random(seed: 7)
        for number in 0..<200 {
            let plain = random.event(number, bytes: [0, 3, 63, 64, 500, 5000, 150_000][number % 7])
            let piece = number.isMultiple(of: 3) ? coding.stored(plain) : coder.piece(plain)
            #expect(piece.count <= plain.count + 5 * (1 + plain.count / 0xFFFF))
            #expect(try decoder.decode(piece) == plain)
        }
        #expect(try decoder.decode(coding.ending) == [])
    }

    @Test("what cannot be compressed is sent as it is", arguments: ContentCoding.allCases)
    func incompressible(coding: ContentCoding) {
        let coder = IndependentCoder(coding)
        var random = Random(seed: 1)
        for count in [64, 100, 1000, 60_000] {
            let noise = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            #expect(coder.piece(noise).count <= count + 5)
        }
        let text = Array(String(repeating: #"{"a":1}"#, count: 100).utf8)
        #expect(coder.piece(text).count < text.count / 4)
    }
}

/// Numbers that a seed repeats.
struct Random: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { self.state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next() -> UInt64 {
        self.state = self.state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (self.state ^ self.state >> 29) &* 0xBF58_476D_1CE4_E5B9
    }

    /// About so many bytes, like an event of a stream.
    mutating func event(_ number: Int, bytes: Int) -> [UInt8] {
        guard bytes > 0 else { return [] }
        var text = Array("id: k3f9q-\(number)\nevent: patch\ndata: [".utf8)
        while text.count < bytes {
            let value = self.next() % 100_000
            text += Array(#"{"op":"replace","path":"/rows/\#(value % 40)/price","value":\#(value)},"#.utf8)
        }
        return Array(text.prefix(max(0, bytes - 2))) + Array("\n\n".utf8.suffix(min(2, bytes)))
    }
}
