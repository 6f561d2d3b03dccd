import FreshetCore
import FreshetFuzzing
import FreshetTesting
import JSON
import System
import Testing

/// The reader that takes eight bytes at a time, against one that takes them one by one.
@Suite("Tables against the plain reader")
struct TableTests {
    @Test("20,000 random tables, whole and damaged, come out the same")
    func random() throws {
        var generator = SplitMix64(seed: 35)
        func chance(_ oneIn: Int) -> Bool { Int.random(in: 0..<oneIn, using: &generator) == 0 }
        let odd = [
            "\"", "\"\"", "\\", "\n", "\r\n", "\t", "\u{1}", "\u{1F}", "\u{7F}", "é", "日", ",", ";", " ", "\u{0}",
        ]
        var taken = 0
        for round in 0..<20_000 {
            let separator = [",", ";", "\t", "|"][Int.random(in: 0..<4, using: &generator)]
            let columns = Int.random(in: 1...4, using: &generator)
            var text = (0..<columns).map { "column \($0)" }.joined(separator: separator) + "\n"
            for _ in 0..<Int.random(in: 0...5, using: &generator) {
                let fields = (0..<columns).map { _ in
                    let isQuoted = chance(3)
                    let field = (0..<Int.random(in: 0...20, using: &generator)).map { _ in
                        chance(12) ? odd[Int.random(in: 0..<odd.count, using: &generator)] : "x"
                    }
                    return isQuoted ? "\"\(field.joined())\"" : field.joined()
                }
                text += fields.joined(separator: separator) + (chance(5) ? "\r\n\n" : "\n")
            }
            if chance(4) { text.removeLast(Int.random(in: 0...min(9, text.count), using: &generator)) }
            let bytes = Array(text.utf8)
            guard let first = separator.utf8.first, !bytes.isEmpty else { continue }
            var hints = Representation.Hints(contentType: Array("text/csv".utf8), separator: first)
            let expected = TableOracle.image(bytes, separator: first)
            let found = try? Representation.document(from: bytes, format: .csv, limits: ParseLimits(), hints: &hints)
            if found?.text != expected { Issue.record("round \(round): \(text.debugDescription)") }
            taken += expected == nil ? 0 : 1
        }
        #expect(taken > 2_000 && taken < 18_000, "\(taken) of the tables should be taken, not all")
    }

    @Test("what ends a field is found at every offset into a word, as far as the end of the table")
    func offsets() throws {
        for length in 0..<40 {
            let field = String(repeating: "x", count: length)
            for (written, value) in [(field, field), ("\"\(field)\"", field), ("\"\(field)\"\"\"", "\(field)\"")] {
                for end in ["", "\n", "\r", "\r\n\n"] {
                    let table = "a,b\n\(written),\(written)\(end)"
                    let document = try Representation.document(
                        from: Array(table.utf8),
                        format: .csv,
                        limits: ParseLimits()
                    )
                    #expect(document.root[0]?["a"]?.string == value && document.root[0]?["b"]?.string == value)
                }
            }
        }
    }
}
