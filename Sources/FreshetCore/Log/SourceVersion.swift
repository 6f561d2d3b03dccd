// The snapshot: the latest document of a source with its validator and cursor, and its frames.

package import JSON
import Synchronization

/// The value of a source between two changes. Immutable; its frames are encoded once, when first asked for, and
/// shared by every subscriber that joins.
package final class SourceVersion: Sendable {
    package let cursor: Cursor
    package let sourceName: String
    package let document: Document
    /// When the gateway had this value.
    package let at: WallTime
    package let validators: Validators
    /// How long the response may be called fresh, from ``at`` on.
    package let freshness: Duration

    private struct Encoded: Sendable {
        /// Empty until first requested, which happens for few versions.
        private var frames: [Frame?] = []

        func frame(in slot: Int) -> Frame? { self.frames.isEmpty ? nil : self.frames[slot] }

        /// - Returns: The frame to use: that of another thread, where that was first.
        mutating func keep(_ frame: Frame, in slot: Int) -> Frame {
            if let first = self.frame(in: slot) { return first }
            if self.frames.isEmpty {
                self.frames = Array(repeating: nil, count: Step.allCases.count * StreamWire.allCases.count)
            }
            self.frames[slot] = frame
            return frame
        }
    }

    private let encoded = Mutex(Encoded())

    package init(_ change: Change, cursor: Cursor, sourceName: String) {
        self.cursor = cursor
        self.sourceName = sourceName
        self.document = change.document
        self.at = change.at
        self.validators = change.validators
        self.freshness = change.freshness
    }

    /// The strong entity tag of the value (RFC 9110 §8.8.3): its cursor, since no cursor ever names two values.
    package var etag: String { "\"\(self.cursor)\"" }

    /// What a snapshot does to the cursor of a subscriber. One that gets snapshots of several sources has all of them
    /// only after the last: cut off before, it must not resume as if it had.
    package enum Step: Int, CaseIterable, Sendable {
        /// The only one, or the last of several: brings the subscriber to this value's cursor.
        case arrive
        /// The first of several that replace what a subscriber with a cursor had: takes that cursor from it. Sequence 0
        /// means "nothing yet", and begins anew when it comes back.
        case forget
        /// Leaves the cursor as it is.
        case stay
    }

    /// The `snapshot` event of this value.
    ///
    /// Two threads that ask for the first time at once may both encode it; one of the two is kept and shared from then
    /// on. Neither waits for the other.
    package func frame(wire: StreamWire, step: Step) -> Frame {
        let slot = step.rawValue + wire.rawValue * Step.allCases.count
        if let known = self.encoded.withLock({ $0.frame(in: slot) }) { return known }
        let frame = EventEnvelope(source: self.sourceName, at: self.at)
            .frame(.snapshot, self.document.text, id: self.id(of: step), wire: wire)
        return self.encoded.withLock { $0.keep(frame, in: slot) }
    }

    func id(of step: Step) -> Cursor? {
        switch step {
        case .arrive: self.cursor
        case .forget: Cursor(epoch: self.cursor.epoch, sequence: 0)
        case .stay: nil
        }
    }
}
