import Testing

@testable import FreshetCore

@Suite("Status pace")
struct StatusPaceTests {
    private static let heartbeat = Duration.seconds(15)

    /// Plays changes at these seconds, and looks every second whether something held is due.
    private func told(_ changes: [(second: Int, state: SourceState)], until end: Int) -> [(
        second: Int, state: SourceState
    )] {
        var pace = StatusPace(heartbeat: Self.heartbeat)
        var told: [(Int, SourceState)] = []
        var held: SourceState?
        for second in 0...end {
            let now = MonotonicTime(nanoseconds: Int64(second + 100) * 1_000_000_000)
            for change in changes where change.second == second {
                switch pace.stateChanged(to: change.state, now: now) {
                case .send:
                    held = nil
                    told.append((second, change.state))
                case .hold: held = change.state
                case .repeated: held = nil
                }
            }
            if let state = held, pace.isDue(at: now) {
                pace.heldSent(state, now: now)
                told.append((second, state))
                held = nil
            }
            #expect(pace.isDue(at: now) == false)
        }
        return told
    }

    @Test("R32: a failure and a recovery are told at once, far apart or not")
    func once() {
        let told = self.told([(0, .failing), (1, .ok), (20, .failing), (60, .ok), (100, .paused)], until: 120)
        #expect(told.map(\.second) == [0, 1, 20, 60, 100])
        #expect(told.map(\.state) == [.failing, .ok, .failing, .ok, .paused])
    }

    @Test("R32: a state that flaps is told once a heartbeat, and as it is in the end", arguments: [1, 2, 3, 5, 7])
    func flaps(period: Int) {
        let changes = (0..<(150 / period)).map { (second: $0 * period, state: $0 % 2 == 0 ? SourceState.failing : .ok) }
        let told = self.told(changes, until: 200)
        #expect(told.count <= 2 + 150 / 15 + 1, "\(told)")
        #expect(told.last?.state == changes.last?.state)
        #expect(!zip(told, told.dropFirst()).contains { $0.state == $1.state }, "none is told twice in a row")
        for (one, next) in zip(told.dropFirst(2), told.dropFirst(3)) { #expect(next.second - one.second >= 14) }
    }

    @Test("R32: a source that has just begun to work tells of a failure and a recovery at once")
    func begins() {
        let told = self.told([(0, .ok), (1, .failing), (2, .ok), (3, .failing)], until: 60)
        #expect(told.map(\.second) == [0, 1, 2, 15])
        #expect(told.map(\.state) == [.ok, .failing, .ok, .failing])
    }

    @Test("R32: one that is well again before it is told is not told")
    func returns() {
        let told = self.told([(0, .failing), (1, .ok), (2, .failing), (3, .ok), (40, .stale)], until: 60)
        #expect(told.map(\.second) == [0, 1, 40])
    }
}
