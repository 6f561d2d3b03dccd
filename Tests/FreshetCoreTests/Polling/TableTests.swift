import FreshetCore
import FreshetTesting
import JSON
import System
import Testing

/// The reader that takes eight bytes at a time, against one that takes them one by one.
@Suite("Tables against the plain reader")
struct TableTests {
    /// RFC 4180 byte by byte; nil where a quote does not close or text follows one that does.
    private static func records(_ bytes: [UInt8], separator: UInt8) -> [[[UInt8]]]? {
        let quote = UInt8(ascii: "\"")
        var records: [[[UInt8]]] = []
        var position = 0
        func ends(_ byte: UInt8) -> Bool { byte == separator || byte == 0x0A || byte == 0x0D }
        while true {
            while position < bytes.count, bytes[position] == 0x0A || bytes[position] == 0x0D { position += 1 }
            guard position < bytes.count else { return records }
            var record: [[UInt8]] = []
            while true {
                var field: [UInt8] = []
                if position < bytes.count, bytes[position] == quote {
                    position += 1
                    while true {
                        guard position < bytes.count else { return nil }
                        let byte = bytes[position]
                        position += 1
                        if byte == quote {
                            guard position < bytes.count, bytes[position] == quote else { break }
                            position += 1
                        }
                        field.append(byte)
                    }
                    guard position == bytes.count || ends(bytes[position]) else { return nil }
                } else {
                    while position < bytes.count, !ends(bytes[position]) {
                        field.append(bytes[position])
                        position += 1
                    }
                }
                record.append(field)
                guard position < bytes.count, bytes[position] == separator else { break }
                position += 1
            }
            records.append(record)
        }
    }

    /// The image as the plain reader has it; nil where the table is refused.
    private static func image(_ bytes: [UInt8], separator: UInt8) -> [UInt8]? {
        guard let records = self.records(bytes, separator: separator), let header = records.first,
            records.allSatisfy({ $0.count == header.count })
        else { return nil }
        var writer = JSONWriter()
        writer.array { writer in
            for record in records.dropFirst() {
                writer.object { writer in
                    for (name, field) in zip(header, record) {
                        writer.member(
                            String(decoding: name, as: UTF8.self),
                            String(decoding: field, as: UTF8.self)
                        )
                    }
                }
            }
        }
        return writer.text
    }

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
            let expected = Self.image(bytes, separator: first)
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
