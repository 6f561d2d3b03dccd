// The one place where the parts are joined: hub, poller, streams, HTTP.

import CLinux
import FreshetAccess
import FreshetCluster
import FreshetConfiguration
import FreshetCore
import FreshetHTTP
import FreshetPolling
import FreshetPush
import FreshetStreaming
import FreshetWebhooks
import Logging
import ServiceLifecycle
import Synchronization
import System
import TLS
import Tracing

/// A gateway that can be run once.
struct Composition: Sendable {
    let configuration: GatewayConfiguration
    /// `nil` where changes are kept in memory alone.
    let durable: DurableLog?
    /// `nil` for a gateway that is alone.
    let cluster: ClusterDesk?
    let hub: Hub
    let streams: StreamServer
    let memory: MemoryRelief
    let poller: Poller
    let registry: SourceRegistry
    let renewal: CredentialRenewal
    let writer: WriteDesk
    /// `nil` without `push`, and in a cluster.
    let push: PushSender?
    /// `nil` without `push` or `cluster`.
    let clusterPush: ClusterPush?
    let webhooks: WebhookDesk
    /// `nil` without `auth`.
    let access: AccessControl?
    /// `nil` without `auth` or `cluster`.
    let tickets: ClusterTickets?
    let server: GatewayServer
    let reloader: Reloader?
    let systemd: SystemdNotifier
    let logger: Logger

    /// Joins the parts; nothing runs yet. `adminKey` administers over the main listener. `memoryWatch`: `nil` measures this
    /// process. `servesExample`: the example board is served under `/demo/`. `inherited`: sockets to listen on, instead of the
    /// configured addresses. `tracer`: `nil` traces as the configuration says, which by default is not at all. `load` reads
    /// the configuration again; it is `nil` where there is nothing to read.
    ///
    /// - Throws: ``StartFailure`` where a part refuses.
    init(
        _ configuration: GatewayConfiguration,
        logger: Logger,
        adminKey: AdminKey? = nil,
        memoryWatch: MemoryWatch? = nil,
        servesExample: Bool = false,
        inherited: InheritedSockets = InheritedSockets(),
        tracer: (any Tracer)? = nil,
        load: (@Sendable () throws(StartFailure) -> LoadedConfiguration)? = nil
    ) throws(StartFailure) {
        SystemLimits.raiseOpenFiles()
        self.configuration = configuration
        self.logger = logger
        self.systemd = SystemdNotifier()
        let durable = try configuration.log.map { (log) throws(StartFailure) in try DurableLog(log, logger: logger) }
        let cluster = try Self.cluster(configuration, durable, logger: logger)
        let hub = Self.hub(configuration, durable, cluster)
        self.cluster = cluster
        self.durable = durable
        self.hub = hub
        let watch = memoryWatch ?? MemoryWatch(configured: configuration.limits.maxMemory)
        let unread = UnreadAnswers(limits: configuration.unsentLimits(memory: watch.reading.limit))
        self.streams = StreamServer(hub: hub, settings: configuration.streamSettings, unsent: unread.desk)
        self.memory = MemoryRelief(
            watch: watch,
            hub: hub,
            streams: self.streams,
            unread: unread,
            logger: logger
        )
        let log = PollLog(hub: hub, logger: logger)
        let renewal = CredentialRenewal(logger: logger)
        let tracer = tracer ?? configuration.tracing.map { LogTracer(oneIn: $0.oneIn, logger: logger) }
        do throws(UpstreamError) {
            self.poller = try Poller(
                hub: hub,
                configuration: configuration.pollerConfiguration,
                tracer: tracer,
                notify: { notice in
                    log.notify(notice)
                    renewal.notify(notice)
                }
            )
        } catch {
            throw StartFailure("Polling is impossible: \(error.message)")
        }
        self.writer = Self.writer(hub, self.poller, durable, cluster, tracer, logger: logger)
        let registry = SourceRegistry(
            hub: hub,
            poller: self.poller,
            stored: durable?.contents.sources ?? [],
            closedAt: durable?.contents.closedAt,
            cluster: cluster,
            hostConcurrency: configuration.polling.hostConcurrency
        )
        try registry.apply(configuration.sources)
        self.registry = registry
        self.webhooks = try Self.webhooks(configuration, hub, durable, cluster, logger: logger)
        let certificates: TLSCertificates?
        do throws(TLSFilesError) {
            certificates = try configuration.tls.map { (tls) throws(TLSFilesError) in
                try TLSCertificates(tls.files, logger: logger)
            }
        } catch {
            throw StartFailure("\(error)")
        }
        self.access = try configuration.auth.map { (auth) throws(StartFailure) in
            let ticketKey = try AccessControl.ticketKey(besideLog: configuration.log?.path, logger: logger)
            return try AccessControl(auth, ticketKey: ticketKey, ticketSharing: cluster?.log)
        }
        let ticketPath = AccessControl.ticketKeyPath(besideLog: configuration.log?.path)
        self.tickets = self.access.flatMap { [streams] in cluster?.tickets($0, keptAt: ticketPath, streams: streams) }
        let authenticator = self.access?.authenticator
        self.push = try cluster == nil ? Self.push(configuration, hub, authenticator, durable, logger) : nil
        self.clusterPush = try Self.push(configuration, hub, authenticator, durable, cluster, logger)
        let hooks = HookDesk()
        hooks.update(configuration.sources)
        let compression = CompressionDesk()
        compression.update(configuration.sources)
        let streamdata = Self.streamdata(configuration, registry)
        renewal.attach(registry)
        self.renewal = renewal
        self.reloader = load.map { [systemd, webhooks, authenticator = self.access?.authenticator] load in
            Reloader(
                configuration: configuration,
                registry: registry,
                authenticator: authenticator,
                certificates: certificates,
                hooks: hooks,
                compression: compression,
                webhooks: webhooks,
                cluster: cluster,
                streamdata: streamdata,
                logger: logger,
                systemd: systemd,
                load: load
            )
        }
        let metrics = GatewayMetrics(
            hub: hub,
            streams: self.streams,
            poller: self.poller,
            memory: self.memory,
            reloader: self.reloader,
            durable: durable,
            authenticator: self.access?.authenticator,
            instances: registry.instances,
            writer: self.writer,
            bounds: BoundMetrics(configuration, memory: watch.reading.limit),
            push: Self.pushMetrics(self.push, self.clusterPush),
            webhooks: self.webhooks,
            cluster: cluster
        )
        var reload: ReloadAction?
        if let reloader = self.reloader {
            reload = { try reloader.reload() }
        }
        var backup: BackupAction?
        if let durable { backup = { () throws(StoreError) in try durable.backup() } }
        var settings = configuration.httpSettings
        settings.adminKey = adminKey
        settings.inherited = inherited
        settings.version = FreshetVersion.current
        settings.servesExample = servesExample
        let control: any SourceControl =
            if let cluster { RoutedControl(hub: hub, poller: self.poller, cluster: cluster) } else { self.poller }
        let writer: any Writer =
            if let cluster { RoutedWriter(self.writer, hub: hub, cluster: cluster) } else { self.writer }
        var condition: (@Sendable () -> String)?
        if let cluster { condition = { cluster.condition } }
        var webhookControl: any WebhookControl = self.webhooks
        if let cluster {
            webhookControl = RoutedWebhooks(self.webhooks, cluster: cluster, hub: hub) { [reloader = self.reloader] in
                reloader?.webhooks ?? configuration.webhooks
            }
        }
        var pushDesk: (any PushDesk)? = self.push
        if let clusterPush { pushDesk = clusterPush }
        self.server = GatewayServer(
            hub: hub,
            streams: self.streams,
            control: control,
            settings: settings,
            logger: logger,
            metrics: [{ metrics.write(to: &$0) }],
            reload: reload,
            backup: backup,
            unread: unread,
            authenticator: self.access?.authenticator,
            certificates: certificates,
            hooks: hooks,
            streamdata: streamdata,
            writer: writer,
            upstream: { metrics.upstreamFigures },
            compression: compression,
            push: pushDesk,
            webhooks: webhookControl,
            cluster: condition
        )
    }

    private static func cluster(
        _ configuration: GatewayConfiguration,
        _ durable: DurableLog?,
        logger: Logger
    ) throws(StartFailure) -> ClusterDesk? {
        guard let cluster = configuration.cluster else { return nil }
        let cursor = Cursor(epoch: Self.epoch(durable), sequence: durable?.contents.head ?? 0)
        return try ClusterDesk(cluster, durable: durable, cursor: cursor, logger: logger)
    }

    private static func epoch(_ durable: DurableLog?) -> Epoch {
        var generator = SystemRandomNumberGenerator()
        return durable?.contents.epoch ?? .random(using: &generator)
    }

    private static func streamdata(
        _ configuration: GatewayConfiguration,
        _ registry: SourceRegistry
    ) -> StreamdataDesk {
        let desk = StreamdataDesk { [instances = registry.instances] target in instances.hold(target) }
        registry.instances.apply(configuration.streamdata)
        desk.update(configuration.streamdata?.rules)
        return desk
    }

    private static func writer(
        _ hub: Hub,
        _ poller: Poller,
        _ durable: DurableLog?,
        _ cluster: ClusterDesk?,
        _ tracer: (any Tracer)?,
        logger: Logger
    ) -> WriteDesk {
        var configuration = WriteDesk.Configuration(now: { WallTime.now })
        configuration.userAgent = "freshet/\(FreshetVersion.current)"
        let log = WriteLog(logger: logger)
        let desk = WriteDesk(
            hub: hub,
            poller: poller,
            configuration: configuration,
            store: durable?.keys,
            restored: durable?.contents.writeKeys ?? [],
            sharing: cluster?.log,
            tracer: tracer,
            audit: { log.note($0) }
        )
        if let durable {
            durable.onRenewal { [weak desk] in desk?.rewriteKeys() }
            // The keys of a log that began anew at this start are in memory alone.
            if durable.contents.newEpochReason != nil { desk.rewriteKeys() }
        }
        return desk
    }

    private static func webhooks(
        _ configuration: GatewayConfiguration,
        _ hub: Hub,
        _ durable: DurableLog?,
        _ cluster: ClusterDesk?,
        logger: Logger
    ) throws(StartFailure) -> WebhookDesk {
        var settings = WebhookDesk.Configuration()
        settings.userAgent = "freshet/\(FreshetVersion.current)"
        let log = WebhookLog(logger: logger)
        var store: (any WebhookStore)? = durable?.webhooks
        if let cluster {
            store = ClusterWebhookRows(log: cluster.log, disk: store)
            settings.share(with: cluster.log)
        }
        let desk: WebhookDesk
        do throws(UpstreamError) {
            desk = try WebhookDesk(
                hub: hub,
                webhooks: configuration.webhooks,
                configuration: settings,
                store: store,
                restored: durable?.contents.webhooks ?? [],
                notify: { log.note($0) }
            )
        } catch {
            throw StartFailure("Webhooks are impossible: \(error.message)")
        }
        durable?.onRenewal { [weak desk] in desk?.rewriteRows() }
        return desk
    }

    private static func hub(
        _ configuration: GatewayConfiguration,
        _ durable: DurableLog?,
        _ cluster: ClusterDesk?
    ) -> Hub {
        let cache = ChangeCache(maxBytes: configuration.cache.maxBytes)
        let limits = configuration.limits
        let reads = ReadDesk.withThreads(
            .init(maxWaiting: limits.maxWaitingReads, maxWaitingPerClient: limits.maxWaitingReadsPerAddress)
        )
        if let cluster {
            if let durable { return durable.hub(cache: cache, reads: reads, backend: cluster.log) }
            let cursor = cluster.log.head
            let log = ChangeLog(epoch: cursor.epoch, head: cursor.sequence, cache: cache)
            return Hub(log: log, backend: cluster.log, reads: reads)
        }
        if let durable { return durable.hub(cache: cache, reads: reads) }
        var generator = SystemRandomNumberGenerator()
        return Hub(log: ChangeLog(epoch: .random(using: &generator), cache: cache), reads: reads)
    }

    /// Runs until `shutdown` is asked for, and ends in order: not ready, no more polls, streams ended with `bye`, then
    /// the listener (FAULTS F70). `started` is called once it listens.
    ///
    /// - Throws: ``StartFailure`` where it cannot listen or a thread cannot be had.
    func run(shutdown: ShutdownRequest, started: @escaping @Sendable (ListenAddress) -> Void) async throws {
        guard !shutdown.isRequested else {
            // Asked for while the log was opened: no client was served, so there is nothing to drain.
            self.durable?.close()
            return
        }
        do throws(SystemError) {
            try self.streams.start()
        } catch {
            self.streams.stop()
            throw StartFailure("Streams are impossible: \(error)")
        }
        self.cluster?.run(
            registry: self.registry,
            poller: self.poller,
            hub: self.hub,
            webhooks: self.webhooks,
            configured: self.configuration.webhooks,
            writer: self.writer,
            tickets: self.tickets,
            push: self.clusterPush,
            stored: self.durable?.contents
        )
        defer {
            self.webhooks.stop()
            self.streams.stop()
            self.cluster?.log.stop()
            self.durable?.close()
        }
        do throws(UpstreamError) {
            // Before the first poll: what an endpoint gets begins with the first change after its first start.
            try self.webhooks.start()
        } catch {
            throw StartFailure("Webhooks are impossible: \(error.message)")
        }
        let drain = DrainService(
            server: self.server,
            poller: self.poller,
            streams: self.streams,
            cluster: self.cluster,
            settings: self.configuration.shutdown,
            systemd: self.systemd,
            logger: self.logger
        )
        var quiet = self.logger
        quiet.logLevel = .error
        // Shut down in reverse: first what drains, then the listener, then the poller's thread.
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: self.services(drain, started), logger: quiet)
        )
        shutdown.arm { Task { await group.triggerGracefulShutdown() } }
        do {
            try await group.run()
        } catch let error as ListenError {
            throw StartFailure(ListenFailure.text(for: error))
        } catch let error as StartFailure {
            throw error
        } catch {
            throw StartFailure("\(error)")
        }
    }

    private func services(
        _ drain: DrainService,
        _ started: @escaping @Sendable (ListenAddress) -> Void
    ) -> [ServiceGroupConfiguration.ServiceConfiguration] {
        var services: [any Service] = [
            PollingService(poller: self.poller), self.server,
            ReadinessService(server: self.server, systemd: self.systemd, started: started),
            SecretWatchService(registry: self.registry, renewal: self.renewal),
            InstanceService(desk: self.registry.instances),
            UpkeepService(
                hub: self.hub,
                durable: self.durable,
                memory: self.memory,
                maxAge: self.configuration.cache.maxAge
            ),
        ]
        if let access = self.access {
            services.append(
                AccessService(
                    authenticator: access.authenticator,
                    streams: self.streams,
                    hub: self.hub,
                    heartbeat: self.configuration.heartbeat
                )
            )
        }
        if let cluster = self.cluster { services.append(ClusterService(desk: cluster)) }
        if let push = self.push { services.append(PushService(sender: push)) }
        services.append(drain)
        // One that cannot be of the cluster drains like any other that ends.
        return services.map { service in
            let isCluster = service is ClusterService
            return .init(
                service: service,
                failureTerminationBehavior: isCluster ? .gracefullyShutdownGroup : .cancelGroup
            )
        }
    }
}
