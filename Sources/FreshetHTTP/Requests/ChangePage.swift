// A part of the log as a client gets it, and how it is read.

import FreshetCore

/// Some events and how to go on from them.
struct ChangePage: Sendable {
    /// Objects of JSON text, as the lines of a stream have them.
    private(set) var events: [EventLine] = []
    /// What comes after the page comes after this.
    var cursor: Cursor
    /// Backwards: what is older than the page comes before this; `nil` where there is nothing.
    var before: Cursor?
    var gap: GapReason?
    /// The position that the last event brings its reader to; `nil` where there is none, or it is a snapshot that opens the
    /// page.
    private(set) var sent: Cursor?
    /// Of the events, but for snapshots that open the page.
    private(set) var bytes = 0
    /// Something in it changes what its reader has.
    private(set) var isNews = false

    private let maxBytes: Int

    /// `maxBytes`: the most bytes of events, but for a single event that is larger.
    init(cursor: Cursor, gap: GapReason? = nil, maxBytes: Int) {
        self.cursor = cursor
        self.gap = gap
        self.maxBytes = maxBytes
    }

    /// Whether a reader of lines could not tell from the last one where to go on.
    var needsCheckpoint: Bool { self.sent != self.cursor || self.before != nil }

    /// This page and the next as one.
    func followed(by next: ChangePage) -> ChangePage {
        var page = next
        page.events = self.events + next.events
        page.gap = self.gap
        page.isNews = self.isNews || next.isNews
        return page
    }

    /// Adds the event that brings a reader to `cursor`, where it does.
    ///
    /// - Returns: `false` where the page is full; the event is not in it then.
    mutating func append(_ line: EventLine, at cursor: Cursor?, isNews: Bool = true) -> Bool {
        guard self.events.isEmpty || self.bytes + line.count <= self.maxBytes else { return false }
        self.bytes += line.count
        self.events.append(line)
        self.sent = cursor
        self.isNews = self.isNews || isNews
        return true
    }

    /// Adds snapshots, all of them: with some of them a reader would have a part of the values only. They share the
    /// bytes of the values, and the last says where the page ends.
    mutating func append(_ snapshots: [EventLine]) {
        self.events += snapshots
        self.isNews = self.isNews || !snapshots.isEmpty
    }
}

/// Reads pages.
struct ChangeReading: Sendable {
    let hub: Hub
    let inquiry: ChangeInquiry
    let client: ReadClient

    /// A page without events.
    func page(at cursor: Cursor, gap: GapReason? = nil) -> ChangePage {
        ChangePage(cursor: cursor, gap: gap, maxBytes: self.inquiry.maxBytes)
    }

    /// The page that was asked for.
    func first() async throws(ReadRefusal) -> ChangePage {
        let position = try await self.hub.locate(
            self.inquiry.position,
            of: self.inquiry.sources,
            in: self.inquiry.view,
            needs: self.inquiry.isDescending ? .position : .texts,
            for: self.client
        )
        guard !self.inquiry.isDescending else { return try await self.backwards(to: position) }
        switch position {
        case .latest:
            return self.page(at: self.hub.cursor)
        case .after(let cursor):
            return try await self.next(after: cursor)
        case .past(let start):
            return try await self.page(from: start)
        case .earliest, .snapshot, .time:
            return try await self.next(after: Cursor(epoch: self.hub.cursor.epoch, sequence: 0))
        case .malformed:
            return self.rebuilt(because: .malformed)
        }
    }

    /// The page after a cursor.
    func next(after cursor: Cursor) async throws(ReadRefusal) -> ChangePage {
        await self.hub.catchUp(with: cursor)
        guard !self.inquiry.isDescending else { return try await self.backwards(to: .after(cursor)) }
        return try await self.page(after: cursor, limit: self.inquiry.limit)
    }

    private func page(after cursor: Cursor, limit: Int) async throws(ReadRefusal) -> ChangePage {
        guard self.inquiry.view.isWhole else { return try await self.viewedPage(after: cursor, limit: limit) }
        let reading = try await self.hub.changes(
            of: self.inquiry.sources,
            after: cursor,
            mode: self.inquiry.mode,
            limit: limit,
            for: self.client
        )
        switch reading {
        case .gap(let reason):
            return self.rebuilt(because: reason)
        case .events(let events, let through, _):
            var page = self.page(at: cursor)
            for event in events {
                // As in a stream: any later event moves the cursor as well.
                if event.isCheckpoint(in: self.inquiry.mode), event.sequence != events.last?.sequence {
                    page.cursor.sequence = event.sequence
                    continue
                }
                // A value that is gone can only be answered with the current values.
                guard let line = event.line(in: self.inquiry.mode, self.inquiry.envelope) else {
                    return page.events.isEmpty ? self.rebuilt(because: .evicted) : page
                }
                guard page.append(line, at: event.cursor) else { return page }
                page.cursor.sequence = event.sequence
            }
            page.cursor.sequence = max(page.cursor.sequence, through)
            return page
        }
    }

    /// The values as of the start, and what came after as far as the limit allows.
    private func page(from start: PastStart) async throws(ReadRefusal) -> ChangePage {
        var page = self.page(at: start.cursor, gap: start.gap)
        let last = start.values.indices.last
        page.append(start.values.enumerated().map { $1.line(arrives: $0 == last, self.inquiry.envelope) })
        let left = self.inquiry.limit - start.values.count
        guard left > 0 else { return page }
        let rest = try await self.page(after: start.cursor, limit: left)
        guard rest.gap == nil else { return rest }
        return page.followed(by: rest)
    }

    /// A snapshot of each source in place of what cannot be given any more; the cursor is that of the same moment.
    func rebuilt(because reason: GapReason) -> ChangePage {
        let (cursor, snapshots) = self.hub.values(
            of: self.inquiry.sources,
            in: self.inquiry.view,
            because: reason
        )
        var page = self.page(at: cursor, gap: reason)
        page.append(snapshots.map { $0.version.line($0.step, self.inquiry.envelope) })
        return page
    }

    // MARK: Backwards

    /// The newest changes down to a position.
    private func backwards(to position: StreamPosition) async throws(ReadRefusal) -> ChangePage {
        let head = self.hub.cursor
        var upper = head
        if let before = self.inquiry.before {
            guard before.epoch == head.epoch else { return self.rebuilt(because: .epoch) }
            upper.sequence = min(before.sequence > 0 ? before.sequence - 1 : 0, head.sequence)
        }
        switch position {
        case .after(let cursor) where cursor.epoch != head.epoch: return self.rebuilt(because: .epoch)
        case .after(let cursor) where cursor.sequence > head.sequence: return self.rebuilt(because: .future)
        case .after(let cursor): return try await self.backwards(from: upper, to: cursor.sequence)
        case .past(let start) where start.gap != nil: return try await self.backwards(from: upper, to: 0)
        case .latest: return self.page(at: head)
        case .malformed: return self.rebuilt(because: .malformed)
        case .past, .earliest, .snapshot, .time: return try await self.backwards(from: upper, to: nil)
        }
    }

    /// `lower`: the position that was asked for; `nil` to go as far as the log is kept.
    private func backwards(from upper: Cursor, to lower: UInt64?) async throws(ReadRefusal) -> ChangePage {
        guard self.inquiry.view.isWhole else { return try await self.viewedBackwards(from: upper, to: lower) }
        let past = try await self.hub.changes(
            of: self.inquiry.sources,
            before: upper.sequence &+ 1,
            mode: self.inquiry.mode,
            limit: self.inquiry.limit,
            for: self.client
        )
        var page = self.page(at: upper)
        var oldest = upper
        for event in past.events {
            guard event.sequence > lower ?? 0 else { return page }
            guard let line = event.line(in: self.inquiry.mode, self.inquiry.envelope), page.append(line, at: nil) else {
                page.before = page.events.isEmpty ? nil : oldest
                return page
            }
            oldest.sequence = event.sequence
        }
        switch past.end {
        case .limit: page.before = oldest
        case .evicted(let through): page.gap = lower.map { $0 < through } == true ? .evicted : nil
        case .beginning: break
        }
        return page
    }
}
