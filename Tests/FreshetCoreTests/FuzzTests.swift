import Foundation
import FreshetFuzzing
import Testing

/// Seconds of what `make fuzz` does for hours.
@Suite("Readers against the plain way")
struct FuzzTests {
    /// `FRESHET_FUZZ` inputs for each reader.
    private static let rounds = ProcessInfo.processInfo.environment["FRESHET_FUZZ"].flatMap(Int.init) ?? 3000

    @Test("random inputs are read alike", arguments: FuzzTarget.allCases)
    func random(target: FuzzTarget) {
        for seed in 0..<3 as Range<UInt64> {
            guard let found = target.search(seed: seed, rounds: Self.rounds / 3) else { continue }
            let text = String(decoding: found.input, as: UTF8.self).debugDescription
            Issue.record("\(target.rawValue), seed \(seed): \(found.difference): \(text)")
        }
    }

    @Test("a seed is read without a difference, and changes of it are others", arguments: FuzzTarget.allCases)
    func seeds(target: FuzzTarget) {
        for seed in target.seeds {
            #expect(target.difference(in: seed) == nil)
            #expect(seed.count > 2 && seed.count < FuzzTarget.maxBytes)
        }
    }
}
