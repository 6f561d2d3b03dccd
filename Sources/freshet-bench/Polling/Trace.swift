// The change times of one source, as the benchmark replays them.

import Foundation

/// When one upstream changed, over a window in which it was watched. Unix seconds throughout.
struct Trace {
    var name: String
    var start: Double
    var end: Double
    /// In order, inside the window.
    var changes: [Double]
    /// The interval of the scraper that recorded it, in seconds; 0 where changes are exact.
    var quantum: Double
    /// The versions in the recording: the changes, and where the window begins with a version, that one.
    var versions: Int

    var duration: Double { end - start }
}

/// How the change times are taken.
enum TraceView: String, CaseIterable {
    /// As recorded: partly the clock of the scraper.
    case raw
    /// With the recording's quantisation undone at random: each change moved back within its interval.
    case dequantised = "deq"
}

/// A recording as its file has it: with `t0` a member of a pool, watched for 28 days; without, a history by itself.
struct Recording: Decodable {
    /// The scraper's interval in seconds, or 0.
    var q: Double
    var t: [Double]
    var t0: Double?

    /// Reads a file: an object of recordings by name.
    static func read(_ path: String) throws -> [String: Recording] {
        try JSONDecoder().decode([String: Recording].self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    }

    private static let poolDuration = 28 * 86_400.0

    /// The trace for a pool; nil when it has too few changes to have a window.
    func poolMember(_ name: String, _ view: TraceView) -> Trace? {
        guard let t0 else { return history(name, view, draw: 0) }
        let times = changes(name, view, draw: 0).filter { $0 > t0 && $0 < t0 + Self.poolDuration }
        return Trace(
            name: name,
            start: t0,
            end: t0 + Self.poolDuration,
            changes: times,
            quantum: q,
            versions: times.count
        )
    }

    /// The trace by itself: from its first version to half a mean interval after its last. Each draw undoes the
    /// quantisation anew.
    func history(_ name: String, _ view: TraceView, draw: UInt64) -> Trace? {
        let times = changes(name, view, draw: draw)
        guard let first = times.first, let last = times.last, times.count >= 3, last > first else { return nil }
        let meanInterval = (last - first) / Double(times.count - 1)
        return Trace(
            name: name,
            start: first,
            end: last + meanInterval / 2,
            changes: Array(times.dropFirst()),
            quantum: q,
            versions: times.count
        )
    }

    private func changes(_ name: String, _ view: TraceView, draw: UInt64) -> [Double] {
        let recorded = t.filter(\.isFinite).sorted()
        guard view == .dequantised, q > 0 else { return recorded }
        var generator = BenchmarkGenerator(name: name, seed: draw)
        return recorded.map { $0 - Double.random(in: 0..<1, using: &generator) * q }.sorted()
    }
}

/// A random generator that gives the same numbers in every run (SplitMix64), one for each source and seed.
struct BenchmarkGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(name: String, seed: UInt64) {
        // FNV-1a: the same in every process.
        let hash = name.utf8.reduce(0xCBF2_9CE4_8422_2325) { (hash: UInt64, byte) in
            (hash ^ UInt64(byte)) &* 0x100_0000_01B3
        }
        self.state = hash &+ seed &* 0xA24B_AED4_963E_E407
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
