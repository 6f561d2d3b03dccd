// One subscriber of each document whose events are compared with the gateway's own log.

import Foundation
import FreshetTesting

/// Subscribers that note every id they receive.
struct AxwayWitnesses {
    private let audience: Audience
    private let port: Int

    init(documents: Int, port: Int) {
        self.audience = Audience(
            of: (0..<documents).map { "d\($0)" },
            port: port,
            comesAndGoes: false,
            hasVersions: false,
            network: 96
        )
        self.port = port
    }

    /// - Throws: `BenchmarkFailure` where one of them does not get its snapshot.
    func start() throws { try self.audience.start() }

    func end() { self.audience.end() }

    /// Compares what each received since its snapshot with what `/v1/changes` lists after that cursor.
    ///
    /// - Throws: `BenchmarkFailure` where a change is missing, doubled or out of order, and where there is nothing to compare.
    func compareWithLog() throws {
        var compared = 0
        for (index, source) in self.audience.sources.enumerated() {
            guard let first = self.audience.report.value.sequences[index].first else {
                throw BenchmarkFailure("\(source): its subscriber received no id")
            }
            let expected = [first] + (try self.logged(source, after: first))
            let count = expected.count
            let received = self.audience.report.wait(timeout: .seconds(20)) { report in
                report.sequences[index].count >= count ? report.sequences[index] : nil
            }
            // What came after the log was read is not in it.
            let last = expected.last ?? first
            guard let received, received.prefix(while: { $0 <= last }) == expected[...] else {
                throw BenchmarkFailure(
                    "\(source): its subscriber did not receive the \(count) changes of the log once, in order"
                )
            }
            compared += count - 1
        }
        guard compared > 0 else { throw BenchmarkFailure("the log lists no change: nothing was compared") }
        let faults = self.audience.report.value.audit.faults
        guard faults.isEmpty else { throw BenchmarkFailure("subscribers: \(faults.joined(separator: ", "))") }
    }

    /// The numbers of the changes of `source` after the given one.
    private func logged(_ source: String, after sequence: Int) throws -> [Int] {
        struct Page: Decodable {
            struct Change: Decodable { var id: String }
            var events: [Change]
            var gap: Bool
        }
        let epoch = self.audience.lastID.prefix { $0 != "-" }
        let url = "http://127.0.0.1:\(self.port)/v1/changes/\(source)?since=\(epoch)-\(sequence)&limit=1000"
        let text = try ChildProcess("/usr/bin/env", ["curl", "-sf", url]).text()
        let page = try JSONDecoder().decode(Page.self, from: text)
        guard !page.gap, page.events.count < 1000 else {
            throw BenchmarkFailure("\(source): the log does not reach back")
        }
        return page.events.compactMap { $0.id.split(separator: "-").last.flatMap { Int($0) } }
    }
}
