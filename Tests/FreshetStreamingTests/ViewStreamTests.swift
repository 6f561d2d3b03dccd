// Streams of a part of a value, over sockets.

import FreshetCore
import Glibc
import JSON
import Synchronization
import System
import Testing

@testable import FreshetStreaming

extension StreamingTests {
    @Suite("View streams")
    struct ViewStreamTests {
        private static func pointer(_ names: String...) -> View { .pointer(Pointer(tokens: names.map { .init($0) })) }

        /// Publishes a value with the patch from the one before.
        private static func publish(_ text: String, of source: SourceID, _ fixture: StreamFixture) throws {
            let document = try Document(parsing: Array(text.utf8))
            let patch = fixture.hub.version(of: source).map { $0.document.patch(to: document).text }
            let at = WallTime(milliseconds: 1000)
            fixture.hub.publish(Change(document: document, patch: patch, at: at), of: source)
        }

        /// `{"a":…,"b":…,"pad":…}`, large enough that patches are smaller.
        private static func value(_ a: Int, _ b: Int) -> String {
            #"{"a":{"n":\#(a),"m":"\#(String(repeating: "x", count: 100))"},"b":{"n":\#(b)},"pad":"\#(String(repeating: "y", count: 100))"}"#
        }

        @Test("a pointer's stream has what changes under it, re-rooted, in every wire")
        func pointer() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("s")
            try Self.publish(Self.value(1, 1), of: source, fixture)
            let views = [Self.pointer("a"), Self.pointer("a", "n"), Self.pointer("b"), Self.pointer("z")]
            for wire in [StreamWire.eventStream, .jsonLines] {
                let first = fixture.hub.cursor.sequence
                let clients = try views.map {
                    try fixture.subscribe(to: [source], format: StreamFormat(wire: wire), view: $0)
                }
                for client in clients { #expect(client.receive(events: 2)) }
                let number = Int(first) * 10
                for step in 1...3 { try Self.publish(Self.value(number + step, number), of: source, fixture) }
                for client in clients[..<2] { #expect(client.receive(events: 5)) }
                #expect(
                    clients[0].events[4].data.contains(
                        #""patch":[{"op":"replace","path":"/n","value":\#(number + 3)}]"#
                    )
                )
                #expect(clients[1].events[4].data.contains(#""value":\#(number + 3)}"#))
                #expect(clients[0].events.dropFirst(2).compactMap(\.sequence) == (first + 1...first + 3).map { $0 })
                // What changed in the first of them, and then nothing but checkpoints.
                #expect(clients[2].receive(through: first + 1))
                #expect(clients[2].events[2].data.contains(#""value":{"n":\#(number)}"#))
                #expect(clients[3].receive(events: 3))
                #expect(clients[3].events.map(\.type) == ["hello", "snapshot", "checkpoint"])
                #expect(clients[3].events[1].data.contains(#""value":null"#))
                for client in clients { client.close() }
            }
        }

        @Test(
            "R29 a stream in which nothing matches is moved at once, and then once a heartbeat to where the log stands"
        )
        func checkpoints() throws {
            let fixture = try StreamFixture { $0.heartbeat = .milliseconds(300) }
            defer { fixture.stop() }
            let source = try fixture.source("s")
            try Self.publish(Self.value(0, 0), of: source, fixture)
            let client = try fixture.subscribe(to: [source], view: Self.pointer("b"))
            #expect(client.receive(events: 2))
            let start = ContinuousClock.now
            for step in 1...40 { try Self.publish(Self.value(step, 0), of: source, fixture) }
            #expect(client.receive { $0.events.last?.sequence == 41 })
            let heartbeats = (ContinuousClock.now - start) / .milliseconds(300)
            let checkpoints = client.events.dropFirst(2)
            #expect(checkpoints.allSatisfy { $0.type == "checkpoint" && $0.data == #"{"source":"s"}"# })
            #expect(
                (1...Int(heartbeats) + 2).contains(checkpoints.count),
                "\(checkpoints.count) in \(heartbeats) heartbeats"
            )
            // From there on nothing is missing.
            let again = try fixture.subscribe(to: [source], view: Self.pointer("b"), at: .after(fixture.cursor(41)))
            #expect(again.receive(events: 1))
            try Self.publish(Self.value(40, 7), of: source, fixture)
            #expect(again.receive(through: 42) && client.receive(through: 42))
            #expect(again.events.last == client.events.last && again.events.last?.type == "snapshot")
        }

        @Test("a reader of a view that does not keep up gets every event, from what the shard has seen or from the log")
        func slow() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("s")
            func value(_ number: Int) -> String {
                let pad = String(repeating: "z", count: 4000)
                return #"{"a":{"n":\#(number),"big":"\#(number)\#(pad)"},"rest":"\#(pad)\#(pad)"}"#
            }
            try Self.publish(value(1), of: source, fixture)
            let format = StreamFormat(mode: .snapshot)
            let slow = try fixture.subscribe(to: [source], format: format, view: Self.pointer("a"), receiveBuffer: 2048)
            let quick = try fixture.subscribe(to: [source], format: format, view: Self.pointer("a"))
            #expect(quick.receive(events: 2) && slow.receive(events: 2))
            for number in 2...300 {
                try Self.publish(value(number), of: source, fixture)
                if number % 20 == 0 { #expect(quick.receive(through: UInt64(number))) }
            }
            #expect(quick.receive(through: 300) && slow.receive(through: 300))
            #expect(quick.events.dropFirst().compactMap(\.sequence) == Array(1...300))
            #expect(slow.events.dropFirst().compactMap(\.sequence) == Array(1...300))
            try Self.publish(value(301), of: source, fixture)
            #expect(slow.receive(through: 301))
        }

        /// About 5 s in a debug build.
        @Test("who joins, leaves and resumes while changes come misses none of its view: F57")
        func joining() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("s")
            try Self.publish(Self.value(1, 0), of: source, fixture)
            let isOver = SharedFlag()
            let total = 900
            let publisher = try SystemThread(name: "publisher") {
                for number in 2...total {
                    try? Self.publish(Self.value(number, number / 50), of: source, fixture)
                    // Slow enough that readers come while changes do.
                    if number % 8 == 0 { usleep(300) }
                }
                isOver.set()
            }
            var random = SplitMix64(seed: 5)
            var clients: [(client: StreamClient, from: UInt64?)] = []
            let views = [Self.pointer("a"), Self.pointer("a", "n")]
            while !isOver.isSet, clients.count < 80 {
                let view = views[Int.random(in: 0..<2, using: &random)]
                let cursor = UInt64.random(in: 1...fixture.hub.cursor.sequence, using: &random)
                let resumes = Bool.random(using: &random)
                let position = resumes ? StreamPosition.after(fixture.cursor(cursor)) : .snapshot
                let format = StreamFormat(mode: .snapshot)
                let client = try fixture.subscribe(to: [source], format: format, view: view, at: position)
                clients.append((client, resumes ? cursor : nil))
                // Readers come over the whole time of the publisher, and not all at its beginning.
                usleep(1500)
            }
            publisher.join()
            for (client, from) in clients {
                #expect(client.receive(through: UInt64(total)))
                let seen = client.events.compactMap { $0.type == "snapshot" ? $0.sequence : nil }
                let first = try #require(seen.first)
                #expect(from == nil || first == (from ?? 0) + 1 || from == UInt64(total))
                #expect(seen == Array(first...UInt64(total)), "from \(String(describing: from))")
                client.close()
            }
            #expect(eventually { fixture.server.statistics.subscribers == 0 })
            #expect(eventually { fixture.hub.statistics.views == 0 })
        }

        @Test("a source that comes later and is named by the path is read through the view from its first change on")
        func grows() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let first = try fixture.source("bike-1")
            try Self.publish(Self.value(1, 1), of: first, fixture)
            let format = StreamFormat(mode: .snapshot)
            let selector = SourceSelector("bike-*")
            let client = try fixture.subscribe(to: [first], selector: selector, format: format, view: Self.pointer("b"))
            #expect(client.receive(events: 2))
            let second = try fixture.source("bike-2")
            try Self.publish(Self.value(1, 2), of: second, fixture)
            try Self.publish(Self.value(2, 3), of: second, fixture)
            try Self.publish(Self.value(2, 4), of: first, fixture)
            #expect(client.receive(through: 4))
            #expect(client.events.dropFirst(2).compactMap(\.sequence) == [2, 3, 4])
            #expect(client.events.dropFirst(2).map(\.source) == ["bike-2", "bike-2", "bike-1"])
        }

        @Test("where a shard's inbox was full, readers of views get what they missed from the log")
        func overflow() throws {
            let fixture = try StreamFixture { $0.maxInboxDepth = 4 }
            defer { fixture.stop() }
            let source = try fixture.source("s")
            try Self.publish(Self.value(1, 0), of: source, fixture)
            let format = StreamFormat(mode: .snapshot)
            let clients = try (0..<6).map { _ in
                try fixture.subscribe(to: [source], format: format, view: Self.pointer("a", "n"))
            }
            for client in clients { #expect(client.receive(events: 2)) }
            try fixture.whileHeld {
                for number in 2...40 { try Self.publish(Self.value(number, 0), of: source, fixture) }
            }
            for client in clients {
                #expect(client.receive(through: 40))
                #expect(client.events.dropFirst().compactMap(\.sequence) == Array(1...40))
            }
            #expect(fixture.server.statistics.inboxOverflows > 0)
        }
    }
}

/// Set once, by another thread.
private final class SharedFlag: Sendable {
    private let value = Mutex(false)

    func set() { self.value.withLock { $0 = true } }
    var isSet: Bool { self.value.withLock { $0 } }
}
