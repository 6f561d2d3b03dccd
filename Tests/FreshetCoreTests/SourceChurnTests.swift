import Foundation
import System
import Testing

@testable import FreshetCore
@testable import FreshetSimulation

@Suite("Sources that come and go without end")
struct SourceChurnTests {
    private static let status = SourceStatus(
        stateSince: WallTime(milliseconds: 0),
        interval: .seconds(1),
        intervalReason: "test"
    )

    private func add(_ name: String, to hub: Hub) throws -> SourceID {
        try #require(hub.addSource(name, status: Self.status))
    }

    /// Whether a stream of a source that read up to `cursor` goes on without a gap, from memory or from the disk.
    private func resumes(_ source: SourceID, after cursor: Cursor, on hub: Hub) -> Bool {
        let subscription = hub.subscribe(to: [source], format: StreamFormat())
        defer { hub.unsubscribe(subscription) }
        guard hub.open(subscription, at: .after(cursor)).gap == nil else { return false }
        switch hub.read(subscription, after: cursor.sequence, limit: 100, maySkip: false) {
        case .gap: return false
        case .frames, .snapshots: return true
        case .stored:
            let answer = Answered()
            let ticket = hub.fetch(subscription, after: cursor.sequence, limit: 100) { feed in
                if case .gap = feed { answer.isGap = true }
            }
            return withExtendedLifetime(ticket) { !answer.isGap }
        }
    }

    /// Set on this thread only: the hub's reader runs what it is given at once.
    private final class Answered: @unchecked Sendable {
        var isGap = false
    }

    @Test("A20 sources that stay keep their history on the disk, however many others are removed")
    func history() throws {
        let epoch = Epoch(rawValue: 7)
        let disk = SimulatedDisk(epoch: epoch, bug: nil)
        let hub = Hub(log: ChangeLog(epoch: epoch, cache: ChangeCache(maxBytes: 0)), store: disk)
        let stays = try self.add("stays", to: hub)
        for number in 1...3 {
            hub.publish(try SimulatedValue.change(to: number), of: stays)
            disk.commit(.max)
        }
        let first = Cursor(epoch: epoch, sequence: 1)
        #expect(self.resumes(stays, after: first, on: hub))
        for number in 0...(2 * RetiredNames.maxNames) { hub.removeSource(try self.add("name\(number)", to: hub)) }
        #expect(self.resumes(stays, after: first, on: hub))
        // One that took the name of a removed one has no part in its history.
        let later = try self.add("name7", to: hub)
        #expect(!self.resumes(later, after: first, on: hub))
    }

    @Test("A20 a source that was removed is a gap for who still reads it, whatever came after it")
    func removed() throws {
        let epoch = Epoch(rawValue: 7)
        let hub = Hub(log: ChangeLog(epoch: epoch))
        let gone = try self.add("gone", to: hub)
        hub.publish(try SimulatedValue.change(to: 1), of: gone)
        hub.publish(try SimulatedValue.change(to: 2), of: gone)
        hub.removeSource(gone)
        for number in 0..<100 { _ = try self.add("later\(number)", to: hub) }
        #expect(!self.resumes(gone, after: Cursor(epoch: epoch, sequence: 1), on: hub))
        #expect(hub.version(of: gone) == nil && hub.report(of: gone) == nil)
        #expect(hub.sources().map(\.name) == (0..<100).map { "later\($0)" })
    }

    private static func residentBytes() throws -> Int {
        let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
        return (Int(text.split(separator: " ")[1]) ?? 0) * 4096
    }

    @Test("A20 sources that are added, published and removed, and subscribers over as many sets, leave nothing behind")
    func memory() throws {
        // A million with the long tests. At first more than the names that are remembered of those that are gone.
        let isLong = ProcessInfo.processInfo.environment["FRESHET_CHURN"] != nil
        let (first, count) = (RetiredNames.maxNames + 2000, isLong ? 1_000_000 : 20_000)
        let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 7), cache: ChangeCache(maxBytes: 1 << 20)))
        let stays = try self.add("stays", to: hub)
        let subscription = hub.subscribe(to: [stays], format: StreamFormat())
        let change = try SimulatedValue.change(to: 1)
        func churn(_ numbers: Range<Int>) throws {
            for number in numbers {
                let source = try self.add("name\(number)", to: hub)
                hub.publish(change, of: source)
                // A subscriber of a set that nobody had before, which is gone after its source or before it.
                let mode = StreamMode.allCases[number % StreamMode.allCases.count]
                let other = hub.subscribe(to: [stays, source], format: StreamFormat(mode: mode))
                hub.beginWait(for: other.sources)
                let opening = hub.open(other, at: .snapshot)
                _ = hub.read(other, after: opening.cursor.sequence - 1, limit: 10, maySkip: false)
                if number.isMultiple(of: 2) { hub.removeSource(source) }
                hub.endWait(for: other.sources)
                hub.unsubscribe(other)
                hub.removeSource(source)
            }
        }
        try churn(0..<first)
        let before = try Self.residentBytes()
        try churn(first..<(first + count))
        let grown = try Self.residentBytes() - before
        // A hundred bytes of each would be seen.
        #expect(grown < min(isLong ? 4 << 20 : 2 << 20, before / 20), "\(grown) bytes on \(before)")
        hub.unsubscribe(subscription)
    }

    @Test("A20 a table of sources finds what is there, in any order of coming and going")
    func table() {
        var generator = SplitMix64(seed: 5)
        var table = SourceTable<Int>()
        var model: [Int: Int] = [:]
        for step in 0..<5000 {
            if Bool.random(using: &generator) || model.isEmpty {
                model[table.append(step)] = step
            } else if let index = model.keys.randomElement(using: &generator) {
                table.remove(index)
                table.remove(index)
                model[index] = nil
                #expect(table.wasRemoved(index))
            }
            if step % 1500 == 1499 {
                for index in model.keys { table.remove(index) }
                model = [:]
            }
            guard step % 50 == 0 else { continue }
            #expect(table.count == model.count && table.sortedIndices == model.keys.sorted())
            #expect(model.allSatisfy { table.indices.contains($0.key) && table[$0.key] == $0.value })
            #expect(!table.indices.contains(table.end) && !table.wasRemoved(table.end))
        }
    }
}
