// A change with its number: what the change log holds and every subscriber gets once.

package import JSON

/// One numbered change of one source, with its frames.
///
/// The patch, merge and items forms are kept as `text/event-stream` frames, since that is how nearly all of them
/// leave; the other wire formats are wrapped from the same bytes when asked for.
package struct ChangeEvent: Sendable {
    package let cursor: Cursor
    package let source: SourceID
    package let at: WallTime
    /// The frames of the `text/event-stream` wire that this event has of its own.
    private let patch: Frame?
    private let merge: Frame?
    private let items: Frame?
    /// The change touches no item: in the mode `items` it is a `checkpoint`, which moves the cursor and says no more.
    package let touchesNoItem: Bool
    /// The value's JSON text after this change. Dropped under memory pressure where ``patch`` can stand for it.
    package private(set) var value: [UInt8]?
    /// What a `snapshot` frame of this event says beside the value.
    private let sourceName: String

    /// Encodes what the change carries; the value stays at hand for what it does not.
    package init(_ change: Change, cursor: Cursor, source: SourceID, sourceName: String) {
        self.cursor = cursor
        self.source = source
        self.at = change.at
        self.sourceName = sourceName
        let envelope = EventEnvelope(source: sourceName, at: change.at, cursor: cursor)
        func frame(_ name: StreamMode, _ text: [UInt8]?) -> Frame? {
            text.map { envelope.frame(name, $0, id: cursor, wire: .eventStream) }
        }
        self.patch = frame(.patch, change.patch)
        self.merge = frame(.merge, change.merge)
        self.touchesNoItem = change.items == ItemChanges.emptyText
        self.items =
            self.touchesNoItem ? envelope.checkpoint(id: cursor, wire: .eventStream) : frame(.items, change.items)
        self.value = change.document.text
    }

    /// A change of the past as the store kept it. Its frames have the bytes that they had then.
    package init(_ stored: StoredChange, epoch: Epoch, source: SourceID) {
        let cursor = Cursor(epoch: epoch, sequence: stored.sequence)
        self.cursor = cursor
        self.source = source
        self.at = stored.at
        self.sourceName = stored.source
        let envelope = EventEnvelope(source: stored.source, at: stored.at, cursor: cursor)
        func frame(_ name: StreamMode, _ text: [UInt8]?) -> Frame? {
            text.map { envelope.frame(name, $0, id: cursor, wire: .eventStream) }
        }
        self.patch = frame(.patch, stored.patch)
        self.merge = frame(.merge, stored.merge)
        self.touchesNoItem = stored.items == ItemChanges.emptyText
        self.items =
            self.touchesNoItem ? envelope.checkpoint(id: cursor, wire: .eventStream) : frame(.items, stored.items)
        self.value = stored.value
    }

    package var sequence: UInt64 { self.cursor.sequence }

    /// The RFC 6902 document of this change; `nil` where there is none, and the value stands for it.
    package var patchDocument: Document? {
        guard let patch = self.patch else { return nil }
        let data = try? Document(parsing: Array(patch.bytes[patch.data]), limits: .widest)
        return data?.extracting(Pointer().appending("patch"))
    }

    /// The item event of this change; `nil` where there is none, and where it touches no item.
    var itemsDocument: Document? {
        guard let items = self.items, !self.touchesNoItem else { return nil }
        let data = try? Document(parsing: Array(items.bytes[items.data]), limits: .widest)
        return data?.extracting(Pointer().appending("items"))
    }

    /// Puts back a value that was dropped, or not kept.
    mutating func restore(value: [UInt8]) {
        self.value = value
    }

    /// The event as a subscriber of this format gets it, or `nil` where that needs a value that was dropped.
    package func frame(for format: StreamFormat) -> Frame? {
        guard let own = self.ownFrame(in: format.mode) else {
            return self.value.map { self.envelope.frame(.snapshot, $0, id: self.cursor, wire: format.wire) }
        }
        guard format.wire != .eventStream else { return own }
        if self.isCheckpoint(in: format.mode) { return self.envelope.checkpoint(id: self.cursor, wire: format.wire) }
        return self.envelope.rewrapped(format.mode, own, id: self.cursor, wire: format.wire)
    }

    /// The change itself, without what its envelope says: the RFC 6902 document, or the whole value in mode `snapshot` and
    /// where there is no document. `nil` where that needs a value that was dropped.
    package func change(in mode: StreamMode) -> (isWhole: Bool, text: ArraySlice<UInt8>)? {
        guard mode == .patch, let patch = self.patch else { return self.value.map { (true, $0[...]) } }
        var head: [UInt8] = []
        self.envelope.appendHead(.patch, to: &head)
        return (false, patch.bytes[patch.data].dropFirst(head.count).dropLast())
    }

    /// Whether the event says nothing in this mode but how far the log has come.
    package func isCheckpoint(in mode: StreamMode) -> Bool { mode == .items && self.touchesNoItem }

    /// What a frame of this event says beside the change.
    var envelope: EventEnvelope { EventEnvelope(source: self.sourceName, at: self.at, cursor: self.cursor) }

    /// The `text/event-stream` frame that the event has for this mode; `nil` where the value stands for it.
    func ownFrame(in mode: StreamMode) -> Frame? {
        switch mode {
        case .patch: self.patch
        case .merge: self.merge
        case .items: self.items
        case .snapshot: nil
        }
    }

    /// Whether the event can be sent in this mode, which may need a value that was dropped.
    func isReadable(in mode: StreamMode) -> Bool {
        self.value != nil || self.ownFrame(in: mode) != nil
    }

    /// Whether the store gives the same bytes in this mode after a restart: it keeps each form that there is, and the value
    /// where there is no patch; other values are rebuilt, with their members in another order perhaps.
    func isReproducible(in mode: StreamMode) -> Bool { self.ownFrame(in: mode) != nil || self.patch == nil }

    /// About the bytes of the event in this mode.
    func size(in mode: StreamMode) -> Int { self.ownFrame(in: mode)?.chunk.count ?? self.value?.count ?? 0 }

    /// Gives up the value where the patch can stand for it.
    ///
    /// - Returns: The bytes that this freed, and the modes that the event can no longer be sent in.
    mutating func dropValue() -> (bytes: Int, lost: [StreamMode]) {
        guard self.patch != nil, let value = self.value else { return (0, []) }
        self.value = nil
        let lost = [(StreamMode.merge, self.merge == nil), (.items, self.items == nil), (.snapshot, true)]
        return (value.count, lost.filter(\.1).map(\.0))
    }

    /// The bytes that this event is charged for in the cache.
    package var cost: Int {
        let frames = [self.patch, self.merge, self.items].reduce(0) { $0 + ($1?.chunk.count ?? 0) }
        return Self.overhead + frames + (self.value?.count ?? 0)
    }

    /// What an event costs beside its text: the struct, its buffers' headers, its place in the queue.
    private static let overhead = 320
}
