import Foundation
import FreshetCore
import JSON
import Synchronization
import Testing

@testable import FreshetStorage

@Suite("What is kept")
struct RetentionTests {
    let folder: LogFolder

    init() throws {
        self.folder = try LogFolder()
    }

    /// Appends in rounds, and after each checks that what is left is whole: each source's changes from its
    /// `prunedThrough` on, each of them rebuildable.
    private func fill(_ store: SQLiteChangeStore, through last: UInt64, _ check: (UInt64) throws -> Void) throws {
        for start in stride(from: UInt64(1), to: last, by: 40) {
            let changes = (start..<(start + 40)).map {
                History.change("s\($0 % 5)", $0, isWhole: $0 <= 5, padding: 100)
            }
            store.record(changes, padding: 100)
            try check(start + 39)
        }
    }

    @Test("the file stays within its bytes, and what is left is whole and can be rebuilt at every moment")
    func bytes() throws {
        let maxBytes = 100_000
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings { $0.maxBytes = maxBytes })
        defer { store.close() }
        let names = (0..<5).map { "s\($0)" }
        try self.fill(store, through: 2000) { head in
            // In this order: pruning may go on in between.
            let changes = try store.everything(of: names)
            let pruned = try store.prunedThrough()
            for name in names {
                let wanted = (1...head).filter { "s\($0 % 5)" == name && $0 > pruned[name] ?? 0 }
                let got = Set(changes.filter { $0.source == name }.map(\.sequence))
                #expect(got.isSuperset(of: wanted), "\(name) at \(head)")
            }
            for sequence in changes.suffix(3).map(\.sequence) + changes.prefix(1).map(\.sequence) {
                guard let value = try store.value(of: "s\(sequence % 5)", at: sequence)?.value else { continue }
                let expected = try Document(parsing: History.value("s\(sequence % 5)", sequence, padding: 100))
                #expect(try Document(parsing: value) == expected)
            }
        }
        #expect(store.statistics().prunedEvents > 500)
        #expect(store.statistics().usedBytes <= maxBytes, "\(store.statistics())")
        #expect(try store.everything(of: names).count > 50)
    }

    @Test("changes beyond their age go, without new ones coming; the latest values stay")
    func age() throws {
        var settings = self.folder.settings {
            $0.maxAge = .seconds(100)
            $0.ageInterval = .milliseconds(1)
        }
        let clock = Clock()
        settings.now = { clock.now }
        let (store, _) = try SQLiteChangeStore.open(settings)
        defer { store.close() }
        store.record((1...200).map { History.change("a", $0, isWhole: $0 % 10 == 1) })
        clock.set(WallTime(milliseconds: 250_000))
        // The thread looks by itself, and reads the clock when it does.
        while try store.prunedThrough()["a"] ?? 0 < 140 { try #require(clock.waitForReading()) }
        // From 150 on they are young enough; before that only what those build on is left.
        let kept = try store.everything(of: ["a"]).map(\.sequence)
        #expect(kept.contains(150) && kept.last == 200 && kept.count <= 60)
        clock.set(WallTime(milliseconds: 900_000))
        while try store.prunedThrough()["a"] ?? 0 < 200 { try #require(clock.waitForReading()) }
        #expect(try store.everything(of: ["a"]).isEmpty)
        #expect(try store.value(of: "a", at: 200)?.value == History.value("a", 200))
        // The next change of a source that has none left is kept whole.
        store.record([History.change("a", 901)])
        #expect(try store.everything(of: ["a"], after: 200).map(\.sequence) == [901])
        store.record([History.change("a", 902)])
        #expect(try store.value(of: "a", at: 901)?.value == History.value("a", 901))
    }

    @Test("a lowered limit shrinks the file")
    func shrink() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        store.record((1...3000).map { History.change("a", $0, isWhole: true, padding: 200) }, padding: 200)
        store.close()
        let before = try #require(FileManager.default.attributesOfItem(atPath: self.folder.log)[.size] as? Int)
        let (again, _) = try SQLiteChangeStore.open(self.folder.settings { $0.maxBytes = before / 4 })
        for sequence in UInt64(3001)...3060 {
            again.record([History.change("a", sequence, isWhole: true, padding: 200)], padding: 200)
        }
        again.close()
        let after = try #require(FileManager.default.attributesOfItem(atPath: self.folder.log)[.size] as? Int)
        #expect(after < before / 2)
    }
}

/// A clock that a test sets.
private final class Clock: Sendable {
    private let time = Mutex(WallTime(milliseconds: 0))

    private let readings = DispatchSemaphore(value: 0)

    var now: WallTime {
        self.readings.signal()
        return self.time.withLock { $0 }
    }

    /// Waits for a reading that was not waited for before, and returns whether there was one within a minute.
    func waitForReading() -> Bool { self.readings.wait(timeout: .now() + 60) == .success }

    func set(_ time: WallTime) {
        self.time.withLock { $0 = time }
    }
}
