// What parsing by comparison costs where little or nothing is the same.

import CLinux
import JSON
import System

/// Prints for each case how long a parse by comparison takes, beside a parse of the same bytes without an earlier version:
/// medians of rounds in turn. Once for a version alone, and once for 16 in a row, of which those behind one that did not pay
/// are not compared.
///
/// - Throws: where a made-up document is no JSON.
func runWorstCases() throws {
    print(
        "worst cases: a parse by comparison beside one without an earlier version; the goal is at most \(WorstCase.bound)"
    )
    Table.row("case", "bytes", "plain MB/s", "compare MB/s", "ratio", "16 in a row", "")
    for sample in WorstCase.all {
        let (plain, compared, inRow) = try sample.measure()
        Table.row(
            sample.name,
            "\(sample.new.count)",
            "\(Int(Double(sample.new.count) / plain * 1000))",
            "\(Int(Double(sample.new.count) / compared * 1000))",
            Table.ratio(compared / plain),
            Table.ratio(inRow),
            compared / plain <= WorstCase.bound ? "met" : "missed"
        )
    }
}

/// Two versions of a document that have little in common, or nothing that comparing finds cheaply.
private struct WorstCase {
    /// What a parse by comparison may take at most, in parses without an earlier version.
    static let bound = 1.15

    let name: String
    let old: [UInt8]
    let new: [UInt8]

    private static let rounds = 41
    private static let rowRounds = 11
    private static let rowLength = 16

    /// The medians of both ways, in nanoseconds, and the ratio of both for versions in a row.
    func measure() throws -> (plain: Double, compared: Double, inRow: Double) {
        let last = try Document(parsing: self.old)
        // Enough of them to be measured.
        let repeats = max(1, 200_000 / max(self.new.count, 1))
        let (plain, compared) = try Self.inTurn(rounds: Self.rounds) {
            for _ in 0..<repeats { _ = try Document(parsing: self.new) }
        } second: {
            for _ in 0..<repeats { _ = try Document(parsing: self.new, after: last) }
        }
        let row = (0..<Self.rowLength).map { $0.isMultiple(of: 2) ? self.new : self.old }
        let (rowPlain, rowCompared) = try Self.inTurn(rounds: Self.rowRounds) {
            for body in row { _ = try Document(parsing: body) }
        } second: {
            var document = last
            for body in row { document = try Document(parsing: body, after: document) }
        }
        return (plain / Double(repeats), compared / Double(repeats), rowCompared / rowPlain)
    }

    /// The medians of two pieces of work that are done in turn, in nanoseconds.
    private static func inTurn(
        rounds: Int,
        _ first: () throws -> Void,
        second: () throws -> Void
    ) rethrows -> (Double, Double) {
        var times: (first: [Double], second: [Double]) = ([], [])
        for _ in 0..<rounds {
            let start = clinux_monotonic_ns()
            try first()
            let middle = clinux_monotonic_ns()
            try second()
            times.first.append(Double(middle - start))
            times.second.append(Double(clinux_monotonic_ns() - middle))
        }
        return (times.first.sorted()[rounds / 2], times.second.sorted()[rounds / 2])
    }

    static var all: [WorstCase] {
        let ids = Array(0..<2000)
        var generator = SplitMix64(seed: 35)
        let shuffled = ids.shuffled(using: &generator)
        let names = (0..<5000).map { "name of member \($0)" }
        return [
            WorstCase(name: "every scalar other", old: self.records(ids, 1), new: self.records(ids, 2, other: true)),
            WorstCase(name: "one digit of each number", old: self.records(ids, 1), new: self.records(ids, 2)),
            WorstCase(name: "records shuffled", old: self.records(ids, 1), new: self.records(shuffled, 1)),
            WorstCase(name: "strings of 1 KB, last byte other", old: self.strings(1), new: self.strings(2)),
            WorstCase(name: "items that change at their end", old: self.items(1), new: self.items(2)),
            WorstCase(
                name: "items of 1 KB that change at their end",
                old: self.items(1, sentences: 18),
                new: self.items(2, sentences: 18)
            ),
            WorstCase(name: "map, all names other", old: self.map(names), new: self.map(names.map { "other \($0)" })),
            WorstCase(name: "map, names in reverse", old: self.map(names), new: self.map(names.reversed())),
            WorstCase(name: "20,000 numbers, all other", old: self.numbers(1), new: self.numbers(2)),
            WorstCase(name: "another document", old: self.records(ids, 1), new: self.map(names)),
            WorstCase(
                name: "another document in the same wrap",
                old: Array(#"{"data":"#.utf8) + self.records(ids, 1) + Array("}".utf8),
                new: Array(#"{"data":"#.utf8) + self.map(names) + Array("}".utf8)
            ),
            WorstCase(
                name: "the same feed 100 versions on",
                old: self.records(ids, 1),
                new: self.records(ids.map { $0 + 1000 }, 1)
            ),
            WorstCase(name: "window of ten", old: self.records(ids, 1), new: self.records(ids.map { $0 + 10 }, 1)),
        ]
    }

    private static func records(_ ids: [Int], _ version: Int, other: Bool = false) -> [UInt8] {
        let prefix = other ? "other" : "record"
        let records = ids.map {
            #"{"id":"\#(prefix) \#($0)","kind":"\#(prefix)","count":\#($0 * 10 + version),"rate":\#($0 % 90).\#(version),"on":\#(!other)}"#
        }
        return Array("[\(records.joined(separator: ","))]".utf8)
    }

    private static func strings(_ version: Int) -> [UInt8] {
        let text = String(repeating: "a text of some length. ", count: 44)
        return Array("[\((0..<300).map { "\"\($0 + 1000) \(text)\(version)\"" }.joined(separator: ","))]".utf8)
    }

    /// Each has a description whose last words say when it was looked at.
    private static func items(_ version: Int, sentences: Int = 1) -> [UInt8] {
        let more = String(repeating: " It goes on with a sentence that is the same too.", count: sentences - 1)
        let items = (0..<200).map {
            #"{"id":"item \#($0)","title":"The title of item \#($0)","link":"https://example.org/items/\#($0)","#
                + #""text":"<p>Some text about item \#($0) that goes on for a while and is the same.\#(more)<br>\n\nLast updated: 0\#(version):00"}"#
        }
        return Array("[\(items.joined(separator: ","))]".utf8)
    }

    private static func map(_ names: [String]) -> [UInt8] {
        Array("{\(names.map { "\"\($0)\":\($0.utf8.count * 7)" }.joined(separator: ","))}".utf8)
    }

    private static func numbers(_ version: Int) -> [UInt8] {
        Array("[\((0..<20_000).map { "\($0 * 10 + version)" }.joined(separator: ","))]".utf8)
    }
}
