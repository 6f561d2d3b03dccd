import FreshetCore
import FreshetTesting
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("The poller")
struct PollerTests {
    @Test("publishes each version once, and asks conditionally for what it has")
    func versions() async throws {
        let fixture = try PollingFixture()
        let resource = VersionedResource(versions: (1...5).map { Array("{\"n\":\($0)}".utf8) })
        fixture.upstream.serve(resource, at: "/")
        let id = try fixture.add()
        for version in 1...5 {
            #expect(await fixture.poll(id) == .changed)
            #expect(fixture.value(of: id) == "{\"n\":\(version)}")
            #expect(await fixture.poll(id) == .notModified)
            resource.advance()
        }
        #expect(fixture.events == 5)
        #expect(resource.okCount == 5)
        #expect(fixture.upstream.connectionCount == 1)
        #expect(fixture.status(of: id)?.state == .ok)
    }

    @Test("polls by itself, and publishes what it finds")
    func interval() async throws {
        let fixture = try PollingFixture()
        let resource = VersionedResource(versions: [Array("[1]".utf8), Array("[2]".utf8)])
        fixture.upstream.serve(resource, at: "/")
        let id = try fixture.add { $0.interval = .fixed(.milliseconds(10)) }
        #expect(await resource.waitForNotModified(count: 3))
        resource.advance()
        #expect(await resource.waitUntilSent(version: 2))
        // A 304 from here on answers the validator of the second version, which was taken in by then.
        #expect(await resource.waitForNotModified(count: resource.notModifiedCount + 1))
        #expect(fixture.value(of: id) == "[2]")
        #expect(fixture.events == 2)
        let metrics = fixture.poller.metrics
        #expect(metrics.polls[id]?[.changed] == 2)
        #expect(metrics.polls[id]?[.notModified] ?? 0 >= 3)
        #expect(metrics.lateness.count >= metrics.duration.count)
        #expect(metrics.wireBytes == 6)
    }

    @Test("polls a source of four times the interval a fourth as often")
    func intervals() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("*", respond: .json("[1]"))
        _ = try fixture.add("often", path: "/often") { $0.interval = .fixed(.milliseconds(100)) }
        _ = try fixture.add("seldom", path: "/seldom") { $0.interval = .fixed(.milliseconds(400)) }
        let last = await fixture.upstream.waitForRequest { $0.path == "/often" && $0.number >= 30 }
        let requests = try #require(last).number
        let seldom = fixture.upstream.requests.prefix(requests).count { $0.path == "/seldom" }
        #expect((4...10).contains(seldom), "\(seldom) of \(requests)")
    }

    @Test("pauses and resumes")
    func pause() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/", respond: .json("[1]"))
        let id = try fixture.add { $0.interval = .fixed(.milliseconds(10)) }
        #expect(await fixture.upstream.waitForRequests(count: 2))
        await fixture.poller.pause(id)
        #expect(fixture.status(of: id)?.state == .paused)
        // A poll by hand still works, and its end is the end of all that were under way.
        _ = await fixture.poll(id)
        let count = fixture.upstream.requests.count
        #expect(await fixture.poll(id) == .unchanged)
        #expect(fixture.upstream.requests.count == count + 1)
        #expect(fixture.status(of: id)?.state == .paused)
        await fixture.poller.resume(id)
        #expect(await fixture.upstream.waitForRequests(count: count + 4))
        #expect(fixture.status(of: id)?.state == .ok)
    }

    @Test("takes a value that is pushed as if it had polled it")
    func push() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/", respond: .json("[1]"))
        let id = try fixture.add()
        #expect(await fixture.poll(id) == .changed)
        let cursor = try await fixture.poller.push(
            id,
            body: Array("[2]".utf8),
            contentType: Array("application/json".utf8)
        )
        #expect(cursor.sequence == 2)
        #expect(fixture.value(of: id) == "[2]")
        #expect(try await fixture.poller.push(id, body: Array(" [2] ".utf8), contentType: nil) == cursor)
        await #expect(throws: UpstreamError.self) {
            try await fixture.poller.push(id, body: Array("[2".utf8), contentType: nil)
        }
        #expect(fixture.value(of: id) == "[2]")
        #expect(fixture.events == 2)
    }

    @Test("a source that is polled for listeners only sleeps until one comes")
    func subscribed() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("*", respond: .json("[1]"))
        let sleeper = try fixture.add("sleeper", path: "/sleeper") {
            $0.when = .subscribed
            $0.interval = .fixed(.milliseconds(10))
        }
        let other = try fixture.add("other", path: "/other") { $0.interval = .fixed(.milliseconds(10)) }
        #expect(await fixture.upstream.waitForRequests(count: 20))
        #expect(fixture.upstream.requests(to: "/sleeper").isEmpty)
        let asleep = fixture.hub.report(of: sleeper)?.status
        #expect(asleep?.nextPollAt == nil && asleep?.intervalReason == "no subscribers; polled while there is one")
        #expect(!fixture.hub.isListenedTo(sleeper))
        // One who waits for a change is a listener until the wait ends.
        fixture.hub.beginWait(for: [sleeper])
        #expect(fixture.hub.isListenedTo(sleeper) && !fixture.hub.isListenedTo(other))
        fixture.hub.endWait(for: [sleeper])
        #expect(!fixture.hub.isListenedTo(sleeper))
        let subscription = fixture.hub.subscribe(to: [sleeper], format: StreamFormat())
        fixture.poller.subscribersChanged(sleeper)
        #expect(await fixture.upstream.waitForRequest { $0.path == "/sleeper" && $0.number > 20 } != nil)
        fixture.hub.unsubscribe(subscription)
        _ = await fixture.poll(other)
        // At most the poll that was under way, and the one by hand.
        _ = await fixture.poll(sleeper)
        let count = fixture.upstream.requests(to: "/sleeper").count
        #expect(await fixture.upstream.waitForRequests(count: fixture.upstream.requests.count + 20))
        #expect(fixture.upstream.requests(to: "/sleeper").count == count)
    }

    @Test("a source that is replaced keeps its value and its validators")
    func replace() async throws {
        let fixture = try PollingFixture()
        let resource = VersionedResource(versions: [Array("[1]".utf8)])
        fixture.upstream.serve(resource, at: "/")
        let id = try fixture.add()
        #expect(await fixture.poll(id) == .changed)
        var configuration = SourceConfiguration(name: "trains", url: fixture.upstream.url())
        configuration.interval = .fixed(.seconds(1800))
        configuration.headers = [.init(name: "X-New", value: "1")]
        try fixture.poller.add(id, configuration)
        #expect(await fixture.poll(id) == .notModified)
        #expect(fixture.upstream.requests.last?.headers["X-New"] == "1")
        #expect(fixture.events == 1)
    }

    @Test("a source can be removed while it is polled, and its waiter is told")
    func remove() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/") { _ in [.stall] }
        fixture.upstream.on("/other", respond: .json("[1]"))
        let id = try fixture.add()
        let other = try fixture.add("other", path: "/other")
        async let outcome = fixture.poll(id)
        #expect(await fixture.upstream.waitForRequests(count: 1))
        fixture.poller.remove(id)
        #expect(await outcome == .failed(.internal))
        #expect(await fixture.poll(id) == .failed(.internal))
        _ = await fixture.poll(other)
        #expect(fixture.value(of: other) == "[1]")
        #expect(fixture.poller.metrics.inFlight == 0)
    }

    @Test("stops while polls are under way, and tells those who wait")
    func stop() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/") { _ in [.stall] }
        let id = try fixture.add()
        async let outcome = fixture.poll(id)
        #expect(await fixture.upstream.waitForRequests(count: 1))
        fixture.poller.stop()
        #expect(await outcome == .failed(.internal))
        #expect(await fixture.poll(id) == .failed(.internal))
        #expect(await fixture.upstream.waitForOpenConnections(count: 0))
    }

    @Test("polls no more at one time than a host may be asked", arguments: [1, 2, 6])
    func perHost(limit: Int) async throws {
        let fixture = try PollingFixture { $0.maxConcurrentPollsPerHost = limit }
        let gate = try Gate()
        fixture.upstream.on("*") { _ in [.hold(gate), .respond(.json("[1]"))] }
        let ids = try (0..<10).map { try fixture.add("s\($0)", path: "/\($0)") }
        await withTaskGroup(of: PollOutcome.self) { group in
            for id in ids { group.addTask { await fixture.poll(id) } }
            // The urgent ones pass the gate of the host, and libcurl's own limit holds them.
            #expect(await fixture.upstream.waitForRequests(count: limit))
            #expect(fixture.upstream.openConnectionCount <= limit)
            gate.open()
            for await outcome in group { #expect(outcome == .changed) }
        }
        #expect(fixture.upstream.connectionCount <= limit)
    }

    @Test("F03: sources that hang hold no place that others need")
    func isolation() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("*") { _ in [.stall] }
        let healthy = try ScriptedUpstream()
        healthy.on("/", respond: .json("[1]"))
        for index in 0..<50 {
            _ = try fixture.add("dead\(index)", path: "/\(index)") { $0.interval = .fixed(.milliseconds(10)) }
        }
        #expect(await fixture.upstream.waitForRequests(count: 6))
        let id = try fixture.add { $0.url = healthy.url() }
        for _ in 0..<100 { _ = await fixture.poll(id) }
        #expect(healthy.requests.count >= 100)
        #expect(fixture.upstream.requests.count == 6)
    }

    @Test("a value that nothing confirms becomes stale, with one status event, and is well again by the next poll")
    func stale() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/", respond: .json("[1]"))
        let id = try fixture.add { $0.staleness = .milliseconds(50) }
        #expect(await fixture.poll(id) == .changed)
        #expect(await fixture.waitForStatusEvents(2))
        #expect(fixture.status(of: id)?.state == .stale)
        #expect(fixture.value(of: id) == "[1]")
        fixture.upstream.on("/") { _ in [.close] }
        for _ in 0..<3 { #expect(await fixture.poll(id) == .failed(.transport)) }
        #expect(fixture.status(of: id)?.state == .stale)
        #expect(fixture.statusEvents == 2, "failing while stale is no transition")
        fixture.upstream.on("/", respond: .json("[1]"))
        #expect(await fixture.poll(id) == .unchanged)
        #expect(await fixture.waitForStatusEvents(4), "well, and stale once more")
    }

    @Test("F30: credentials that were read again are sent at once, by the poll that they make")
    func renewed() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/") { request in
            [.respond(request.headers["Authorization"] == "Bearer new" ? .json("[1]") : .status(401))]
        }
        let id = try fixture.add { $0.headers = [.init(name: "Authorization", value: "Bearer old")] }
        #expect(await fixture.poll(id) == .failed(.auth))
        var renewed = SourceConfiguration(name: "trains", url: fixture.upstream.url("/"))
        renewed.interval = .fixed(.seconds(3600))
        renewed.timeout = .patience
        renewed.headers = [.init(name: "Authorization", value: "Bearer new")]
        fixture.poller.renew(id, renewed)
        #expect(await fixture.upstream.waitForRequests(count: 2))
        #expect(await fixture.waitForStatusEvents(2))
        #expect(fixture.status(of: id)?.state == .ok)
        #expect(await fixture.poll(id) == .unchanged)
        #expect(fixture.value(of: id) == "[1]")
    }

    @Test("connections are counted, so that what is kept alive shows")
    func connections() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/", respond: .json("[1]"))
        let id = try fixture.add()
        for _ in 0..<20 { _ = await fixture.poll(id) }
        #expect(fixture.poller.metrics.connections == 1)
        fixture.upstream.on("/", respond: .json("[1]", headers: ["Connection": "close"]))
        for _ in 0..<5 { _ = await fixture.poll(id) }
        #expect(fixture.poller.metrics.connections == 5, "the first of the five used the one that was there")
    }

    @Test("F20: a dead host of many sources is left alone")
    func breaker() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("*") { _ in [.reset] }
        let healthy = try ScriptedUpstream()
        healthy.on("/", respond: .json("[1]"))
        for index in 0..<100 {
            _ = try fixture.add("dead\(index)", path: "/\(index)") { $0.interval = .fixed(.milliseconds(10)) }
        }
        #expect(await fixture.failures.wait(timeout: .patience) { $0.count >= 6 ? true : nil } == true)
        let id = try fixture.add { $0.url = healthy.url() }
        for _ in 0..<100 { _ = await fixture.poll(id) }
        // Five failures open the breaker; up to five more polls were under way by then.
        #expect(fixture.upstream.requests.count <= 11)
        let reasons = (0..<100).compactMap { fixture.hub.source(named: "dead\($0)").flatMap { fixture.status(of: $0) } }
            .map(\.intervalReason)
        // The few that were asked wait for themselves.
        #expect(reasons.count { $0.contains("one source probes it first") } >= 80, "\(reasons)")
    }

    @Test("a poll that the budget holds back says so")
    func budget() async throws {
        let fixture = try PollingFixture { $0.requestsPerHour = 3600 }
        fixture.upstream.on("/", respond: .json("[1]"))
        let id = try fixture.add { $0.interval = .fixed(.milliseconds(10)) }
        let start = ContinuousClock.now
        var reason = ""
        while !reason.contains("requests_per_hour"), ContinuousClock.now - start < .seconds(30) {
            reason = fixture.status(of: id)?.intervalReason ?? ""
            await Task.yield()
        }
        #expect(reason.contains("requests_per_hour"))
        #expect(fixture.status(of: id)?.nextPollAt != nil)
    }
}
