// Single requests for those who are not polled for: keys of issuers, tokens, writes. They run on a thread of their own, so
// that nothing of theirs delays a poll.

package import FreshetCore
import Synchronization
import System

/// Carries out requests, each with its own URL. Any thread may call.
package final class UpstreamClient: Sendable {
    /// Requests under way at one time; one more is refused. The default is 256.
    package static let maxUnderWay = 256

    private let inbox: ClientInbox
    private let thread: SystemThread

    /// Starts the thread.
    ///
    /// - Throws: ``UpstreamError`` of kind `internal` where descriptors, memory, threads or libcurl are lacking.
    package init(
        configuration: CurlTransport.Configuration = CurlTransport.Configuration(),
        maxUnderWay: Int = UpstreamClient.maxUnderWay
    ) throws(UpstreamError) {
        try CurlLibrary.prepare()
        let inbox = ClientInbox(wakeUp: try UpstreamError.wrapping(WakeUp.init))
        self.inbox = inbox
        self.thread = try UpstreamError.wrapping { () throws(SystemError) in
            try SystemThread(name: "upstream") {
                // Made on its thread, as libcurl's handles belong to one.
                do throws(UpstreamError) {
                    try ClientLoop(inbox: inbox, configuration: configuration, maxUnderWay: maxUnderWay).run()
                } catch {
                    for command in inbox.close() { command.refuse(error) }
                }
            }
        }
    }

    deinit {
        self.inbox.post(.stop)
        self.thread.join()
    }

    /// Sends a request and returns its answer, whatever its status. Ends with the task.
    ///
    /// - Throws: ``UpstreamError`` where there is no complete answer.
    package func send(
        _ request: ExchangeRequest,
        to url: UpstreamURL,
        _ configuration: ExchangeConfiguration = ExchangeConfiguration()
    ) async throws(UpstreamError) -> ExchangeResponse {
        try await self.carryOut(request, to: url, configuration).result.get()
    }

    /// As ``send(_:to:_:)``, for who has to know how far a request came that has no answer: ``ExchangeEnd/wasSent``.
    package func carryOut(
        _ request: ExchangeRequest,
        to url: UpstreamURL,
        _ configuration: ExchangeConfiguration = ExchangeConfiguration()
    ) async -> ExchangeEnd {
        let id = self.inbox.nextID()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                self.inbox.post(.send(id, request, url, configuration) { continuation.resume(returning: $0) })
                // A task that was cancelled before has had its handler called already.
                if Task.isCancelled { self.inbox.post(.cancel(id)) }
            }
        } onCancel: {
            self.inbox.post(.cancel(id))
        }
    }
}

extension UpstreamClient {
    /// As ``carryOut(_:to:_:)``, for a thread that does not wait: `then` is called once, on the client's thread, or inside
    /// of this call where the client is stopping.
    package func begin(
        _ request: ExchangeRequest,
        to url: UpstreamURL,
        _ configuration: ExchangeConfiguration,
        then: @escaping @Sendable (ExchangeEnd) -> Void
    ) {
        self.inbox.post(.send(self.inbox.nextID(), request, url, configuration, then))
    }
}

/// How a single request ended.
package struct ExchangeEnd: Sendable {
    package var result: Result<ExchangeResponse, UpstreamError>
    /// Some of the request may have left. False only where certainly nothing has.
    package var wasSent: Bool
    /// What the last request took, and what was said; `nil` where none was made.
    package var trace: ExchangeTrace?

    package init(result: Result<ExchangeResponse, UpstreamError>, wasSent: Bool, trace: ExchangeTrace? = nil) {
        self.result = result
        self.wasSent = wasSent
        self.trace = trace
    }
}

/// One thing to do on the client's thread.
private enum ClientCommand: Sendable {
    /// Called once, on the client's thread or where the command is refused.
    typealias Reply = @Sendable (ExchangeEnd) -> Void

    case send(ExchangeID, ExchangeRequest, UpstreamURL, ExchangeConfiguration, Reply)
    case cancel(ExchangeID)
    case stop

    func refuse(_ error: UpstreamError) {
        if case .send(_, _, _, _, let reply) = self { reply(ExchangeEnd(result: .failure(error), wasSent: false)) }
    }
}

/// Commands on their way to the client's thread, and the numbers of its requests.
private final class ClientInbox: Sendable {
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
private final class ClientLoop {
    private let inbox: ClientInbox
    private let reactor: Reactor
    private let transport: CurlTransport
    private let maxUnderWay: Int
    private var replies: [ExchangeID: ClientCommand.Reply] = [:]
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
                until: self.transport.deadline,
                now: .now,
                ready: { self.transport.socketReady($0, $1) },
                disturbed: { self.transport.socketDisturbed($0) }
            )
            for command in self.inbox.take() { self.perform(command) }
            let now = MonotonicTime.now
            if self.transport.deadline <= now { self.transport.timerFired(now: now) }
            for completion in self.transport.takeCompletions(now: now) {
                self.end(completion.id, completion.result, wasSent: completion.wasSent, completion.trace)
            }
            // A single request has no earlier value to doubt; the connection is closed already.
            _ = self.transport.takeUnsolicited()
        }
        for command in self.inbox.close() { command.refuse(.stopping) }
        for id in self.replies.keys { self.end(id, .failure(.stopping)) }
    }

    private func perform(_ command: ClientCommand) {
        switch command {
        case .send(let id, let request, let url, let configuration, let reply):
            guard self.replies.count < self.maxUnderWay else {
                let text = "\(self.maxUnderWay) requests to upstreams are under way already"
                return reply(ExchangeEnd(result: .failure(UpstreamError(.internal, text)), wasSent: false))
            }
            do throws(UpstreamError) {
                try self.transport.add(id, url: url, configuration: configuration)
            } catch {
                return reply(ExchangeEnd(result: .failure(error), wasSent: false))
            }
            self.replies[id] = reply
            self.transport.start(id, request, now: .now)
        case .cancel(let id):
            self.end(id, .failure(UpstreamError(.internal, "the request was cancelled")))
        case .stop:
            self.isStopping = true
        }
    }

    /// `wasSent`: what is given up in the middle may have left.
    private func end(
        _ id: ExchangeID,
        _ result: Result<ExchangeResponse, UpstreamError>,
        wasSent: Bool = true,
        _ trace: ExchangeTrace? = nil
    ) {
        guard let reply = self.replies.removeValue(forKey: id) else { return }
        self.transport.remove(id)
        reply(ExchangeEnd(result: result, wasSent: wasSent, trace: trace))
    }
}

extension UpstreamError {
    fileprivate static let stopping = UpstreamError(.internal, "the gateway is stopping")
}
