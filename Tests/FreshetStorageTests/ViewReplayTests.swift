// Views of a log that memory does not hold: a real store behind a small cache.

import Foundation
import FreshetCore
import JSON
import Synchronization
import System
import Testing

@testable import FreshetStorage

/// What another thread found.
private final class Box<Found: Sendable>: Sendable {
    private let found = Mutex<Found?>(nil)

    func set(_ value: Found) { self.found.withLock { $0 = value } }
    var value: Found? { self.found.withLock { $0 } }
}

@Suite("Views from the store")
struct ViewReplayTests {
    private static let changes: Int = {
        ProcessInfo.processInfo.environment["FRESHET_VIEW_CHANGES"].flatMap { Int($0) } ?? 1500
    }()

    private static func text(_ number: Int, matches: Bool) -> String {
        let rows = (0..<5).map { id in
            let status = matches && id == 2 ? "open" : "done"
            return
                #"{"id":\#(id),"status":"\#(status)","n":\#(number % 5 == id ? number : 0),"pad":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#
        }
        return #"{"clock":"zone","orders":[\#(rows.joined(separator: ","))],"pad":"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"}"#
    }

    /// About 3 s in a debug build.
    @Test("streams in which nothing matched resume without a gap, however many other changes there were")
    func resumes() throws {
        let folder = try LogFolder()
        var generator = SystemRandomNumberGenerator()
        let (store, contents) = try SQLiteChangeStore.open(folder.settings(), using: &generator)
        defer { store.close() }
        let cache = ChangeCache(maxBytes: 64 << 10)
        let hub = Hub(log: ChangeLog(epoch: contents.epoch, head: contents.head, cache: cache), store: store)
        var configuration = SourceConfiguration(name: "s")
        configuration.items = Pointer("/orders")
        configuration.key = Pointer("/id")
        let (now, wall) = (MonotonicTime(nanoseconds: 0), WallTime(milliseconds: 1_000_000))
        var machine = SourceStateMachine(configuration: configuration, phase: 0, now: now, wall: wall)
        let source = try #require(hub.addSource("s", status: machine.status))
        let last = Box<Cursor>()
        func push(_ text: String) throws -> UInt64 {
            let verdict = machine.valuePushed(body: Array(text.utf8), contentType: nil, now: now, wall: wall)
            let done = DispatchSemaphore(value: 0)
            hub.publish(try #require(verdict.change), of: source) { cursor in
                if let cursor { last.set(cursor) }
                done.signal()
            }
            try #require(done.wait(timeout: .now() + 60) == .success)
            return try #require(last.value).sequence
        }
        let first = try push(Self.text(0, matches: false))
        for number in 1...Self.changes { _ = try push(Self.text(number, matches: false)) }
        let head = try push(Self.text(Self.changes + 1, matches: true))
        #expect(hub.statistics.evictions > UInt64(Self.changes / 2), "else this shows nothing")

        let open = ItemFilter(member: Pointer(tokens: [.init("status")]), value: ScalarText("open"))
        let views: [(View, StreamMode, Int)] = [
            (.filter(open), .items, 1), (.pointer(Pointer(tokens: [.init("clock")])), .patch, 0),
            (.items([ScalarText("7")]), .items, 0), (.items([ScalarText("7"), ScalarText("8")]), .patch, 0),
            (.pointer(Pointer(tokens: [.init("orders"), .init("2"), .init("status")])), .snapshot, 1),
        ]
        for (view, mode, expected) in views {
            let subscription = hub.subscribe(to: [source], format: StreamFormat(mode: mode), view: view)
            defer { hub.unsubscribe(subscription) }
            #expect(hub.open(subscription, at: .after(Cursor(epoch: contents.epoch, sequence: first))).gap == nil)
            var (position, found, readings) = (first, 0, 0)
            reading: while position < head {
                readings += 1
                let feed = Box<StreamFeed>()
                let ticket = hub.fetch(subscription, after: position, limit: 64) { feed.set($0) }
                _ = ticket
                guard case .frames(let frames, let through, _)? = feed.value, through > position else {
                    Issue.record("\(view): no events after \(position)")
                    break reading
                }
                found += frames.count { !$0.isCheckpoint }
                position = through
            }
            #expect(found == expected, "\(view)")
            #expect(readings <= 2 + Self.changes / 10_000, "a reading goes through thousands of events")
        }
    }
}
