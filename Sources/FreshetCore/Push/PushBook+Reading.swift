// From changes of the log to messages that wait.

extension PushBook {
    /// The parts of the log that are to be read after a change of a source, and from where on. `head`: the end of the log.
    package func reads(of source: String, head: Cursor) -> [(feed: PushFeed, after: Cursor)] {
        self.index.subscriptions(to: source).map { feed, ids in
            (feed, self.start(of: feed, ids, head: head))
        }
    }

    /// Behind what was read, and behind where the first subscriber begins.
    private func start(of feed: PushFeed, _ ids: [PushID], head: Cursor) -> Cursor {
        let starts = ids.compactMap { self.entries[$0]?.subscription.since }
        let position = self.positions[feed]
        if let foreign = starts.first(where: { $0.epoch != head.epoch }) {
            // Read once in this numbering, there is nothing left to be told of the one before.
            return position.flatMap { $0.epoch == head.epoch ? $0 : nil } ?? foreign
        }
        let first = starts.map(\.sequence).min() ?? head.sequence
        let read = position.flatMap { $0.epoch == head.epoch ? $0.sequence : nil } ?? 0
        return Cursor(epoch: head.epoch, sequence: max(first, read))
    }

    /// Takes what was read of a feed, up to `position`.
    package mutating func take(_ events: [PushEvent], of feed: PushFeed, upTo position: Cursor) {
        self.positions[feed] = position
        guard events.contains(where: { !$0.messages.isEmpty }) else { return }
        let ids = self.index.subscriptions(to: feed)
        for event in events {
            for id in ids { self.take(event, for: id) }
        }
    }

    private mutating func take(_ event: PushEvent, for id: PushID) {
        guard var entry = self.entries[id], entry.state == .active else { return }
        let since = entry.subscription.since
        guard since.epoch != event.cursor.epoch || since.sequence < event.cursor.sequence else { return }
        for message in event.messages { self.add(message, to: &entry) }
        self.entries[id] = entry
        self.unsettled.insert(id)
        self.line(up: id)
    }

    /// Adds a message behind the others. A topic has one, the newest; too many become one.
    private mutating func add(_ message: PushMessage, to entry: inout Entry) {
        var message = message
        if let first = entry.waiting.first, first.topic == .everything {
            // What is fetched from there on has this one too.
            entry.waiting[0].cursor = message.cursor
            entry.waiting[0].at = message.at
            self.counts.joined += 1
            return
        }
        if let place = entry.waiting.firstIndex(where: { $0.topic == message.topic }) {
            let older = entry.waiting.remove(at: place)
            self.contentBytes -= older.content?.count ?? 0
            // A client that fetches gets both.
            message.since = older.since
            self.counts.replaced += 1
        }
        let bytes = message.content?.count ?? 0
        if self.contentBytes + bytes > self.limits.maxContentBytes {
            message.content = nil
        } else {
            self.contentBytes += bytes
        }
        entry.waiting.append(message)
        guard entry.waiting.count > Defaults.Push.maxWaiting, let first = entry.waiting.first else { return }
        self.counts.joined += UInt64(entry.waiting.count - 1)
        self.contentBytes -= entry.waiting.reduce(0) { $0 + ($1.content?.count ?? 0) }
        var everything = message
        everything.topic = .everything
        everything.since = first.since
        everything.content = nil
        entry.waiting = [everything]
    }

    /// Puts a message that was not delivered back in front, unless a newer one has taken its place.
    mutating func putBack(_ message: PushMessage, in entry: inout Entry) {
        if let first = entry.waiting.first, first.topic == .everything {
            entry.waiting[0].since = message.since
            return
        }
        if let place = entry.waiting.firstIndex(where: { $0.topic == message.topic }) {
            entry.waiting[place].since = message.since
            self.counts.replaced += 1
            return
        }
        self.contentBytes += message.content?.count ?? 0
        entry.waiting.insert(message, at: 0)
    }

    // MARK: What the disk has to know

    /// The rows that are to be written, so that nothing is lost by a restart: those of subscriptions that are behind, or no
    /// longer are, and the mark.
    /// `head`: how far the log has been read for all of them.
    package mutating func rowsToKeep(head: Cursor) -> [PushRow] {
        var rows: [PushRow] = []
        for id in self.unsettled {
            guard var entry = self.entries[id] else {
                self.unsettled.remove(id)
                continue
            }
            let behind = (entry.underWay ?? entry.waiting.first)?.since
            if behind != nil || entry.isStoredBehind { rows.append(entry.subscription.row(behind: behind)) }
            entry.isStoredBehind = behind != nil
            self.entries[id] = entry
            if behind == nil { self.unsettled.remove(id) }
        }
        return rows + [.mark(head)]
    }

    /// All rows, for a store that begins anew.
    package var allRows: [PushRow] {
        self.entries.values.map { $0.subscription.row(behind: ($0.underWay ?? $0.waiting.first)?.since) }
    }
}
