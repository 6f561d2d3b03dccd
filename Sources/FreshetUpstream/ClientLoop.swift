// The thread of a client of upstreams: its commands, and the transfers that carry them out.

import FreshetCore
import Synchronization
import System

/// One thing to do on the client's thread.
enum ClientCommand: Sendable {
    /// Called once, on the client's thread or where the command is refused.
    typealias Reply = @Sendable (ExchangeEnd) -> Void

    case send(ExchangeID, ExchangeRequest, UpstreamURL, ExchangeConfiguration, Reply)
    case sendOver(UpstreamLine, ExchangeRequest, Reply)
    case cancel(ExchangeID)
    case stop

    func refuse(_ error: UpstreamError) {
        switch self {
        case .send(_, _, _, _, let reply), .sendOver(_, _, let reply):
            reply(ExchangeEnd(result: .failure(error), wasSent: false))
        case .cancel, .stop: break
        }
    }
}

/// Commands on their way to the client's thread, and the numbers of its requests.
final class ClientInbox: Sendable {
    private let inbox: Inbox<ClientCommand>
    private let lastID = Atomic<Int>(0)

    var wakeUp: WakeUp { self.inbox.wakeUp }

    init(wakeUp: WakeUp) {
        self.inbox = Inbox(wakeUp: wakeUp)
    }

    func nextID() -> ExchangeID {
        ExchangeID(rawValue: self.lastID.wrappingAdd(1, ordering: .relaxed).newValue)
    }

    /// Hands a command over; after the end it is refused at once.
    func post(_ command: ClientCommand) {
        if !self.inbox.post(command) { command.refuse(.stopping) }
    }

    func take() -> [ClientCommand] { self.inbox.take() }

    func close() -> [ClientCommand] { self.inbox.close() }
}

/// The transfers of the client. Confined to its thread.
final class ClientLoop {
    /// Exchanges of lines that are kept for their next request; beyond it they are given up.
    static let maxResting = 256
    /// How long one is kept, as long as its connection.
    static let maxRest = CurlOptions.maxConnectionIdle

    private let inbox: ClientInbox
    private let reactor: Reactor
    private let transport: CurlTransport
    private let maxUnderWay: Int
    private var replies: [ExchangeID: ClientCommand.Reply] = [:]
    /// The line of each exchange that has one.
    private var lines: [ExchangeID: UpstreamLine] = [:]
    /// Exchanges that wait for the next request over their line, the one that rested longest first.
    private var resting: [ObjectIdentifier: [(id: ExchangeID, since: MonotonicTime)]] = [:]
    private var restingCount = 0
    /// When ``resting`` is looked through.
    private var reapDeadline = MonotonicTime.distantFuture
    private var isStopping = false

    init(inbox: ClientInbox, configuration: CurlTransport.Configuration, maxUnderWay: Int) throws(UpstreamError) {
        self.inbox = inbox
        self.maxUnderWay = maxUnderWay
        self.reactor = try Reactor(wakeUp: inbox.wakeUp)
        self.transport = try CurlTransport(reactor: self.reactor, configuration: configuration)
    }

    func run() {
        while !self.isStopping {
            self.reactor.wait(
                until: min(self.transport.deadline, self.reapDeadline),
                now: .now,
                ready: { self.transport.socketReady($0, $1) },
                disturbed: { self.transport.socketDisturbed($0) }
            )
            for command in self.inbox.take() { self.perform(command) }
            let now = MonotonicTime.now
            if self.transport.deadline <= now { self.transport.timerFired(now: now) }
            for completion in self.transport.takeCompletions(now: now) { self.end(completion, now: now) }
            // A single request has no earlier value to doubt; the connection is closed already.
            _ = self.transport.takeUnsolicited()
            if self.reapDeadline <= now { self.reap(now: now) }
        }
        for command in self.inbox.close() { command.refuse(.stopping) }
        for id in self.replies.keys { self.giveUp(id, .stopping) }
    }

    private func perform(_ command: ClientCommand) {
        switch command {
        case .send(let id, let request, let url, let configuration, let reply):
            guard self.hasRoom(for: reply) else { return }
            do throws(UpstreamError) {
                try self.transport.add(id, url: url, configuration: configuration)
            } catch {
                return reply(ExchangeEnd(result: .failure(error), wasSent: false))
            }
            self.replies[id] = reply
            self.transport.start(id, request, now: .now)
        case .sendOver(let line, let request, let reply):
            guard self.hasRoom(for: reply) else { return }
            do throws(UpstreamError) {
                let id = try self.exchange(over: line)
                self.replies[id] = reply
                self.transport.start(id, request, now: .now)
            } catch {
                reply(ExchangeEnd(result: .failure(error), wasSent: false))
            }
        case .cancel(let id):
            self.giveUp(id, UpstreamError(.internal, "the request was cancelled"))
        case .stop:
            self.isStopping = true
        }
    }

    private func hasRoom(for reply: ClientCommand.Reply) -> Bool {
        guard self.replies.count >= self.maxUnderWay else { return true }
        let text = "\(self.maxUnderWay) requests to upstreams are under way already"
        reply(ExchangeEnd(result: .failure(UpstreamError(.internal, text)), wasSent: false))
        return false
    }

    private func giveUp(_ id: ExchangeID, _ error: UpstreamError) {
        guard let reply = self.replies.removeValue(forKey: id) else { return }
        self.transport.remove(id)
        self.lines[id] = nil
        // What is given up in the middle may have left.
        reply(ExchangeEnd(result: .failure(error), wasSent: true))
    }

    private func end(_ completion: ExchangeCompletion, now: MonotonicTime) {
        guard let reply = self.replies.removeValue(forKey: completion.id) else { return }
        if let line = self.lines[completion.id] {
            self.rest(completion.id, of: line, now: now)
        } else {
            self.transport.remove(completion.id)
        }
        reply(ExchangeEnd(result: completion.result, wasSent: completion.wasSent, trace: completion.trace))
    }

    // MARK: Lines

    /// An exchange of the line without a request: the one that was used last, or a new one.
    private func exchange(over line: UpstreamLine) throws(UpstreamError) -> ExchangeID {
        if let id = self.resting[ObjectIdentifier(line)]?.popLast()?.id {
            self.restingCount -= 1
            return id
        }
        let id = self.inbox.nextID()
        try self.transport.add(id, url: line.url, configuration: line.configuration)
        self.lines[id] = line
        return id
    }

    private func rest(_ id: ExchangeID, of line: UpstreamLine, now: MonotonicTime) {
        guard self.restingCount < Self.maxResting else {
            self.lines[id] = nil
            return self.transport.remove(id)
        }
        self.resting[ObjectIdentifier(line), default: []].append((id, now))
        self.restingCount += 1
        if self.reapDeadline == .distantFuture { self.reapDeadline = now + Self.maxRest }
    }

    /// Gives up the exchanges that rested too long, and with the last of a line what is known of it.
    private func reap(now: MonotonicTime) {
        for (line, exchanges) in self.resting {
            let old = exchanges.prefix { now - $0.since > Self.maxRest }
            for (id, _) in old {
                self.lines[id] = nil
                self.transport.remove(id)
            }
            self.restingCount -= old.count
            self.resting[line] = old.count == exchanges.count ? nil : Array(exchanges.dropFirst(old.count))
        }
        self.reapDeadline = self.restingCount == 0 ? .distantFuture : now + Self.maxRest
    }
}

extension UpstreamError {
    static let stopping = UpstreamError(.internal, "the gateway is stopping")
}
