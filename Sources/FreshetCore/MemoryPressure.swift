// How near the process is to the memory that it may have, and what is given up at each step (FAULTS F77).

/// How much of the memory that the process may have is taken.
///
/// What no client has yet is given up first, then what can be read again, then subscribers that do not read. Polling is never
/// given up: the values stay fresh for those who are there.
package enum MemoryPressure: Int, CaseIterable, Comparable, Sendable {
    case none
    /// From 80 % on: answers that their clients do not read are ended, and an address gets no second stream.
    case elevated
    /// From 90 % on: no new stream is taken, and events in memory are dropped, the least recently used first.
    case high
    /// From 95 % on: streams of readers that are behind are ended too.
    case critical

    /// What was passed has to be left by so much before it no longer counts, so that the door does not flap.
    private static let hysteresis = 0.03

    private var threshold: Double {
        switch self {
        case .none: 0
        case .elevated: 0.80
        case .high: 0.90
        case .critical: 0.95
        }
    }

    /// The step after a measurement.
    ///
    /// - Parameters:
    ///   - used: Bytes taken.
    ///   - limit: Bytes that may be taken; 0 or less for no limit.
    /// - Returns: The highest step whose threshold is passed, or that was reached before and is not yet left.
    package func next(used: Int, limit: Int) -> MemoryPressure {
        guard limit > 0 else { return .none }
        let share = Double(used) / Double(limit)
        return Self.allCases.last { step in
            share >= step.threshold - (step <= self ? Self.hysteresis : 0)
        } ?? .none
    }

    package static func < (one: MemoryPressure, other: MemoryPressure) -> Bool { one.rawValue < other.rawValue }
}
