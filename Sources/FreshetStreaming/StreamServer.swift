// The room's front: admits subscribers, spreads them over shards, and ends them all when the gateway stops.

import CLinux
package import FreshetCore
import Synchronization
package import System

/// Holds event streams: each on one of a few threads, which own the connections that are handed over to them.
///
/// Every call may come from any thread. Only ``start()``, ``drain(over:)`` and ``stop()`` wait for anything.
package final class StreamServer: Sendable {
    private struct ShardHandle: Sendable {
        var inbox: DeliveryInbox<EpollTransport>
        var http2: Inbox<HTTP2Order>
        var webSockets: Inbox<WebSocketOrder>
        var counters: ShardCounters
        var thread: SystemThread
    }

    private struct State: Sendable {
        var shards: [ShardHandle] = []
        var next = 0
        var isStopped = false
        var uncompressed = SourcePattern.none
    }

    private let hub: Hub
    private let settings: StreamSettings
    private let unsent: UnsentDesk
    private let runs: RunLedger
    private let state = Mutex(State())
    private let desk: AdmissionDesk
    private let http2Counters = HTTP2Counters()
    private let webSocketCounters = WebSocketCounters()
    private let detachedCounters = DetachedCounters()

    /// `unsent` bounds what streams keep in memory for those who do not read; one for all of a gateway.
    package init(hub: Hub, settings: StreamSettings = StreamSettings(), unsent: UnsentDesk = UnsentDesk()) {
        self.hub = hub
        self.settings = settings
        self.unsent = unsent
        self.runs = RunLedger(max: settings.maxCompressionRuns)
        self.desk = AdmissionDesk(
            maxTotal: settings.effectiveMaxSubscribers,
            maxPerAddress: settings.effectiveMaxSubscribersPerAddress,
            maxSourceSetsPerAddress: settings.maxSourceSetsPerAddress,
            maxPerCaller: settings.effectiveMaxSubscribersPerCaller,
            maxViews: settings.maxViews,
            maxViewsPerAddress: settings.maxViewsPerAddress
        )
    }

    /// Starts the shards' threads. Once, before anything else; ``stop()`` is needed even after an error.
    ///
    /// - Throws: ``SystemError`` where a thread or its descriptors cannot be had.
    package func start() throws(SystemError) {
        for number in 0..<self.settings.shards {
            let handle = try self.startShard(number)
            self.state.withLock { state in
                state.shards.append(handle)
                _ = handle.inbox.post(.compression(uncompressed: state.uncompressed))
            }
        }
    }

    private func startShard(_ number: Int) throws(SystemError) -> ShardHandle {
        let waker = try WakeUp()
        let epoll = try EpollTransport.makeEpoll(watching: waker)
        let inbox = DeliveryInbox<EpollTransport>(maxNotices: self.settings.maxInboxDepth, waker: waker)
        let http2 = Inbox<HTTP2Order>(wakeUp: waker)
        let webSockets = Inbox<WebSocketOrder>(wakeUp: waker)
        let counters = ShardCounters()
        let launch = ShardLaunch(
            number: number,
            hub: self.hub,
            inbox: inbox,
            counters: counters,
            settings: self.settings,
            unsent: self.unsent,
            runs: self.runs,
            epoll: epoll,
            http2: http2,
            http2Counters: self.http2Counters,
            webSockets: webSockets,
            webSocketCounters: self.webSocketCounters,
            detachedCounters: self.detachedCounters
        )
        self.hub.attach(inbox)
        do throws(SystemError) {
            return ShardHandle(
                inbox: inbox,
                http2: http2,
                webSockets: webSockets,
                counters: counters,
                thread: try launch.start()
            )
        } catch {
            self.hub.detach(inbox)
            _ = clinux_close(epoll)
            throw error
        }
    }
}

/// What a shard's thread is given to make its shard from.
private final class ShardLaunch: Sendable {
    private let number: Int
    private let hub: Hub
    private let inbox: DeliveryInbox<EpollTransport>
    private let counters: ShardCounters
    private let settings: StreamSettings
    private let unsent: UnsentDesk
    private let runs: RunLedger
    private let epoll: Int32
    private let http2: Inbox<HTTP2Order>
    private let http2Counters: HTTP2Counters
    private let webSockets: Inbox<WebSocketOrder>
    private let webSocketCounters: WebSocketCounters
    private let detachedCounters: DetachedCounters

    init(
        number: Int,
        hub: Hub,
        inbox: DeliveryInbox<EpollTransport>,
        counters: ShardCounters,
        settings: StreamSettings,
        unsent: UnsentDesk,
        runs: RunLedger,
        epoll: Int32,
        http2: Inbox<HTTP2Order>,
        http2Counters: HTTP2Counters,
        webSockets: Inbox<WebSocketOrder>,
        webSocketCounters: WebSocketCounters,
        detachedCounters: DetachedCounters
    ) {
        self.detachedCounters = detachedCounters
        self.webSockets = webSockets
        self.webSocketCounters = webSocketCounters
        self.http2 = http2
        self.http2Counters = http2Counters
        self.number = number
        self.hub = hub
        self.inbox = inbox
        self.counters = counters
        self.settings = settings
        self.unsent = unsent
        self.runs = runs
        self.epoll = epoll
    }

    func start() throws(SystemError) -> SystemThread {
        try SystemThread(name: "stream-\(self.number)") { self.run() }
    }

    private func run() {
        Delivery(
            number: self.number,
            hub: self.hub,
            inbox: self.inbox,
            counters: self.counters,
            settings: self.settings,
            unsent: self.unsent,
            runs: self.runs,
            transport: EpollTransport(
                shard: self.number,
                epoll: self.epoll,
                settings: self.settings,
                http2: self.http2,
                counters: self.http2Counters,
                webSockets: self.webSockets,
                webSocketCounters: self.webSocketCounters,
                detachedCounters: self.detachedCounters,
                delivery: self.inbox
            )
        ).run()
    }
}

// MARK: - Subscribers

extension StreamServer {
    /// Asks for a subscriber's place; before the connection is taken from the HTTP server.
    ///
    /// `sourceSet`: the hash of the sources and the format of the stream; `nil` does not count it.
    /// `view`: the hash of its view; `nil` where it is about whole values.
    /// `caller`: whose it is; `nil` counts it by its address alone.
    package func admit(
        _ address: PeerAddress,
        sourceSet: Int? = nil,
        view: Int? = nil,
        caller: StreamCaller? = nil
    ) -> Admission {
        self.desk.admit(address, sourceSet: sourceSet, view: view, caller: caller)
    }

    /// How short memory is, which decides who is admitted: see ``AdmissionDesk/setMemoryPressure(_:)``.
    package func setMemoryPressure(_ pressure: MemoryPressure) {
        self.desk.setMemoryPressure(pressure)
    }

    /// Takes over a connection. Never blocks; the first bytes are written by the shard, at once.
    ///
    /// Where the server has stopped, the connection is closed.
    package func adopt(_ handover: StreamHandover<Socket>) {
        let isTaken = self.state.withLock { state -> Bool in
            guard !state.isStopped, !state.shards.isEmpty else { return false }
            state.next = (state.next + 1) % state.shards.count
            let shard = handover.connection.shard ?? state.next
            guard state.shards.indices.contains(shard) else { return false }
            if let ticket = handover.owner?.mark?.ticket {
                // Under the lock, so that all shards hear in one order which of a ticket's streams is the latest.
                for (number, other) in state.shards.enumerated() where number != shard {
                    _ = other.inbox.post(.supersede(ticket))
                }
            }
            return state.shards[shard].inbox.post(.adopt(handover))
        }
        if !isTaken { handover.connection.abandon() }
    }

    /// Ends the streams of a ticket, since a later one is elsewhere. Returns at once.
    package func endStreams(of ticket: Fingerprint) {
        for inbox in self.inboxes { _ = inbox.post(.supersede(ticket)) }
    }

    /// Takes over a connection of HTTP/2, whose requests come back to ``HTTP2Arrival/requests``. Never blocks.
    package func adopt(_ arrival: HTTP2Arrival) {
        let inbox = self.state.withLock { state -> Inbox<HTTP2Order>? in
            guard !state.isStopped, !state.shards.isEmpty else { return nil }
            state.next = (state.next + 1) % state.shards.count
            return state.shards[state.next].http2
        }
        guard inbox?.post(.open(arrival)) != true else { return }
        _ = clinux_close(arrival.descriptor)
    }

    /// Takes over a WebSocket, whose messages come back to ``WebSocketArrival/requests``. Never blocks.
    package func adopt(_ arrival: WebSocketArrival) {
        let inbox = self.state.withLock { state -> Inbox<WebSocketOrder>? in
            guard !state.isStopped, !state.shards.isEmpty else { return nil }
            state.next = (state.next + 1) % state.shards.count
            let shard = arrival.connection.shard ?? state.next
            return state.shards.indices.contains(shard) ? state.shards[shard].webSockets : nil
        }
        guard inbox?.post(.open(arrival)) != true else { return }
        arrival.connection.abandon()
        arrival.requests.closed()
    }

    /// Figures of WebSockets, for metrics.
    package var webSocketFigures: WebSocketCounters.Figures { self.webSocketCounters.figures }

    /// Figures of HTTP/2, for metrics.
    package var http2Figures: HTTP2Counters.Figures { self.http2Counters.figures }

    /// Figures of streams on detached TLS sessions, for metrics.
    package var detachedFigures: DetachedCounters.Figures { self.detachedCounters.figures }

    /// Up to `limit` subscribers, in no particular order.
    package func subscribers(limit: Int) async -> [SubscriberReport] {
        var reports: [SubscriberReport] = []
        for inbox in self.inboxes where reports.count < limit {
            let left = limit - reports.count
            reports += await withCheckedContinuation { continuation in
                let message = DeliveryMessage<Socket>.list(limit: left) { continuation.resume(returning: $0) }
                if !inbox.post(message) { message.abandon() }
            }
        }
        return reports
    }

    /// Ends one stream with `bye`. `first` is told whose it is before its client is told of the end, on the shard's thread;
    /// it is not called for a stream without an owner.
    ///
    /// - Returns: `false` where there is no such subscriber any more.
    @discardableResult
    package func close(
        _ id: SubscriberID,
        reason: CloseReason = .revoked,
        first: @escaping @Sendable (StreamOwner) -> Void = { _ in }
    ) async -> Bool {
        let inboxes = self.inboxes
        guard inboxes.indices.contains(id.shard) else { return false }
        return await withCheckedContinuation { continuation in
            let message = DeliveryMessage<Socket>.close(id, reason, first: first) {
                continuation.resume(returning: $0)
            }
            if !inboxes[id.shard].post(message) { message.abandon() }
        }
    }

    /// Has the owners of all streams looked at again, after credentials or grants have changed. Returns at once; `decide` is
    /// called on the shards' threads, once for each stream that has an owner.
    package func review(_ decide: @escaping @Sendable (StreamOwner) -> OwnerVerdict) {
        for shard in self.state.withLock({ $0.shards }) {
            _ = shard.inbox.post(.review(decide))
            _ = shard.webSockets.post(.review(decide))
        }
    }

    /// Sources whose events go out as they are, from now on in streams that are open too. Returns at once.
    package func setUncompressed(_ sources: SourcePattern) {
        self.state.withLock { state in
            state.uncompressed = sources
            for shard in state.shards { _ = shard.inbox.post(.compression(uncompressed: sources)) }
        }
    }

    var inboxes: [DeliveryInbox<EpollTransport>] {
        self.state.withLock { $0.shards.map(\.inbox) }
    }

    /// Figures for metrics.
    package var statistics: StreamStatistics {
        var statistics = StreamStatistics()
        statistics.refusals = self.desk.refusals
        for shard in self.state.withLock({ $0.shards }) {
            shard.counters.add(to: &statistics)
            statistics.inboxDepth += shard.inbox.depth
            statistics.inboxOverflows += shard.inbox.overflows
        }
        statistics.compressionRuns = self.runs.runs
        statistics.compressionRunsRefused = self.runs.refusals
        return statistics
    }
}

// MARK: - The end

extension StreamServer {
    /// Ends every stream with `bye`, the closes spread evenly over `duration`, and admits no more subscribers.
    ///
    /// Returns when all are closed: at the end of the time those who do not take their `bye` are closed without.
    /// `hasSuccessor`: another process takes the connections that come from now on, and `bye` sends clients there once this
    /// one has ended, one after the other.
    package func drain(over duration: Duration, hasSuccessor: Bool = false) async {
        self.desk.close()
        for shard in self.state.withLock({ $0.shards }) {
            _ = shard.http2.post(.drain)
            _ = shard.webSockets.post(.drain)
        }
        await withTaskGroup(of: Void.self) { group in
            for inbox in self.inboxes {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        let message = DeliveryMessage<Socket>.drain(over: duration, hasSuccessor: hasSuccessor) {
                            continuation.resume()
                        }
                        if !inbox.post(message) { message.abandon() }
                    }
                }
            }
        }
    }

    /// Closes every connection that is left, without a word, and waits for the threads to end. May be called again.
    package func stop() {
        self.desk.close()
        let shards = self.state.withLock { state in
            state.isStopped = true
            return state.shards
        }
        for shard in shards {
            self.hub.detach(shard.inbox)
            _ = shard.inbox.post(.stop)
        }
        for shard in shards {
            shard.thread.join()
        }
    }
}
