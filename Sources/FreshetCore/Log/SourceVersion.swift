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
        var frames: [Frame?] = [nil, nil, nil, nil]
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

    /// The `snapshot` event of this value.
    ///
    /// `movesCursor` says whether the event has an `id`. Of the snapshots that open a stream of several
    ///   sources only the last has one: a subscriber that is cut off in between must not resume as if it had all.
    package func frame(wire: StreamWire, movesCursor: Bool) -> Frame {
        let slot = (wire == .eventStream ? 0 : 2) + (movesCursor ? 1 : 0)
        return self.encoded.withLock { encoded in
            if let frame = encoded.frames[slot] { return frame }
            let frame = EventEnvelope(source: self.sourceName, at: self.at)
                .frame(.snapshot, self.document.text, id: movesCursor ? self.cursor : nil, wire: wire)
            encoded.frames[slot] = frame
            return frame
        }
    }
}
