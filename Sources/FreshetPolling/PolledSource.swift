// One source as the poll thread holds it: the machine that decides, and what the thread has to remember around it.

import FreshetCore
import FreshetUpstream
import Tracing

/// Everything about one source. Confined to the poll thread.
final class PolledSource {
    /// Somebody who waits for the poll under way, or the next one.
    typealias Waiter = @Sendable (Result<PollOutcome, UpstreamError>) -> Void

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
        /// Due, and waiting for another source's poll, which is soon and asks the same.
        case riding
        /// Due, and without a token to ask with.
        case awaitingToken
        /// `isCounted`: the host's gate admitted it and wants to hear of its end.
        case polling(since: MonotonicTime, isCounted: Bool, isProbe: Bool)
        /// The answer is there; its body, or that of the source which asked for it, is being read.
        case readingBody
    }

    /// A read of several pages, from the first request to the last answer. Between two pages the source is in line as for
    /// a poll.
    struct Reading {
        var read: PagedRead
        var request: PagedRead.Request
        var since: MonotonicTime
    }

    var activity = Activity.scheduled {
        didSet { if self.activity == .riding || oldValue == .riding { self.group.noteRide(of: self) } }
    }
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

    /// The sources that ask the same, this one among them.
    var group: PollGroup
    /// What the poll under way was sent with.
    var request = PollRequest(validators: Validators())
    /// The sources that this one's poll under way is made for too.
    var followers: [PolledSource] = []
    /// The source whose poll under way is this one's.
    weak var leader: PolledSource?
    /// That poll has other validators than this source's own would: a confirmation is none for it.
    var hasOtherValidators = false
    /// The next poll is this source's own, after such a confirmation.
    var asksAlone = false
    var reading: Reading?
    /// The version of the group's pages that the value is of.
    var pagesVersion: Int?

    /// The poll whose body is being read.
    var bodyInHand: BodyInHand?
    /// What was pushed and waits until a large body is read, the oldest first.
    var pushes: [PushInHand] = []

    /// Whose token the requests carry.
    var credential: TokenHolder?
    /// The token that the last poll was sent with.
    var tokenNumber = 0
    /// The upstream refused a token, and has accepted none since: another refusal asks for no further token.
    var wasTokenRefused = false

    /// The poll under way, where it is traced.
    var traced: TracedPoll?

    /// Writes under way, and how long polls wait for them at most.
    var writes = 0
    var heldUntil = MonotonicTime(nanoseconds: .min)
    /// Changes on their way through the log.
    let publishing = PublishingMark()

    init(id: SourceID, host: PolledHost, group: PollGroup, machine: SourceStateMachine) {
        self.id = id
        self.host = host
        self.group = group
        self.machine = machine
        self.due = machine.nextPoll
    }

    deinit {
        self.traced?.span.end()
    }

    var name: String { self.machine.configuration.name }

    var isPolling: Bool {
        switch self.activity {
        case .polling, .readingBody: true
        case .dormant, .scheduled, .inLine, .riding, .awaitingToken: self.reading != nil
        }
    }

    /// Whether of two sources that ask the same this one leads.
    func leads(_ other: PolledSource) -> Bool {
        let (own, others) = (self.machine.configuration.nominalInterval, other.machine.configuration.nominalInterval)
        return own == others ? self.id < other.id : own < others
    }

    /// Whether others may wait for its next poll.
    var takesRiders: Bool {
        guard self.writes == 0 else { return false }
        return switch self.activity {
        case .polling, .inLine: true
        case .scheduled: self.reading != nil || self.machine.nextPoll != .distantFuture
        case .dormant, .riding, .awaitingToken, .readingBody: false
        }
    }

    func resumeWaiters(_ result: Result<PollOutcome, UpstreamError>) {
        for waiter in self.takeWaiters() { waiter(result) }
    }

    func takePushes() -> [PushInHand] {
        defer { self.pushes = [] }
        return self.pushes
    }

    func takeWaiters() -> [Waiter] {
        defer { self.waiters = [] }
        return self.waiters
    }

    /// Whether one who comes now has to wait for the next answer: there is no value, or nobody has looked for one in the time
    /// of an interval and a half.
    func isAwaited(wall: WallTime) -> Bool {
        guard self.machine.hasValue, let last = self.machine.status.lastSuccessAt else { return true }
        let (age, overflow) = wall.milliseconds.subtractingReportingOverflow(last.milliseconds)
        return overflow || .milliseconds(age) > self.machine.status.interval * 3 / 2
    }
}

/// A number in 0..<1 that is a source's own and the same in every process, so that sources of equal intervals spread
/// (FAULTS F82).
enum SourcePhase {
    static func phase(of name: String) -> Double {
        // FNV-1a, then a finaliser: names that differ in the last letter differ little before it.
        var hash = StableHash.of(name.utf8)
        hash = (hash ^ (hash >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        hash = (hash ^ (hash >> 33)) &* 0xC4CE_B9FE_1A85_EC53
        return Double((hash ^ (hash >> 33)) >> 11) / Double(UInt64(1) << 53)
    }
}

extension ExchangeID {
    /// The exchanges of a source: its polls.
    init(_ source: SourceID) {
        self.init(rawValue: source.index)
    }
}

extension SourceID {
    init(_ exchange: ExchangeID) {
        self.init(index: exchange.rawValue)
    }
}
