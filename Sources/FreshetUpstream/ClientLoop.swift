// The thread of a client of upstreams, and its commands.

import FreshetCore
import Synchronization
import System

/// One thing to do on the client's thread.
enum ClientCommand: Sendable {
    /// Called once, on the client's thread or where the command is refused.
    typealias Reply = @Sendable (ExchangeEnd) -> Void

    case send(ExchangeID, ExchangeRequest, UpstreamURL, ExchangeConfiguration, Reply)
    case cancel(ExchangeID)
    case stop

    func refuse(_ error: UpstreamError) {
        switch self {
        case .send(_, _, _, _, let reply):
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

/// The client's thread: takes commands, and has a ``RequestTable`` carry them out.
final class ClientLoop {
    private let inbox: ClientInbox
    private let reactor: Reactor
    private let requests: RequestTable
    private var isStopping = false

    init(inbox: ClientInbox, configuration: CurlTransport.Configuration, maxUnderWay: Int) throws(UpstreamError) {
        self.inbox = inbox
        self.reactor = try Reactor(wakeUp: inbox.wakeUp)
        self.requests = try RequestTable(
            reactor: self.reactor,
            configuration: configuration,
            maxUnderWay: maxUnderWay
        )
    }

    func run() {
        while !self.isStopping {
            self.reactor.wait(
                until: self.requests.deadline,
                now: .now,
                ready: { self.requests.socketReady($0, $1) },
                disturbed: { self.requests.socketDisturbed($0) }
            )
            for command in self.inbox.take() { self.perform(command) }
            self.requests.work(now: .now)
        }
        for command in self.inbox.close() { command.refuse(.stopping) }
        self.requests.stop()
    }

    private func perform(_ command: ClientCommand) {
        switch command {
        case .send(let id, let request, let url, let configuration, let reply):
            self.requests.send(request, to: url, configuration, as: id, then: reply)
        case .cancel(let id): self.requests.cancel(id)
        case .stop: self.isStopping = true
        }
    }
}
