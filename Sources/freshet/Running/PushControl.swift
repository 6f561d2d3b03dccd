// What stands between the section `push` and the room that sends: the key file, the owners' rights, the log, the metrics.

import FreshetAccess
import FreshetCluster
import FreshetConfiguration
import FreshetCore
import FreshetPush
import FreshetStorage
import Logging
import ServiceLifecycle

/// Makes the sender of Web Push.
enum PushControl {
    /// `authenticator`: `nil` without `auth`. `durable`: `nil` keeps subscriptions in memory.
    ///
    /// - Throws: ``StartFailure`` where the key file cannot be read or made.
    static func sender(
        _ push: GatewayConfiguration.Push,
        of configuration: GatewayConfiguration,
        hub: Hub,
        authenticator: Authenticator?,
        durable: DurableLog?,
        logger: Logger
    ) throws(StartFailure) -> PushSender {
        let settings = try self.settings(push, of: configuration)
        let sender: PushSender
        do throws(UpstreamError) {
            sender = try PushSender(
                hub: hub,
                configuration: settings,
                owners: self.owners(authenticator),
                store: durable?.subscriptions,
                restored: durable?.contents.push ?? [],
                note: { self.log($0, logger) }
            )
        } catch {
            throw StartFailure("Nothing can be pushed: \(error.message)")
        }
        // Those of a log that began anew at this start are in memory alone.
        if durable?.contents.newEpochReason != nil { sender.rewriteRows() }
        return sender
    }

    /// The same in a cluster, where one gateway at a time sends.
    static func cluster(
        _ push: GatewayConfiguration.Push,
        of configuration: GatewayConfiguration,
        log: ClusterLog,
        hub: Hub,
        authenticator: Authenticator?,
        durable: DurableLog?,
        logger: Logger
    ) throws(StartFailure) -> ClusterPush {
        let settings = try self.settings(push, of: configuration)
        let owners = self.owners(authenticator)
        return ClusterPush(
            log: log,
            settings: settings,
            disk: durable?.subscriptions,
            restored: durable?.contents.push ?? [],
            logger: logger
        ) { start throws(UpstreamError) in
            var settings = settings
            settings.sharing = start.sharing
            settings.storeInterval = ClusterPush.keepInterval
            return try PushSender(
                hub: hub,
                configuration: settings,
                owners: owners,
                store: start.store,
                restored: start.rows,
                progress: start.progress,
                note: { self.log($0, logger) }
            )
        }
    }

    private static func settings(
        _ push: GatewayConfiguration.Push,
        of configuration: GatewayConfiguration
    ) throws(StartFailure) -> PushSender.Configuration {
        let key: PushKey
        do throws(PushKeyProblem) {
            key = try .file(at: push.keyFile, isShared: configuration.cluster != nil)
        } catch {
            throw StartFailure("The key of push cannot be used: \(error)".escapingControls())
        }
        var settings = PushSender.Configuration(key: key, subject: push.subject)
        settings.allow = push.allow
        settings.maxAge = push.maxAge
        settings.limits.maxSubscriptions = push.maxSubscriptions
        settings.limits.maxPerCaller = push.maxSubscriptionsPerCaller
        settings.limits.maxPerHost = push.maxSubscriptionsPerHost
        settings.userAgent = "freshet/\(FreshetVersion.current)"
        settings.heartbeat = configuration.heartbeat
        return settings
    }

    private static func owners(_ authenticator: Authenticator?) -> PushSender.Owners {
        guard let authenticator else {
            // Nobody can prove to be who subscribed with a credential of an earlier `auth`.
            return PushSender.Owners(
                standing: { owner in
                    switch owner.kind {
                    case .anonymous: .anonymous(.open)
                    case .administrator: owner
                    case .key, .jwt, .certificate: nil
                    }
                },
                revision: { 0 }
            )
        }
        return PushSender.Owners(
            standing: { owner in
                if case .valid(let present) = authenticator.standing(of: owner) { present } else { nil }
            },
            revision: { authenticator.revision }
        )
    }

    private static func log(_ notice: PushNotice, _ logger: Logger) {
        switch notice {
        case .otherKey(let count):
            logger.warning(
                "push.key_file holds another key than these subscriptions were made with; push services may refuse their messages until their clients subscribe again",
                metadata: ["subscriptions": "\(count)"]
            )
        case .damaged(let count):
            logger.error("push subscriptions cannot be read and are lost", metadata: ["subscriptions": "\(count)"])
        case .ended(let id, let host, let reason):
            let metadata: Logger.Metadata = ["id": "\(id)", "host": "\(host)", "reason": "\(reason.rawValue)"]
            logger.info("a push subscription has ended", metadata: metadata)
        case .refused(let id, let host, let why):
            logger.warning(
                "a push subscription is paused until it is renewed",
                metadata: ["id": "\(id)", "host": "\(host)", "reason": "\(why)"]
            )
        }
    }
}

/// Keeps push subscriptions in the change log's file, whichever is open.
final class PushRowDesk: PushStore {
    private let log: DurableLog

    init(log: DurableLog) {
        self.log = log
    }

    func keep(_ rows: [PushRow], done: @escaping @Sendable (Result<Void, StoreError>) -> Void) {
        guard let store = self.log.open else {
            return done(.failure(StoreError(.closed, "the log is not open")))
        }
        store.keep(rows, done: done)
    }

    func forget(_ keys: [[UInt8]]) {
        self.log.open?.forget(keys)
    }
}

/// Sends until shutdown.
struct PushService: Service {
    let sender: PushSender

    func run() async throws {
        await cancelWhenGracefulShutdown { await self.sender.run() }
    }
}

/// The figures of Web Push.
enum PushFigures {
    static func write(_ push: PushMetrics, to metrics: inout MetricsText) {
        metrics.family("freshet_push_subscriptions", "gauge", "Subscriptions of Web Push.")
        metrics.sample(push.subscriptions)
        metrics.family(
            "freshet_push_subscriptions_with_former_key",
            "gauge",
            "Subscriptions that were made with another key than that of push.key_file."
        )
        metrics.sample(push.withOtherKey)
        metrics.family(
            "freshet_push_subscriptions_refused_total",
            "counter",
            "Subscriptions that were not taken, by reason."
        )
        for reason in PushRefusal.Label.allCases {
            metrics.sample(push.counts.refusals[reason] ?? 0, ("reason", reason.rawValue))
        }
        metrics.family("freshet_push_subscriptions_ended_total", "counter", "Subscriptions that ended, by reason.")
        for reason in PushEnd.allCases {
            metrics.sample(push.counts.ended[reason] ?? 0, ("reason", reason.rawValue))
        }
        metrics.family("freshet_push_messages_total", "counter", "Messages to push services, by outcome.")
        for outcome in PushOutcome.labels { metrics.sample(push.counts.outcomes[outcome] ?? 0, ("outcome", outcome)) }
        metrics.family(
            "freshet_push_messages_dropped_total",
            "counter",
            "Messages that were not sent, by reason: a newer one of the topic, several as one, or too old."
        )
        metrics.sample(push.counts.replaced, ("reason", "replaced"))
        metrics.sample(push.counts.joined, ("reason", "joined"))
        metrics.sample(push.counts.outdated, ("reason", "outdated"))
        metrics.family("freshet_push_messages_waiting", "gauge", "Messages that wait.")
        metrics.sample(push.waiting)
        metrics.family("freshet_push_waiting_bytes", "gauge", "Bytes of the messages that wait.")
        metrics.sample(push.waitingBytes)
        metrics.family("freshet_push_sends_in_flight", "gauge", "Messages on their way to push services.")
        metrics.sample(push.underWay)
    }
}
