// A whole gateway on loopback, without upstreams: the tests publish, and clients see nothing but bytes.

import FreshetAccess
import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import Logging
import Synchronization
import System
import TLS
import Testing

@testable import FreshetHTTP

/// One gateway under test; made and ended by ``withGateway(streams:_:metrics:reload:_:)``.
final class GatewayFixture: Sendable {
    let hub: Hub
    let streams: StreamServer
    let server: GatewayServer
    let control: TestControl
    let endpoint: Endpoint
    let adminEndpoint: Endpoint?
    let unread: UnreadAnswers
    static let epoch = Epoch(rawValue: 41)
    static let key = AdminKey.random()
    static let certificate = Result { try TestCertificate("127.0.0.1") }
    /// What an administrator sends along.
    static let credential: HeaderFields = ["Authorization": "Bearer \(GatewayFixture.key.text)"]

    fileprivate init(
        hub: Hub,
        streams: StreamServer,
        server: GatewayServer,
        control: TestControl,
        endpoint: Endpoint,
        adminEndpoint: Endpoint?,
        unread: UnreadAnswers
    ) {
        self.hub = hub
        self.streams = streams
        self.server = server
        self.control = control
        self.endpoint = endpoint
        self.adminEndpoint = adminEndpoint
        self.unread = unread
    }

    @discardableResult
    func source(_ name: String) throws -> SourceID {
        let since = WallTime(milliseconds: 1_700_000_000_000)
        let status = SourceStatus(stateSince: since, interval: .seconds(10), intervalReason: "as configured")
        return try #require(self.hub.addSource(name, status: status))
    }

    /// Publishes JSON text, with the patch from the value before unless the value is to stand for itself.
    @discardableResult
    func publish(
        _ text: String,
        of source: SourceID,
        isWhole: Bool = false,
        rule: ItemRule? = nil,
        validators: Validators = Validators(),
        freshness: Duration = .zero,
        at: WallTime = WallClock.now
    ) throws -> Cursor {
        let document = try Document(parsing: Array(text.utf8))
        let old = isWhole ? nil : self.hub.version(of: source)?.document
        var change = Change(document: document, at: at, validators: validators, freshness: freshness)
        change.patch = old?.patch(to: document).text
        change.rule = rule
        change.items = rule.flatMap { old?.itemChanges(to: document, items: $0)?.text }
        self.hub.publish(change, of: source)
        return try #require(self.hub.version(of: source)?.cursor)
    }

    func update(_ source: SourceID, _ change: (inout SourceStatus) -> Void) throws {
        var status = try #require(self.hub.report(of: source)?.status)
        change(&status)
        self.hub.report(status, of: source, transition: status.state)
    }

    func cursor(_ sequence: UInt64) -> Cursor { Cursor(epoch: Self.epoch, sequence: sequence) }

    /// Sends a GET as ``send(_:_:_:body:)`` does.
    func get(_ path: String, _ headers: HeaderFields = [:]) async throws -> HTTPReply {
        try await self.send("GET", path, headers)
    }

    /// Sends a request; to administration with the key, unless `headers` brings another credential.
    func send(
        _ method: String,
        _ path: String,
        _ headers: HeaderFields = [:],
        body: String? = nil
    ) async throws -> HTTPReply {
        var headers = headers
        if path.hasPrefix("/v1/admin/") { headers.appendDefault("Authorization", "Bearer \(Self.key.text)") }
        return try await RawHTTP.send(
            method,
            path,
            to: self.endpoint,
            headers: headers,
            body: body.map { Array($0.utf8) }
        )
    }

    /// Waits until so many requests wait for a change.
    func waitForWaiters(_ count: Int) async throws {
        try await eventually { self.server.gateway.waits.count == count }
    }
}

/// Polls a condition that nothing signals, for at most the time that helpers wait.
func eventually(_ condition: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .patience
    while try await !condition() {
        try #require(ContinuousClock.now < deadline, "it does not come about")
        try await Task.sleep(for: .milliseconds(2))
    }
}

/// Runs a gateway on a port of the kernel's choice.
func withGateway<Result: Sendable>(
    streams streamSettings: StreamSettings = StreamSettings(shards: 1),
    cacheBytes: Int = 64 << 20,
    reads: ReadDesk = ReadDesk(),
    unread: UnreadAnswers = UnreadAnswers(),
    _ configure: (inout HTTPSettings) -> Void = { _ in },
    metrics: [MetricsProvider] = [],
    authenticator: Authenticator? = nil,
    tls: TLSFiles? = nil,
    reload: ReloadAction? = nil,
    backup: BackupAction? = nil,
    hooks: HookDesk = HookDesk(),
    streamdata: (Hub) -> StreamdataDesk = { _ in StreamdataDesk() },
    writer: (Hub) -> (any Writer)? = { _ in nil },
    push: (any PushDesk)? = nil,
    _ body: (GatewayFixture) async throws -> Result
) async throws -> Result {
    var settings = HTTPSettings()
    settings.listen = .tcp(host: "127.0.0.1", port: 0)
    settings.adminKey = GatewayFixture.key
    // What requests that are written by hand say.
    settings.hostNames = ["a"]
    // What a test has just done shows at once.
    settings.sharedTextLifetime = .zero
    configure(&settings)
    let folder = try TemporaryFolder()
    var certificates: TLSCertificates?
    let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
    if ClientTransport.current != .plain, case .tcp = settings.listen {
        let certificate = try GatewayFixture.certificate.get()
        let pair = TLSFiles.Pair(
            certificate: try folder.write(certificate.chain, to: "chain.pem"),
            key: try folder.write(certificate.key, to: "key.pem")
        )
        certificates = try TLSCertificates(TLSFiles(pairs: [pair]), logger: logger)
    }
    if let tls { certificates = try TLSCertificates(tls, logger: logger) }
    let hub = Hub(log: ChangeLog(epoch: GatewayFixture.epoch, cache: ChangeCache(maxBytes: cacheBytes)), reads: reads)
    let streams = StreamServer(hub: hub, settings: streamSettings, unsent: unread.desk)
    try streams.start()
    defer { streams.stop() }
    let control = TestControl(hub: hub)
    let server = GatewayServer(
        hub: hub,
        streams: streams,
        control: control,
        settings: settings,
        logger: logger,
        metrics: metrics,
        reload: reload,
        backup: backup,
        unread: unread,
        authenticator: authenticator,
        certificates: certificates,
        hooks: hooks,
        streamdata: streamdata(hub),
        writer: writer(hub),
        push: push
    )
    let running = Task { try await server.run() }
    guard let address = await server.boundAddress else {
        try await running.value
        throw CancellationError()
    }
    var endpoint = try address.endpoint.overCurrentTransport
    var relay: HTTP2Relay?
    if ClientTransport.current == .http2, case .tls = endpoint {
        let made = try HTTP2Relay(to: endpoint)
        (relay, endpoint) = (made, .port(made.port))
    }
    defer { withExtendedLifetime(relay) {} }
    let fixture = GatewayFixture(
        hub: hub,
        streams: streams,
        server: server,
        control: control,
        endpoint: endpoint,
        adminEndpoint: await server.boundAdminAddress?.endpoint,
        unread: unread
    )
    do {
        let result = try await body(fixture)
        running.cancel()
        try await running.value
        return result
    } catch {
        running.cancel()
        _ = await running.result
        throw error
    }
}

extension Endpoint {
    /// The same address, spoken to as the test that runs does.
    fileprivate var overCurrentTransport: Endpoint {
        get throws {
            guard ClientTransport.current != .plain, case .tcp(let host, let port) = self else { return self }
            let authority = try GatewayFixture.certificate.get().chain
            return .tls(host: host, port: port, options: TLSClientOptions(authority: authority))
        }
    }
}

extension ListenAddress {
    var endpoint: Endpoint {
        switch self {
        case .tcp(let host, let port): .tcp(host: host, port: UInt16(clamping: port))
        case .unix(let path): .unix(path: path)
        }
    }
}

/// Stands for the poller: publishes what is pushed, and remembers what it was asked.
final class TestControl: SourceControl {
    private let hub: Hub
    private let calls = Mutex<[String]>([])
    /// What the next poll comes to.
    let outcome = Mutex(Result<PollOutcome, UpstreamError>.success(.notModified))

    init(hub: Hub) {
        self.hub = hub
    }

    var log: [String] { self.calls.withLock { $0 } }

    private func note(_ call: String, _ source: SourceID) {
        let name = self.hub.report(of: source)?.name ?? "?"
        self.calls.withLock { $0.append("\(call) \(name)") }
    }

    func poll(_ source: SourceID) async throws(UpstreamError) -> PollOutcome {
        self.note("poll", source)
        return try self.outcome.withLock { $0 }.get()
    }

    func pause(_ source: SourceID) async {
        self.note("pause", source)
    }

    func resume(_ source: SourceID) async {
        self.note("resume", source)
    }

    func hookReceived(_ source: SourceID) {
        self.note("hook", source)
    }

    func push(_ source: SourceID, body: [UInt8], contentType: [UInt8]?) async throws(UpstreamError) -> Cursor {
        self.note("push \(contentType.map { String(decoding: $0, as: UTF8.self) } ?? "-")", source)
        guard let document = try? Document(parsing: body) else {
            throw UpstreamError(.malformed, "The body is not JSON: byte 1.")
        }
        if let current = self.hub.version(of: source), current.document == document { return current.cursor }
        self.hub.publish(Change(document: document, at: WallClock.now), of: source)
        return self.hub.version(of: source)?.cursor ?? self.hub.cursor
    }
}

/// The code of a problem.
func code(_ reply: HTTPReply) throws -> String {
    #expect(reply.headers["Content-Type"] == "application/problem+json")
    return try text(reply, "/code")
}

/// A string in a JSON answer.
func text(_ reply: HTTPReply, _ pointer: String) throws -> String {
    let value = try json(reply, pointer)
    return try #require(value.string)
}

/// A value in a JSON answer.
func json(_ reply: HTTPReply, _ pointer: String) throws -> Value {
    let document = try Document(parsing: reply.body)
    let pointer = try #require(Pointer(pointer))
    return try #require(document.value(at: pointer))
}
