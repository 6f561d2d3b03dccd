// Reads the configuration again while the gateway runs: all of it or nothing (FAULTS F72–F74).

import FreshetAccess
import FreshetConfiguration
import FreshetCore
import FreshetHTTP
import FreshetWebhooks
import Logging
import Synchronization
import System
import TLS

/// Applies a configuration that was read again. Any thread may call.
final class Reloader: Sendable {
    private struct State: Sendable {
        var configuration: GatewayConfiguration
        var isLastSuccessful = true
        var isRunning = false
        /// Asked for while one was under way: once more, however often.
        var isWanted = false
        /// When the last one that a signal asked for began.
        var lastStart: MonotonicTime?
    }

    /// Between the starts of two reloads that signals ask for.
    private static let spacing = Duration.seconds(1)

    /// What the process was started with: what is read at the start only is in force as it says.
    private let started: GatewayConfiguration
    private let load: @Sendable () throws(StartFailure) -> LoadedConfiguration
    private let registry: SourceRegistry
    private let authenticator: Authenticator?
    private let certificates: TLSCertificates?
    private let hooks: HookDesk
    private let compression: CompressionDesk
    private let webhookDesk: WebhookDesk?
    private let cluster: ClusterDesk?
    private let streamdata: StreamdataDesk
    private let logger: Logger
    private let systemd: SystemdNotifier
    private let state: Mutex<State>
    /// Held while one reload is under way.
    private let turn = Mutex(())

    init(
        configuration: GatewayConfiguration,
        registry: SourceRegistry,
        authenticator: Authenticator? = nil,
        certificates: TLSCertificates? = nil,
        hooks: HookDesk = HookDesk(),
        compression: CompressionDesk = CompressionDesk(),
        webhooks: WebhookDesk? = nil,
        cluster: ClusterDesk? = nil,
        streamdata: StreamdataDesk = StreamdataDesk(),
        logger: Logger,
        systemd: SystemdNotifier,
        load: @escaping @Sendable () throws(StartFailure) -> LoadedConfiguration
    ) {
        self.started = configuration
        self.state = Mutex(State(configuration: configuration))
        self.registry = registry
        self.authenticator = authenticator
        self.certificates = certificates
        self.hooks = hooks
        self.compression = compression
        self.webhookDesk = webhooks
        self.cluster = cluster
        self.streamdata = streamdata
        self.logger = logger
        self.systemd = systemd
        self.load = load
    }

    /// `freshet_config_last_reload_successful`.
    var isLastSuccessful: Bool { self.state.withLock { $0.isLastSuccessful } }

    /// The endpoints that are configured now.
    var webhooks: [WebhookConfiguration] { self.state.withLock { $0.configuration.webhooks } }

    /// A reload that a signal asked for is under way.
    var isBusy: Bool { self.state.withLock { $0.isRunning } }

    /// Reloads because of a signal, at once: those that come within a second, or while it is under way, are one more.
    func signalled() {
        let starts = self.state.withLock { state -> Bool in
            state.isWanted = true
            defer { state.isRunning = true }
            return !state.isRunning
        }
        guard starts else { return }
        do throws(SystemError) {
            try SystemThread.detach(name: "reload") { [self] in
                while let wait = self.takeTurn() {
                    // The rest of the second that reloads are apart; signals that come meanwhile are served by this turn.
                    SystemThread.sleep(wait)
                    self.beginTurn()
                    _ = try? self.reload()
                }
            }
        } catch {
            self.state.withLock { $0.isRunning = false }
            self.logger.error("configuration not reloaded", metadata: ["reason": "\(error)"])
        }
    }

    /// - Returns: How long the next reload has to wait; `nil` where none is wanted.
    private func takeTurn() -> Duration? {
        self.state.withLock { state in
            state.isRunning = state.isWanted
            guard state.isWanted else { return nil }
            guard let last = state.lastStart else { return .zero }
            return max(.zero, last + Self.spacing - MonotonicTime.now)
        }
    }

    /// What is asked for from here on is not in this reload.
    private func beginTurn() {
        self.state.withLock { state in
            state.isWanted = false
            state.lastStart = .now
        }
    }

    /// Reloads now; returns when the new configuration is in force.
    ///
    /// - Returns: What of it is not in force before a restart.
    /// - Throws: ``StartFailure`` with every problem, and then the old configuration goes on unchanged.
    @discardableResult
    func reload() throws(StartFailure) -> [String] {
        try self.turn.withLock { _ throws(StartFailure) in try self.reloadAlone() }
    }

    private func reloadAlone() throws(StartFailure) -> [String] {
        self.systemd.reloading()
        defer { self.systemd.ready() }
        do throws(StartFailure) {
            let loaded = try self.load()
            for warning in loaded.warnings {
                self.logger.warning("configuration", metadata: ["problem": "\(warning)"])
            }
            try self.renewCertificates(loaded.configuration.tls)
            try self.renewAccess(loaded.configuration.auth)
            let changes: SourceRegistry.Changes
            let old = self.state.withLock { $0.configuration }
            // What is to be compressed no more is not while the sources change, and what is about to come neither.
            self.compression.update(old.sources + loaded.configuration.sources)
            do throws(StartFailure) {
                changes = try self.registry.apply(loaded.configuration.sources)
            } catch {
                // All of it or nothing.
                self.compression.update(old.sources)
                try? self.renewCertificates(old.tls)
                try? self.renewAccess(old.auth)
                throw error
            }
            self.hooks.update(loaded.configuration.sources)
            self.compression.update(loaded.configuration.sources)
            self.webhookDesk?.update(loaded.configuration.webhooks)
            self.cluster?.update(webhooks: loaded.configuration.webhooks)
            self.streamdata.update(loaded.configuration.streamdata?.rules)
            self.registry.instances.apply(loaded.configuration.streamdata)
            let waiting = self.settingsThatWait(loaded.configuration)
            if !waiting.isEmpty {
                self.logger.warning(
                    "these settings take effect after a restart",
                    metadata: ["settings": "\(waiting.joined(separator: ","))"]
                )
            }
            self.state.withLock { state in
                state.configuration = loaded.configuration
                state.isLastSuccessful = true
            }
            self.logger.info(
                "configuration reloaded",
                metadata: [
                    "added": changes.added, "changed": changes.changed, "removed": changes.removed,
                ].filter { !$0.value.isEmpty }.mapValues { "\($0.joined(separator: ","))" }
            )
            return waiting
        } catch {
            self.state.withLock { $0.isLastSuccessful = false }
            for problem in "\(error)".split(separator: "\n") {
                self.logger.error(
                    "configuration rejected; the previous one stays in force",
                    metadata: ["problem": "\(problem)"]
                )
            }
            throw error
        }
    }

    /// Shows other certificates to new connections.
    private func renewCertificates(_ tls: GatewayConfiguration.TLS?) throws(StartFailure) {
        guard let certificates, let tls else { return }
        do throws(TLSFilesError) {
            try certificates.replace(by: tls.files)
        } catch {
            throw StartFailure("\(error)")
        }
    }

    /// Puts other keys, issuers and grants in force. Streams of those who lost theirs end.
    private func renewAccess(_ auth: GatewayConfiguration.Auth?) throws(StartFailure) {
        guard let authenticator, let auth else { return }
        do throws(AccessProblems) {
            try authenticator.update(auth.access)
        } catch {
            throw StartFailure("\(error)")
        }
    }

    /// Everything but the sources, and who may do what, is read at the start only: what of it differs from then.
    private func settingsThatWait(_ new: GatewayConfiguration) -> [String] {
        let old = self.started
        var names: [String] = []
        func compare<Value: Equatable>(_ name: String, _ path: KeyPath<GatewayConfiguration, Value>) {
            if old[keyPath: path] != new[keyPath: path] { names.append(name) }
        }
        compare("listen", \.listen)
        compare("admin", \.admin)
        compare("cache", \.cache)
        compare("log", \.log)
        compare("limits", \.limits)
        compare("heartbeat", \.heartbeat)
        compare("retry", \.retry)
        compare("streams", \.streams)
        compare("shutdown", \.shutdown)
        compare("cors", \.cors)
        compare("polling", \.polling)
        compare("cluster", \.cluster)
        compare("push", \.push)
        compare("tracing", \.tracing)
        // As far as both have the section, or else it is named as a whole.
        if old.auth != nil, new.auth != nil {
            compare("auth.cookie", \.auth?.cookie)
            compare("auth.query_token", \.auth?.allowsQueryToken)
        }
        if old.tls != nil, new.tls != nil { compare("tls.listen", \.tls?.listen) }
        if (old.tls == nil) != (new.tls == nil) { names.append("tls") }
        if (old.auth == nil) != (new.auth == nil) { names.append("auth") }
        return names
    }
}
