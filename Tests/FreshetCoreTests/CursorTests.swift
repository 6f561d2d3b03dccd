import FreshetCore
import Testing

@Suite("Cursor")
struct CursorTests {
    @Test(
        "foreign ids are not cursors",
        arguments: [
            "", "-", "5f3a", "5f3a-", "-1", "zz-1-2", "1--2", "K3F9Q-1", "k3f9q-01", "0-1", "00-1", "k3f9q-+1",
            "k3f9q- 1",
            "k3f9q-18446744073709551616", "10000000-1", "k3f9q-1\u{0}", "é-1", "k3f9q-１",
            String(repeating: "9", count: 65),
            "zzzzzzzzzzzzzzzzzzzzzzzzz-1",
        ]
    )
    func foreign(text: String) {
        #expect(Cursor(text) == nil)
    }

    @Test("text and value are one and the same", arguments: [UInt64(0), 1, 41, .max])
    func roundTrip(sequence: UInt64) {
        for raw in [UInt64(0), 1, 77, Epoch.count - 2, Epoch.count - 1, .max] {
            let cursor = Cursor(epoch: Epoch(rawValue: raw), sequence: sequence)
            #expect(Cursor(cursor.description) == cursor)
            #expect(cursor.description.utf8.count <= Cursor.maxTextBytes)
            #expect(cursor.description.utf8.allSatisfy { "abcdefghijklmnopqrstuvwxyz0123456789-".utf8.contains($0) })
        }
    }
}

@Suite("Source names and selectors")
struct SourceSelectorTests {
    @Test(
        "names",
        arguments: [
            ("rates", true), ("a.b-c_9", true), ("9", true), ("-a", false), ("A", false), ("a/b", false), ("", false),
            ("é", false),
        ]
    )
    func names(name: String, isValid: Bool) {
        #expect(SourceName.isValid(name) == isValid)
    }

    @Test("a list of names and prefixes")
    func list() {
        #expect(SourceSelector("rates,bike-*,*")?.terms == [.exact("rates"), .prefix("bike-"), .prefix("")])
    }

    @Test("what is no selector", arguments: ["", ",", "a,,b", "a*b", "**", "../etc", "a b", "a%00"])
    func refused(text: String) {
        #expect(SourceSelector(text) == nil)
    }

    @Test("more terms than allowed are refused")
    func tooMany() {
        let text = Array(repeating: "a", count: SourceSelector.maxTerms + 1).joined(separator: ",")
        #expect(SourceSelector(text) == nil)
        #expect(SourceSelector(text.dropLast(2))?.terms.count == SourceSelector.maxTerms)
    }
}
