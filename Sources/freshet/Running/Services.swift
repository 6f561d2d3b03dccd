// The parts as services of one group: each runs until the group shuts down, or does its step of the shutdown.

import FreshetConfiguration
import FreshetCore
import FreshetHTTP
import FreshetPolling
import FreshetStreaming
import Logging
import ServiceLifecycle
import Synchronization
import System

/// Runs the poll thread.
struct PollingService: Service {
    let poller: Poller

    func run() async throws {
        do throws(UpstreamError) {
            try self.poller.start()
        } catch {
            throw StartFailure("Polling is impossible: \(error.message)")
        }
        try? await gracefulShutdown()
        self.poller.stop()
    }
}

/// Tells that the gateway listens, and the service manager that it lives.
struct ReadinessService: Service {
    let server: GatewayServer
    let systemd: SystemdNotifier
    let started: @Sendable (ListenAddress) -> Void

    func run() async throws {
        guard let address = await self.server.boundAddress else {
            // The server's own error ends the group.
            try? await gracefulShutdown()
            return
        }
        self.started(address)
        self.systemd.ready()
        await cancelWhenGracefulShutdown {
            guard let interval = self.systemd.watchdogInterval else {
                // Until the shutdown cancels it: there is no watchdog to notify.
                try? await Task.sleep(for: .seconds(1 << 40))
                return
            }
            while !Task.isCancelled {
                self.systemd.alive()
                // The interval that systemd asked for.
                try? await Task.sleep(for: interval)
            }
        }
    }
}

/// Drops what is older than `cache.max_age`, keeps within the memory there is, and mends a log that is not durable.
struct UpkeepService: Service {
    let hub: Hub
    let durable: DurableLog?
    let memory: MemoryRelief
    let maxAge: Duration?

    /// Between two tries to mend: at first, and at most; it doubles in between.
    private static let repairIntervals = Duration.seconds(1)...Duration.seconds(16)

    func run() async throws {
        // The wall clock is read once: a step of it by a day must not drop a day of changes (FAULTS F79).
        let (wall, start) = (WallTime.now, MonotonicTime.now)
        await cancelWhenGracefulShutdown {
            var nextTry = start
            var interval = Self.repairIntervals.lowerBound
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(1))
                guard !Task.isCancelled else { return }
                if let maxAge = self.maxAge {
                    let age = (MonotonicTime.now - start) - maxAge
                    self.hub.prune(before: WallTime(milliseconds: wall.milliseconds + age.milliseconds))
                }
                await self.memory.relieve()
                guard let durable else { continue }
                durable.watch(self.hub)
                if self.hub.storeError == nil {
                    interval = Self.repairIntervals.lowerBound
                    nextTry = .now + interval
                } else if nextTry <= .now {
                    await self.repair(durable)
                    interval = min(interval * 2, Self.repairIntervals.upperBound)
                    nextTry = .now + interval
                }
            }
        }
    }

    /// Off the pool of the concurrency runtime: a large file takes long to check.
    private func repair(_ durable: DurableLog) async {
        await withCheckedContinuation { continuation in
            do throws(SystemError) {
                try SystemThread.detach(name: "log-repair") {
                    durable.repair(self.hub)
                    continuation.resume()
                }
            } catch {
                // The next try may get a thread.
                continuation.resume()
            }
        }
    }
}

/// The first steps of a shutdown, before the listener closes (FAULTS F70).
struct DrainService: Service {
    let server: GatewayServer
    let poller: Poller
    let streams: StreamServer
    let cluster: ClusterDesk?
    let settings: GatewayConfiguration.Shutdown
    let systemd: SystemdNotifier
    let logger: Logger

    /// How long a request may take to arrive over a connection that was accepted before the listener was handed over.
    private static let lastRequests = Duration.seconds(1)

    func run() async throws {
        try? await gracefulShutdown()
        // Cancelled and not shut down: another service failed, and no stream needs an orderly end.
        guard !Task.isCancelled else { return }
        self.systemd.stopping()
        self.server.beginDrain()
        self.logger.info(
            "shutting down",
            metadata: [
                "delay": "\(DurationText.describe(self.settings.delay))",
                "drain": "\(DurationText.describe(self.settings.drain))",
                "subscribers": "\(self.streams.statistics.subscribers)",
            ]
        )
        if self.settings.delay > .zero {
            // As configured: load balancers take this gateway out of their lists meanwhile.
            try? await Task.sleep(for: self.settings.delay)
        }
        // The others poll at once what this one polled.
        await self.cluster?.leave()
        self.poller.stop()
        let hasSuccessor = self.server.isHandedOver
        // From here on connections wait for the next process: this one would refuse them.
        if hasSuccessor { await self.server.stopListening() }
        // Without subscribers there is nothing to spread; one that joins right now still receives `bye`.
        let isEmpty = self.streams.statistics.subscribers == 0
        await self.streams.drain(over: isEmpty ? .zero : self.settings.drain, hasSuccessor: hasSuccessor)
        // A connection that was accepted at the last moment brings its request now; closed unread, it would be lost.
        if hasSuccessor { try? await Task.sleep(for: Self.lastRequests) }
    }
}

/// A shutdown that may be asked for before there is anything to shut down.
final class ShutdownRequest: Sendable {
    private struct State: Sendable {
        var isRequested = false
        var action: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    /// Asks for the shutdown.
    ///
    /// - Returns: `false` where it was asked for already.
    @discardableResult
    func request() -> Bool {
        let (isFirst, action) = self.state.withLock { state in
            defer { state.isRequested = true }
            return (!state.isRequested, state.isRequested ? nil : state.action)
        }
        action?()
        return isFirst
    }

    /// Whether the shutdown was asked for.
    var isRequested: Bool { self.state.withLock { $0.isRequested } }

    /// Says how it is done; done at once where it was asked for already.
    func arm(_ action: @escaping @Sendable () -> Void) {
        let isRequested = self.state.withLock { state in
            state.action = action
            return state.isRequested
        }
        if isRequested { action() }
    }
}
