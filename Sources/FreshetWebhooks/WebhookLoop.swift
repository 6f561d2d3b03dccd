// The thread of webhooks: asks each endpoint's state machine what to do, and does it.

import FreshetCore
import FreshetUpstream
import System

/// Every endpoint, on one thread. Confined to it.
final class WebhookLoop {
    /// One endpoint, as configured at one time. An object, so that its state is changed where it lies.
    final class Endpoint {
        var machine: WebhookStateMachine
        let sender: WebhookSender
        /// What it reads now.
        var reading: WebhookReading
        /// Kept while a reading of the store is under way, which is given up without it.
        var ticket: ReadTicket?
        /// The revision of the row that is on its way to the disk.
        var writing: UInt64?
        /// Sources are held awake for it (``Hub/beginWait(for:)``).
        var isWaiting = false
        /// What its operator was told last.
        var wasFailing = false
        /// In ``WebhookLoop/starved``.
        var isStarved = false
        /// Nothing is sent before this time, whatever is due: its row is to be in the stream first, or the lease has ended.
        var heldUntil: MonotonicTime?
        /// Another gateway is to send to it, once what is under way has ended, or at this time.
        var leaving: (at: MonotonicTime, done: @Sendable () -> Void)?

        init(_ machine: WebhookStateMachine, _ sender: WebhookSender, _ reading: WebhookReading) {
            self.machine = machine
            self.sender = sender
            self.reading = reading
        }
    }

    /// Tests of endpoints (``WebhookDesk/test(_:)``) that may be under way beside their messages; one more fails.
    private static let maxTests = 64

    let parts: WebhookLoopParts
    let inbox: Inbox<WebhookCommand>
    private let bell: WebhookBell
    private let reactor: Reactor
    private let requests: RequestTable
    private let begun: () -> Void
    /// By number; a number is never given twice, so that what is said of an endpoint that is gone reaches no other.
    var endpoints: [Int: Endpoint] = [:]
    /// The numbers in the order of the configuration.
    var order: [Int] = []
    var names: [String: Int] = [:]
    private var lastNumber = 0
    /// With others: what is configured, and the rows of endpoints that this gateway owns and that are not configured yet.
    var configured: [String: WebhookConfiguration] = [:]
    var early: [String: [UInt8]?] = [:]
    /// When rows that changed are written next, all in one transaction.
    var rowsDue = MonotonicTime(nanoseconds: .min)
    /// Which endpoints read a source.
    private var readers: [SourceID: Set<Int>] = [:]
    /// Endpoints that are to be asked what to do.
    var awake: Set<Int> = []
    /// Endpoints that had more to send than may be under way, the one that waits longest first.
    private var starved: [Int] = []
    var underWay = 0
    var duration = WebhookMetrics().duration
    private var starts: [Int: [UInt64: MonotonicTime]] = [:]
    private var generator = SystemRandomNumberGenerator()
    private var isStopping = false

    init(
        _ parts: WebhookLoopParts,
        inbox: Inbox<WebhookCommand>,
        begun: @escaping () -> Void
    ) throws(UpstreamError) {
        self.parts = parts
        self.inbox = inbox
        self.bell = WebhookBell(inbox)
        self.reactor = try Reactor(wakeUp: inbox.wakeUp)
        self.requests = try RequestTable(
            reactor: self.reactor,
            configuration: parts.transport,
            maxUnderWay: parts.configuration.maxUnderWay + Self.maxTests
        )
        self.begun = begun
    }

    func run() {
        let hub = self.parts.hub
        hub.attach(waits: self.bell)
        self.restore()
        self.keepFirstRows()
        self.begun()
        while !self.isStopping {
            self.reactor.wait(
                until: min(self.deadline, self.requests.deadline),
                now: .now,
                ready: { self.requests.socketReady($0, $1) },
                disturbed: { self.requests.socketDisturbed($0) }
            )
            for command in self.inbox.take() { self.perform(command) }
            self.requests.work(now: .now)
            self.work(now: .now)
        }
        hub.detach(waits: self.bell)
        for (number, endpoint) in self.endpoints where endpoint.isWaiting { self.endWait(number) }
        self.keepRows(now: .now, isLast: true)
        for endpoint in self.endpoints.values { endpoint.leaving?.done() }
        for command in self.inbox.close() { command.refuse() }
        self.requests.stop()
    }

    // MARK: Endpoints

    private func restore() {
        guard !self.isSharing else { return self.configure(self.parts.webhooks) }
        let rows = Dictionary(self.parts.restored.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for webhook in self.parts.webhooks {
            let stored = rows[webhook.name]
            let row = stored.flatMap { WebhookRow(text: $0.text) }
            if stored != nil, row == nil { self.parts.notify(.rowUnreadable(name: webhook.name)) }
            self.add(webhook, row: row)
        }
        let forgotten = rows.keys.filter { self.names[$0] == nil }
        if !forgotten.isEmpty { self.parts.store?.keep([], forgetting: forgotten.sorted(), done: { _ in }) }
    }

    func add(_ webhook: WebhookConfiguration, row: WebhookRow?) {
        let hub = self.parts.hub
        let sources = hub.sources(matching: webhook.sources)
        self.lastNumber += 1
        let number = self.lastNumber
        let head = hub.cursor
        let machine = WebhookStateMachine(
            webhook,
            limits: self.parts.configuration.limits,
            row: row,
            head: head,
            sources: hub.names(of: sources),
            now: .now,
            wall: .now
        )
        let reading = WebhookReading(
            sources: sources,
            mode: webhook.mode,
            view: webhook.view,
            envelope: webhook.envelope,
            wantsItems: webhook.order == .item
        )
        self.endpoints[number] = Endpoint(machine, WebhookSender(webhook), reading)
        self.names[webhook.name] = number
        self.order.append(number)
        self.awake.insert(number)
        for source in sources { self.readers[source, default: []].insert(number) }
        if machine.figures.gaps > 0 {
            self.parts.notify(.gap(name: webhook.name, row?.cursor.epoch == head.epoch ? .future : .epoch))
        }
        self.setWaiting(number)
    }

    func remove(_ number: Int) {
        self.endWait(number)
        guard let endpoint = self.endpoints.removeValue(forKey: number) else { return }
        endpoint.leaving?.done()
        self.names[endpoint.machine.configuration.name] = nil
        self.order.removeAll { $0 == number }
        self.starved.removeAll { $0 == number }
        self.awake.remove(number)
        for source in endpoint.reading.sources { self.readers[source]?.remove(number) }
    }

    /// Holds the sources of an endpoint awake while it gets something.
    private func setWaiting(_ number: Int) {
        guard let endpoint = self.endpoints[number] else { return }
        let wants = endpoint.machine.state == .active
        if wants, !endpoint.isWaiting {
            self.endpoints[number]?.isWaiting = true
            self.parts.hub.beginWait(for: endpoint.reading.sources)
        } else if !wants {
            self.endWait(number)
        }
    }

    func endWait(_ number: Int) {
        guard let endpoint = self.endpoints[number], endpoint.isWaiting else { return }
        self.endpoints[number]?.isWaiting = false
        self.parts.hub.endWait(for: endpoint.reading.sources)
    }

    /// Reads which sources there are now.
    private func resolve(_ number: Int) {
        guard let endpoint = self.endpoints[number] else { return }
        let sources = self.parts.hub.sources(matching: endpoint.machine.configuration.sources)
        guard sources != endpoint.reading.sources else { return }
        self.endWait(number)
        for source in endpoint.reading.sources { self.readers[source]?.remove(number) }
        self.endpoints[number]?.reading.sources = sources
        for source in sources { self.readers[source, default: []].insert(number) }
        self.setWaiting(number)
        self.endpoints[number]?.machine.logChanged()
        self.awake.insert(number)
    }

    private func update(_ webhooks: [WebhookConfiguration]) {
        let wanted = Dictionary(webhooks.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        if self.isSharing { self.configure(webhooks) }
        var forgotten: [String] = []
        for number in self.order {
            guard let name = self.endpoints[number]?.machine.configuration.name, wanted[name] == nil else { continue }
            forgotten.append(name)
            self.remove(number)
        }
        if !forgotten.isEmpty { self.parts.store?.keep([], forgetting: forgotten, done: { _ in }) }
        var order: [Int] = []
        for webhook in webhooks {
            if let number = self.names[webhook.name], let endpoint = self.endpoints[number] {
                if endpoint.machine.configuration == webhook || endpoint.leaving != nil {
                    self.resolve(number)
                } else {
                    let row = endpoint.machine.row(now: .now, wall: .now)
                    self.remove(number)
                    self.add(webhook, row: row)
                    if let number = self.names[webhook.name] { self.endpoints[number]?.machine.rowLost() }
                }
            } else if !self.isSharing {
                self.add(webhook, row: nil)
            }
            if let number = self.names[webhook.name] { order.append(number) }
        }
        self.order = order
    }

    // MARK: Commands

    private func perform(_ command: WebhookCommand) {
        switch command {
        case .changed:
            for source in self.bell.take() { self.sourceChanged(source) }
        case .read(let number, let after, let part):
            self.endpoints[number]?.ticket = nil
            self.take(part, after: after, for: number)
        case .kept(let revisions):
            for (number, revision) in revisions {
                self.endpoints[number]?.writing = nil
                self.endpoints[number]?.machine.rowKept(revision)
                self.endpoints[number]?.heldUntil = nil
                self.awake.insert(number)
            }
        case .update(let webhooks): self.update(webhooks)
        case .own(let name, let row): self.own(name, row: row)
        case .release(let name, let done): self.release(name, done)
        case .rewrite:
            for number in self.order { self.endpoints[number]?.machine.rowLost() }
        case .metrics(let reply): reply(self.metrics)
        case .reports(let reply): reply(self.order.compactMap { self.report($0) })
        case .pause(let name, let reply):
            self.administer(name, reply) { $0.pause(now: .now, at: .now) }
        case .resume(let name, let reply):
            self.administer(name, reply) { $0.resume(now: .now, at: .now) }
        case .test(let name, let reply): self.test(name, reply)
        case .stop: self.isStopping = true
        }
    }

    private func sourceChanged(_ source: SourceID) {
        let numbers = self.readers[source] ?? []
        let isGone = self.parts.hub.name(of: source) == nil
        for number in numbers {
            if isGone { self.resolve(number) }
            self.endpoints[number]?.machine.logChanged()
            self.awake.insert(number)
        }
        if isGone { self.readers[source] = nil }
    }

    private func administer(
        _ name: String,
        _ reply: (WebhookReport?) -> Void,
        _ body: (inout WebhookStateMachine) -> Void
    ) {
        guard let number = self.names[name], let endpoint = self.endpoints[number] else { return reply(nil) }
        body(&endpoint.machine)
        endpoint.wasFailing = endpoint.machine.isFailing
        // Asked for by a person, and not to be lost in a crash a moment later.
        self.rowsDue = MonotonicTime(nanoseconds: .min)
        self.setWaiting(number)
        self.awake.insert(number)
        reply(self.report(number))
    }

    // MARK: Work

    private var deadline: MonotonicTime {
        if !self.awake.isEmpty { return MonotonicTime(nanoseconds: 0) }
        var deadline = MonotonicTime.distantFuture
        for endpoint in self.endpoints.values {
            if endpoint.machine.isDirty, endpoint.writing == nil { deadline = min(deadline, self.rowsDue) }
            if let leaving = endpoint.leaving {
                deadline = min(deadline, leaving.at)
            } else if let held = endpoint.heldUntil {
                deadline = min(deadline, held)
            } else if !endpoint.isStarved, let due = endpoint.machine.deadline {
                deadline = min(deadline, due)
            }
        }
        return deadline
    }

    private func work(now: MonotonicTime) {
        for (number, endpoint) in self.endpoints where !endpoint.isStarved {
            if let due = endpoint.heldUntil ?? endpoint.machine.deadline, due <= now { self.awake.insert(number) }
        }
        self.letGo(now: now)
        // Those that were left out before come first.
        let first = self.starved
        self.starved = []
        for number in first { self.endpoints[number]?.isStarved = false }
        for number in first { self.pump(number, now: now) }
        let rest = self.awake.subtracting(first)
        self.awake = []
        for number in rest { self.pump(number, now: now) }
        self.keepRows(now: now)
    }

    /// Does what an endpoint wants done.
    private func pump(_ number: Int, now: MonotonicTime) {
        guard let endpoint = self.endpoints[number], !endpoint.isStarved, self.maySend(endpoint, now: now) else {
            return
        }
        let room = max(0, self.parts.configuration.maxUnderWay - self.underWay)
        for order in endpoint.machine.next(now: now, limit: room) {
            switch order {
            case .read(let after, let limit): self.read(number, after: after, limit: limit)
            case .send(let message): self.send(number, message, now: now)
            }
        }
        guard self.underWay >= self.parts.configuration.maxUnderWay,
            let due = endpoint.machine.deadline, due <= now
        else { return }
        endpoint.isStarved = true
        self.starved.append(number)
    }

    private func read(_ number: Int, after: UInt64, limit: Int) {
        guard let reading = self.endpoints[number]?.reading else { return }
        if let part = self.parts.hub.read(reading, after: after, limit: limit) {
            return self.take(part, after: after, for: number)
        }
        self.endpoints[number]?.ticket = self.parts.hub.fetch(reading, after: after, limit: limit) { [inbox] part in
            _ = inbox.post(.read(endpoint: number, after: after, part))
        }
    }

    private func take(_ part: WebhookPart, after: UInt64, for number: Int) {
        guard let endpoint = self.endpoints[number] else { return }
        switch part {
        case .events(let events, let through, let isComplete):
            self.endpoints[number]?.machine
                .eventsRead(events, after: after, through: through, isComplete: isComplete)
        case .gap(let reason, let head):
            // One of a source that was removed in between is none: it is not among those that are read next.
            let isOld =
                self.parts.hub.sources(matching: endpoint.machine.configuration.sources) != endpoint.reading.sources
            guard !isOld else {
                endpoint.machine.eventsRead([], after: after, through: after, isComplete: false)
                return self.resolve(number)
            }
            let names = self.parts.hub.names(of: endpoint.reading.sources)
            self.endpoints[number]?.machine.gapFound(reason, after: after, head: head, sources: names)
            self.parts.notify(.gap(name: endpoint.machine.configuration.name, reason))
        }
        self.awake.insert(number)
    }

    private func send(_ number: Int, _ message: WebhookTry, now: MonotonicTime) {
        guard let sender = self.endpoints[number]?.sender else { return }
        self.underWay += 1
        self.starts[number, default: [:]][message.sequence] = now
        sender.send(message, by: self.requests, now: .now) { [weak self] outcome in
            self?.ended(number, message, outcome)
        }
    }

    private func ended(_ number: Int, _ message: WebhookTry, _ outcome: WebhookOutcome) {
        // The last rows are kept: a message that is cut off now is sent again by a later process.
        guard !self.isStopping else { return }
        self.underWay -= 1
        let now = MonotonicTime.now
        let took = self.starts[number]?.removeValue(forKey: message.sequence).map { now - $0 } ?? .zero
        if self.starts[number]?.isEmpty == true { self.starts[number] = nil }
        self.duration.observe(took)
        guard let endpoint = self.endpoints[number] else { return }
        let wasActive = endpoint.machine.state == .active
        endpoint.machine.tryEnded(
            message,
            outcome,
            took: took,
            now: now,
            jitter: Double.random(in: 0..<1, using: &self.generator),
            at: .now
        )
        let name = endpoint.machine.configuration.name
        if outcome.verdict == .gone, wasActive {
            self.parts.notify(.disabled(name: name))
        } else if endpoint.machine.isFailing != endpoint.wasFailing {
            endpoint.wasFailing.toggle()
            if endpoint.wasFailing, let last = endpoint.machine.tries.last {
                self.parts.notify(.failing(name: name, last))
            } else if !endpoint.wasFailing {
                self.parts.notify(.recovered(name: name))
            }
        }
        self.setWaiting(number)
        self.awake.insert(number)
    }

    /// Sends a message that is no event, once.
    private func test(_ name: String, _ reply: @escaping @Sendable (WebhookTryReport?) -> Void) {
        guard let number = self.names[name], let endpoint = self.endpoints[number] else { return reply(nil) }
        let (now, cursor) = (MonotonicTime.now, endpoint.machine.cursor)
        let webhook = endpoint.machine.configuration
        let id = "\(webhook.messageID("test", at: cursor))_\(UInt64.random(in: 0...(.max)))"
        let body = WebhookTest.body(webhook, id: id, at: .now)
        let message = WebhookTry(sequence: cursor.sequence, cursor: cursor, id: id, body: body)
        self.underWay += 1
        endpoint.sender.send(message, by: self.requests, now: .now) { [weak self] outcome in
            let took = MonotonicTime.now - now
            self?.underWay -= 1
            self?.endpoints[number]?.machine.note(message, outcome, took: took, at: .now)
            reply(WebhookTryReport(message, outcome, took: took, at: .now))
        }
    }
}
