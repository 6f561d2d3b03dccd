import FreshetCore
import FreshetTesting
import JSON

@testable import FreshetPolling
@testable import FreshetUpstream

/// A hub, a poller and an upstream, and a record of all that subscribers would see.
///
/// Sources have an interval of an hour, so that a test decides when they are polled.
final class PollingFixture: Sendable {
    let upstream: ScriptedUpstream
    let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 1)))
    let poller: Poller
    let notices = Watched<[HubNotice]>([])
    let failures = Watched<[UpstreamError]>([])

    init(_ configure: (inout PollerConfiguration) -> Void = { _ in }) throws {
        var configuration = PollerConfiguration()
        // Polls follow one another at once, where changes would be asked for again.
        configuration.minSilentAnswers = 0
        configure(&configuration)
        let failures = self.failures
        self.upstream = try ScriptedUpstream()
        self.poller = try Poller(hub: self.hub, configuration: configuration) { notice in
            if case .failed(_, _, let error) = notice { failures.update { $0.append(error) } }
        }
        // Not the fixture itself: the hub keeps its listeners, and would keep this one's poller at work for ever.
        self.hub.attach(Listener(notices: self.notices))
        try self.poller.start()
    }

    deinit { self.poller.stop() }

    /// Adds a source of the upstream's `path`. Its own first poll comes almost a second later, by its name's phase.
    func add(
        _ name: String = "trains",
        path: String = "/",
        _ configure: (inout SourceConfiguration) -> Void = { _ in }
    ) throws -> SourceID {
        var configuration = SourceConfiguration(name: name, url: self.upstream.url(path))
        configuration.interval = .fixed(.seconds(3600))
        configuration.timeout = .patience
        configure(&configuration)
        let status = SourceStatus(stateSince: .now, interval: .seconds(3600), intervalReason: "")
        let id = self.hub.addSource(name, status: status) ?? SourceID(index: -1)
        try self.poller.add(id, configuration)
        return id
    }

    /// The text of the value that is served.
    func value(of id: SourceID) -> String? {
        self.hub.version(of: id).map { String(decoding: $0.document.text, as: UTF8.self) }
    }

    func status(of id: SourceID) -> SourceStatus? { self.hub.report(of: id)?.status }

    /// How many changes were published.
    var events: Int {
        self.notices.value.count { if case .published = $0 { true } else { false } }
    }

    /// Waits for so many changes in all, and returns whether they were published.
    func waitForEvents(_ count: Int) async -> Bool {
        await self.notices.wait(timeout: .seconds(30)) { notices in
            notices.count { if case .published = $0 { true } else { false } } >= count ? true : nil
        } ?? false
    }

    /// How many status events were sent.
    var statusEvents: Int {
        self.notices.value.count { if case .status = $0 { true } else { false } }
    }

    /// Waits for so many status events in all, and returns whether they came.
    func waitForStatusEvents(_ count: Int) async -> Bool {
        await self.notices.wait(timeout: .seconds(30)) { notices in
            notices.count { if case .status = $0 { true } else { false } } >= count ? true : nil
        } ?? false
    }

    /// Waits for a source's status to be as wanted, and returns whether it was in time.
    func waitForStatus(of id: SourceID, _ isWanted: (SourceStatus) -> Bool) async -> Bool {
        let start = ContinuousClock.now
        while ContinuousClock.now - start < .patience {
            if let status = self.status(of: id), isWanted(status) { return true }
            await Task.yield()
        }
        return false
    }

    /// The poll's outcome, or the kind of its failure.
    func poll(_ id: SourceID) async -> PollOutcome {
        do throws(UpstreamError) {
            return try await self.poller.poll(id)
        } catch {
            return .failed(error.kind)
        }
    }
}

private final class Listener: HubListener {
    private let notices: Watched<[HubNotice]>

    init(notices: Watched<[HubNotice]>) { self.notices = notices }

    func enqueue(_ notice: HubNotice) {
        self.notices.update { $0.append(notice) }
    }

    func wake() {}
}
