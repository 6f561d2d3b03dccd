// What subscribers have to see, held in plain arrays: the judge of every test with more than one answer.

import FreshetCore
import Testing

/// By source name the sequences of its events, ascending; an event's number is its sequence.
struct Model {
    var sources: [String: [Int]] = [:]

    /// The newest event of a source at or before `sequence`.
    func latest(of source: String, at sequence: Int) -> Int? {
        guard let events = self.sources[source] else { return nil }
        let count = Self.count(of: events, through: sequence)
        return count == 0 ? nil : events[count - 1]
    }

    /// How many of `events` are at or before `sequence`, by bisection.
    private static func count(of events: [Int], through sequence: Int) -> Int {
        var (low, high) = (0, events.count)
        while low < high {
            let middle = (low + high) / 2
            if events[middle] <= sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Checks that a stream is the suffix of the log after its start: every event once and in order, but for those
    /// that snapshots stand for. Snapshots have to hold what was true at their cursor, and to come for each source
    /// that changed.
    func check(_ client: StreamClient, from start: Int, of names: [String]? = nil) throws {
        let names = names ?? Array(self.sources.keys)
        let log = names.flatMap { self.sources[$0] ?? [] }.sorted()
        var position = start
        var snapshots: [String: Int] = [:]
        var isAfterGap = false
        for event in client.events {
            switch event.type {
            case "gap":
                isAfterGap = true
            case "snapshot":
                let name = try #require(event.source)
                let number = try #require(event.number)
                snapshots[name] = number
                // Sequence 0 takes the cursor away while snapshots are under way.
                guard let sequence = event.sequence.map(Int.init), sequence > 0 else { continue }
                for name in names {
                    guard let latest = self.latest(of: name, at: sequence), latest > position || isAfterGap else {
                        continue
                    }
                    #expect(snapshots[name] == latest, "snapshot of \(name) at \(sequence) after \(position)")
                }
                #expect(sequence > position || isAfterGap, "went back from \(position) to \(sequence)")
                position = sequence
                snapshots = [:]
                isAfterGap = false
            case "patch":
                let count = Self.count(of: log, through: position)
                let next = try #require(count < log.count ? log[count] : nil)
                #expect(event.sequence == UInt64(next), "after \(position)")
                #expect(event.number == next)
                #expect(self.latest(of: event.source ?? "", at: next) == next)
                #expect(!isAfterGap && snapshots.isEmpty)
                position = next
            case _:
                #expect(event.id == nil)
            }
        }
    }
}
