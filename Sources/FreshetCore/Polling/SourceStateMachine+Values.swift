// From an answer with a body to a change, or to the reason why there is no change.

import HTTPFields
import JSON

extension SourceStateMachine {
    /// Compares a representation with the last good one, and takes it where it is good. `read`: what reading the body on
    /// another thread came to; where the value is another one by now, it does not count.
    mutating func take(
        _ response: ExchangeResponse,
        read: ReadBody?,
        wall: WallTime,
        freshness: ResponseFreshness,
        isPush: Bool
    ) throws(UpstreamError) -> SourceValue.Taken {
        let taken: SourceValue.Taken
        if let read, self.isCurrent(read) {
            self.value = read.value
            taken = try read.result.get()
        } else {
            taken = try self.value.take(
                response,
                configuration: self.configuration,
                held: isPush ? [] : self.heldKeys,
                wall: wall,
                freshness: freshness,
                isPush: isPush
            )
        }
        if taken.isAdopted, taken.comparison == .differs { self.status.collection = self.value.collection }
        return taken
    }

    /// The upstream confirmed the present value without sending it.
    mutating func presentValueReceived() {
        self.value.presentReceived(body: nil)
    }

    /// The upstream says that there is no value, and the source is configured to show that.
    ///
    /// - Returns: The change, or `nil` if there is none to publish.
    mutating func valueMissed(freshness: ResponseFreshness, wall: WallTime) -> Change? {
        guard let null = Self.null else { return nil }
        self.trust.forget()
        guard self.value.document?.root.isNull != true else {
            self.value.presentReceived(body: nil)
            return nil
        }
        var change = self.value.change(to: null, wall: wall, validators: nil, freshness: freshness)
        self.value.adopt(null, hash: self.value.hash(of: null), body: null.text)
        change?.rule = self.value.collection?.rule
        return change
    }

    /// What stands for a value that is not there.
    static let null = try? Document(parsing: Array("null".utf8))

    // MARK: Warnings

    /// Brings what is said about the upstream up to date, after an answer that was good.
    mutating func reviewWarnings() {
        self.status.flaps = self.value.flaps.total
        self.status.setWarning(.etagUnreliable, self.trust.isUnreliable)
        self.status.setWarning(.etagReused, self.trust.wasReused)
        self.status.validatorChecks = UInt64(clamping: self.trust.doubt.checks)
        self.status.setWarning(.etagUseless, self.trust.isUseless)
        self.status.setWarning(.conditionRefused, self.trust.isConditionRefused)
        self.status.setWarning(.flapping, self.value.flaps.isFlapping)
        self.status.setWarning(.keyUnusable, self.value.hasUnusableKey)
        self.status.setWarning(.gone, false)
        let volatile = self.value.volatile.found
        self.status.setWarning(
            .volatile,
            !volatile.isEmpty,
            message: "changes with every poll: \(volatile.map(\.description).joined(separator: ", ")); "
                + "`ignore` what is noise"
        )
        let unsettled = self.value.unsettled.message
        self.status.setWarning(.unsettled, unsettled != nil, message: unsettled)
    }
}
