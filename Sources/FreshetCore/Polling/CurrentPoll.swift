// What is known of the poll under way: what it asked, why it is made, and whether it was overtaken.

/// The poll under way, or the last one.
struct CurrentPoll: Sendable {
    /// Why a poll repeats the one before it, without a condition.
    enum Repeat: Hashable {
        /// 304 to a request that had none (FAULTS F22).
        case unasked
        /// 400 or 412 to a request that had this one.
        case refusedCondition(Validators)
    }

    /// The condition that the poll was sent with and that its answer answers; empty for none.
    private(set) var sent = Validators()
    /// Set from the answer that cannot be used to the end of the poll that repeats it.
    var repeats: Repeat?
    /// A value arrived by another way after the poll had begun.
    private(set) var isOvertaken = false
    /// Items that were written after the poll had begun. Its answer may be of before: they stay as they are.
    private(set) var writtenKeys: Set<String> = []
    private var isUnderWay = false
    /// Polls in a row that were overtaken.
    private var overtaken = 0

    /// How long the second poll in a row that was overtaken waits before it is repeated; doubles from there.
    private static let firstWait = Duration.milliseconds(100)

    mutating func began(sending validators: Validators) {
        self.sent = self.repeats == nil ? validators : Validators()
        self.isUnderWay = true
        self.isOvertaken = false
        self.writtenKeys = []
    }

    /// The answer is there. `url`: where it came from, as in ``ExchangeResponse/url``.
    mutating func answered(from url: String?) {
        self.isUnderWay = false
        self.sent = self.sent.applying(to: url)
    }

    /// A value arrived by another way.
    mutating func valueArrived() {
        if self.isUnderWay { self.isOvertaken = true }
    }

    /// The most items that are written while one poll is under way; more of them overtake it.
    private static let maxWrittenKeys = 1000

    /// An item was written.
    mutating func itemWritten(_ key: String) {
        guard self.isUnderWay else { return }
        if self.writtenKeys.count < Self.maxWrittenKeys {
            self.writtenKeys.insert(key)
        } else {
            self.isOvertaken = true
        }
    }

    /// The answer is dropped because the poll was overtaken.
    ///
    /// - Returns: How long to wait before asking again: not at all for the first in a row. An upstream that pushes
    ///   faster than it answers is not asked all the time, but at its interval in the end.
    mutating func dropped(interval: Duration) -> Duration {
        self.overtaken = min(self.overtaken + 1, 20)
        return self.overtaken == 1 ? .zero : min(interval, Self.firstWait * (1 << (self.overtaken - 2)))
    }

    /// The poll has ended with a result of its own.
    ///
    /// - Returns: The condition that an earlier poll was refused for, where this one repeated it without.
    @discardableResult
    mutating func ended() -> Validators? {
        defer {
            self.repeats = nil
            self.overtaken = 0
            self.isUnderWay = false
        }
        guard case .refusedCondition(let validators) = self.repeats else { return nil }
        return validators
    }
}

extension CurrentPoll.Repeat: CustomStringConvertible {
    var description: String {
        switch self {
        case .unasked: "304 to an unconditional request; retrying once"
        case .refusedCondition: "the upstream refused a conditional request; retrying unconditionally"
        }
    }
}
