// One source as the poll thread holds it: the machine that decides, and what the thread has to remember around it.

import FreshetCore

/// Everything about one source. Confined to the poll thread.
final class PolledSource {
    /// Somebody who waits for the poll under way, or the next one.
    typealias Waiter = @Sendable (Result<PollOutcome, PollError>) -> Void

    let id: SourceID
    let host: PolledHost
    var machine: SourceStateMachine

    /// Why no poll is under way, or what the one under way is.
    enum Activity: Equatable {
        /// There is no subscriber, and the source is polled only for subscribers.
        case dormant
        /// In the queue of due times, or paused.
        case scheduled
        /// Due, and in line at its host; in the queue of due times too once its turn has come to ask.
        case inLine
        /// `isCounted`: the host's gate admitted it and wants to hear of its end.
        case polling(since: MonotonicTime, isCounted: Bool, isProbe: Bool)
    }

    var activity = Activity.scheduled
    /// When the poll that comes next became or becomes due; what lateness is measured from.
    var due: MonotonicTime
    /// The next poll was asked for by a person: neither gap nor breaker holds it back.
    var isUrgent = false
    var waiters: [Waiter] = []
    /// When the source is looked at next for a value that has become stale.
    var staleWatch = MonotonicTime.distantFuture
    /// What the store was last given.
    var keptValidators = Validators()
    var keptAt = MonotonicTime(nanoseconds: .min)

    init(id: SourceID, host: PolledHost, machine: SourceStateMachine) {
        self.id = id
        self.host = host
        self.machine = machine
        self.due = machine.nextPoll
    }

    var name: String { self.machine.configuration.name }

    var isPolling: Bool {
        if case .polling = self.activity { return true }
        return false
    }

    func resumeWaiters(_ result: Result<PollOutcome, PollError>) {
        let waiters = self.waiters
        self.waiters = []
        for waiter in waiters { waiter(result) }
    }
}

/// A number in 0..<1 that is a source's own and the same in every process, so that sources of equal intervals spread
/// (FAULTS F82).
enum SourcePhase {
    static func phase(of name: String) -> Double {
        // FNV-1a, then a finaliser: names that differ in the last letter differ little before it.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        hash = (hash ^ (hash >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        hash = (hash ^ (hash >> 33)) &* 0xC4CE_B9FE_1A85_EC53
        return Double((hash ^ (hash >> 33)) >> 11) / Double(UInt64(1) << 53)
    }
}
