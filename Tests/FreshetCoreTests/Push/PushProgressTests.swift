import FreshetCore
import System
import Testing

@Suite("Web Push: where a sender stands")
struct PushProgressTests {
    private static let epoch = Epoch(rawValue: 7)

    private static func cursor(_ sequence: UInt64, _ epoch: Epoch = Self.epoch) -> Cursor {
        Cursor(epoch: epoch, sequence: sequence)
    }

    private static func ids(_ count: Int) -> [PushID] {
        var generator = SplitMix64(seed: 1)
        return (0..<count).map { _ in PushID.random(using: &generator) }
    }

    @Test("it comes out as it went in, and a cut text is none")
    func text() {
        let ids = Self.ids(2)
        let progress = PushProgress(mark: Self.cursor(9), behind: [ids[0]: Self.cursor(3), ids[1]: Self.cursor(8)])
        #expect(PushProgress(text: progress.text) == progress)
        for count in 0..<progress.text.count { #expect(PushProgress(text: Array(progress.text.prefix(count))) == nil) }
    }

    @Test("where too many are behind, all begin where the last of them is")
    func bound() {
        let ids = Self.ids(PushProgress.maxBehind + 1)
        var behind = Dictionary(ids.map { ($0, Self.cursor(8)) }) { first, _ in first }
        behind[ids[4]] = Self.cursor(5)
        let progress = PushProgress(mark: Self.cursor(9), behind: behind)
        #expect(progress == PushProgress(mark: Self.cursor(5)))
        let foreign = Self.cursor(100, Epoch(rawValue: 6))
        behind[ids[4]] = foreign
        #expect(PushProgress(mark: Self.cursor(9), behind: behind).mark == foreign)
    }

    @Test("the next sender begins at the mark, or behind it for those that were, and never before they subscribed")
    func resume() throws {
        let ids = Self.ids(3)
        let rows = zip(ids, [1, 1, 12]).map { id, since in
            PushSubscription(
                id: id,
                endpoint: "https://push.example/\(id)",
                host: "https://push.example:443",
                publicKey: [4],
                secret: [1],
                sources: "*",
                owner: .anonymous(.open),
                createdAt: WallTime(milliseconds: 0),
                expiresAt: WallTime(milliseconds: 1000),
                serverKey: "k",
                since: Self.cursor(since)
            ).row()
        }
        var restored = RestoredPush(rows, now: WallTime(milliseconds: 1))
        restored.resume(from: PushProgress(mark: Self.cursor(9), behind: [ids[0]: Self.cursor(3)]))
        let since = Dictionary(restored.subscriptions.map { ($0.id, $0.since) }) { first, _ in first }
        #expect(since == [ids[0]: Self.cursor(3), ids[1]: Self.cursor(9), ids[2]: Self.cursor(12)])
        #expect(restored.behind == [ids[0]])
        // Those that are behind are in what the next one leaves, until they are not.
        var book = PushBook(restoring: restored)
        #expect(book.progress(head: Self.cursor(20)) == PushProgress(mark: Self.cursor(20)))
    }
}
