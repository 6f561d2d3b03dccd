import Testing

@testable import FreshetCore

@Suite("Offsets of durable streams")
struct DurableOffsetTests {
    private static let epoch = Epoch(rawValue: 41)

    @Test("come back as they were, and sort as positions do, over a change of the epoch too")
    func order() throws {
        let cursors = [0, 1, 9, 10, 99, 1_000_000, UInt64.max].map { Cursor(epoch: Self.epoch, sequence: $0) }
        let texts = cursors.map { DurableOffset($0).description }
        #expect(texts == texts.sorted())
        for (cursor, text) in zip(cursors, texts) {
            #expect(DurableOffset(text)?.cursor == cursor)
            #expect(!text.contains { ",&=?/".contains($0) } && text.utf8.count <= 28)
        }
        let later = DurableOffset(Cursor(epoch: Epoch(rawValue: 1), sequence: 11)).description
        #expect(texts[3] < later && later < texts[4])
    }

    @Test(
        "what no answer has said is no offset",
        arguments: [
            "", "-1", "now", "0", "00000000000000000001", "1_3f", "00000000000000000001_", "00000000000000000001_0",
            "00000000000000000001_3F", "+0000000000000000001_3f", "99999999999999999999_3f", "0000000000000000000_3f",
            "00000000000000000001-3f", "00000000000000000001_3f_3f", "00000000000000000001_3f ", "k3f9q-41",
        ]
    )
    func foreign(text: String) {
        #expect(DurableOffset(text) == nil)
    }

    @Test("the number of an interval rises with time, and above what the client has")
    func numbers() {
        var random = SystemRandomNumberGenerator()
        let now = WallTime(milliseconds: 1_728_432_000_000 + 20_000 * 1000 + 5)
        #expect(DurableCursor.next(at: now, after: nil, using: &random) == 1000)
        #expect(DurableCursor.next(at: now, after: 999, using: &random) == 1000)
        for known: UInt64 in [1000, 1001, 5000, 1 << 48] {
            let next = DurableCursor.next(at: now, after: known, using: &random)
            #expect(next > known && next <= known + 180)
        }
        #expect(DurableCursor.next(at: WallTime(milliseconds: 0), after: nil, using: &random) == 0)
        #expect(DurableCursor.next(at: WallTime(milliseconds: .min), after: nil, using: &random) == 0)
        #expect(DurableCursor.number("1000") == 1000)
        for text in ["", "-1", "x", "1.5", "999999999999999", "18446744073709551615"] {
            #expect(DurableCursor.number(text) == nil, "\(text)")
        }
    }
}
