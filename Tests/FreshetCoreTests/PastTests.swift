// The past from memory alone: values, times and events backwards, held against a history that the test keeps itself.

import FreshetCore
import JSON
import System
import Testing

/// A hub that is published to, and everything that it was ever told.
private struct Past {
    let hub: Hub
    let sources: [SourceID]
    let epoch = Epoch(rawValue: 9)
    /// By sequence, from 1.
    private(set) var documents: [(source: SourceID, document: Document)] = []

    init(cacheBytes: Int, sources count: Int) throws {
        let hub = Hub(log: ChangeLog(epoch: self.epoch, cache: ChangeCache(maxBytes: cacheBytes)))
        self.hub = hub
        let status = SourceStatus(
            stateSince: WallTime(milliseconds: 0),
            interval: .seconds(1),
            intervalReason: "as configured"
        )
        self.sources = try (0..<count).map { try #require(hub.addSource("s\($0)", status: status)) }
    }

    func cursor(_ sequence: Int) -> Cursor { Cursor(epoch: self.epoch, sequence: UInt64(sequence)) }

    /// Publishes the next version of a source; its time is 1,000 ms times its sequence.
    mutating func publish(_ source: SourceID) throws {
        let number = self.documents.count + 1
        let pad = String(repeating: "x", count: 200)
        let document = try Document(
            parsing: Array(#"{"n":\#(number),"m":{"k\#(number % 7)":[\#(number)]},"p":"\#(pad)"}"#.utf8)
        )
        let patch = self.hub.version(of: source).map { $0.document.patch(to: document).text }
        self.documents.append((source, document))
        self.hub.publish(
            Change(document: document, patch: patch, at: WallTime(milliseconds: Int64(number) * 1000)),
            of: source
        )
    }

    /// What a source was when the log stood at `sequence`.
    func expected(_ source: SourceID, at sequence: Int) -> (sequence: UInt64, document: Document)? {
        guard let index = self.documents[..<sequence].lastIndex(where: { $0.source == source }) else { return nil }
        return (UInt64(index + 1), self.documents[index].document)
    }
}

@Suite("The past, from memory")
struct PastTests {
    private static func past(_ cacheBytes: Int, seed: UInt64 = 1, changes: Int = 120) throws -> Past {
        var past = try Past(cacheBytes: cacheBytes, sources: 3)
        var generator = SplitMix64(seed: seed)
        for _ in 0..<changes {
            try past.publish(past.sources[Int.random(in: 0..<3, using: &generator)])
        }
        return past
    }

    @Test(
        "a value is the one that was, or said not to be kept; and some are kept as far as memory reaches",
        arguments: [400, 2000, 6000, 20_000, 60_000, 1 << 20]
    )
    func values(cacheBytes: Int) async throws {
        let past = try Self.past(cacheBytes)
        var kept = 0
        for sequence in 0...past.documents.count {
            for source in past.sources {
                let expected = past.expected(source, at: sequence)
                switch try await past.hub.value(of: source, at: past.cursor(sequence)) {
                case .value(let value):
                    kept += 1
                    #expect(value.cursor.sequence == expected?.sequence)
                    #expect(try Document(parsing: value.text) == expected?.document)
                    #expect(!value.isVerbatim || value.text == expected?.document.text)
                    #expect(value.at.milliseconds == Int64(value.cursor.sequence) * 1000)
                case .none:
                    #expect(expected == nil, "at \(sequence)")
                case .gone(let reason):
                    // Or there was none: with its beginning lost, nobody can tell.
                    #expect(reason == .evicted && cacheBytes < 1 << 20, "at \(sequence)")
                case .unreadable:
                    Issue.record("there is nothing to read")
                }
            }
        }
        #expect(kept >= (cacheBytes < 1 << 20 ? 3 : 3 * 110))
    }

    @Test("values that were dropped are rebuilt from the patches")
    func rebuilt() async throws {
        let whole = try Self.past(1 << 20).hub.statistics.cacheBytes
        let past = try Self.past(whole - 10_000)
        #expect(past.hub.statistics.evictions == 0, "else this shows nothing")
        var rebuilt = 0
        for sequence in 1...past.documents.count {
            let source = past.documents[sequence - 1].source
            guard case .value(let value) = try await past.hub.value(of: source, at: past.cursor(sequence)) else {
                Issue.record("\(sequence) is not kept")
                continue
            }
            if !value.isVerbatim { rebuilt += 1 }
        }
        #expect(rebuilt > 10)
    }

    @Test("a cursor of another epoch or of the future names no value: F56")
    func foreign() async throws {
        let past = try Self.past(1 << 20, changes: 3)
        let foreign = Cursor(epoch: Epoch(rawValue: 10), sequence: 1)
        guard case .gone(.epoch) = try await past.hub.value(of: past.sources[0], at: foreign),
            case .gone(.future) = try await past.hub.value(of: past.sources[0], at: past.cursor(4))
        else {
            Issue.record("a value")
            return
        }
    }

    @Test("backwards comes what comes forwards, in pages of any size", arguments: [1, 2, 7, 1000], [6000, 1 << 20])
    func backwards(limit: Int, cacheBytes: Int) async throws {
        let past = try Self.past(cacheBytes)
        for sources in [[past.sources[1]], past.sources] {
            var seen: [UInt64] = []
            var before = UInt64.max
            var evictedThrough: UInt64 = 0
            while true {
                let page = try await past.hub.changes(of: sources, before: before, mode: .patch, limit: limit)
                seen += page.events.map(\.sequence)
                before = seen.last ?? 0
                if page.end == .limit { continue }
                if case .evicted(let through) = page.end { evictedThrough = through }
                break
            }
            let all = (1...past.documents.count).filter { sources.contains(past.documents[$0 - 1].source) }
            #expect(seen == all.map(UInt64.init).filter { $0 > evictedThrough }.reversed())
            #expect((evictedThrough == 0) == (cacheBytes == 1 << 20))
        }
    }

    @Test("a time is the position after which only later changes come", arguments: [0, 999, 1000, 50_500, 500_000])
    func times(milliseconds: Int64) async throws {
        let past = try Self.past(1 << 20)
        let time = WallTime(milliseconds: milliseconds)
        guard
            case .after(let cursor) = try await past.hub.locate(.time(time), of: past.sources, needs: .texts)
        else {
            Issue.record("not found")
            return
        }
        #expect(cursor.sequence == min(UInt64(milliseconds / 1000), 120))
    }

    /// What a stream is sent that begins there: snapshots, then patches.
    private func stream(_ past: Past, at position: StreamPosition) -> (opening: StreamOpening, frames: [SequencedFrame])
    {
        let subscription = past.hub.subscribe(to: past.sources, format: StreamFormat(wire: .jsonLines))
        defer { past.hub.unsubscribe(subscription) }
        let opening = past.hub.open(subscription, at: position)
        var frames: [SequencedFrame] = []
        if !opening.isComplete,
            case .frames(let read, _, _) = past.hub.read(
                subscription,
                after: opening.cursor.sequence,
                limit: 1000,
                maySkip: false
            )
        {
            frames = read
        }
        return (opening, frames)
    }

    @Test(
        "a stream from a time, or from the earliest, begins with the values of then and builds up those of now",
        arguments: [6000, 30_000, 1 << 20],
        [nil, 0, 60_500, 110_000] as [Int64?]
    )
    func streams(cacheBytes: Int, milliseconds: Int64?) async throws {
        let past = try Self.past(cacheBytes)
        let position = milliseconds.map { StreamPosition.time(WallTime(milliseconds: $0)) } ?? .earliest
        let located = try await past.hub.locate(position, of: past.sources, needs: .events(.jsonLines))
        let (opening, frames) = self.stream(past, at: located)
        if let milliseconds, cacheBytes == 1 << 20 {
            #expect(opening.gap == nil)
            #expect(opening.cursor.sequence == UInt64(milliseconds / 1000))
        }
        if milliseconds == nil { #expect(opening.gap == nil, "the earliest is no gap") }
        if milliseconds == 0, cacheBytes < 1 << 20 { #expect(opening.gap == .evicted) }
        var held: [String: Document] = [:]
        for frame in opening.snapshots + frames.map(\.frame) {
            let event = try Document(parsing: Array(frame.bytes[frame.payload]))
            let data = try #require(event.root["data"])
            let source = try #require(data["source"]?.string)
            if let value = data["value"] {
                held[source] = value.document
            } else {
                let patch = try #require(data["patch"]?.document)
                held[source] = try #require(held[source], "a patch to nothing").applying(patch: patch)
            }
        }
        for (index, source) in past.sources.enumerated() {
            #expect(held["s\(index)"] == past.hub.version(of: source)?.document)
        }
    }

    @Test("who resumes on a name that was removed and added again learns of what is gone: F56")
    func addedAgain() throws {
        var past = try Past(cacheBytes: 1 << 20, sources: 1)
        for _ in 0..<5 { try past.publish(past.sources[0]) }
        past.hub.removeSource(past.sources[0])
        let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "")
        let again = try #require(past.hub.addSource("s0", status: status))
        try past.publish(again)
        let subscription = past.hub.subscribe(to: [again], format: StreamFormat())
        defer { past.hub.unsubscribe(subscription) }
        #expect(past.hub.open(subscription, at: .after(past.cursor(3))).gap == .evicted)
        #expect(past.hub.open(subscription, at: .after(past.cursor(5))).gap == nil)
    }
}

@Suite("Positions as text")
struct StreamPositionTests {
    private static let now = WallTime(milliseconds: 1_795_413_600_000)

    @Test(
        "since takes a cursor, words, a duration back and a time",
        arguments: [
            ("", .snapshot), ("latest", .latest), ("earliest", .earliest), ("k3f9q-00", .malformed),
            ("10m", .time(WallTime(milliseconds: now.milliseconds - 600_000))),
            ("1h30m", .time(WallTime(milliseconds: now.milliseconds - 5_400_000))), ("0s", .time(now)),
            ("2026-11-23T06:00:00Z", .time(now)), ("2026-11-23T07:00:00+01:00", .time(now)),
            ("2026-11-23T07:00:00 01:00", .time(now)), ("2026-11-23 06:00:00z", .time(now)),
            ("2026-11-22t23:30:00-06:30", .time(now)),
            ("2026-11-23T06:00:00.1239Z", .time(WallTime(milliseconds: now.milliseconds + 123))),
            ("2026-11-23T05:59:60Z", .time(WallTime(milliseconds: now.milliseconds - 1000))),
            ("9999999999999h", .malformed), ("10", .malformed), ("m10", .malformed), ("-10m", .malformed),
            ("2026-11-23", .malformed), ("2026-11-23T06:00Z", .malformed), ("2026-13-23T06:00:00Z", .malformed),
            ("2026-02-29T06:00:00Z", .malformed), ("2026-11-23T24:00:00Z", .malformed),
            ("2026-11-23T06:00:00", .malformed), ("2026-11-23T06:00:00.Z", .malformed),
            ("2026-11-23T06:00:00+24:00", .malformed), ("2026-11-23T06:00:00Z ", .malformed),
        ] as [(String, StreamPosition)]
    )
    func since(text: String, position: StreamPosition) {
        #expect(StreamPosition(since: text, now: Self.now) == position)
    }

    @Test("since a cursor of sequence 0 comes all that came after it; as an id it is of a stream without a value yet")
    func beginning() {
        let cursor = Cursor(epoch: Epoch(rawValue: 5), sequence: 0)
        #expect(StreamPosition(since: cursor.description, now: Self.now) == .after(cursor))
        #expect(StreamPosition(cursor.description) == .snapshot)
    }

    @Test("a time is no Last-Event-ID", arguments: ["10m", "2026-11-23T06:00:00Z"])
    func lastEventID(text: String) {
        #expect(StreamPosition(text) == .malformed)
    }

    @Test("every moment reads back as it was written")
    func roundTrip() {
        var generator = SplitMix64(seed: 3)
        for _ in 0..<2000 {
            let time = WallTime(
                milliseconds: Int64.random(in: -62_135_596_800_000...253_402_300_799_999, using: &generator)
            )
            #expect(WallTime(rfc3339: time.description) == time)
        }
    }
}
