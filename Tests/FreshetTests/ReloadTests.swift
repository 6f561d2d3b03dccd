// A configuration that is read again: whole or not at all, and only what changed.

import Dispatch
import FreshetCore
import FreshetPolling
import JSON
import Logging
import Synchronization
import Testing

@testable import FreshetConfiguration
@testable import freshet

/// A hub and a poller that does not run: what is polled is not the matter here.
private struct Fixture {
    let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 1)))
    let registry: SourceRegistry

    init() throws {
        self.registry = SourceRegistry(hub: self.hub, poller: try Poller(hub: self.hub))
    }

    static func source(_ name: String, seconds: Int = 10) -> SourceConfiguration {
        var source = SourceConfiguration(name: name, url: "http://127.0.0.1:1/\(name)")
        source.interval = .fixed(.seconds(seconds))
        return source
    }

    var names: Set<String> { Set(self.hub.sources().map(\.name)) }
}

@Suite("Sources at run time")
struct SourceRegistryTests {
    @Test("F73 only what changed is touched; numbers, values and subscribers stay")
    func changes() throws {
        let fixture = try Fixture()
        let first = try fixture.registry.apply([Fixture.source("a"), Fixture.source("b"), Fixture.source("c")])
        #expect(first == .init(added: ["a", "b", "c"]))
        let ids = fixture.registry.ids
        let b = try #require(ids["b"])
        let document = try Document(parsing: Array("1".utf8))
        fixture.hub.publish(Change(document: document, at: WallTime(milliseconds: 0)), of: b)
        let subscription = fixture.hub.subscribe(to: [b], format: StreamFormat())
        defer { fixture.hub.unsubscribe(subscription) }

        let second = try fixture.registry.apply([
            Fixture.source("a"), Fixture.source("b", seconds: 5), Fixture.source("d"),
        ])
        #expect(second == .init(added: ["d"], changed: ["b"], removed: ["c"]))
        #expect(fixture.names == ["a", "b", "d"])
        #expect(fixture.registry.ids["a"] == ids["a"])
        #expect(fixture.registry.ids["b"] == b)
        #expect(fixture.hub.version(of: b) != nil)
        #expect(fixture.hub.subscriberCount(of: b) == 1)
        #expect(fixture.registry.ids["d"] != ids["c"], "a number is never given out twice")
        #expect(
            try fixture.registry.apply([Fixture.source("a"), Fixture.source("b", seconds: 5), Fixture.source("d")])
                .isEmpty
        )
    }

    @Test("F72 where one source is refused, none is touched")
    func atomic() throws {
        let fixture = try Fixture()
        try fixture.registry.apply([Fixture.source("a"), Fixture.source("b")])
        let ids = fixture.registry.ids
        let refused = SourceConfiguration(name: "z", url: "file:///etc/passwd")
        #expect(throws: StartFailure.self) {
            try fixture.registry.apply([Fixture.source("a", seconds: 1), Fixture.source("new"), refused])
        }
        #expect(fixture.names == ["a", "b"])
        #expect(fixture.registry.ids == ids)
        let repeated = try fixture.registry.apply([Fixture.source("a"), Fixture.source("b")])
        #expect(repeated.isEmpty)
    }
}

@Suite("Reload")
struct ReloaderTests {
    private func reloader(
        _ fixture: Fixture,
        load: @escaping @Sendable () throws(StartFailure) -> GatewayConfiguration
    ) -> Reloader {
        Reloader(
            configuration: GatewayConfiguration(),
            registry: fixture.registry,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            systemd: SystemdNotifier(environment: [:], pid: 1),
            load: { () throws(StartFailure) in
                LoadedConfiguration(configuration: try load(), warnings: [], effective: [])
            }
        )
    }

    @Test("F72 a bad configuration changes nothing and says why; a good one heals the gauge")
    func bad() throws {
        let fixture = try Fixture()
        try fixture.registry.apply([Fixture.source("a")])
        let isBad = Atomic<Bool>(true)
        let reloader = self.reloader(fixture) { () throws(StartFailure) in
            if isBad.load(ordering: .relaxed) { throw StartFailure("main.yaml:1:1: x: unknown key") }
            var configuration = GatewayConfiguration()
            configuration.sources = [Fixture.source("b")]
            return configuration
        }
        #expect(reloader.isLastSuccessful)
        #expect { try reloader.reload() } throws: { "\($0)" == "main.yaml:1:1: x: unknown key" }
        #expect(!reloader.isLastSuccessful)
        #expect(fixture.names == ["a"])
        isBad.store(false, ordering: .relaxed)
        try reloader.reload()
        #expect(reloader.isLastSuccessful)
        #expect(fixture.names == ["b"])
    }

    @Test("what is read at the start only is named, again at each reload until it is as it was")
    func needsRestart() throws {
        let fixture = try Fixture()
        let step = Atomic<Int>(0)
        let reloader = self.reloader(fixture) { () throws(StartFailure) in
            var configuration = GatewayConfiguration()
            if step.load(ordering: .relaxed) > 0 { configuration.polling.hostConcurrency = 3 }
            if step.load(ordering: .relaxed) > 1 {
                configuration.cluster = GatewayConfiguration.Cluster(servers: ["nats://127.0.0.1:4222"], node: "a")
            }
            return configuration
        }
        #expect(try reloader.reload().isEmpty)
        step.store(1, ordering: .relaxed)
        #expect(try reloader.reload() == ["polling"])
        #expect(try reloader.reload() == ["polling"], "it still is not in force")
        step.store(2, ordering: .relaxed)
        #expect(try reloader.reload() == ["polling", "cluster"])
        step.store(0, ordering: .relaxed)
        #expect(try reloader.reload().isEmpty)
        #expect(ReloadCommand.outcome([]) == "the new configuration is in force")
        #expect(ReloadCommand.outcome(["polling", "cluster"]).contains("start only: polling, cluster; restart"))
    }

    @Test("F74 a hundred signals while one reload is under way are one more")
    func debounced() async throws {
        let fixture = try Fixture()
        let loads = Atomic<Int>(0)
        let gate = DispatchSemaphore(value: 0)
        let (entered, reports) = AsyncStream<Int>.makeStream()
        let reloader = self.reloader(fixture) { () throws(StartFailure) in
            reports.yield(loads.add(1, ordering: .relaxed).newValue)
            // Held up until every signal has come.
            gate.wait()
            return GatewayConfiguration()
        }
        reloader.signalled()
        var iterator = entered.makeAsyncIterator()
        #expect(await iterator.next() == 1)
        for _ in 0..<100 {
            reloader.signalled()
        }
        gate.signal()
        gate.signal()
        #expect(await iterator.next() == 2)
        // A third signal now: its reload is the third, so the hundred made no more than one.
        while reloader.isBusy { await Task.yield() }
        reloader.signalled()
        gate.signal()
        #expect(await iterator.next() == 3)
    }
}
