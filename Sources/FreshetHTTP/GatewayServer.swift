// The HTTP side of the gateway: listens, answers, and gives event streams to the streaming room.

package import FreshetAccess
package import FreshetCore
package import FreshetStreaming
package import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
package import System
import TLS

/// Why the server could not listen.
package struct ListenError: Error, Hashable, CustomStringConvertible {
    package var address: ListenAddress
    /// What the system said.
    package var reason: String

    package var description: String {
        "cannot listen on \(self.address): \(self.reason)"
    }
}

/// Serves CONTRACT §3 over HTTP/1.1. Connections are read by this room itself, since an event stream leaves with its
/// descriptor and requests are read more strictly than a library's parser does.
///
/// Every call may come from any thread.
package final class GatewayServer: Service {
    let gateway: Gateway
    private let registry: ConnectionRegistry
    private let listeners = Mutex<[any Channel]>([])
    private let addresses = Pending<Addresses>()

    /// Where the server really listens.
    package struct Addresses: Hashable, Sendable {
        package var main: ListenAddress
        package var tls: ListenAddress?
        package var admin: ListenAddress?
    }

    /// The administration acts on `control`; `metrics` add to `/metrics`, in their order, before the server's own
    /// figures; `reload` is what `POST /v1/admin/reload` does, and without it answers 501, as `backup` for
    /// `POST /v1/admin/log/backup`; `unread` bounds what answers
    /// hold, and ends those that are not read; `authenticator` knows the credentials of `auth`, and without it everybody
    /// may what `settings.anonymous` says; with `certificates` TLS is spoken; `hooks` knows how upstreams sign that something
    /// changed; `streamdata` which addresses requests may have polled; `writer` carries writes out; `upstream` counts requests
    /// for `/v1/gateway`; `compression` which sources may not be compressed; `push` takes subscriptions of Web Push, and
    /// without it there are none; `webhooks` is what administrators see and do of them;
    /// `cluster` says how the cluster stands, for `/readyz?verbose`.
    package init(
        hub: Hub,
        streams: StreamServer,
        control: any SourceControl,
        settings: HTTPSettings = HTTPSettings(),
        logger: Logger,
        metrics: [MetricsProvider] = [],
        reload: ReloadAction? = nil,
        backup: BackupAction? = nil,
        unread: UnreadAnswers = UnreadAnswers(),
        authenticator: Authenticator? = nil,
        certificates: TLSCertificates? = nil,
        hooks: HookDesk = HookDesk(),
        streamdata: StreamdataDesk = StreamdataDesk(),
        writer: (any Writer)? = nil,
        upstream: @escaping @Sendable () -> UpstreamFigures = { UpstreamFigures() },
        compression: CompressionDesk = CompressionDesk(),
        push: (any PushDesk)? = nil,
        webhooks: (any WebhookControl)? = nil,
        cluster: (@Sendable () -> String)? = nil
    ) {
        self.gateway = Gateway(
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
            streamdata: streamdata,
            writer: writer,
            upstream: upstream,
            compression: compression,
            push: push,
            webhooks: webhooks,
            cluster: cluster
        )
        compression.attach(streams)
        self.registry = ConnectionRegistry(settings: settings, streams: streams)
    }

    /// Where the server listens, ports as the kernel gave them. Returns when that is settled: `nil` where it cannot
    /// listen, and ``run()`` throws why.
    package var boundAddress: ListenAddress? {
        get async { await self.addresses.value?.main }
    }

    /// As ``boundAddress``, of the listener that speaks TLS alone; `nil` where it is the main one, or there is none.
    package var boundTLSAddress: ListenAddress? {
        get async { await self.addresses.value?.tls }
    }

    /// As ``boundAddress``, of the listener for administration.
    package var boundAdminAddress: ListenAddress? {
        get async { await self.addresses.value?.admin }
    }

    /// Open connections, streams not counted.
    package var connectionCount: Int { self.registry.count }

    /// Makes `/readyz` say that clients should go elsewhere. Requests are answered as before.
    package func beginDrain() {
        self.gateway.beginDrain()
    }

    /// Takes no more connections; those that are there go on. Where a service manager holds the sockets, connections wait
    /// in them for the next process.
    package func stopListening() async {
        let listeners = self.listeners.withLock { listeners in
            defer { listeners = [] }
            return listeners
        }
        // A listener closes the connections that it has accepted and that are being set up on their own event loops. So it first
        // accepts no more, and those come to their end: there and back.
        for listener in listeners { try? await listener.setOption(.autoRead, value: false).get() }
        for _ in 0..<2 {
            for loop in Self.group.makeIterator() { try? await loop.submit {}.get() }
        }
        for listener in listeners { try? await listener.close() }
    }

    /// The process's own event loops, which outlive the server: a route that ends late finds its loop alive.
    private static let group = MultiThreadedEventLoopGroup.singleton

    /// Whether a service manager holds the main listener, so that connections that come during a restart wait.
    package var isHandedOver: Bool { self.gateway.settings.inherited.main != nil }

    /// Serves until the service group shuts down gracefully, or the task is cancelled; then answers what is under way.
    ///
    /// - Throws: ``ListenError`` where an address cannot be had.
    package func run() async throws {
        do {
            try await self.serve(on: Self.group)
        } catch {
            self.addresses.settle(nil)
            throw error
        }
    }

    private func serve(on group: MultiThreadedEventLoopGroup) async throws {
        let settings = self.gateway.settings
        let responder = Responder(gateway: self.gateway)
        let inherited = settings.inherited
        func listen(
            _ configured: ListenAddress,
            _ socket: InheritedSockets.Socket?,
            _ purpose: IncomingRequest.Listener.Purpose,
            _ certificates: TLSCertificates?
        ) async throws -> ListenAddress {
            let address = socket?.address ?? configured
            let listener = try await self.listen(
                on: address,
                socket,
                for: purpose,
                with: certificates,
                group: group,
                responder: responder
            )
            self.listeners.withLock { $0.append(listener) }
            if socket != nil { return address }
            return Self.address(of: listener, asked: address)
        }
        do {
            let certificates = self.gateway.certificates
            let ownAddress = certificates.flatMap { _ in settings.tlsListen }
            let main = try await listen(
                settings.listen,
                inherited.main,
                .main,
                ownAddress == nil ? certificates : nil
            )
            var bound = Addresses(main: main)
            if let ownAddress {
                let address = try await listen(ownAddress, inherited.tls, .main, certificates)
                bound.tls = address
                self.gateway.logger.info("TLS on https://\(address)")
            }
            if let address = settings.adminListen {
                bound.admin = try await listen(address, inherited.admin, .administration, nil)
            }
            self.gateway.becomeReady()
            self.addresses.settle(bound)
        } catch {
            await self.close()
            throw error
        }
        let watch = self.gateway.certificates.map(Self.watch)
        let pulse = self.gateway.pulse
        let notes = Task {
            while !Task.isCancelled {
                pulse.note()
                // Between two samples of the figures.
                try? await Task.sleep(for: GatewayPulse.interval)
            }
        }
        defer { notes.cancel() }
        // Throws where the task is cancelled, which ends the server as well.
        try? await gracefulShutdown()
        watch?.cancel()
        self.gateway.beginDrain()
        self.gateway.rows.close()
        await self.close()
        // A task of its own, so that a cancelled server gives what is under way its time as well.
        await Task { await self.drainConnections() }.value
    }

    /// Renews certificates when their files change, which is looked at in intervals: the system reports no change.
    private static func watch(_ certificates: TLSCertificates) -> Task<Void, Never> {
        Task {
            while !Task.isCancelled {
                try? await Task.sleep(for: TLSCertificates.interval)
                certificates.look()
            }
        }
    }

    private func listen(
        on address: ListenAddress,
        _ socket: InheritedSockets.Socket?,
        for purpose: IncomingRequest.Listener.Purpose,
        with certificates: TLSCertificates?,
        group: MultiThreadedEventLoopGroup,
        responder: Responder
    ) async throws -> any Channel {
        let (gateway, registry) = (self.gateway, self.registry)
        let listener = try Self.listener(address, for: purpose)
        var bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: CInt(clamping: gateway.settings.backlog))
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.maxMessagesPerRead, value: 64)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPacer(registry: registry))
                }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let tls = try certificates.map { certificates in
                        guard let session = TLSSession(certificates.context) else { throw ChannelError.eof }
                        return TLSHandler(session, counters: gateway.tlsCounters)
                    }
                    if let tls { try channel.pipeline.syncOperations.addHandler(tls) }
                    let handler = ConnectionHandler(
                        gateway: gateway,
                        responder: responder,
                        registry: registry,
                        listener: listener,
                        tls: tls
                    )
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
        do {
            switch address {
            case .tcp(let host, let port):
                bootstrap = bootstrap.childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                    // What the kernel holds of an answer is memory too.
                    .childChannelOption(.tcpOption(.notSentLowWaterMark), value: Self.unsentKernelBytes)
                if let socket { return try await bootstrap.withBoundSocket(socket.descriptor).get() }
                return try await bootstrap.bind(host: host, port: port).get()
            case .unix(let path):
                if let socket { return try await bootstrap.withBoundSocket(socket.descriptor).get() }
                let channel = try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true)
                    .get()
                if purpose == .administration { SocketFile.restrict(path) }
                return channel
            }
        } catch {
            throw ListenError(address: address, reason: Self.reason(error))
        }
    }

    /// Bytes of answers that the kernel may hold for one connection beyond those on their way.
    private static let unsentKernelBytes = 128 << 10

    private static func listener(
        _ address: ListenAddress,
        for purpose: IncomingRequest.Listener.Purpose
    ) throws(ListenError) -> IncomingRequest.Listener {
        let isAdministration = purpose == .administration
        switch address {
        case .unix:
            return IncomingRequest.Listener(purpose: purpose, isUnixSocket: true, checksHost: isAdministration)
        case .tcp(let host, let port):
            do {
                let resolved = try SocketAddress.makeAddressResolvingHost(host, port: port)
                let isInside = PeerAddress(resolved.ipAddress ?? "").isPrivate
                return IncomingRequest.Listener(
                    purpose: purpose,
                    isUnixSocket: false,
                    checksHost: isAdministration || isInside
                )
            } catch {
                throw ListenError(address: address, reason: Self.reason(error))
            }
        }
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as IOError: error.description
        case _: "\(error)"
        }
    }

    /// The address that was asked for, with the port that was given.
    private static func address(of channel: any Channel, asked: ListenAddress) -> ListenAddress {
        guard case .tcp(let host, _) = asked, let port = channel.localAddress?.port else { return asked }
        return .tcp(host: host, port: port)
    }

    private func close() async {
        await self.stopListening()
        let settings = self.gateway.settings
        let inherited = settings.inherited
        // The file of a socket that was passed to this process belongs to the service manager.
        let own = [
            inherited.main == nil ? settings.listen : nil, inherited.admin == nil ? settings.adminListen : nil,
            inherited.tls == nil ? settings.tlsListen : nil,
        ]
        for case .unix(let path)? in own { SocketFile.remove(path) }
    }

    /// Waits until every connection has ended, and then no longer than allowed.
    private func drainConnections() async {
        self.registry.quiesce()
        let deadline = ContinuousClock.now + self.gateway.settings.shutdownTimeout
        while self.registry.count + self.gateway.http2Places.count > 0, ContinuousClock.now < deadline {
            // Connections end on many event loops, which do not say so; only a shutdown looks, and not for long.
            try? await Task.sleep(for: .milliseconds(5))
        }
        self.registry.closeAll()
        self.gateway.waits.close()
    }
}

extension NIOBSDSocket.Option {
    /// TCP_NOTSENT_LOWAT of Linux.
    fileprivate static let notSentLowWaterMark = NIOBSDSocket.Option(rawValue: 25)
}
