// What the log says of sources that fail a million times.

import FreshetCluster
import FreshetCore
import FreshetPolling
import Logging
import Synchronization
import Testing

@testable import freshet

@Suite("The log of polls")
struct PollLogTests {
    /// Keeps the lines at `info` and above, as messages with the source that they name.
    private final class Lines: LogHandler, Sendable {
        let kept = Mutex<[(level: Logger.Level, message: String, source: String?)]>([])
        var metadata: Logger.Metadata {
            get { [:] }
            set {}
        }
        var logLevel: Logger.Level {
            get { .info }
            set {}
        }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { nil }
            set {}
        }

        func log(event: LogEvent) {
            let source = event.metadata?["source"].map { "\($0)" }
            self.kept.withLock { $0.append((event.level, "\(event.message)", source)) }
        }

        var messages: [String] { self.kept.withLock { $0.map(\.message) } }
    }

    private struct Setting {
        let lines = Lines()
        let log: PollLog
        let ids: [SourceID]

        init(_ names: [String]) throws {
            let (lines, log) = (self.lines, ChangeLog(epoch: Epoch(rawValue: 1), cache: ChangeCache(maxBytes: 1 << 20)))
            let hub = Hub(log: log)
            let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "x")
            self.ids = try names.map { try #require(hub.addSource($0, status: status)) }
            let time = Time()
            self.time = time
            self.log = PollLog(hub: hub, logger: Logger(label: "test", factory: { _ in lines }), now: { time.now })
        }

        private let time: Time

        func pass(_ duration: Duration) { self.time.state.withLock { $0 = $0 + duration } }

        final class Time: Sendable {
            let state = Mutex(MonotonicTime(nanoseconds: 0))
            var now: MonotonicTime { self.state.withLock { $0 } }
        }
    }

    @Test(
        "F86: a million changes of state and failures of one source are ten lines a minute, and others have their own"
    )
    func bounded() throws {
        let setting = try Setting(["bad", "other"])
        let error = UpstreamError(.connect, "Connection refused.")
        for round in 0..<500_000 {
            setting.log.notify(.failed(setting.ids[0], name: "bad", error))
            setting.log.notify(.entered(setting.ids[0], name: "bad", round % 2 == 0 ? .failing : .ok))
        }
        #expect(setting.lines.messages.count == LinePace.maxLinesPerMinute)
        #expect(setting.lines.messages.last?.hasPrefix("source changes state often") == true)
        setting.log.notify(.entered(setting.ids[1], name: "other", .stale))
        #expect(setting.lines.messages.last == "source is stale")
        setting.pass(.seconds(60))
        setting.log.notify(.entered(setting.ids[0], name: "bad", .ok))
        #expect(setting.lines.messages.last == "source changed state")
    }

    @Test("F86: what all instances of a template come to is one source's share, and only the template is named")
    func instances() throws {
        let setting = try Setting(["user/1"])
        for number in 0..<10_000 {
            setting.log.notify(.entered(setting.ids[0], name: "user/\(number)", .failing))
        }
        #expect(setting.lines.messages.count == LinePace.maxLinesPerMinute)
        #expect(setting.lines.kept.withLock { $0.last?.source } == "user")
    }

    @Test("F86: records that cannot be read, and gateways that differ, are ten lines a minute each")
    func cluster() {
        let (lines, time) = (Lines(), Setting.Time())
        let notes = ClusterNotes(logger: Logger(label: "test", factory: { _ in lines }), now: { time.now })
        for sequence in 0..<3000 as Range<UInt64> {
            notes.log(.unreadable(source: "bad", sequence: sequence))
            notes.log(.unreadable(source: "user/\(sequence)", sequence: sequence))
            notes.log(.sourcesDiffer(node: "b"))
            notes.log(.nameTaken)
        }
        #expect(lines.messages.count == 4 * LinePace.maxLinesPerMinute)
        #expect(lines.messages.last == "the cluster says the same often; not logged again this minute")
        notes.log(.unreadable(source: "other", sequence: 1))
        #expect(lines.kept.withLock { $0.last?.source } == "other")
        time.state.withLock { $0 = $0 + .seconds(60) }
        // Names are whatever somebody writes: all beyond a number of them are one.
        for number in 0..<30_000 as Range<UInt64> { notes.log(.unreadable(source: "s\(number)", sequence: number)) }
        #expect(lines.messages.count < 4 * LinePace.maxLinesPerMinute + 300)
    }
}
