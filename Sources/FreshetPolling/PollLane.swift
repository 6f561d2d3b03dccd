// The poll thread: sleeps until something is due or arrives, and carries out what the machines decide.

import CLinux
import FreshetCore
import FreshetUpstream
import Synchronization
import System
import Tracing

/// Every source, its transfers and its times. Made on the poll thread and confined to it; other threads talk to it
/// through ``LaneInbox``.
final class PollLane {
    let hub: Hub
    let configuration: PollerConfiguration
    let inbox: LaneInbox
    /// `nil` where nothing is traced.
    let tracer: (any Tracer)?
    let notify: @Sendable (PollerNotice) -> Void

    let reactor: Reactor
    let transport: CurlTransport
    var generator = SplitMix64()
    var sources = SourceMap<PolledSource>()
    var hosts: [Origin: PolledHost] = [:]
    /// The sources by what they ask.
    var groups: [PollIdentity: PollGroup] = [:]
    /// The tokens that sources ask with.
    var tokens: [OAuth2: TokenHolder] = [:]
    let keeper: TokenKeeper
    var queue = DueQueue()
    /// When values become stale, at the earliest.
    var staleQueue = DueQueue()
    var budget: PollBudget?
    /// What this gateway may use of the budget, and of what hosts may be asked.
    var share = PollShare()
    let readers: BodyReaders
    /// The number of the next body that is given to them.
    var nextBody: UInt64 = 0
    /// Requests under way.
    var inFlight = 0
    /// Sources that wait for somebody to listen.
    var dormant: Set<SourceID> = []
    var nextDormantCheck = MonotonicTime.distantFuture
    private var nextFigures = MonotonicTime(nanoseconds: .min)
    private var isStopping = false

    /// How often sources without subscribers are checked, in addition to notifications.
    static let dormantInterval = Duration.seconds(1)
    /// How often the thread's own figures are renewed: reading the clock of its CPU time is a system call.
    private static let figuresInterval = Duration.milliseconds(100)
    /// Polls that are due within the same of these begin with one wake-up of the thread, the first a little late.
    private static let tickNanoseconds: Int64 = 1_000_000

    /// Waking so much later than asked for means that the machine slept, or that this process was stopped.
    static let sleepThreshold = Duration.seconds(1)

    /// - Throws: ``UpstreamError`` of kind `internal` where descriptors, memory or libcurl are lacking.
    init(
        hub: Hub,
        configuration: PollerConfiguration,
        inbox: LaneInbox,
        tracer: (any Tracer)? = nil,
        notify: @escaping @Sendable (PollerNotice) -> Void
    ) throws(UpstreamError) {
        self.hub = hub
        self.tracer = tracer
        self.configuration = configuration
        self.inbox = inbox
        self.notify = notify
        self.reactor = try Reactor(wakeUp: inbox.wakeUp)
        self.keeper = TokenKeeper(inbox: inbox, userAgent: configuration.userAgent)
        self.readers = BodyReaders(inbox: inbox, limits: configuration.bodies)
        var transport = CurlTransport.Configuration()
        transport.userAgent = configuration.userAgent
        transport.maxConnectionsPerHost = configuration.maxConcurrentPollsPerHost
        transport.maxConnectionAge = configuration.maxConnectionAge
        transport.maxConnections = max(configuration.maxConnections, configuration.maxConcurrentPolls)
        transport.minSilentAnswers = configuration.minSilentAnswers
        self.transport = try CurlTransport(reactor: self.reactor, configuration: transport)
        self.budget = configuration.requestsPerHour.map {
            PollBudget(requestsPerHour: $0, now: MonotonicTime.now.axisSeconds)
        }
    }

    /// Polls until stopped. What is under way then ends without a result.
    func run() {
        self.notify(.started(libcurl: CurlLibrary.version))
        if !CurlLibrary.resolvesAsynchronously {
            self.notify(
                .warning("this libcurl resolves host names on the poll thread: a slow resolver delays every poll")
            )
        }
        while !self.isStopping {
            let now = MonotonicTime.now
            let time = self.wakeTime(now: now)
            self.reactor.wait(
                until: time,
                now: now,
                ready: { self.transport.socketReady($0, $1) },
                disturbed: { self.transport.socketDisturbed($0) }
            )
            let woken = MonotonicTime.now
            if woken - max(time, now) >= Self.sleepThreshold { self.machineSlept(now: woken) }
            for command in self.inbox.take() { self.perform(command) }
            self.turn()
        }
        self.end()
    }

    /// One round: results first, since they free places, then what is due. What libcurl was given it begins at its next
    /// time-out, which is now, so that there is a second pass; results of a pass are never left until something else
    /// wakes the thread.
    private func turn() {
        let now = MonotonicTime.now
        for _ in 0..<2 {
            if self.transport.deadline <= now { self.transport.timerFired(now: now) }
            self.takeResults(now: now)
            self.noticeStaleness(now: now)
            if now >= self.nextDormantCheck { self.wakeListenedTo(now: now) }
            self.startDue(now: now)
            guard self.transport.deadline <= now else { break }
        }
        if now >= self.nextFigures { self.renewFigures(now: now) }
    }

    private func takeResults(now: MonotonicTime) {
        let completions = self.transport.takeCompletions(now: now)
        if !completions.isEmpty {
            let wall = WallTime.now
            for completion in completions { self.pollEnded(completion, now: now, wall: wall) }
        }
        for bytes in self.transport.takeUnsolicited() { self.bytesArrived(bytes, now: now) }
    }

    private func renewFigures(now: MonotonicTime) {
        self.nextFigures = now + Self.figuresInterval
        let cpu = Duration.nanoseconds(clinux_thread_cpu_ns())
        self.inbox.metrics.withLock { $0.threadCPU = cpu }
    }

    private func wakeTime(now: MonotonicTime) -> MonotonicTime {
        var time = min(self.transport.deadline, self.nextDormantCheck)
        if let stale = self.staleQueue.first { time = min(time, stale.due) }
        if self.inFlight < self.configuration.maxConcurrentPolls, let first = self.queue.first {
            time = min(time, max(Self.tick(atOrAfter: first.due), self.budgetTime(now: now)))
        }
        return time
    }

    private static func tick(atOrAfter time: MonotonicTime) -> MonotonicTime {
        let past = time.nanoseconds % self.tickNanoseconds
        return past > 0 ? time + .nanoseconds(self.tickNanoseconds - past) : time
    }

    /// When the budget allows the next poll.
    func budgetTime(now: MonotonicTime) -> MonotonicTime {
        guard let budget = self.budget else { return now }
        let wait = budget.earliestStart(now: now.axisSeconds) - now.axisSeconds
        return wait <= 0 ? now : now + Duration(clampingSeconds: wait)
    }

    private func machineSlept(now: MonotonicTime) {
        for source in self.sources.values where source.activity == .scheduled && !source.isUrgent {
            guard source.machine.machineSlept(now: now, wall: .now) else { continue }
            source.due = source.machine.nextPoll
            self.queue.set(source.id, due: source.due)
        }
    }

    private func end() {
        let stopping = UpstreamError(.internal, "the gateway is stopping")
        for source in self.sources.values {
            self.transport.remove(ExchangeID(source.id))
            source.resumeWaiters(.failure(stopping))
            for push in source.takePushes() { push.reply(.failure(stopping)) }
        }
        for source in self.sources.values {
            self.leaveGroup(source)
            self.leaveCredential(source)
            source.followers = []
        }
        self.sources.removeAll()
        self.keeper.stop()
        self.readers.close()
        for command in self.inbox.close() { command.refuse(stopping) }
        self.notify(.stopped)
    }
}

// MARK: - Commands

extension PollLane {
    private func perform(_ command: LaneCommand) {
        let now = MonotonicTime.now
        switch command {
        case .add(let id, let url, let configuration, let learned, let resumes):
            self.add(id, url: url, configuration: configuration, learned: learned, resumes: resumes, now: now)
        case .remove(let id):
            self.remove(id, now: now)
        case .subscribersChanged(let id):
            self.wake(id, now: now)
        case .settle(let id, let reply):
            self.settle(id, reply: reply, now: now)
        case .poll(let id, let reply):
            self.pollRequested(id, reply: reply, now: now)
        case .pause(let id, let reply):
            self.pause(id)
            reply()
        case .resume(let id, let reply):
            self.resume(id, now: now)
            reply()
        case .push(let id, let body, let contentType, let reply):
            self.push(id, body: body, contentType: contentType, reply: reply, now: now)
        case .renew(let id, let configuration):
            self.renew(id, configuration, now: now)
        case .token(let credential, let result):
            self.tokenArrived(credential, result, now: now)
        case .bodyRead(let delivery):
            self.bodyRead(delivery, now: now)
        case .hook(let id):
            self.hookReceived(id, now: now)
        case .beginWrite(let id, let key, let isNew, let reply):
            self.beginWrite(id, key: key, isNew: isNew, reply: reply, now: now)
        case .write(let id, let edit, let tag, let reply):
            self.write(id, edit, tag: tag, reply: reply, now: now)
        case .endWrite(let id, let key, let isNew, let polls):
            self.endWrite(id, key: key, isNew: isNew, polls: polls, now: now)
        case .use(let share):
            self.use(share, now: now)
        case .stop:
            self.isStopping = true
        }
    }

    private func add(
        _ id: SourceID,
        url: UpstreamURL?,
        configuration: SourceConfiguration,
        learned: [UInt8],
        resumes: Bool,
        now: MonotonicTime
    ) {
        let earlier = self.sources[id]
        if earlier != nil { self.remove(id, now: now) }
        var machine = self.machine(for: id, configuration, after: earlier?.machine, learned: learned, now: now)
        if resumes, earlier == nil { machine.resumed(now: now, wall: .now) }
        self.hub.identify(id, as: configuration.identity)
        do {
            if let url {
                let exchange = ExchangeConfiguration(configuration)
                try self.transport.add(ExchangeID(id), url: url, configuration: exchange)
            }
        } catch {
            return self.notify(.failed(id, name: configuration.name, error))
        }
        let group = self.group(of: configuration)
        let host = self.host(of: url?.origin ?? .noUpstream)
        let source = PolledSource(id: id, host: host, group: group, machine: machine)
        self.sources[id] = source
        group.join(source)
        self.joinCredential(source)
        if source.credential?.lease != nil { self.transport.renew(ExchangeID(id), self.exchange(of: source)) }
        source.host.queue.sources += 1
        self.hub.report(machine.status, of: id)
        self.schedule(source, now: now)
        self.watchStaleness(source)
    }

    /// The machine of a source that is new, or another one from now on.
    private func machine(
        for id: SourceID,
        _ configuration: SourceConfiguration,
        after earlier: SourceStateMachine?,
        learned: [UInt8],
        now: MonotonicTime
    ) -> SourceStateMachine {
        let phase = SourcePhase.phase(of: configuration.name)
        if let earlier {
            return earlier.reconfigured(configuration, phase: phase, now: now, wall: .now)
        }
        var machine = SourceStateMachine(
            configuration: configuration,
            phase: phase,
            now: now,
            wall: .now,
            learned: learned
        )
        if let version = self.hub.version(of: id) {
            machine.restored(version.document, validators: version.validators, at: version.at)
        }
        // Somebody waits for it: it is not one of many that begin together.
        if configuration.instanceOf != nil { machine.pollRequested(now: now) }
        return machine
    }

    private func remove(_ id: SourceID, now: MonotonicTime) {
        guard let source = self.sources.removeValue(forKey: id) else { return }
        if let leader = source.leader {
            leader.followers.removeAll { $0 === source }
        } else if case .polling(_, let isCounted, let isProbe) = source.activity {
            self.inFlight -= 1
            self.inbox.metrics.withLock { $0.pollAbandoned() }
            if isCounted { source.host.queue.abandoned(isProbe: isProbe, now: now) }
        } else if source.reading != nil || source.bodyInHand != nil {
            self.inbox.metrics.withLock { $0.pollAbandoned() }
        }
        self.dropBodies(of: source)
        self.leaveGroup(source)
        self.leaveCredential(source)
        self.releaseFollowers(of: source, now: now)
        self.transport.remove(ExchangeID(id))
        self.queue.remove(id)
        self.staleQueue.remove(id)
        self.dormant.remove(id)
        source.host.queue.forget(id)
        source.host.queue.sources -= 1
        self.release(source.host)
        if source.host.queue.sources == 0 { self.hosts[source.host.origin] = nil }
        self.inbox.metrics.withLock { $0.polls[id] = nil }
        let removed = UpstreamError(.internal, "the source was removed")
        source.resumeWaiters(.failure(removed))
        for push in source.takePushes() { push.reply(.failure(removed)) }
    }

    private func pollRequested(_ id: SourceID, reply: @escaping PolledSource.Waiter, now: MonotonicTime) {
        guard let source = self.sources[id] else {
            return reply(.failure(UpstreamError(.internal, "the source is not polled")))
        }
        guard source.machine.configuration.isPolled else {
            return reply(.failure(UpstreamError(.policy, "the source has no url to poll")))
        }
        source.waiters.append(reply)
        guard !source.isPolling else { return }
        source.isUrgent = true
        source.machine.pollRequested(now: now)
        self.dormant.remove(id)
        self.leaveLine(source)
        source.activity = .scheduled
        source.due = now
        self.queue.set(id, due: now)
    }

    private func pause(_ id: SourceID) {
        guard let source = self.sources[id] else { return }
        let transition = source.machine.pauseRequested(wall: .now)
        if !source.isPolling {
            self.queue.remove(id)
            self.leaveLine(source)
            source.activity = .scheduled
            self.releaseRiders(of: source.group, now: .now)
        }
        self.report(source, transition: transition)
    }

    private func resume(_ id: SourceID, now: MonotonicTime) {
        guard let source = self.sources[id] else { return }
        let transition = source.machine.resumeRequested(now: now, wall: .now)
        if !source.isPolling { self.schedule(source, now: now) }
        self.watchStaleness(source)
        self.report(source, transition: transition)
    }

    private func renew(_ id: SourceID, _ configuration: SourceConfiguration, now: MonotonicTime) {
        guard let source = self.sources[id] else { return }
        // The poll under way decides when the next one is.
        let polls = !source.isPolling
        source.machine.credentialsRenewed(configuration, polls: polls, now: now)
        self.leaveGroup(source)
        source.group = self.group(of: configuration)
        source.group.join(source)
        if source.credential?.credential != configuration.oauth2 {
            self.leaveCredential(source)
            self.joinCredential(source)
            source.wasTokenRefused = false
        }
        self.transport.renew(ExchangeID(id), self.exchange(of: source))
        guard polls else { return }
        self.dormant.remove(id)
        self.schedule(source, now: now)
    }

    /// A source without listeners is polled as soon as somebody listens; one in line at its host has its turn anyway.
    private func hookReceived(_ id: SourceID, now: MonotonicTime) {
        guard let source = self.sources[id], source.machine.hookReceived(now: now, wall: .now),
            source.activity == .scheduled, !source.isUrgent
        else { return }
        self.schedule(source, now: now)
        self.hub.report(source.machine.status, of: id)
    }
}

extension Origin {
    /// The host of sources that have no upstream: none of them ever asks to poll it.
    fileprivate static let noUpstream = Origin(scheme: "", host: "", port: "")
}
