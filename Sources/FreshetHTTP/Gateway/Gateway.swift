// What every connection and every route of one gateway shares. Nothing in it is confined to a thread.

import FreshetAccess
package import FreshetCore
import FreshetStreaming
import Logging
import Synchronization
import System

/// Adds lines to the metrics text. Called on a thread that may work long, at most once a second.
package typealias MetricsProvider = @Sendable (inout [UInt8]) -> Void

/// Applies the configuration again and returns once it is in force. What it throws is shown to the administrator by its
/// description, so that has to be fit for a client.
///
/// - Returns: The settings that the configuration has otherwise than they are in force, since they are read at the start only.
package typealias ReloadAction = @Sendable () async throws -> [String]

/// Copies the change log and returns once the copy is on the disk. Blocks.
package typealias BackupAction = @Sendable () throws(StoreError) -> BackupReport

/// A copy of the change log.
package struct BackupReport: Sendable {
    /// Absolute, on the gateway's machine.
    package var path: String
    package var bytes: Int
    /// The last change in it.
    package var cursor: Cursor

    package init(path: String, bytes: Int, cursor: Cursor) {
        self.path = path
        self.bytes = bytes
        self.cursor = cursor
    }
}

/// The parts behind the HTTP server.
final class Gateway: Sendable {
    let hub: Hub
    let streams: StreamServer
    let control: any SourceControl
    let settings: HTTPSettings
    let crossOrigin: CrossOrigin
    let access: AccessRule
    let logger: Logger
    let metrics: [MetricsProvider]
    let reload: ReloadAction?
    /// `nil` without a log on the disk.
    let backup: BackupAction?
    let hooks: HookDesk
    let streamdata: StreamdataDesk
    /// `nil` where nothing can be written.
    let writer: (any Writer)?
    /// `nil` where there are no webhooks.
    let webhooks: (any WebhookControl)?
    let compression: CompressionDesk
    /// How the cluster stands, in one line; `nil` for a gateway that is alone.
    let cluster: (@Sendable () -> String)?
    /// `nil` where nothing is pushed.
    let push: (any PushDesk)?
    let counters = HTTPCounters()
    let tlsCounters = TLSCounters()
    let http2Places: HTTP2Places
    /// `nil` without TLS.
    let certificates: TLSCertificates?
    let unread: UnreadAnswers
    let waits: WaitAdmission
    let pace: RequestPace
    let callers: CallerPace
    let knocks = KnockLog()
    let rows: RowBook
    let pulse: GatewayPulse
    let startedAt = WallClock.now

    /// Whether new clients should come here: listening, and not about to shut down.
    let readiness = Mutex(Readiness.starting)

    enum Readiness: String, Sendable {
        case starting
        case ready
        case draining
    }

    init(
        hub: Hub,
        streams: StreamServer,
        control: any SourceControl,
        settings: HTTPSettings,
        logger: Logger,
        metrics: [MetricsProvider],
        reload: ReloadAction?,
        backup: BackupAction?,
        unread: UnreadAnswers,
        authenticator: Authenticator?,
        certificates: TLSCertificates?,
        hooks: HookDesk,
        streamdata: StreamdataDesk,
        writer: (any Writer)?,
        upstream: @escaping @Sendable () -> UpstreamFigures,
        compression: CompressionDesk,
        push: (any PushDesk)?,
        webhooks: (any WebhookControl)?,
        cluster: (@Sendable () -> String)? = nil
    ) {
        self.cluster = cluster
        self.push = push
        self.writer = writer
        self.webhooks = webhooks
        self.rows = RowBook(hub: hub, interval: settings.sharedTextLifetime, maxFollowers: settings.maxRowStreams)
        self.pulse = GatewayPulse(hub: hub, streams: streams, upstream: upstream)
        self.certificates = certificates
        self.hooks = hooks
        self.streamdata = streamdata
        self.compression = compression
        self.http2Places = HTTP2Places(settings: settings)
        self.unread = unread
        self.hub = hub
        self.streams = streams
        self.control = control
        self.settings = settings
        self.waits = WaitAdmission(hub: hub, settings: settings)
        self.pace = RequestPace(perSecond: settings.maxRequestsPerAddress)
        self.callers = CallerPace(settings: settings)
        self.crossOrigin = CrossOrigin(
            origins: settings.corsOrigins,
            allowsCredentials: settings.credentialCookie != nil
        )
        var names = settings.hostNames
        if case .tcp(let host, _) = settings.listen { names.append(host) }
        self.access = AccessRule(
            authenticator: authenticator,
            credentials: CredentialReader(
                cookie: settings.credentialCookie,
                allowsQueryToken: settings.allowsQueryToken,
                crossOrigin: self.crossOrigin
            ),
            adminKey: settings.adminKey,
            anonymous: settings.anonymous,
            hostRule: HostRule(names: names),
            crossOrigin: self.crossOrigin
        )
        self.logger = logger
        self.metrics = metrics
        self.reload = reload
        self.backup = backup
    }

    /// The state of the readiness probe. `draining` is final.
    func becomeReady() {
        self.readiness.withLock { if $0 == .starting { $0 = .ready } }
    }

    func beginDrain() {
        self.readiness.withLock { $0 = .draining }
    }
}
