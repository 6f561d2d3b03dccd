// What /metrics says of polls, streams, log and configuration (CONTRACT §7), as Prometheus text.

import FreshetAccess
import FreshetCluster
import FreshetCore
import FreshetHTTP
import FreshetPolling
import FreshetPush
import FreshetStorage
import FreshetStreaming
import FreshetWebhooks
import Synchronization

/// One scrape of the figures of every room but HTTP, which adds its own.
struct GatewayMetrics {
    let hub: Hub
    let streams: StreamServer
    let poller: Poller
    let memory: MemoryRelief
    let reloader: Reloader?
    let durable: DurableLog?
    let authenticator: Authenticator?
    let instances: InstanceDesk?
    let writer: WriteDesk?
    let bounds: BoundMetrics?
    let push: (@Sendable () -> PushMetrics)?
    let webhooks: WebhookDesk?
    let cluster: ClusterDesk?
    private let saved = HighWater()

    init(
        hub: Hub,
        streams: StreamServer,
        poller: Poller,
        memory: MemoryRelief,
        reloader: Reloader?,
        durable: DurableLog?,
        authenticator: Authenticator? = nil,
        instances: InstanceDesk? = nil,
        writer: WriteDesk? = nil,
        bounds: BoundMetrics? = nil,
        push: (@Sendable () -> PushMetrics)? = nil,
        webhooks: WebhookDesk? = nil,
        cluster: ClusterDesk? = nil
    ) {
        self.cluster = cluster
        self.writer = writer
        self.bounds = bounds
        self.push = push
        self.webhooks = webhooks
        self.hub = hub
        self.streams = streams
        self.poller = poller
        self.memory = memory
        self.reloader = reloader
        self.durable = durable
        self.authenticator = authenticator
        self.instances = instances
    }

    func write(to text: inout [UInt8]) {
        var metrics = MetricsText()
        // Of instances there is only what all of a template come to: their names are those of people.
        let (sources, instances) = SourceFigures.split(self.hub.sources())
        let streams = self.streams.statistics
        self.writePolls(sources, to: &metrics)
        self.writeSources(sources, instances, to: &metrics)
        if let instances = self.instances { InstanceMetrics.write(instances.figures, to: &metrics) }
        if let writer { Self.write(writer.metrics, of: sources, to: &metrics) }
        if let push { PushFigures.write(push(), to: &metrics) }
        self.webhooks?.metrics.write(to: &metrics)
        if let cluster { ClusterMetrics.write(cluster.log, to: &metrics) }
        self.writeStreams(streams, to: &metrics)
        self.writeLog(to: &metrics)
        self.writeMemory(to: &metrics)
        if let durable {
            self.writeFile(durable, to: &metrics)
        }
        if let authenticator {
            Self.write(authenticator.snapshot, to: &metrics)
        }
        self.bounds?.write(to: &metrics)
        metrics.family(
            "freshet_config_last_reload_successful",
            "gauge",
            "1 if the last reload succeeded."
        )
        metrics.sample(self.reloader?.isLastSuccessful == false ? 0 : 1)
        text.append(contentsOf: metrics.text)
    }

    /// Labels are from the configuration and from fixed lists alone (FAULTS S24).
    private static func write(_ access: AccessSnapshot, to metrics: inout MetricsText) {
        metrics.family(
            "freshet_credentials_accepted_total",
            "counter",
            "Authenticated requests, by kind of credential."
        )
        metrics.sample(access.keysAccepted, ("kind", "key"))
        metrics.sample(access.tokenHits, ("kind", "cached_token"))
        metrics.family(
            "freshet_credentials_refused_total",
            "counter",
            "Requests with a rejected credential, by reason."
        )
        for reason in CredentialProblem.Reason.allCases {
            metrics.sample(access.refusals[reason] ?? 0, ("reason", reason.rawValue))
        }
        metrics.family("freshet_tokens_verified_total", "counter", "Token signatures verified, valid or not.")
        metrics.sample(access.tokenMisses)
        metrics.family("freshet_tokens_cached", "gauge", "Verified tokens in the cache.")
        metrics.sample(access.cachedTokens)
        metrics.family("freshet_tickets_total", "counter", "Tickets, by outcome.")
        let tickets = access.tickets
        for (outcome, count) in [
            ("issued", tickets.issued), ("opened", tickets.opened), ("resumed", tickets.resumed),
            ("spent", tickets.spent), ("dead", tickets.dead), ("invalid", tickets.invalid),
            ("declined", tickets.declined),
        ] {
            metrics.sample(count, ("outcome", outcome))
        }
        metrics.family("freshet_tickets_unused", "gauge", "Tickets that can still open their streams.")
        metrics.sample(tickets.unused)
        metrics.family("freshet_issuer_keys", "gauge", "Keys of an issuer that can verify tokens.")
        for issuer in access.issuers { metrics.sample(issuer.keys, ("issuer", issuer.issuer)) }
        metrics.family("freshet_issuer_fetches_total", "counter", "Fetches of an issuer's keys.")
        for issuer in access.issuers { metrics.sample(issuer.attempts, ("issuer", issuer.issuer)) }
        metrics.family(
            "freshet_issuer_fetch_failures_total",
            "counter",
            "Failed fetches of an issuer's keys."
        )
        for issuer in access.issuers { metrics.sample(issuer.failures, ("issuer", issuer.issuer)) }
        metrics.family("freshet_deny_list_entries", "gauge", "Lines of auth.deny_file in force.")
        metrics.sample(access.denied)
    }

    private static func write(_ writes: WriteMetrics, of sources: [SourceReport], to metrics: inout MetricsText) {
        metrics.family("freshet_writes_total", "counter", "Writes that ended, by outcome.")
        for source in sources {
            for outcome in WriteReport.Outcome.allCases {
                guard let count = writes.outcomes[source.name]?[outcome] else { continue }
                metrics.sample(count, ("source", source.name), ("outcome", outcome.rawValue))
            }
        }
        metrics.histogram("freshet_write_duration_seconds", "From a write to its answer.", writes.duration)
        metrics.family("freshet_writes_in_flight", "gauge", "Writes under way.")
        metrics.sample(writes.underWay)
        metrics.family("freshet_writes_waiting", "gauge", "Writes that wait for their turn.")
        metrics.sample(writes.waiting)
        metrics.family("freshet_idempotency_keys", "gauge", "Idempotency keys of the last 24 hours.")
        metrics.sample(writes.keys)
        metrics.family("freshet_idempotency_bytes", "gauge", "Bytes that the answers of idempotency keys take.")
        metrics.sample(writes.keyBytes)
    }

    private func writePolls(_ sources: [SourceReport], to metrics: inout MetricsText) {
        let polls = self.poller.metrics
        metrics.family("freshet_polls_total", "counter", "Polls that ended, by outcome.")
        for source in sources {
            let outcomes = (polls.polls[source.id] ?? [:]).map { ($0.key.label, $0.value) }
            for (outcome, count) in outcomes.sorted(by: { $0.0 < $1.0 }) {
                metrics.sample(count, ("source", source.name), ("outcome", outcome))
            }
        }
        for (template, outcomes) in polls.templatePolls.sorted(by: { $0.key < $1.key }) {
            for (outcome, count) in outcomes.map({ ($0.key.label, $0.value) }).sorted(by: { $0.0 < $1.0 }) {
                metrics.sample(count, ("source", template), ("outcome", outcome))
            }
        }
        metrics.histogram("freshet_poll_duration_seconds", "From the start of a poll to its last byte.", polls.duration)
        metrics.histogram(
            "freshet_poll_lateness_seconds",
            "Delay from when a poll was due to its start.",
            polls.lateness
        )
        metrics.family("freshet_poll_bytes_total", "counter", "Body bytes received from upstreams, before decoding.")
        metrics.sample(polls.wireBytes)
        metrics.family(
            "freshet_upstream_connections_total",
            "counter",
            "Connections opened to upstreams; polls beyond these used one that was kept."
        )
        metrics.sample(polls.connections)
        metrics.family(
            "freshet_upstream_unsolicited_total",
            "counter",
            "Unsolicited responses of upstreams; the connection was closed."
        )
        metrics.sample(polls.unsolicited)
        metrics.family("freshet_polls_shared_total", "counter", "Polls that another source's request was made for too.")
        metrics.sample(polls.shared)
        metrics.family(
            "freshet_page_requests_total",
            "counter",
            "Requests for pages of values that come in several (paginate.max_pages bounds those of one poll)."
        )
        metrics.sample(polls.pageRequests)
        metrics.family("freshet_token_requests_total", "counter", "Requests to token endpoints (auth.oauth2).")
        metrics.sample(polls.tokenRequests)
        metrics.family("freshet_token_failures_total", "counter", "Requests to token endpoints that brought no token.")
        metrics.sample(polls.tokenFailures)
        metrics.family("freshet_polls_in_flight", "gauge", "Polls under way.")
        metrics.sample(polls.inFlight)
        metrics.family(
            "freshet_large_bodies_total",
            "counter",
            "Bodies of 128 KiB and more that were read beside the poll thread."
        )
        metrics.sample(polls.bodiesReadAside)
        metrics.family(
            "freshet_large_bodies_in_place_total",
            "counter",
            "Bodies of 128 KiB and more that the poll thread read itself, because no more could wait."
        )
        metrics.sample(polls.bodiesReadInPlace)
        metrics.family("freshet_large_bodies_bytes", "gauge", "Bytes of large bodies that are read, or wait for it.")
        metrics.sample(polls.waitingBodyBytes)
        metrics.family("freshet_poll_cpu_seconds_total", "counter", "CPU time of the poll thread.")
        metrics.sample(polls.threadCPU.inSeconds)
        metrics.family(
            "freshet_upstream_requests_saved_total",
            "counter",
            "Events delivered minus polls made: a lower bound on the requests that subscribers saved."
        )
        metrics.sample(self.upstreamFigures.saved)
    }

    /// Requests to upstreams, and those that were saved.
    var upstreamFigures: UpstreamFigures {
        let polls = self.poller.metrics
        let total = (Array(polls.polls.values) + Array(polls.templatePolls.values))
            .reduce(into: UInt64(0)) { $0 += $1.values.reduce(0, +) }
        let delivered = self.streams.statistics.eventsDelivered
        // Polls that bring nothing for a while take nothing back: a counter never goes down.
        let asked = total - min(total, polls.shared)
        return UpstreamFigures(requests: asked, saved: self.saved.raise(to: delivered > asked ? delivered - asked : 0))
    }

    private func writeSources(
        _ sources: [SourceReport],
        _ instances: [String: SourceFigures],
        to metrics: inout MetricsText
    ) {
        let templates = instances.sorted { $0.key < $1.key }
        let states = SourceState.allCases.enumerated().map { "\($0.offset) \($0.element.rawValue)" }.joined(
            separator: ", "
        )
        metrics.family("freshet_source_state", "gauge", "The state of a source: \(states).")
        for source in sources {
            let index = SourceState.allCases.firstIndex(of: source.status.state) ?? 0
            metrics.sample(index, ("source", source.name))
        }
        metrics.family("freshet_source_warning", "gauge", "1 while a source's upstream has a warning.")
        for source in sources {
            for warning in source.status.warnings {
                metrics.sample(1, ("source", source.name), ("kind", warning.kind.rawValue))
            }
        }
        for (template, figures) in templates {
            for kind in figures.warnings.sorted() { metrics.sample(1, ("source", template), ("kind", kind)) }
        }
        metrics.family("freshet_source_flaps_total", "counter", "How often a value returned to the one before it.")
        for source in sources {
            metrics.sample(source.status.flaps, ("source", source.name))
        }
        metrics.family("freshet_source_subscribers", "gauge", "Streams of a source.")
        for source in sources {
            metrics.sample(source.subscribers, ("source", source.name))
        }
        for (template, figures) in templates { metrics.sample(figures.subscribers, ("source", template)) }
    }

    private func writeStreams(_ streams: StreamStatistics, to metrics: inout MetricsText) {
        metrics.family("freshet_subscribers", "gauge", "Streams held.")
        metrics.sample(streams.subscribers)
        metrics.family(
            "freshet_subscribers_behind",
            "gauge",
            "Streams that wait for their socket, or are fed from the log."
        )
        metrics.sample(streams.blocked)
        metrics.family(
            "freshet_events_delivered_total",
            "counter",
            "Events handed to the kernel, counted per subscriber."
        )
        metrics.sample(streams.eventsDelivered)
        metrics.histogram(
            "freshet_delivery_latency_seconds",
            "From a change being readable to its bytes being with the kernel, for subscribers who are caught up.",
            streams.deliveryLatency
        )
        metrics.family("freshet_stream_bytes_total", "counter", "Bytes sent to subscribers.")
        metrics.sample(streams.bytesSent)
        metrics.family("freshet_stream_sends_total", "counter", "Calls of send for subscribers.")
        metrics.sample(streams.sends)
        metrics.family("freshet_stream_log_reads_total", "counter", "Readings of the log for subscribers behind.")
        metrics.sample(streams.logReads)
        metrics.family("freshet_stream_inbox_depth", "gauge", "Changes that wait for their streaming thread.")
        metrics.sample(streams.inboxDepth)
        metrics.family("freshet_subscriber_closes_total", "counter", "Streams that ended, by reason.")
        for (reason, count) in streams.closes.sorted(by: { $0.key < $1.key }) {
            metrics.sample(count, ("reason", reason))
        }
        metrics.family("freshet_subscribers_refused_total", "counter", "Streams that were not admitted, by reason.")
        for reason in RefusalReason.allCases {
            metrics.sample(streams.refusals[reason, default: 0], ("reason", reason.rawValue))
        }
        self.writeCompression(streams, to: &metrics)
    }

    private func writeViews(_ log: Hub.Statistics, to metrics: inout MetricsText) {
        metrics.family("freshet_views", "gauge", "Different views (pointer, item, where) that streams read.")
        metrics.sample(log.views)
        metrics.family("freshet_views_asked_total", "counter", "Views that changes concerned, counted per change.")
        metrics.sample(log.viewsAsked)
        metrics.family("freshet_view_frames_total", "counter", "Events encoded for views, for all their readers.")
        metrics.sample(log.viewFrames)
    }

    private func writeMemory(to metrics: inout MetricsText) {
        let figures = self.memory.figures
        metrics.family("freshet_memory_bytes", "gauge", "Memory in use, as counted against the limit.")
        metrics.sample(figures.reading.used)
        metrics.family("freshet_memory_limit_bytes", "gauge", "The memory limit.")
        metrics.sample(figures.reading.limit)
        metrics.family(
            "freshet_memory_pressure",
            "gauge",
            "0 none, 1 unread answers ended, one stream per address (80 %), 2 no new streams (90 %), 3 slow streams ended (95 %)."
        )
        metrics.sample(figures.pressure.rawValue)
        metrics.family("freshet_memory_streams_ended_total", "counter", "Streams ended for memory; all were behind.")
        metrics.sample(figures.ended)
    }

    private func writeLog(to metrics: inout MetricsText) {
        let log = self.hub.statistics
        self.writeViews(log, to: &metrics)
        metrics.family("freshet_events_published_total", "counter", "Changes of all sources.")
        metrics.sample(log.published)
        metrics.family("freshet_events_arriving", "gauge", "Committed changes that wait until they are readable.")
        metrics.sample(self.hub.arrivalCount)
        metrics.family("freshet_cache_bytes", "gauge", "Bytes of changes in memory.")
        metrics.sample(log.cacheBytes)
        metrics.family("freshet_cache_events", "gauge", "Changes in memory.")
        metrics.sample(log.cachedEvents)
        metrics.family("freshet_cache_evictions_total", "counter", "Changes evicted from memory.")
        metrics.sample(log.evictions)
        metrics.family(
            "freshet_resume_gaps_total",
            "counter",
            "Readers that could not continue from their cursor, by reason."
        )
        for reason in GapReason.allCases {
            metrics.sample(log.gaps[reason, default: 0], ("reason", reason.rawValue))
        }
        let reads = self.hub.reads.statistics
        metrics.family("freshet_log_reads_waiting", "gauge", "Reads of the log that wait for a thread.")
        metrics.sample(reads.waiting)
        metrics.family("freshet_log_reads_total", "counter", "Reads of the log that were carried out.")
        metrics.sample(reads.done)
        metrics.family("freshet_log_reads_refused_total", "counter", "Reads of the log that were not, by reason.")
        for reason in ReadRefusal.allCases {
            metrics.sample(reads.refusals[reason, default: 0], ("reason", reason.rawValue))
        }
    }
}

extension GatewayMetrics {
    private func writeFile(_ durable: DurableLog, to metrics: inout MetricsText) {
        metrics.family("freshet_log_degraded", "gauge", "1 while changes are in memory alone although log.path is set.")
        metrics.sample(self.hub.storeError == nil ? 0 : 1)
        guard let file = durable.statistics else { return }
        metrics.family("freshet_log_bytes", "gauge", "Size of snapshots and changes on disk.")
        metrics.sample(file.usedBytes)
        metrics.family("freshet_log_events_total", "counter", "Changes committed.")
        metrics.sample(file.appendedEvents)
        metrics.family("freshet_log_pruned_events_total", "counter", "Changes pruned by size or age.")
        metrics.sample(file.prunedEvents)
        metrics.family("freshet_log_commits_total", "counter", "Transactions.")
        metrics.sample(file.commits)
        metrics.family(
            "freshet_log_renewals_total",
            "counter",
            "Times the log continued in a new file because one of its files was deleted, moved or replaced."
        )
        metrics.sample(file.renewals)
        metrics.family("freshet_log_queued_events", "gauge", "Changes that wait for the disk.")
        metrics.sample(file.queuedEvents)
        metrics.family("freshet_log_last_commit_seconds", "gauge", "How long the last transaction took.")
        metrics.sample(file.lastCommitDuration.inSeconds)
    }
}

/// Prometheus's text format. Names and help are constants; values of labels are escaped.
struct MetricsText {
    private(set) var text: [UInt8] = []
    private var name = ""

    /// Begins a family; its samples follow.
    mutating func family(_ name: String, _ type: String, _ help: String) {
        self.name = name
        self.text.append(contentsOf: "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n".utf8)
    }

    mutating func sample(_ value: some CustomStringConvertible, _ labels: (name: String, value: String)...) {
        self.line(self.name, "\(value)", labels)
    }

    private mutating func line(_ name: String, _ value: String, _ labels: [(name: String, value: String)]) {
        self.text.append(contentsOf: name.utf8)
        if !labels.isEmpty {
            let pairs = labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }
            self.text.append(contentsOf: "{\(pairs.joined(separator: ","))}".utf8)
        }
        self.text.append(contentsOf: " \(value)\n".utf8)
    }

    private static func escaped(_ value: String) -> String {
        value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }

    /// A histogram whose counts are by bucket, as cumulative ones.
    mutating func histogram(_ name: String, _ help: String, _ histogram: DurationHistogram) {
        self.family(name, "histogram", help)
        var cumulative: UInt64 = 0
        for (bound, count) in zip(histogram.bounds, histogram.counts) {
            cumulative += count
            self.line("\(name)_bucket", "\(cumulative)", [("le", "\(bound)")])
        }
        self.line("\(name)_bucket", "\(histogram.count)", [("le", "+Inf")])
        self.line("\(name)_sum", "\(histogram.sum)", [])
        self.line("\(name)_count", "\(histogram.count)", [])
    }
}

/// The highest of the values that were seen.
private final class HighWater: Sendable {
    private let mark = Mutex<UInt64>(0)

    func raise(to value: UInt64) -> UInt64 {
        self.mark.withLock { mark in
            mark = max(mark, value)
            return mark
        }
    }
}
