// How streams end, and what they leave behind: nothing.

import CLinux
import FreshetCore
import FreshetStreaming
import Glibc
import System
import Testing

extension StreamingTests {
    @Suite("The end of a stream")
    struct StreamEndTests {
        @Test(
            "by a client that resets, hangs up or half-closes frees its slot before a heartbeat or a write (F46)",
            arguments: [0, 1, 2]
        )
        func gone(kind: Int) throws {
            // Nothing is written before the hour is over.
            let fixture = try StreamFixture { $0.heartbeat = .seconds(3600) }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            let client = try fixture.subscribe(to: [source])
            #expect(client.receive(events: 1))
            #expect(eventually { fixture.server.statistics.subscribers == 1 })
            switch kind {
            case 0:
                _ = clinux_set_reset_on_close(client.descriptor)
                client.close()
            case 1: client.close()
            case _: _ = clinux_shutdown_write(client.descriptor)
            }
            #expect(eventually { fixture.server.statistics.closes["gone"] == 1 })
            #expect(eventually { fixture.server.statistics.subscribers == 0 })
            #expect(fixture.hub.report(of: source)?.subscribers == 0)
        }

        @Test("by clients that vanish while they are written to costs the others nothing (F45, F46)")
        func churn() throws {
            let before = try openDescriptors()
            let fixture = try StreamFixture()
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, hasPatch: false)
            let steady = try fixture.subscribe(to: [source])
            #expect(steady.receive(events: 2))
            var random = SplitMix64(seed: 9)
            var clients: [StreamClient] = []
            for number in 2...150 {
                for _ in 0..<5 {
                    clients.append(
                        try fixture.subscribe(to: [source], at: Bool.random(using: &random) ? .latest : .snapshot)
                    )
                }
                try fixture.publish(number, of: source)
                while clients.count > 20 {
                    let client = clients.remove(at: Int.random(in: 0..<clients.count, using: &random))
                    if Bool.random(using: &random) { _ = clinux_set_reset_on_close(client.descriptor) }
                }
            }
            #expect(steady.receive(through: 150))
            #expect(steady.events.dropFirst(2).map(\.sequence) == Array(2...150))
            clients = []
            // The closes first: those who still wait to be let in are no subscribers yet.
            #expect(eventually { fixture.server.statistics.closes["gone"] == 149 * 5 })
            #expect(eventually { fixture.server.statistics.subscribers == 1 })
            #expect(eventually { fixture.hub.report(of: source)?.subscribers == 1 })
            fixture.stop()
            steady.close()
            // The runtime and other suites may hold a few more; one for each connection would be many.
            #expect(eventually { ((try? openDescriptors()) ?? .max) <= before + 16 })
        }

        @Test("comes for a client that keeps talking on a held stream, not for one that says a word")
        func talkative() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            let modest = try fixture.subscribe(to: [source])
            let loud = try fixture.subscribe(to: [source])
            #expect(modest.receive(events: 1) && loud.receive(events: 1))
            let words = [UInt8](repeating: 0x20, count: 4096)
            #expect(modest.send(Array(words.prefix(100))) >= 100)
            while loud.send(words) > 0 {}
            #expect(eventually { fixture.server.statistics.closes["talkative"] == 1 })
            try fixture.publish(1, of: source, hasPatch: false)
            #expect(modest.receive(through: 1))
            #expect(fixture.server.statistics.subscribers == 1)
        }

        @Test("by drain says bye with a retry of its own to each, spread over the time, and lets nobody in after")
        func drain() async throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            let clients = try (0..<200).map { _ in try fixture.subscribe(to: [source]) }
            for client in clients {
                #expect(client.receive(events: 1))
            }
            let start = clinux_monotonic_ns()
            async let drained: Void = fixture.server.drain(over: .seconds(2))
            // The counts of streams that were found ended together, in order.
            var ends: [Int] = []
            var open = clients
            while !open.isEmpty, clinux_monotonic_ns() - start < 30_000_000_000 {
                await Task.yield()
                open.forEach { $0.receiveAvailable() }
                let ended = open.count { $0.isEnded }
                if ended > 0 { ends.append(ended) }
                open.removeAll { $0.isEnded }
            }
            await drained
            #expect(ends.count >= 5)
            #expect(clinux_monotonic_ns() - start >= 1_990_000_000)
            var retries: Set<String> = []
            for client in clients {
                #expect(client.events.last == ReceivedEvent(type: "bye", data: #"{"reason":"drain"}"#))
                #expect(client.hasTerminator)
                let text = String(decoding: client.body, as: UTF8.self)
                let bye = text.split(separator: "\n\n").last ?? ""
                retries.insert(String(bye.prefix { $0 != "\n" }))
            }
            #expect(retries.count > 50)
            #expect(fixture.server.statistics.closes["drain"] == 200)
            #expect(fixture.server.statistics.subscribers == 0)
            guard case .refused(.draining, _) = fixture.server.admit(.local) else {
                Issue.record("admitted while draining")
                return
            }
        }

        @Test("by drain does not wait for those who do not read")
        func drainOfStalled() async throws {
            let fixture = try StreamFixture { $0.sendBufferBytes = 4096 }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            let client = try fixture.subscribe(to: [source], receiveBuffer: 2048)
            #expect(client.receive(events: 1))
            for number in 1...100 {
                try fixture.publish(number, of: source, padding: 1000, hasPatch: number > 1)
            }
            #expect(eventually { fixture.server.statistics.blocked == 1 })
            await fixture.server.drain(over: .milliseconds(20))
            #expect(fixture.server.statistics.subscribers == 0)
            #expect(fixture.server.statistics.closes["drain"] == 1)
        }

        @Test("of the server closes every connection, and those that come later")
        func stop() async throws {
            let before = try openDescriptors()
            let fixture = try StreamFixture()
            let source = try fixture.source("rates")
            let clients = try (0..<50).map { _ in try fixture.subscribe(to: [source]) }
            for client in clients {
                #expect(client.receive(events: 1))
            }
            fixture.stop()
            fixture.stop()
            for client in clients {
                #expect(client.receiveToEnd())
                client.close()
            }
            #expect(await fixture.server.subscribers(limit: 10).isEmpty)
            await fixture.server.drain(over: .zero)
            // The runtime and other suites may hold a few more; one for each connection would be many.
            #expect(eventually { ((try? openDescriptors()) ?? .max) <= before + 16 })
        }
    }
}

extension StreamingTests {
    @Suite("Heartbeats")
    struct HeartbeatTests {
        @Test(
            "come while a stream is silent, in every wire format of a stream",
            arguments: StreamWire.allCases.filter { !$0.isMessages }
        )
        func silence(wire: StreamWire) throws {
            let fixture = try StreamFixture { $0.heartbeat = .milliseconds(64) }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            let format = StreamFormat(wire: wire)
            let chunked = try fixture.subscribe(to: [source], format: format)
            let plain = try fixture.subscribe(to: [source], format: format, framing: .closeDelimited)
            #expect(chunked.receive { $0.heartbeats >= 5 })
            #expect(plain.receive { $0.heartbeats >= 5 })
            #expect(chunked.events.first?.data.contains(#""heartbeat":0.064"#) == true)
            if wire.form != .jsonLines { #expect(String(decoding: chunked.body, as: UTF8.self).contains("\n\n:\n\n")) }
        }

        @Test("of many subscribers that fell silent together reach each of them, again and again")
        func many() throws {
            let fixture = try StreamFixture {
                $0.heartbeat = .milliseconds(64)
                $0.shards = 1
            }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            let clients = try (0..<64).map { _ in try fixture.subscribe(to: [source], at: .latest) }
            for client in clients {
                #expect(client.receive(events: 1))
            }
            try fixture.publish(1, of: source, hasPatch: false)
            for client in clients {
                #expect(client.receive(through: 1))
                let before = client.heartbeats
                #expect(client.receive { $0.heartbeats >= before + 3 })
            }
            #expect(fixture.server.statistics.subscribers == 64)
        }
    }
}
