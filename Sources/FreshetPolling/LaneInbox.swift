// What other threads want of the poll thread.

import FreshetCore
import FreshetUpstream
import Synchronization
import System

/// One thing to do on the poll thread. Each reply is called exactly once, on the poll thread or where the command is
/// refused.
enum LaneCommand: Sendable {
    typealias PushReply = @Sendable (Result<Cursor, UpstreamError>) -> Void

    typealias LeaseReply = @Sendable (Result<WriteLease, UpstreamError>) -> Void
    typealias TakeReply = @Sendable (Result<WritePlan.Taken, UpstreamError>) -> Void

    /// Without a URL the source only takes what is pushed.
    case add(SourceID, UpstreamURL?, SourceConfiguration, learned: [UInt8], resumes: Bool)
    case remove(SourceID)
    case subscribersChanged(SourceID)
    /// Replies once there is no poll to wait for.
    case settle(SourceID, @Sendable () -> Void)
    case poll(SourceID, PolledSource.Waiter)
    case pause(SourceID, @Sendable () -> Void)
    case resume(SourceID, @Sendable () -> Void)
    case push(SourceID, body: [UInt8], contentType: [UInt8]?, PushReply)
    /// Other credentials for a source, with which it is polled at once.
    case renew(SourceID, SourceConfiguration)
    /// A token for all sources with this credential, or why there is none.
    case token(OAuth2, Result<TokenLease, UpstreamError>)
    /// A large body was read.
    case bodyRead(BodyReaders.Delivery)
    /// The upstream said that something changed.
    case hook(SourceID)
    /// A write begins: polls of the source wait for it.
    /// `key`: of the item; `nil` for the whole value. `isNew`: of an item that has no key yet.
    case beginWrite(SourceID, key: String?, isNew: Bool, LeaseReply)
    /// A write makes this of the source's value.
    case write(SourceID, WriteEdit, tag: [UInt8]?, TakeReply)
    /// A write has ended. `polls`: the upstream may hold something that nobody here knows.
    case endWrite(SourceID, key: String?, isNew: Bool, polls: Bool)
    /// Another part of the limits that several gateways share.
    case use(PollShare)
    case stop

    /// Answers a command that will not be carried out.
    func refuse(_ error: UpstreamError) {
        switch self {
        case .add, .remove, .subscribersChanged, .renew, .token, .bodyRead, .hook, .endWrite, .use, .stop: break
        case .poll(_, let reply): reply(.failure(error))
        case .pause(_, let reply), .resume(_, let reply), .settle(_, let reply): reply()
        case .push(_, _, _, let reply): reply(.failure(error))
        case .beginWrite(_, _, _, let reply): reply(.failure(error))
        case .write(_, _, _, let reply): reply(.failure(error))
        }
    }
}

/// Commands on their way to the poll thread, and figures on their way back. Any thread may call.
final class LaneInbox: Sendable {
    let metrics = Mutex(PollMetrics())
    private let inbox: Inbox<LaneCommand>

    var wakeUp: WakeUp { self.inbox.wakeUp }

    init(wakeUp: WakeUp) {
        self.inbox = Inbox(wakeUp: wakeUp)
    }

    /// Hands a command over; one that comes after the end is refused at once.
    func post(_ command: LaneCommand) {
        if !self.inbox.post(command) { command.refuse(UpstreamError(.internal, "the gateway is stopping")) }
    }

    /// The commands since the last call, oldest first.
    func take() -> [LaneCommand] { self.inbox.take() }

    /// Takes no further command, and returns those that were not taken.
    func close() -> [LaneCommand] { self.inbox.close() }
}
