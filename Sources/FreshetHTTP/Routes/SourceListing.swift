// The list of all sources, written once for many requests, of which each gets a part.

import FreshetCore
import JSON

/// `GET /v1/sources` as it was at one moment.
struct SourceListing: Sendable {
    /// Read before the rows: who continues from it may see a change again that is in the list, and misses none.
    private let cursor: Cursor
    /// The sources in the order in which they were added.
    private let sources: [SourceID]
    private let names: [String]
    private let hasInstances: Bool
    /// The rows in that order, a comma behind each.
    private let rows: [UInt8]
    /// Where each row ends in ``rows``, its comma left out.
    private let ends: [Int]

    /// The most sources in one answer, and how many there are where nothing else is asked for.
    static let maxLimit = 1000

    init(hub: Hub) {
        self.cursor = hub.cursor
        let reports = hub.sources()
        let now = WallClock.now
        var rows: [UInt8] = []
        var ends: [Int] = []
        ends.reserveCapacity(reports.count)
        for report in reports {
            rows.append(contentsOf: SourceRow.text(report, at: now))
            ends.append(rows.count)
            rows.append(UInt8(ascii: ","))
        }
        self.sources = reports.map(\.id)
        self.names = reports.map(\.name)
        self.hasInstances = self.names.contains { InstanceName.isInstance($0) }
        self.rows = rows
        self.ends = ends
    }

    /// Up to `limit` of the sources in `pattern` that were added after `source`, and the last of them where others follow.
    /// `isPermitted`: whether an instance of a template may be among them.
    func page(
        after source: SourceID?,
        limit: Int,
        within pattern: SourcePattern,
        _ isPermitted: (String) -> Bool
    ) -> (text: [UInt8], next: SourceID?) {
        let first = source.map { self.position(after: $0) } ?? 0
        let (shown, next) = self.rows(from: first, limit: limit, within: pattern, isPermitted)
        var text: [UInt8] = []
        text.reserveCapacity(shown.reduce(96) { $0 + self.bytes(of: $1).count + 1 })
        text.append(contentsOf: #"{"sources":["#.utf8)
        for (index, range) in shown.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            text.append(contentsOf: self.rows[self.bytes(of: range)])
        }
        text.append(contentsOf: #"],"cursor":"\#(self.cursor)""#.utf8)
        if let next { text.append(contentsOf: #","next":"\#(next.index)""#.utf8) }
        text.append(UInt8(ascii: "}"))
        return (text, next)
    }

    /// The runs of rows that are shown, and the last source where others follow.
    private func rows(
        from first: Int,
        limit: Int,
        within pattern: SourcePattern,
        _ isPermitted: (String) -> Bool
    ) -> (shown: [Range<Int>], next: SourceID?) {
        guard !pattern.isAll || self.hasInstances else {
            let end = min(first + limit, self.sources.count)
            guard first < end else { return ([], nil) }
            return ([first..<end], end < self.sources.count ? self.sources[end - 1] : nil)
        }
        var shown: [Range<Int>] = []
        var count = 0
        for row in first..<max(first, self.sources.count) where pattern.matches(self.names[row]) {
            guard !InstanceName.isInstance(self.names[row]) || isPermitted(self.names[row]) else { continue }
            guard count < limit else { return (shown, shown.last.map { self.sources[$0.upperBound - 1] }) }
            count += 1
            if let last = shown.last, last.upperBound == row {
                shown[shown.count - 1] = last.lowerBound..<row + 1
            } else {
                shown.append(row..<row + 1)
            }
        }
        return (shown, nil)
    }

    /// The text of some rows, without the last comma.
    private func bytes(of rows: Range<Int>) -> Range<Int> {
        let start = rows.lowerBound == 0 ? 0 : self.ends[rows.lowerBound - 1] + 1
        return start..<self.ends[rows.upperBound - 1]
    }

    private func position(after source: SourceID) -> Int {
        var range = 0..<self.sources.count
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            if self.sources[middle] <= source {
                range = (middle + 1)..<range.upperBound
            } else {
                range = range.lowerBound..<middle
            }
        }
        return range.lowerBound
    }
}
