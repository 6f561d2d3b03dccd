// Pages of the log in a view.

import FreshetCore

extension ChangeReading {
    /// The events after a cursor that say something in the view, and what moves the cursor past the others.
    func viewedPage(after cursor: Cursor, limit: Int) async throws(ReadRefusal) -> ChangePage {
        let reading = try await self.hub.changes(
            of: self.inquiry.sources,
            in: self.inquiry.view,
            after: cursor,
            mode: self.inquiry.mode,
            limit: limit,
            for: self.client
        )
        switch reading {
        case .gap(let reason):
            return self.rebuilt(because: reason)
        case .events(let events, let through, let last, _):
            var page = self.page(at: cursor)
            for event in events {
                guard page.append(event.line(self.inquiry.envelope), at: event.cursor) else { return page }
                page.cursor.sequence = event.sequence
            }
            if let last {
                guard page.append(last.line(self.inquiry.envelope), at: last.cursor, isNews: false) else { return page }
                page.cursor.sequence = last.sequence
            }
            page.cursor.sequence = max(page.cursor.sequence, through)
            return page
        }
    }

    /// As without a view; the limit counts events of the log.
    func viewedBackwards(from upper: Cursor, to lower: UInt64?) async throws(ReadRefusal) -> ChangePage {
        let past = try await self.hub.changes(
            of: self.inquiry.sources,
            in: self.inquiry.view,
            before: upper.sequence &+ 1,
            mode: self.inquiry.mode,
            limit: self.inquiry.limit,
            for: self.client
        )
        var page = self.page(at: upper)
        var oldest = upper
        for event in past.events {
            guard event.sequence > lower ?? 0 else { return page }
            guard page.append(event.line(self.inquiry.envelope), at: nil) else {
                page.before = oldest
                return page
            }
            oldest.sequence = event.sequence
        }
        switch past.end {
        case .limit:
            oldest.sequence = past.oldest ?? oldest.sequence
            // What was gone through and says nothing may reach below what was asked for.
            page.before = oldest.sequence > (lower ?? 0) + 1 ? oldest : nil
        case .evicted(let through): page.gap = lower.map { $0 < through } == true ? .evicted : nil
        case .beginning: break
        }
        return page
    }
}
