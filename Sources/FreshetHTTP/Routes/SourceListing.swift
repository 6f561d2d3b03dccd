// The list of all sources, written once for many requests, of which each gets a part.

import FreshetCore
import JSON

/// `GET /v1/sources` as it was at one moment.
struct SourceListing: Sendable {
    /// Read before the rows: who continues from it may see a change again that is in the list, and misses none.
    private let cursor: Cursor
    /// The sources in the order in which they were added.
    private let sources: [SourceID]
    /// The rows in that order, a comma behind each.
    private let rows: [UInt8]
    /// Where each row ends in ``rows``, its comma left out.
    private let ends: [Int]

    /// The most sources in one answer, and how many there are where nothing else is asked for.
    static let maxLimit = 1000

    init(hub: Hub) {
        self.cursor = hub.cursor
        let reports = hub.sources()
        var rows: [UInt8] = []
        var ends: [Int] = []
        ends.reserveCapacity(reports.count)
        for report in reports {
            rows.append(contentsOf: SourceRow.text(report))
            ends.append(rows.count)
            rows.append(UInt8(ascii: ","))
        }
        self.sources = reports.map(\.id)
        self.rows = rows
        self.ends = ends
    }

    /// Up to `limit` sources that were added after `source`, and the last of them where others follow.
    func page(after source: SourceID?, limit: Int) -> (text: [UInt8], next: SourceID?) {
        let first = source.map { self.position(after: $0) } ?? 0
        let end = min(first + limit, self.sources.count)
        let next = end < self.sources.count && end > first ? self.sources[end - 1] : nil
        var text: [UInt8] = []
        let bytes = first < end ? (first == 0 ? 0 : self.ends[first - 1] + 1)..<self.ends[end - 1] : 0..<0
        text.reserveCapacity(bytes.count + 96)
        text.append(contentsOf: #"{"sources":["#.utf8)
        text.append(contentsOf: self.rows[bytes])
        text.append(contentsOf: #"],"cursor":"\#(self.cursor)""#.utf8)
        if let next { text.append(contentsOf: #","next":"\#(next.index)""#.utf8) }
        text.append(UInt8(ascii: "}"))
        return (text, next)
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
