// Runs a gateway as a process does: signals, log, exit codes.

import ArgumentParser
import Foundation
import FreshetConfiguration
import FreshetCore
import FreshetHTTP
import FreshetStreaming
import Glibc
import Logging
import Synchronization
import System

/// What a process runs until it is asked to end.
struct GatewayRunner {
    let configuration: GatewayConfiguration
    let logger: Logger
    let sink: LogSink
    let signals: SignalWatcher
    /// Reads the configuration again on SIGHUP; `nil` where there is no file.
    var load: (@Sendable () throws(StartFailure) -> LoadedConfiguration)?
    /// Serves the example board under `/demo/`.
    var servesExample = false
    /// Called once it listens, with the key that administers it.
    var started: @Sendable (ListenAddress, AdminKey) -> Void = { _, _ in }
    /// Sockets that the service manager passed.
    var inherited = InheritedSockets()
    /// Leaves the key in `admin.key`, for the command line.
    var keepsKeyFile = false

    /// What is added to `shutdown.delay` and `shutdown.drain` before a shutdown counts as failed.
    private static let shutdownGrace = Duration.seconds(2)

    /// Runs until SIGTERM or SIGINT, and returns when everything has ended well.
    ///
    /// - Throws: `ExitCode` 1 where the gateway cannot start. A second signal ends the process with 2, a shutdown
    ///   that takes too long with 3.
    func run() async throws {
        let (shutdown, reload) = (ShutdownRequest(), ReloadRequest())
        let keyFile = Mutex<AdminKeyFile?>(nil)
        let removesKey: @Sendable () -> Void = { keyFile.withLock { $0 }?.remove() }
        defer { removesKey() }
        self.watchSignals(shutdown, reload, quitting: removesKey)
        do {
            let key = AdminKey.random()
            let composition = try Composition(
                self.configuration,
                logger: self.logger,
                adminKey: key,
                servesExample: self.servesExample,
                inherited: self.inherited,
                load: self.load
            )
            reload.arm { [logger] in
                if let reloader = composition.reloader {
                    reloader.signalled()
                } else {
                    logger.warning("SIGHUP ignored: there is no configuration file to reload")
                }
            }
            self.warnOfLimits()
            self.warnOfOpenness()
            try await composition.run(shutdown: shutdown) { [self] address in
                if self.keepsKeyFile { keyFile.withLock { $0 = self.keyFile(key, for: address) } }
                self.logStart(composition, address, keyFile: keyFile.withLock { $0?.path })
                self.started(address, key)
            }
            self.logger.info("ended")
            self.sink.flush()
        } catch let failure as StartFailure {
            self.sink.flush()
            try failure.exit()
        }
    }

    /// Makes `admin.key`. Without it the gateway runs on: `admin.listen` may serve as well.
    private func keyFile(_ key: AdminKey, for address: ListenAddress) -> AdminKeyFile? {
        guard !self.speaksTLS else {
            self.logger.info("no admin.key: the command line speaks no TLS; administer over admin.listen")
            return nil
        }
        let record = AdminKeyRecord(key: key, gateway: GatewayAddress(reaching: address))
        let paths = AdminKeyRecord.paths(
            log: self.configuration.log?.path,
            environment: ProcessInfo.processInfo.environment
        )
        do throws(AdminKeyFile.Failure) {
            return try AdminKeyFile.create(record, at: paths)
        } catch {
            let level: Logger.Level = self.configuration.admin.listen != nil || paths.isEmpty ? .info : .warning
            self.logger.log(
                level: level,
                "no admin.key: administration needs admin.listen",
                metadata: ["reason": "\(error)"]
            )
            return nil
        }
    }

    /// From before the log is opened, which may take long: a shutdown or a reload that comes meanwhile is done after it.
    /// `quitting` is called before the process ends at once.
    private func watchSignals(
        _ shutdown: ShutdownRequest,
        _ reload: ReloadRequest,
        quitting: @escaping @Sendable () -> Void
    ) {
        let (logger, sink) = (self.logger, self.sink)
        let allowed = self.configuration.shutdown.delay + self.configuration.shutdown.drain + Self.shutdownGrace
        self.signals.handle { signal in
            if signal == SIGHUP {
                reload.request()
            } else if shutdown.request() {
                // Without a thread, the shutdown has no deadline of its own; a second signal still ends it.
                try? SystemThread.detach(name: "shutdown") {
                    SystemThread.sleep(allowed)
                    logger.error(
                        "the shutdown took too long",
                        metadata: ["allowed": "\(DurationText.describe(allowed))"]
                    )
                    quitting()
                    sink.flush(seconds: 0.5)
                    _exit(3)
                }
            } else {
                logger.warning("second signal: exiting immediately")
                quitting()
                sink.flush(seconds: 0.2)
                _exit(2)
            }
        }
    }

    /// Who reaches a listener that others reach as well reads everything.
    private func warnOfOpenness() {
        guard self.configuration.auth == nil, !self.configuration.listen.isLocal else { return }
        self.logger.warning(
            "everybody who reaches the listener may read every source; `auth` says who may",
            metadata: ["listen": "\(self.configuration.listen)"]
        )
    }

    private func warnOfLimits() {
        guard let wanted = self.configuration.limits.maxSubscribers else { return }
        let possible = self.configuration.effectiveMaxSubscribers
        guard wanted > possible else { return }
        self.logger.warning(
            "limits.max_subscribers is more than the limit of open files allows; raise it, such as with LimitNOFILE",
            metadata: ["wanted": "\(wanted)", "possible": "\(possible)", "open_files": "\(SystemLimits.openFiles)"]
        )
    }

    /// One line that says it all, then one for each source at `debug`.
    private func logStart(_ composition: Composition, _ address: ListenAddress, keyFile: String?) {
        let cursor = composition.hub.cursor
        var metadata: Logger.Metadata = [
            "sources": "\(self.configuration.sources.count)",
            "epoch": "\(cursor.epoch)",
            "sequence": "\(cursor.sequence)",
            "cache": "\(SizeText.describe(self.configuration.cache.maxBytes))",
            "max_subscribers": "\(self.configuration.effectiveMaxSubscribers)",
            "log": "\(self.configuration.log?.path ?? "memory")",
            "open_files": "\(SystemLimits.openFiles)",
            "version": "\(FreshetVersion.current)",
        ]
        if let keyFile { metadata["admin_key"] = "\(keyFile)" }
        if let admin = self.configuration.admin.listen { metadata["admin_listen"] = "\(admin)" }
        if let log = self.configuration.log {
            metadata["log_max_bytes"] = "\(SizeText.describe(log.maxBytes))"
            metadata["log_max_age"] = "\(DurationText.describe(log.maxAge))"
            metadata["log_state"] = "\(composition.hub.storeError.map { "degraded, \($0.kind.rawValue)" } ?? "durable")"
        }
        self.logger.info("listening on \(self.url(of: address))", metadata: metadata)
        for source in self.configuration.sources {
            guard source.isPolled else {
                self.logger.debug("source, pushed", metadata: ["source": "\(source.name)"])
                continue
            }
            let interval = source.interval == .adaptive ? "adaptive" : DurationText.describe(source.nominalInterval)
            self.logger.debug(
                "source",
                metadata: ["source": "\(source.name)", "url": "\(source.url)", "interval": "\(interval)"]
            )
        }
    }

    /// The page, with the key in the fragment, which no browser sends anywhere.
    static func pageURL(of address: ListenAddress, key: AdminKey) -> String {
        switch address {
        case .tcp: "\(self.url(of: address))/#key=\(key.text)"
        case .unix: "\(address)"
        }
    }

    /// As ``url(of:)``, with the scheme that the main listener speaks.
    private func url(of address: ListenAddress) -> String {
        guard case .tcp = address, self.speaksTLS else { return Self.url(of: address) }
        return "https://\(address)"
    }

    /// Whether the main listener speaks TLS.
    private var speaksTLS: Bool { self.configuration.tls.map { $0.listen == nil } ?? false }

    /// `http://127.0.0.1:8080`, or `unix:PATH`.
    static func url(of address: ListenAddress) -> String {
        switch address {
        case .tcp: "http://\(address)"
        case .unix: "\(address)"
        }
    }
}
