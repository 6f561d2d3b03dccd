// Subscribers whose events are compared with the gateway's own log.

import Foundation
import FreshetTesting

/// Subscribers of one source each that note every id they receive.
struct Witnesses {
    private let audience: Audience
    private let port: Int

    /// - Parameters:
    ///   - sources: The source of each subscriber.
    ///   - port: The gateway's.
    init(of sources: [String], port: Int) {
        self.audience = Audience(of: sources, port: port, comesAndGoes: false, hasVersions: false, network: 96)
        self.port = port
    }

    /// - Throws: `BenchmarkFailure` where one of them does not get its snapshot.
    func start() throws { try self.audience.start() }

    func end() { self.audience.end() }

    /// Waits until each has been answered so often, and returns whether that came about.
    func waitForAnswers(_ count: Int, timeout: Duration) -> Bool {
        let wanted = count * self.audience.sources.count
        return self.audience.report.wait(timeout: timeout) { $0.opened >= wanted ? true : nil } ?? false
    }

    /// Waits until the gateway has ended every stream, and returns whether that came about.
    func waitForEnds(timeout: Duration) -> Bool {
        let count = self.audience.sources.count
        return self.audience.report.wait(timeout: timeout) { $0.audit.ended >= count ? true : nil } ?? false
    }

    /// Compares what each received since its snapshot with what `/v1/changes` lists after that cursor.
    ///
    /// - Parameter mayEnd: Whether streams may have ended in between.
    /// - Returns: How many events of subscribers were compared.
    /// - Throws: `BenchmarkFailure` where a change is missing, doubled or out of order, and where there is nothing to compare.
    @discardableResult
    func compareWithLog(mayEnd: Bool = false) throws -> Int {
        var compared = 0
        for (source, subscribers) in Dictionary(
            grouping: self.audience.sources.indices,
            by: { self.audience.sources[$0] }
        ) {
            let firsts = self.audience.report.value.sequences
            let first = try subscribers.map { index in
                guard let first = firsts[index].first else {
                    throw BenchmarkFailure("\(source): a subscriber received no id")
                }
                return first
            }
            let log = try self.logged(source, after: first.min() ?? 0)
            for (index, first) in zip(subscribers, first) {
                compared += try self.compare(index, [first] + log.filter { $0 > first })
            }
        }
        guard compared > 0 else { throw BenchmarkFailure("the log lists no change: nothing was compared") }
        let faults = self.audience.report.value.audit.faults(mayEnd: mayEnd)
        guard faults.isEmpty else { throw BenchmarkFailure("subscribers: \(faults.joined(separator: ", "))") }
        return compared
    }

    private func compare(_ subscriber: Int, _ expected: [Int]) throws -> Int {
        let received = self.audience.report.wait(timeout: .seconds(20)) { report in
            report.sequences[subscriber].count >= expected.count ? report.sequences[subscriber] : nil
        }
        // What came after the log was read is not in it.
        let last = expected.last ?? 0
        guard let received, received.prefix(while: { $0 <= last }) == expected[...] else {
            let source = self.audience.sources[subscriber]
            throw BenchmarkFailure(
                "\(source): a subscriber did not receive the \(expected.count) changes once, in order"
            )
        }
        return expected.count - 1
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
