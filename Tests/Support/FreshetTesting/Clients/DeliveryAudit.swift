/// Checks what subscribers of a numbered history receive: every version once, in order, each under an id that rises.
///
/// A subscriber follows one source, whose versions are consecutive numbers. The first version that a subscriber receives
/// sets where it begins. A check that has counted nothing has failed: see ``faults``. A value: one owner, any thread.
package struct DeliveryAudit: Hashable, Sendable {
    private struct Lane: Hashable, Sendable {
        var version: Int?
        /// The number after the hyphen of the last id.
        var sequence: Int?
        var events = 0
    }

    private var lanes: [Lane]
    /// Changes received.
    package private(set) var events = 0
    /// Changes that came under an id.
    package private(set) var ids = 0
    /// Versions that a subscriber did not receive although it received a later one.
    package private(set) var lost = 0
    /// Versions that a subscriber received again, or after a later one.
    package private(set) var doubled = 0
    /// Ids that do not rise.
    package private(set) var disordered = 0
    /// Resumes that the server could not continue, by its own account.
    package private(set) var gaps = 0
    /// Streams that the server ended.
    package private(set) var ended = 0

    package init(subscribers: Int) {
        self.lanes = Array(repeating: Lane(), count: subscribers)
    }

    /// A change arrived.
    ///
    /// - Parameters:
    ///   - version: The number in the change; `nil` where the change holds none, which counts as lost.
    ///   - id: The event's own id, `EPOCH-SEQUENCE`; `nil` where it has none.
    ///   - subscriber: Counts from 0.
    package mutating func received(version: Int?, id: String?, by subscriber: Int) {
        self.received(id: id, by: subscriber)
        guard let version else {
            self.lost += 1
            return
        }
        if let last = self.lanes[subscriber].version {
            if version <= last { self.doubled += 1 }
            if version > last + 1 { self.lost += version - last - 1 }
        }
        self.lanes[subscriber].version = max(version, self.lanes[subscriber].version ?? version)
    }

    /// A change arrived whose version is not told: only its id is checked.
    package mutating func received(id: String?, by subscriber: Int) {
        self.events += 1
        self.lanes[subscriber].events += 1
        guard let digits = id?.split(separator: "-", omittingEmptySubsequences: false).last, let sequence = Int(digits)
        else { return }
        self.ids += 1
        if let last = self.lanes[subscriber].sequence, sequence <= last { self.disordered += 1 }
        self.lanes[subscriber].sequence = max(sequence, self.lanes[subscriber].sequence ?? sequence)
    }

    /// The server announced a gap: what comes next begins anew.
    package mutating func gapAnnounced(to subscriber: Int) {
        self.gaps += 1
        self.lanes[subscriber].version = nil
    }

    /// The server ended a stream that the subscriber wanted to keep.
    package mutating func streamEnded(of subscriber: Int) { self.ended += 1 }

    /// The history ended at `version`: what a subscriber has not received by now is lost.
    package mutating func historyEnded(at version: Int, for subscriber: Int) {
        guard let last = self.lanes[subscriber].version else { return }
        self.lost += max(0, version - last)
    }

    /// Subscribers that received no change at all.
    package var silent: Int { self.lanes.count { $0.events == 0 } }

    /// What is wrong, in words; empty where every subscriber received everything once and in order.
    package var faults: [String] { self.faults(mayEnd: false) }

    /// As ``faults``; with `mayEnd`, streams that the server ended are no fault.
    package func faults(mayEnd: Bool) -> [String] {
        let counts = [
            (self.lost, "lost"), (self.doubled, "doubled"), (self.disordered, "out of order"),
            (self.events - self.ids, "without an id"), (self.gaps, "gaps"), (mayEnd ? 0 : self.ended, "streams ended"),
            (self.silent, "subscribers that received nothing"),
        ]
        let wrong = counts.filter { $0.0 != 0 }.map { "\($0.0) \($0.1)" }
        return self.ids == 0 ? ["no id was counted"] + wrong : wrong
    }
}
