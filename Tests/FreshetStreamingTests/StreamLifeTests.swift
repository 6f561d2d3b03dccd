// The ordinary life of a stream: how it begins, what it carries, how it ends.

import CLinux
import FreshetStreaming
import System
import Testing

@testable import FreshetCore

extension StreamingTests {
    @Suite("A stream", .openSSLSessions)
    struct StreamLifeTests {
        @Test(
            "begins with head, retry, hello and a snapshot, waiting for nothing, then carries every change in order (F51)"
        )
        func order() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, hasPatch: false)
            let client = try fixture.subscribe(to: [source])
            #expect(client.receive(events: 2))
            let text = String(decoding: client.body, as: UTF8.self)
            #expect(text.hasPrefix("retry: "))
            #expect(client.raw.starts(with: Array("HTTP/1.1 200 OK\r\nX-Test: yes\r\n\r\n".utf8)))
            #expect(client.events[0].type == "hello")
            #expect(client.events[0].data == #"{"cursor":"\#(fixture.cursor(1))","heartbeat":15}"#)
            #expect(client.events[1].type == "snapshot")
            #expect(client.events[1].number == 1)
            for number in 2...20 {
                try fixture.publish(number, of: source)
            }
            #expect(client.receive(through: 20))
            #expect(client.events.dropFirst(2).map(\.number) == Array(2...20))
            #expect(client.events.dropFirst(2).allSatisfy { $0.type == "patch" })
            #expect(client.events.dropFirst(2).map(\.sequence) == Array(2...20))
        }

        @Test("counts per subscriber how long a change took to reach the kernel")
        func latency() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, hasPatch: false)
            let clients = try (0..<3).map { _ in try fixture.subscribe(to: [source]) }
            #expect(clients.allSatisfy { $0.receive(events: 2) })
            #expect(eventually { fixture.server.statistics.subscribers == 3 && fixture.server.statistics.blocked == 0 })
            #expect(fixture.server.statistics.deliveryLatency.count == 0, "snapshots are no deliveries of a change")
            for number in 2...5 {
                try fixture.publish(number, of: source)
            }
            #expect(clients.allSatisfy { $0.receive(through: 5) })
            #expect(eventually { fixture.server.statistics.deliveryLatency.count == 12 })
            let latency = fixture.server.statistics.deliveryLatency
            #expect(latency.sum > 0)
            #expect(latency.counts.reduce(0, +) <= 12)
        }

        @Test("tells each subscriber a retry of its own, within a quarter of the setting")
        func retry() throws {
            let fixture = try StreamFixture { $0.retry = .seconds(2) }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            var delays: Set<Int> = []
            for _ in 0..<20 {
                let client = try fixture.subscribe(to: [source])
                #expect(client.receive(events: 1))
                let line = String(decoding: client.body, as: UTF8.self).prefix { $0 != "\n" }
                delays.insert(Int(line.dropFirst("retry: ".count)) ?? 0)
            }
            #expect(delays.allSatisfy { (1500...2500).contains($0) })
            #expect(delays.count > 5)
        }

        @Test("resumes with exactly the events after its cursor, then goes on live (F54)", arguments: 0...12)
        func resume(after sequence: UInt64) throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            for number in 1...12 {
                try fixture.publish(number, of: source, hasPatch: number > 1)
            }
            let client = try fixture.subscribe(to: [source], at: .after(fixture.cursor(sequence)))
            #expect(client.receive { $0.events.first?.type == "hello" })
            if sequence < 12 { #expect(client.receive(through: 12)) }
            try fixture.publish(13, of: source)
            #expect(client.receive(through: 13))
            #expect(client.events.dropFirst().map(\.sequence) == Array((sequence + 1)...13))
        }

        @Test(
            "says gap with its reason, then gives the snapshot (F55, F56, S11)",
            arguments: [
                (StreamPosition("not a cursor"), "malformed"),
                (StreamPosition.after(Cursor(epoch: Epoch(rawValue: 7), sequence: 1)), "epoch"),
                (StreamPosition.after(Cursor(epoch: StreamFixture.epoch, sequence: 99)), "future"),
                (StreamPosition.after(Cursor(epoch: StreamFixture.epoch, sequence: .max)), "future"),
                (StreamPosition.after(Cursor(epoch: StreamFixture.epoch, sequence: 1)), "evicted"),
            ]
        )
        func gap(position: StreamPosition, reason: String) throws {
            let fixture = try StreamFixture(cacheBytes: 4000)
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            for number in 1...20 {
                try fixture.publish(number, of: source, padding: 100, hasPatch: number > 1)
            }
            let client = try fixture.subscribe(to: [source], at: position)
            #expect(client.receive(events: 3))
            #expect(client.events.map(\.type) == ["hello", "gap", "snapshot"])
            #expect(client.events[1].data == #"{"reason":"\#(reason)"}"#)
            #expect(client.events[1].id == nil)
            #expect(client.events[2].number == 20)
            try fixture.publish(21, of: source, padding: 100)
            #expect(client.receive(through: 21))
            #expect(client.events.count == 4)
        }

        @Test("gives only what comes when it starts at latest, and all that is kept at earliest")
        func ends() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            for number in 1...5 {
                try fixture.publish(number, of: source, hasPatch: number > 1)
            }
            let latest = try fixture.subscribe(to: [source], at: .latest)
            let earliest = try fixture.subscribe(to: [source], at: .earliest)
            #expect(latest.receive(events: 1))
            #expect(earliest.receive(through: 5))
            try fixture.publish(6, of: source)
            #expect(latest.receive(through: 6))
            #expect(earliest.receive(through: 6))
            #expect(latest.events.dropFirst().map(\.sequence) == [6])
            #expect(earliest.events.dropFirst().map(\.sequence) == [1, 2, 3, 4, 5, 6])
        }

        @Test("of several sources has an id on its last snapshot only, and one cursor for all")
        func severalSources() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let sources = try ["a", "b", "c", "unrelated"].map { try fixture.source($0) }
            for (number, source) in zip(1..., sources) {
                try fixture.publish(number, of: source, hasPatch: false)
            }
            let client = try fixture.subscribe(to: Array(sources[..<3]))
            #expect(client.receive(events: 4))
            #expect(client.events.dropFirst().map(\.source) == ["a", "b", "c"])
            #expect(client.events.dropFirst().map(\.sequence) == [nil, nil, 3])
            try fixture.publish(5, of: sources[3])
            try fixture.publish(6, of: sources[1])
            try fixture.publish(7, of: sources[0])
            #expect(client.receive(through: 7))
            #expect(client.events.dropFirst(4).map(\.sequence) == [6, 7])
            let other = try fixture.subscribe(to: [sources[1]], at: .after(fixture.cursor(3)))
            #expect(other.receive(through: 6))
            #expect(other.events.dropFirst().map(\.sequence) == [6])
        }

        @Test("has no chunks for HTTP/1.0 (F50)")
        func closeDelimited() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, hasPatch: false)
            let client = try fixture.subscribe(to: [source], framing: .closeDelimited)
            #expect(client.receive(events: 2))
            for number in 2...9 {
                try fixture.publish(number, of: source)
            }
            #expect(client.receive(through: 9))
            let body = String(decoding: client.raw[(client.bodyStart ?? 0)...], as: UTF8.self)
            #expect(body.hasPrefix("retry: "))
            #expect(!body.contains("\r"))
            fixture.hub.removeSource(source)
            #expect(client.receiveToEnd())
            #expect(client.events.last?.type == "bye")
        }

        @Test("carries the same events as JSON lines", arguments: StreamMode.allCases)
        func jsonLines(mode: StreamMode) throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, hasPatch: false)
            let format = StreamFormat(mode: mode, wire: .jsonLines)
            let live = try fixture.subscribe(to: [source], format: format)
            #expect(live.receive(events: 2))
            for number in 2...6 {
                try fixture.publish(number, of: source)
            }
            #expect(live.receive(through: 6))
            #expect(live.events.map(\.type).prefix(2) == ["hello", "snapshot"])
            #expect(live.events.dropFirst(2).map(\.number) == [2, 3, 4, 5, 6])
            let resumed = try fixture.subscribe(to: [source], format: format, at: .after(fixture.cursor(2)))
            #expect(resumed.receive(through: 6))
            #expect(resumed.events.dropFirst() == live.events.dropFirst(3))
        }

        @Test("ends with bye and the last chunk when its sources are removed, and not before the last of them is")
        func removed() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let sources = try ["a", "b"].map { try fixture.source($0) }
            let client = try fixture.subscribe(to: sources)
            #expect(client.receive(events: 1))
            fixture.hub.removeSource(sources[0])
            try fixture.publish(1, of: sources[1], hasPatch: false)
            #expect(client.receive(through: 1))
            fixture.hub.removeSource(sources[1])
            #expect(client.receiveToEnd())
            #expect(client.events.last == ReceivedEvent(type: "bye", data: #"{"reason":"removed"}"#))
            #expect(client.hasTerminator)
            let late = try fixture.subscribe(to: sources)
            #expect(late.receiveToEnd())
            #expect(late.events.map(\.type) == ["hello", "bye"])
        }

        @Test("gets a source that comes later and that its path names, from its first change on and after a resume")
        func grows() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let first = try fixture.source("bike-1")
            try fixture.publish(1, of: first, hasPatch: false)
            let all = try fixture.subscribe(to: [first], selector: SourceSelector("bike-*"))
            let one = try fixture.subscribe(to: [first], selector: SourceSelector("bike-1"))
            #expect(all.receive(events: 2) && one.receive(events: 2))
            let second = try fixture.source("bike-2")
            let other = try fixture.source("car-1")
            let late = try fixture.subscribe(to: [first], selector: SourceSelector("bike-*"))
            #expect(late.receive(events: 2))
            try fixture.publish(2, of: other, hasPatch: false)
            try fixture.publish(3, of: second, hasPatch: false)
            try fixture.publish(4, of: second)
            try fixture.publish(5, of: first)
            #expect(all.receive(through: 5) && late.receive(through: 5) && one.receive(through: 5))
            #expect(all.events.dropFirst(2).map(\.sequence) == [3, 4, 5])
            #expect(late.events.dropFirst(2).map(\.sequence) == [3, 4, 5])
            #expect(one.events.dropFirst(2).map(\.sequence) == [5])
            #expect(fixture.hub.report(of: second)?.subscribers == 2)
            // Of its number there may be another one, whose name is taken again.
            fixture.hub.removeSource(second)
            let again = try fixture.source("bike-2")
            try fixture.publish(6, of: again, hasPatch: false)
            #expect(all.receive(through: 6) && late.receive(through: 6))
            all.close()
            late.close()
            #expect(eventually { fixture.server.statistics.subscribers == 1 })
            #expect(eventually { fixture.hub.report(of: again)?.subscribers == 0 })
            #expect(fixture.hub.report(of: first)?.subscribers == 1)
        }

        @Test(
            "A20: of sources that its path names and that are gone it keeps nothing, and goes on",
            arguments: ["*", "s*"]
        )
        func forgets(path: String) throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let stays = try fixture.source("stays")
            let clients = try (0..<4).map { _ in
                try fixture.subscribe(to: [stays], selector: SourceSelector(path), at: .latest)
            }
            for client in clients { #expect(client.receive(events: 1)) }
            var sequence = 0
            for number in 0..<200 {
                let source = try fixture.source("s\(number)")
                sequence += 1
                try fixture.publish(sequence, of: source, hasPatch: false)
                for client in clients { #expect(client.receive(through: UInt64(sequence))) }
                fixture.hub.removeSource(source)
            }
            sequence += 1
            try fixture.publish(sequence, of: stays, hasPatch: false)
            for client in clients {
                #expect(client.receive(through: UInt64(sequence)))
                #expect(client.events.dropFirst().map(\.sequence) == Array(1...201))
            }
            // The last one may not be taken note of yet.
            #expect(
                eventually {
                    fixture.hub.state.withLock { $0.subscriptions.keys.allSatisfy { $0.sources.count <= 2 } }
                }
            )
        }

        @Test("tells a source's state once per transition, and a newcomer what is not well")
        func status() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            let client = try fixture.subscribe(to: [source])
            #expect(client.receive(events: 1))
            try fixture.report(.failing, of: source)
            #expect(client.receive(events: 2))
            let late = try fixture.subscribe(to: [source])
            #expect(late.receive(events: 2))
            try fixture.report(.ok, of: source)
            try fixture.publish(1, of: source, hasPatch: false)
            #expect(client.receive(through: 1))
            #expect(late.receive(through: 1))
            for events in [client.events, late.events] {
                #expect(events.map(\.type) == ["hello", "status", "status", "snapshot"])
                #expect(events[1].data.contains(#""state":"failing""#))
                #expect(events[2].data.contains(#""state":"ok""#))
            }
        }

        @Test(
            "R32: tells a state that flaps fewer times than it changes, who came in between what holds, and all the end"
        )
        func flappingStatus() throws {
            let fixture = try StreamFixture { $0.heartbeat = .milliseconds(1500) }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            let begin = ContinuousClock.now
            let client = try fixture.subscribe(to: [source])
            #expect(client.receive(events: 1))
            var late: StreamClient?
            for number in 0..<30 {
                try fixture.report(number % 2 == 0 ? .failing : .ok, of: source)
                if number == 20 {
                    late = try fixture.subscribe(to: [source])
                    #expect(late?.receive(events: 1) == true)
                }
            }
            try fixture.report(.paused, of: source)
            let newcomer = try #require(late)
            for client in [client, newcomer] {
                #expect(client.receive { $0.events.contains { $0.data.contains(#""state":"paused""#) } })
                let told = client.events.filter { $0.type == "status" }
                // One more for each heartbeat that a busy machine lets pass.
                #expect(told.count <= 6 + Int((ContinuousClock.now - begin) / .milliseconds(1500)))
                #expect(told.last?.data.contains(#""state":"paused""#) == true)
            }
        }

        @Test("is listed, and ends with bye when an administrator revokes it")
        func revoked() async throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, hasPatch: false)
            let client = try fixture.subscribe(to: [source])
            #expect(client.receive(events: 2))
            let reports = await fixture.server.subscribers(limit: 10)
            #expect(reports.count == 1)
            let report = try #require(reports.first)
            #expect(report.sources == [source])
            #expect(report.state == .live)
            #expect(report.sequence == 1)
            #expect(report.peer.isLoopback)
            #expect(SubscriberID(report.id.description) == report.id)
            #expect(await fixture.server.close(report.id))
            #expect(client.receiveToEnd())
            #expect(client.events.last == ReceivedEvent(type: "bye", data: #"{"reason":"revoked"}"#))
            #expect(await !fixture.server.close(report.id))
            #expect(fixture.server.statistics.closes["revoked"] == 1)
        }
    }
}
