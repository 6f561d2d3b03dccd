// What a stream is to get, before its frames are made: decided under the hub's lock, encoded without it. Values may be
// megabytes.

/// A snapshot that is yet to be encoded.
package struct PlannedSnapshot: Sendable {
    package var version: SourceVersion
    package var step: SourceVersion.Step

    func frame(wire: StreamWire) -> Frame { self.version.frame(wire: wire, step: self.step) }

    /// What a view shows of it.
    func shown(in view: View) -> PlannedSnapshot {
        PlannedSnapshot(version: self.version.shown(in: view), step: self.step)
    }
}

/// The state of a source that is yet to be encoded.
struct PlannedStatus: Sendable {
    var source: String
    var status: SourceStatus

    func frame(wire: StreamWire) -> Frame { ControlFrame.status(self.status, source: self.source, wire: wire) }
}

/// How a stream begins.
struct PlannedOpening: Sendable {
    var cursor: Cursor
    var gap: GapReason?
    /// The values of the past that it begins with.
    var past: [Frame] = []
    var snapshots: [PlannedSnapshot] = []
    var statuses: [PlannedStatus]
    var isComplete = true

    func opening(wire: StreamWire, view: View) -> StreamOpening {
        StreamOpening(
            cursor: self.cursor,
            gap: self.gap,
            snapshots: self.past + self.snapshots.map { $0.shown(in: view).frame(wire: wire) },
            statuses: self.statuses.map { $0.frame(wire: wire) },
            isComplete: self.isComplete
        )
    }
}

/// The next part of the log for one subscriber; see ``StreamFeed``.
enum PlannedFeed: Sendable {
    case events([ChangeEvent], through: UInt64, isComplete: Bool)
    case stored
    case snapshot(PlannedSnapshot, through: UInt64)
    case gap(GapReason, snapshots: [PlannedSnapshot], through: UInt64)

    /// `maxBytes`: about the most bytes of events, but for a single one that is larger.
    func feed(in format: StreamFormat, maxBytes: Int) -> StreamFeed {
        switch self {
        case .stored:
            return .stored
        case .snapshot(let planned, let through):
            return .snapshots([planned.frame(wire: format.wire)], through: through)
        case .gap(let reason, let planned, let through):
            return .gap(reason, snapshots: planned.map { $0.frame(wire: format.wire) }, through: through)
        case .events(let events, let through, let isComplete):
            let fitting = SequencedFrame.prefix(of: events, in: format.mode, maxBytes: maxBytes)
            let isWhole = fitting.count == events.count
            let frames = SequencedFrame.frames(of: fitting, in: format, isComplete: isWhole && isComplete)
            guard !isWhole, let last = fitting.last else {
                return .frames(frames, through: through, isComplete: isComplete)
            }
            return .frames(frames, through: last.sequence, isComplete: false)
        }
    }
}
