import FreshetFuzzing
import System
import Testing

@testable import JSON

/// What removes whitespace, against a loop over bytes.
@Suite("Whitespace out first")
struct MinifyTests {
    private static func expect(_ bytes: [UInt8], _ label: @autoclosure () -> String = "") {
        let difference = MinifyOracle.difference(in: bytes)
        #expect(difference == nil, "\(label()): \(String(decoding: bytes, as: UTF8.self))")
    }

    @Test("random texts, whole and damaged, at every offset into a block")
    func random() {
        var generator = SplitMix64(seed: 3)
        let bytes = Array("\"\\{}[],:1at \n\t\r\u{1F}é".utf8)
        for round in 0..<3000 {
            var text = Array(Sketch.random(&generator).text(&generator, spaced: round % 4 != 0).utf8)
            if round % 3 == 0 {
                for _ in 0..<4 where !text.isEmpty {
                    text[Int.random(in: 0..<text.count, using: &generator)] = generator.pick(bytes)
                }
            }
            Self.expect(Array(repeating: 0x20, count: round % 70) + text, "round \(round)")
        }
        for round in 0..<3000 {
            let count = Int.random(in: 0...300, using: &generator)
            Self.expect((0..<count).map { _ in generator.pick(bytes) }, "noise \(round)")
        }
    }

    @Test(
        "whitespace inside a token is an error where the token begins or goes on",
        arguments: [
            "1 2", "tr ue", "- 1", "1 .5", "1e 5", "[1 2]", "{\"a\":1 2}", "nul l", "1 true", "[0,\n1 \t\r\n 2]",
            "\\ \"",
        ]
    )
    func joins(text: String) {
        for pad in 0..<140 {
            let padding = [UInt8](repeating: 0x20, count: pad)
            // Runs that begin, end and go on at the edges of blocks.
            for wide in [0, 1, 63, 64, 65, 130] {
                let space = [UInt8](repeating: 0x20, count: wide)
                let bytes = padding + text.utf8.flatMap { $0 == 0x20 ? [0x20] + space : [$0] }
                #expect(MinifyOracle.model(bytes) == nil || text.contains("\\"))
                Self.expect(bytes)
                let plain = bytes.withUnsafeBytes { Storage.parsePlainly($0, limits: ParseLimits()) }
                let found = bytes.withUnsafeBytes { Storage.parse($0, limits: ParseLimits()) }
                guard case .failure(let expected) = plain, case .failure(let error) = found else {
                    Issue.record("accepted: \(text)")
                    return
                }
                #expect(error == expected)
            }
        }
    }

    @Test("one byte order mark is passed over, at the start alone")
    func marks() {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        for bytes in [mark + [0x20, 0x31], [0x20] + mark + [0x31], mark + mark + [0x31], mark, mark + [0x20]] {
            let plain = bytes.withUnsafeBytes { Storage.parsePlainly($0, limits: ParseLimits()) }
            let found = bytes.withUnsafeBytes { Storage.parse($0, limits: ParseLimits()) }
            switch (plain, found) {
            case (.success(let left), .success(let right)): #expect(left.text == right.text)
            case (.failure(let left), .failure(let right)): #expect(left == right)
            case (.success, .failure), (.failure, .success): Issue.record("\(bytes)")
            }
        }
    }
}
