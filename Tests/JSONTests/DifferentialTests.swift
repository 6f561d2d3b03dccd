import System
import Testing

@testable import JSON

/// The tape parser against the slow one that follows the grammar.
@Suite("Parser against the grammar")
struct DifferentialTests {
    private func compare(_ bytes: [UInt8], _ label: @autoclosure () -> String) {
        let expected = Model.parse(bytes)?.minified
        let text = try? Document(parsing: bytes).text
        #expect(text == expected, "\(label()): \(String(decoding: bytes, as: UTF8.self))")
    }

    @Test("random documents come out the same")
    func valid() {
        var generator = SplitMix64(seed: 1)
        for round in 0..<4_000 {
            let text = Sketch.random(&generator).text(&generator, spaced: round % 2 == 0)
            self.compare(Array(text.utf8), "round \(round)")
        }
    }

    @Test("damaged documents are accepted or refused alike")
    func damaged() {
        var generator = SplitMix64(seed: 2)
        let bytes: [UInt8] =
            Array("\"\\{}[],:-+.eE0019tfnu \n\u{1F}ad8".utf8) + [0x80, 0xBF, 0xC3, 0xE2, 0xED, 0xF0, 0xFF, 0]
        for round in 0..<20_000 {
            var text = Array(Sketch.random(&generator).text(&generator, spaced: round % 3 == 0).utf8)
            for _ in 0..<Int.random(in: 1...3, using: &generator) where !text.isEmpty {
                let position = Int.random(in: 0..<text.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: text.remove(at: position)
                case 1: text.insert(generator.pick(bytes), at: position)
                case 2: text[position] = generator.pick(bytes)
                default: text.removeSubrange(position...)
                }
            }
            self.compare(text, "round \(round)")
        }
    }

    @Test("every way to cut a text short is refused alike, at every offset into a word")
    func truncated() {
        let text = Array(
            #"  {"key":[1234567890123,-12.5e+10,"é\u00e9\ud83d\ude00 plain text"],"b":[true,false,null]} "#.utf8
        )
        for end in 0...text.count { self.compare(Array(text[..<end]), "\(end) bytes") }
        for pad in 0..<20 { self.compare(Array(repeating: 0x20, count: pad) + text, "\(pad) spaces") }
    }

    @Test("UTF-8: every two-byte start and boundary of the longer forms")
    func encoding() {
        for first in UInt8(0x7F)...0xFF {
            for second in stride(from: UInt8(0x30), to: 0xFF, by: 1) {
                self.compare([0x22, first, second, 0x22], "\(first) \(second)")
                self.compare([0x22, first, second, 0x80, 0x22], "\(first) \(second) 80")
                self.compare([0x22, first, second, 0xBF, 0x80, 0x22], "\(first) \(second) BF 80")
            }
        }
    }
}
