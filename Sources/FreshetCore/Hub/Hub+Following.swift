// The log as webhooks read it: line by line, each with the items that it touches.

import JSON

/// What of the log a webhook reads. A value; any thread.
package struct WebhookReading: Hashable, Sendable {
    package var sources: [SourceID]
    package var mode: StreamMode
    package var view: View
    /// With ``StreamEnvelope/plain`` a message is the event's line, and else the event in its envelope alone.
    package var envelope: StreamEnvelope
    /// Whether the items of each event are wanted.
    package var wantsItems: Bool

    package init(
        sources: [SourceID],
        mode: StreamMode,
        view: View,
        envelope: StreamEnvelope = .plain,
        wantsItems: Bool
    ) {
        self.sources = sources
        self.mode = mode
        self.view = view
        self.envelope = envelope
        self.wantsItems = wantsItems
    }
}

/// A part of the log.
package enum WebhookPart: Sendable {
    /// Events in order; `through` is how far the reader has come with them, and `isComplete` says that there is nothing
    /// newer.
    case events([WebhookEvent], through: UInt64, isComplete: Bool)
    /// What comes after the position is gone; `head` is where the log stands now.
    case gap(GapReason, head: Cursor)
}

extension EventLine {
    /// The body of a webhook's message.
    fileprivate func message(_ envelope: StreamEnvelope) -> [UInt8] {
        let pieces = envelope == .plain ? [self.head[...], self.shared, self.tail[...]] : self.data
        var body: [UInt8] = []
        body.reserveCapacity(self.count)
        for piece in pieces { body.append(contentsOf: piece) }
        return body
    }
}

extension Hub {
    /// The next events after a position as far as memory reaches back; `nil` where they have to be read by
    /// ``fetch(_:after:limit:then:)``. At once; any thread.
    package func read(_ reading: WebhookReading, after sequence: UInt64, limit: Int) -> WebhookPart? {
        guard reading.view.isWhole else { return nil }
        let (part, head, hasStore) = self.state.withLock { state in
            let part = state.log.read(after: sequence, of: reading.sources, mode: reading.mode, limit: limit)
            return (part, state.log.cursor, state.hasStore)
        }
        if case .gap(.evicted) = part, hasStore { return nil }
        return self.part(part, reading, head: head)
    }

    /// The next events after a position, from the store or for a view. `then` is called once, on the reader's thread; not at
    /// all where the ticket goes before.
    package func fetch(
        _ reading: WebhookReading,
        after sequence: UInt64,
        limit: Int,
        then: @escaping @Sendable (WebhookPart) -> Void
    ) -> ReadTicket? {
        try? self.reads.submit(.stream, for: .local) { [weak self] in
            guard let self else { return }
            then(self.fetched(reading, after: sequence, limit: limit))
        }
    }

    /// The names of sources that are not removed.
    package func names(of sources: [SourceID]) -> [String] {
        self.state.withLock { state in sources.compactMap { state[$0]?.name } }
    }

    private func fetched(_ reading: WebhookReading, after sequence: UInt64, limit: Int) -> WebhookPart {
        guard reading.view.isWhole else {
            let (sources, view, mode) = (reading.sources, reading.view, reading.mode)
            switch self.scan(sources, view, mode, after: sequence, limit: limit, nil) {
            case .gap(let reason): return .gap(reason, head: self.cursor)
            case .events(let events, let through, _, let isComplete):
                return .events(
                    events.map { self.event($0, reading) },
                    through: through,
                    isComplete: isComplete
                )
            }
        }
        let part = self.readStore(of: reading.sources, after: sequence, mode: reading.mode, limit: limit)
        return self.part(part, reading, head: self.cursor)
    }

    private func part(_ part: ChangeLog.Reading, _ reading: WebhookReading, head: Cursor) -> WebhookPart {
        switch part {
        case .gap(let reason): return .gap(reason, head: head)
        case .events(let events, let through, let isComplete):
            var found: [WebhookEvent] = []
            found.reserveCapacity(events.count)
            for event in events {
                guard !event.isCheckpoint(in: reading.mode) else { continue }
                // Dropped in this very moment, which the next reading would find as well.
                guard let line = event.line(in: reading.mode, reading.envelope) else {
                    return .gap(.evicted, head: head)
                }
                found.append(
                    WebhookEvent(
                        cursor: event.cursor,
                        source: event.source,
                        body: line.message(reading.envelope),
                        items: reading.wantsItems ? self.items(of: event.itemsDocument, event.source) : nil,
                        isReproducible: event.isReproducible(in: reading.mode)
                    )
                )
            }
            return .events(found, through: through, isComplete: isComplete)
        }
    }

    private func event(_ event: ViewedEvent, _ reading: WebhookReading) -> WebhookEvent {
        let isItems = event.content?.mode == .items
        let body = event.isCheckpoint ? nil : event.line(reading.envelope).message(reading.envelope)
        let text = reading.wantsItems && isItems ? event.content?.text : nil
        return WebhookEvent(
            cursor: event.cursor,
            source: event.source,
            body: body,
            items: self.items(of: text.flatMap { try? Document(parsing: $0, limits: .widest) }, event.source),
            // A view is worked out from what is there at the time.
            isReproducible: false
        )
    }

    /// The identities of the items of an item event; `nil` where one cannot be told.
    private func items(of document: Document?, _ source: SourceID) -> [ScalarText]? {
        guard let root = document?.root, let rule = self.itemRule(of: source) else { return nil }
        let key = rule.key ?? Pointer().appending("key")
        var found: Set<ScalarText> = []
        for (name, isItem) in [("created", true), ("updated", true), ("deleted", false)] {
            guard let list = root[name] else { return nil }
            for value in list.elements {
                guard let identity = isItem ? value.value(at: key) : value, let text = ScalarText(identity) else {
                    return nil
                }
                guard found.count < WebhookWindow.maxItemsPerEvent || found.contains(text) else { return nil }
                found.insert(text)
            }
        }
        return Array(found)
    }
}
