// What other threads want of the poll thread.

import FreshetCore
import FreshetUpstream
import Synchronization

/// One thing to do on the poll thread. Each reply is called exactly once, on the poll thread or where the command is
/// refused.
enum LaneCommand: Sendable {
    typealias PushReply = @Sendable (Result<Cursor, PollError>) -> Void

    /// Without a URL the source only takes what is pushed.
    case add(SourceID, UpstreamURL?, SourceConfiguration, learned: [UInt8])
    case remove(SourceID)
    case subscribersChanged(SourceID)
    case poll(SourceID, PolledSource.Waiter)
    case pause(SourceID, @Sendable () -> Void)
    case resume(SourceID, @Sendable () -> Void)
    case push(SourceID, body: [UInt8], contentType: [UInt8]?, PushReply)
    /// Other request fields for a source, with which it is polled at once.
    case renew(SourceID, [SourceConfiguration.Field])
    case stop

    /// Answers a command that nobody will carry out.
    func refuse(_ error: PollError) {
        switch self {
        case .add, .remove, .subscribersChanged, .renew, .stop: break
        case .poll(_, let reply): reply(.failure(error))
        case .pause(_, let reply), .resume(_, let reply): reply()
        case .push(_, _, _, let reply): reply(.failure(error))
        }
    }
}

/// Commands on their way to the poll thread, and figures on their way back. Any thread may call.
final class LaneInbox: Sendable {
    private struct State: Sendable {
        var commands: [LaneCommand] = []
        var isClosed = false
    }

    let wakeUp: WakeUp
    let metrics = Mutex(PollMetrics())
    private let state = Mutex(State())

    init(wakeUp: WakeUp) {
        self.wakeUp = wakeUp
    }

    /// Hands a command over; one that comes after the end is refused at once.
    func post(_ command: LaneCommand) {
        let isOpen = self.state.withLock { state in
            guard !state.isClosed else { return false }
            state.commands.append(command)
            return true
        }
        if isOpen { self.wakeUp.signal() } else { command.refuse(PollError(.internal, "the gateway is stopping")) }
    }

    /// The commands since the last call, oldest first.
    func take() -> [LaneCommand] {
        self.state.withLock { state in
            guard !state.commands.isEmpty else { return [] }
            defer { state.commands = [] }
            return state.commands
        }
    }

    /// Takes no further command, and gives back those that nobody took.
    func close() -> [LaneCommand] {
        self.state.withLock { state in
            state.isClosed = true
            defer { state.commands = [] }
            return state.commands
        }
    }
}
