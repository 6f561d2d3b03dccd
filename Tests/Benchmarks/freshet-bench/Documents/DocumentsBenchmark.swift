// How fast a new version of a document is read and compared with the last one, and how small the patch is.

import CLinux
import FreshetCore
import FreshetTesting
import JSON

/// Prints the worst cases of comparing, then how long documents of 8 MiB take, then a table: made-up documents of the sizes that
/// JSON.md names, then every recorded upstream. Rates are of the bytes as they come: of a parse without an earlier version; of
/// a parse by comparison with the last version; of that and the patch; of all that a poll makes of a change: parse, patch,
/// merge patch and items; and of simdjson's DOM parse, where it is installed. All are medians of rounds in turn.
///
/// `--only worst|large|table` for one of the three.
///
/// - Throws: where a document is not what it must be.
func runDocumentsBenchmark(arguments: [String] = []) throws {
    let part = arguments.first == "--only" ? arguments.dropFirst().first : nil
    let samples = DocumentSample.all
    if part ?? "worst" == "worst" { try runWorstCases() }
    if part ?? "large" == "large" {
        print("8 MiB: parse by comparison and patch, where 95 % is as before; the goal is at most 100 ms")
        Table.row("document", "bytes", "ms", "")
        for sample in samples where sample.after.count > DocumentsRun.largeBytes {
            try DocumentsRun(sample).printTime()
        }
    }
    if part ?? "table" == "table" { try printTable(samples) }
}

private func printTable(_ samples: [DocumentSample]) throws {
    let peer = SimdjsonPeer()
    if peer == nil { print("simdjson: skipped: no libsimdjson-dev, or no g++") }
    print("documents: parse the new version and diff it with the last one, one thread, MB/s")
    Table.row(
        "document",
        "bytes",
        "steps",
        "parse",
        "compare",
        "and patch",
        "whole poll",
        "simdjson",
        "patch bytes",
        "independent",
        "ratio"
    )
    for sample in samples { try DocumentsRun(sample, peer: peer).print() }
    guard Suites.available else { return print("skipped: the recorded upstreams are not here") }
    for name in Suites.histories {
        let history = try Suites.history(name)
        let formats: [String: SourceConfiguration.Format] = ["csv": .csv, "kml": .xml]
        let format = formats[history.fileExtension] ?? .json
        try DocumentsRun(
            name,
            format,
            versions: history.bodies,
            baseline: history.baseline?.jsonPatchBytes,
            peer: peer
        ).print()
    }
}

/// One history, measured until a second and a half of work is done.
private struct DocumentsRun {
    /// How much of a poll is done.
    private enum Extent: CaseIterable {
        case parse
        case compare
        case patch
        case poll
        case simdjson
    }

    /// Documents of more bytes are held to the goal of large ones.
    static let largeBytes = 8 << 20

    private let name: String
    private let bytes: Int
    private let steps: Int
    /// Nanoseconds of the median round.
    private var times: [Extent: Double] = [:]
    private let patchBytes: Int
    private let baseline: Int?

    init(_ sample: DocumentSample, peer: SimdjsonPeer? = nil) throws {
        try self.init(sample.name, sample.format, versions: [sample.before, sample.after], peer: peer)
    }

    init(
        _ name: String,
        _ format: SourceConfiguration.Format = .json,
        versions: [[UInt8]],
        baseline: Int? = nil,
        peer: SimdjsonPeer? = nil
    ) throws {
        func parse(_ body: [UInt8], after last: Document? = nil) throws -> Document {
            var hints = Representation.Hints()
            hints.last = last
            return try Representation.document(from: body, format: format, limits: ParseLimits(), hints: &hints)
        }
        self.name = name
        self.baseline = baseline
        self.steps = versions.count - 1
        var documents: [Document] = []
        for body in versions { documents.append(try parse(body, after: documents.last)) }
        let rule = documents.first.flatMap(ItemKeyGuess.rule)
        self.bytes = versions.dropFirst().reduce(0) { $0 + $1.count }
        self.patchBytes = zip(documents, documents.dropFirst()).reduce(0) { sum, pair in
            sum + min(pair.0.patch(to: pair.1).text.count, pair.1.text.count)
        }

        // simdjson reads JSON alone.
        let padded = peer != nil && format == .json ? versions.dropFirst().map(SimdjsonPeer.padded) : []
        func run(_ extent: Extent) throws -> Int {
            if extent == .simdjson { return padded.allSatisfy { peer?.accepts(padded: $0) ?? false } ? 1 : 0 }
            var sink = 0
            for (old, body) in zip(documents, versions.dropFirst()) {
                let new = try parse(body, after: extent == .parse ? nil : old)
                sink &+= new.nodeCount
                guard extent == .patch || extent == .poll else { continue }
                sink &+= old.patch(to: new, items: rule).text.count
                guard extent == .poll else { continue }
                let size = new.text.count
                sink &+= old.mergePatch(to: new, shorterThan: size)?.count ?? 0
                sink &+= rule.flatMap { old.itemChanges(to: new, items: $0, shorterThan: size) }?.text?.count ?? 0
            }
            return sink
        }
        var rounds: [Extent: [Int64]] = [:]
        let deadline = clinux_monotonic_ns() + 1_500_000_000
        while rounds[.parse, default: []].count < 5 || clinux_monotonic_ns() < deadline {
            // In turn, so that all meet the same load of the machine.
            for extent in Extent.allCases where extent != .simdjson || !padded.isEmpty {
                let start = clinux_monotonic_ns()
                guard try run(extent) > 0 else { throw BenchmarkFailure("\(name): nothing was parsed") }
                rounds[extent, default: []].append(clinux_monotonic_ns() - start)
            }
        }
        self.times = rounds.mapValues { Double($0.sorted()[$0.count / 2]) }
    }

    /// How long one version takes.
    func printTime() {
        let milliseconds = (self.times[.patch] ?? .infinity) / Double(max(self.steps, 1)) / 1e6
        Table.row(self.name, "\(self.bytes)", Table.text(milliseconds), milliseconds <= 100 ? "met" : "missed")
    }

    func print() {
        func rate(_ extent: Extent) -> String {
            self.times[extent].map { "\(Int(Double(self.bytes) / $0 * 1000))" } ?? "-"
        }
        Table.row(
            self.name,
            "\(self.bytes)",
            "\(self.steps)",
            rate(.parse),
            rate(.compare),
            rate(.patch),
            rate(.poll),
            rate(.simdjson),
            "\(self.patchBytes)",
            self.baseline.map { "\($0)" } ?? "-",
            self.baseline.map { Table.ratio(Double(self.patchBytes) / Double($0)) } ?? "-"
        )
    }
}

/// A document before and after a typical change.
struct DocumentSample {
    let name: String
    var format = SourceConfiguration.Format.json
    let before: [UInt8]
    let after: [UInt8]

    static let all: [DocumentSample] = [
        DocumentSample(name: "object, 20 members", before: Self.object(1), after: Self.object(2)),
        DocumentSample(
            name: "500 records, 5 changed",
            before: Self.records(0..<500),
            after: Self.records(0..<500, bump: 100)
        ),
        DocumentSample(
            name: "500 records, 1 put in front",
            before: Self.records(1..<500),
            after: Self.records(0..<500)
        ),
        DocumentSample(name: "500 records, window of 10", before: Self.records(0..<500), after: Self.records(10..<510)),
        DocumentSample(
            name: "20,000 features, window of 10",
            before: Self.features(0..<20_000),
            after: Self.features(10..<20_010)
        ),
        DocumentSample(name: "table of 8 MiB, 1 row in 20", format: .csv, before: Self.table(), after: Self.table(20)),
        DocumentSample(name: "feed of 8 MiB, 1 item in 20", format: .xml, before: Self.feed(), after: Self.feed(20)),
    ]

    /// One of each format, of 8 MiB.
    static var large: [DocumentSample] {
        let every = 20
        return [
            DocumentSample(name: "table", format: .csv, before: self.table(), after: self.table(every)),
            DocumentSample(name: "feed", format: .xml, before: self.feed(), after: self.feed(every)),
            DocumentSample(
                name: "records",
                before: self.records(0..<38_000),
                after: self.records(0..<38_000, bump: every)
            ),
        ]
    }

    /// A table of 8 MiB; of one row in so many, a value differs.
    private static func table(_ every: Int? = nil) -> [UInt8] {
        let rows = (0..<100_000).map { row in
            let count = every.map { row % $0 == 0 ? row + 1 : row } ?? row
            return
                "\(row + 1_000_000),Station number \(row),\"Main Street, corner \(row % 90)\",\(count % 40),47.3,8.5,open,2026-11-23T06:00"
        }
        return Array("id,name,address,bikes,lat,lon,state,updated\n\(rows.joined(separator: "\n"))\n".utf8)
    }

    /// A feed of 8 MiB, alike.
    private static func feed(_ every: Int? = nil) -> [UInt8] {
        let items = (0..<21_000).map { item in
            let count = every.map { item % $0 == 0 ? item + 1 : item } ?? item
            return """
                <item>
                  <title>The title of item \(item) &amp; more</title>
                  <link>https://example.org/items/\(item)/index.html</link>
                  <guid isPermaLink="false">item-\(item)</guid>
                  <pubDate>Mon, 23 Nov 2026 06:00:00 GMT</pubDate>
                  <category>news</category>
                  <description>&lt;p&gt;Some text about item \(item), of which a part is markup, as in many feeds that \(count) people \
                read, and that goes on for a sentence or two until it ends.&lt;/p&gt;</description>
                </item>
                """
        }
        return Array(
            "<rss version=\"2.0\"><channel><title>Feed</title>\n\(items.joined(separator: "\n"))\n</channel></rss>".utf8
        )
    }

    private static func object(_ change: Int) -> [UInt8] {
        let members = (0..<20).map { #""member_\#($0)":"a value of some length, \#($0 == 7 ? change : $0)""# }
        return Array("{\(members.joined(separator: ","))}".utf8)
    }

    private static func records(_ range: Range<Int>, bump every: Int? = nil) -> [UInt8] {
        let records = range.map { id in
            let count = every.map { id % $0 == 3 ? id + 1 : id } ?? id
            return
                #"{"id":"station-\#(id)","name":"Station number \#(id)","location":{"lat":\#(47 + Double(id) / 1000),"#
                + #""lon":8.5},"bikes":\#(count),"docks":\#(id % 17),"is_open":true,"tags":["a","b"],"note":null,"#
                + #""updated":"2026-11-23T06:00:00Z"}"#
        }
        return Array("[\(records.joined(separator: ",\n"))]".utf8)
    }

    static func features(_ range: Range<Int>) -> [UInt8] {
        let features = range.map { id in
            #"{"type":"Feature","id":"f\#(id)","properties":{"mag":\#(Double(id % 90) / 10),"place":"\#(id) km NE of somewhere","#
                + #""time":\#(1_763_877_600_000 + id),"tsunami":0,"sig":\#(id % 1000),"net":"us","code":"x\#(id)"},"#
                + #""geometry":{"type":"Point","coordinates":[\#(Double(id % 360) - 180),\#(Double(id % 180) - 90),10]}}"#
        }
        return Array(#"{"type":"FeatureCollection","features":[\#(features.joined(separator: ","))]}"#.utf8)
    }
}
