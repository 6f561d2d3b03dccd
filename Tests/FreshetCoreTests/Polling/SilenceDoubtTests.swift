import Foundation
import JSON
import Testing

@testable import FreshetCore

@Suite("A validator that lies, F25")
struct SilenceDoubtTests {
    /// Polls a source every `interval` seconds that changes at `times`; from `lie` on its tag stays as it is.
    private struct Upstream {
        var times: [Double]
        var interval: Double
        var lie = Double.infinity

        struct Outcome {
            var bodies = 0
            /// Bodies that brought nothing new.
            var useless = 0
            /// When a change was found that the tag had hidden, and the first one that it hid.
            var found: Double?
            var hidden: Double?
            var trace: Trace
        }

        func run(from start: Double, to end: Double) -> Outcome {
            let interval = self.interval
            let trace = Trace(phase: 0) {
                $0.interval = .fixed(.milliseconds(Int64(interval * 1000)))
                $0.respectCache = .none
            }
            var outcome = Outcome(trace: trace)
            let origin = outcome.trace.machine.nextPoll
            var time = start
            while time < end, outcome.found == nil {
                let version = self.times.prefix { $0 <= time }.count
                let shown = self.times.prefix { $0 <= min(time, self.lie) }.count
                if outcome.hidden == nil, version != shown { outcome.hidden = time }
                let tag = "\"\(shown)\""
                let asked = outcome.trace.nextCondition
                let isSame = asked.map { $0 == Array(tag.utf8) } ?? false
                let verdict = outcome.trace.poll(isSame ? .notModified() : .body("[\(version)]", etag: tag))
                if !isSame {
                    outcome.bodies += 1
                    if verdict.change == nil { outcome.useless += 1 }
                    if outcome.hidden != nil, verdict.change != nil { outcome.found = time }
                }
                time = start + Double((outcome.trace.machine.nextPoll - origin).milliseconds) / 1000
            }
            return outcome
        }
    }

    /// The recordings whose terms allow it, as (name, scraper's interval, times).
    private static func recordings() throws -> [(name: String, interval: Double, times: [Double])] {
        let document = try Document(parsing: [UInt8](PollingReference.data("traces/open.json")))
        return document.root.members.map { member in
            let times = (member.value["t"].map { Array($0.elements) } ?? []).compactMap(\.double).sorted()
            let gap = times.count > 1 ? (times[times.count - 1] - times[0]) / Double(times.count) : 1
            return (member.name, max(member.value["q"]?.double ?? 1, gap / 20, 1), times)
        }
    }

    /// The bodies that it takes to compare one at least every three intervals between changes, whoever decides about them: in
    /// every silence that is longer than those and a poll, a tag that lied since its beginning would be found too late.
    private static func needed(_ times: [Double], _ gap: Double, _ interval: Double) -> Int {
        zip(times, times.dropFirst()).reduce(0) { $0 + Int(($1.1 - $1.0) / (3 * gap + interval)) }
    }

    @Test(
        "over the open recordings an honest tag costs two per cent of the bodies at most, and a lie is found in time",
        .enabled(if: PollingReference.isPresent, "the traces are not here; set FRESHET_POLLING")
    )
    func traces() throws {
        var (bodies, useless, needed) = (0, 0, 0)
        var delays: [Double] = []
        var bursty: Set<String> = []
        for (name, interval, times) in try Self.recordings() where times.count > 20 {
            let (first, last) = (times[0], times[times.count - 1])
            let honest = Upstream(times: times, interval: interval).run(from: first - interval, to: last)
            bodies += honest.bodies
            useless += honest.useless
            #expect(honest.trace.machine.status.warnings.isEmpty)
            let gap = (last - first) / Double(times.count)
            let own = Self.needed(times, gap, interval)
            needed += own
            let isBursty = Double(own) > 0.02 * Double(times.count)
            if isBursty { bursty.insert(name) }
            for share in [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] {
                let lie = times[Int(Double(times.count) * share)] + 1
                let upstream = Upstream(times: times, interval: interval, lie: lie)
                let outcome = upstream.run(from: first - interval, to: last + 100 * gap)
                let found = try #require(outcome.found, "the lie is not found")
                let delay = found - (outcome.hidden ?? found)
                delays.append(delay / gap)
                #expect(isBursty || delay <= 3 * gap + interval, "\(name), a lie at \(share): \(delay / gap)")
                #expect(outcome.trace.machine.status.validatorCaughtAt != nil)
                #expect(outcome.trace.machine.status.warnings.map(\.kind) == [.etagReused])
            }
        }
        #expect(bodies > 800)
        #expect(Double(useless) <= 0.02 * Double(bodies), "\(useless) of \(bodies)")
        delays.sort()
        #expect(delays[delays.count / 2] <= 3, "\(delays)")
        // Why not of all: no rule has both, of the sources that are silent for long and change in bursts.
        #expect(bursty == ["calfire-incidents", "hn-by-domain"])
        #expect(Double(needed) > 0.03 * Double(bodies), "\(needed) of \(bodies)")
    }

    @Test(
        "a tag that never changes is found after as many changes as the source has shown to make",
        arguments: [true, false]
    )
    func regular(isWeak: Bool) {
        // A change every ten polls.
        let prefix = isWeak ? "W/" : ""
        var trace = Trace()
        var version = 0
        for poll in 0..<300 {
            if poll % 10 == 0 { version += 1 }
            let tag = "\(prefix)\"\(version)\""
            let isSame = trace.nextCondition == Array(tag.utf8)
            _ = trace.poll(isSame ? .notModified() : .body("[\(version)]", etag: tag))
        }
        #expect(trace.machine.status.validatorChecks == 0)
        // From here on the tag stays.
        let stuck = "\(prefix)\"\(version)\""
        var polls = 0
        while trace.nextCondition != nil, polls < 100 {
            _ = trace.poll(.notModified())
            polls += 1
        }
        #expect((1...30).contains(polls))
        #expect(trace.poll(.body("[999]", etag: stuck)).change != nil)
        #expect(trace.machine.status.warnings.map(\.kind) == [.etagReused])
        #expect(trace.machine.status.validatorCaughtAt != nil)
    }

    @Test("a source that never changes is doubted ever more seldom")
    func still() {
        var trace = Trace()
        _ = trace.poll(.body("[1]", etag: "\"1\""))
        var checks: [Int] = []
        for poll in 1...20_000 {
            if trace.nextCondition == nil { checks.append(poll) }
            _ = trace.poll(trace.nextCondition == nil ? .body("[1]", etag: "\"1\"") : .notModified())
        }
        #expect(trace.machine.status.validatorChecks == UInt64(checks.count))
        #expect((1...4).contains(checks.count), "\(checks)")
        #expect(zip(checks, checks.dropFirst()).allSatisfy { $0 * 3 < $1 }, "\(checks)")
        #expect(trace.machine.status.warnings.isEmpty)
    }

    @Test("`verify_every` decides alone where it is configured")
    func configured() {
        var trace = Trace { $0.verifyEvery = 1_000_000 }
        _ = trace.poll(.body("[1]", etag: "\"1\""))
        for _ in 0..<5_000 {
            #expect(trace.nextCondition != nil)
            _ = trace.poll(.notModified())
        }
    }
}

extension Trace {
    /// The tag that the next poll would ask with; nil where it would ask without.
    fileprivate var nextCondition: [UInt8]? {
        self.machine.value.document == nil ? nil : self.machine.trust.request().etag
    }
}
