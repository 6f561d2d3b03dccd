import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import NIOCore
import Synchronization
import System
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Requests that wait", .overHTTP2)
    struct WaitTests {
        private static func request(_ path: String) -> String { "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n" }

        @Test("A12: past the bound 503 with a Retry-After that differs, counted; a place that is free is given again")
        func bound() async throws {
            try await withGateway({ $0.maxWaiting = 3 }) { gateway in
                let rates = try gateway.source("rates")
                try gateway.publish("[1]", of: rates)
                var held: [RawConnection] = []
                for path in [
                    "/v1/values/rates?wait=5m", "/v1/changes/rates?since=latest&wait=5m",
                    "/v1/changes/*?since=latest&wait=5m",
                ] {
                    let connection = try await RawConnection(gateway.endpoint)
                    try await connection.send(Self.request(path))
                    held.append(connection)
                }
                try await gateway.waitForWaiters(3)
                var delays: Set<Int> = []
                for path in Array(
                    repeating: ["/v1/values/rates?wait=1s", "/v1/changes/rates?since=latest&wait=1s"],
                    count: 12
                ).joined() {
                    let reply = try await gateway.get(path)
                    #expect(reply.status == 503)
                    #expect(try code(reply) == "too_many_waiting")
                    delays.insert(try #require(reply.headers["Retry-After"].flatMap { Int($0) }))
                }
                #expect(delays.count > 2 && delays.allSatisfy { (1...10).contains($0) })
                // Who does not wait is answered.
                #expect(try await gateway.get("/v1/values/rates").status == 200)
                let metrics = try await gateway.get("/metrics").text
                #expect(metrics.contains("\nfreshet_http_waiting_requests 3\n"))
                #expect(metrics.contains("freshet_http_waits_refused_total{reason=\"full\"} 24\n"))
                held[0].close()
                try await gateway.waitForWaiters(2)
                async let fourth = gateway.get("/v1/values/rates?wait=5m")
                try await gateway.waitForWaiters(3)
                try gateway.publish("[2]", of: rates)
                #expect(try await fourth.text == "[2]")
                for connection in held.dropFirst() { try await connection.receive(until: #""value":2"#) }
                try await gateway.waitForWaiters(0)
            }
        }

        @Test("A12: one address has a share, this machine has none")
        func share() {
            var settings = HTTPSettings()
            settings.maxWaitingPerAddress = 2
            settings.maxWaiting = 8
            let waits = WaitAdmission(hub: Hub(log: ChangeLog(epoch: Epoch(rawValue: 7))), settings: settings)
            func refusal(_ address: String) -> WaitRefusal? { waits.enter(.init(address)) }
            #expect(refusal("192.0.2.1") == nil && refusal("192.0.2.1") == nil && refusal("192.0.2.1") == .address)
            #expect(
                refusal("2001:db8::1") == nil && refusal("2001:db8::2") == nil && refusal("2001:db8::3") == .address
            )
            for _ in 0..<4 { #expect(refusal("127.0.0.1") == nil) }
            #expect(refusal("192.0.2.9") == .full && waits.count == 8)
            waits.leave(.init("192.0.2.1"))
            #expect(refusal("192.0.2.1") == nil)
        }

        @Test(
            "A13: a publisher tells each loop once, however many wait, and not at all where none waits for that source"
        )
        func notices() throws {
            let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 7)))
            let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "")
            let awaited = try #require(hub.addSource("awaited", status: status))
            let other = try #require(hub.addSource("other", status: status))
            let listener = CountingListener()
            hub.attach(waits: listener)
            for _ in 0..<1000 { hub.beginWait(for: [awaited]) }
            let change = Change(document: try Document(parsing: Array("1".utf8)), at: WallTime(milliseconds: 1))
            hub.publish(change, of: other)
            #expect(listener.counts == [0, 0])
            hub.publish(change, of: awaited)
            #expect(listener.counts == [1, 1])
            for _ in 0..<1000 { hub.endWait(for: [awaited]) }
            hub.publish(change, of: awaited)
            #expect(listener.counts == [1, 1])
            hub.beginWait(for: [awaited])
            hub.removeSource(awaited)
            #expect(listener.counts == [2, 2])
        }

        private final class CountingListener: HubListener {
            private let state = Mutex((0, 0))
            var counts: [Int] { self.state.withLock { [$0.0, $0.1] } }
            func enqueue(_ notice: HubNotice) { self.state.withLock { $0.0 += 1 } }
            func wake() { self.state.withLock { $0.1 += 1 } }
        }

        @Test("A13: a change makes the waits for its source due and no other", arguments: 1...8)
        func table(seed: UInt64) {
            var generator = SplitMix64(seed: seed)
            let table = WaitTable()
            var waiting: [Int: (wait: ChangeWait, sources: Set<Int>)] = [:]
            var groups: Set<Set<Int>> { Set(waiting.values.map(\.sources)) }
            var resumed: Set<Int> = []
            for number in 0..<600 {
                switch Int.random(in: 0..<5, using: &generator) {
                case 0, 1, 2:
                    let sources = Set((0..<3).map { _ in Int.random(in: 0..<6, using: &generator) })
                    let ids = sources.sorted().map { SourceID(index: $0) }
                    let wait = ChangeWait(for: ids) { resumed.insert(number) }
                    #expect(table.add(wait) == !groups.contains(sources))
                    waiting[number] = (wait, sources)
                case 3:
                    guard let key = waiting.keys.sorted().randomElement(using: &generator) else { continue }
                    let (wait, sources) = waiting[key] ?? (ChangeWait(for: []) {}, [])
                    waiting[key] = nil
                    #expect(table.remove(wait) == !groups.contains(sources))
                    wait.end()
                    #expect(!resumed.contains(key))
                case _:
                    let source = Int.random(in: 0..<6, using: &generator)
                    let expected = waiting.filter { $0.value.sources.contains(source) }
                    let ended = Set(expected.values.map(\.sources))
                    #expect(table.sourceChanged(SourceID(index: source)).count == ended.count)
                    resumed = []
                    while table.hasDue {
                        let due = table.takeDue(3)
                        #expect(due.count <= 3)
                        for wait in due { wait.end() }
                    }
                    #expect(resumed == Set(expected.keys))
                    for key in expected.keys { waiting[key] = nil }
                }
            }
        }

        @Test("A13: hundreds who wait are woken, and another request of the same loop is answered in between")
        func slices() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.publish("[1]", of: rates)
                let crowd = try await Crowd(
                    400,
                    to: gateway.endpoint,
                    sending: Array(Self.request("/v1/values/rates?wait=5m").utf8)
                )
                try await gateway.waitForWaiters(400)
                try gateway.publish("[2]", of: rates)
                let answers = try await crowd.receive(until: "[2]")
                #expect(answers.count { $0.hasPrefix("HTTP/1.1 200 ") } == 400)
                try await gateway.waitForWaiters(0)
            }
        }

        @Test("a source that is removed ends the waits for it", arguments: ["/v1/values/rates", "/v1/changes/rates"])
        func removed(path: String) async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.publish("[1]", of: rates)
                async let reply = gateway.get(path + "?since=latest&wait=5m")
                try await gateway.waitForWaiters(1)
                gateway.hub.removeSource(rates)
                #expect(try await reply.status == 404)
            }
        }
    }
}
