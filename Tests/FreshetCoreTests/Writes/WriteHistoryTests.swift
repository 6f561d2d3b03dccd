// 10,000 random histories of writes against a model: `FRESHET_WRITE_HISTORIES=1-10000`; a few hundred here.

import Foundation
import FreshetSimulation
import Testing

@Suite("Histories of writes")
struct WriteHistoryTests {
    /// About 15 s in a debug build.
    private static let seeds: ClosedRange<UInt64> = {
        let text = ProcessInfo.processInfo.environment["FRESHET_WRITE_HISTORIES"] ?? "1-100"
        let parts = text.split(separator: "-").compactMap { UInt64($0) }
        guard let first = parts.first, let last = parts.last, first <= last else { return 1...200 }
        return first...last
    }()

    @Test("no update is lost, no effect doubled, no reader diverges, and every write has one verdict")
    func histories() {
        var figures = (applied: 0, conflicts: 0, unknown: 0, replays: 0, resumed: 0, kills: 0, merges: 0)
        for seed in Self.seeds {
            var history = WriteHistory(seed: seed)
            if Self.seeds.count == 1 { history.trace = [] }
            let problems = history.run()
            // One seed alone tells what happened.
            for line in history.trace ?? [] { print(line) }
            #expect(problems.isEmpty, "seed \(seed) (FRESHET_WRITE_HISTORIES=\(seed)-\(seed)): \(problems.prefix(3))")
            figures.applied += history.figures.applied
            figures.conflicts += history.figures.conflicts
            figures.unknown += history.figures.unknown
            figures.replays += history.figures.replays
            figures.resumed += history.figures.resumed
            figures.kills += history.figures.kills
            figures.merges += history.figures.merges
            if !problems.isEmpty { break }
        }
        // The histories are about something.
        #expect(figures.applied > 0 && figures.conflicts > 0 && figures.unknown > 0 && figures.kills > 0, "\(figures)")
        if Self.seeds.count >= 100 {
            #expect(figures.replays > 0 && figures.resumed > 0 && figures.merges > 0, "\(figures)")
        }
    }

    @Test("a planted mistake in guard, merge, idempotency or order is found", arguments: WritePlant.allCases)
    func planted(_ plant: WritePlant) {
        let found = (UInt64(1)...60).contains { seed in
            var history = WriteHistory(seed: seed, plant: plant)
            return !history.run().isEmpty
        }
        #expect(found, "60 histories did not find the mistake in \(plant.rawValue)")
    }
}
