// Where answers and streams ask before they keep bytes for a client that may not read.

import Synchronization

/// The ``UnsentLedger`` of a gateway. Any thread.
package final class UnsentDesk: Sendable {
    private struct State: Sendable {
        var ledger: UnsentLedger
        var refusals: [UnsentRefusal: UInt64] = [:]
    }

    private let state: Mutex<State>

    package init(limits: UnsentLedger.Limits = UnsentLedger.Limits()) {
        self.state = Mutex(State(ledger: UnsentLedger(limits: limits)))
    }

    /// Counts bytes in, until the ticket is gone.
    package func hold(_ held: HeldBytes, for client: ReadClient) throws(UnsentRefusal) -> UnsentTicket {
        let refusal = self.state.withLock { state -> UnsentRefusal? in
            do throws(UnsentRefusal) {
                try state.ledger.hold(held, for: client)
                return nil
            } catch {
                state.refusals[error, default: 0] += 1
                return error
            }
        }
        if let refusal { throw refusal }
        return UnsentTicket(held, client, self)
    }

    /// Bytes held at this moment.
    package var bytes: Int { self.state.withLock { $0.ledger.bytes } }

    /// Answers that were not kept, by reason.
    package var refusals: [UnsentRefusal: UInt64] { self.state.withLock { $0.refusals } }

    fileprivate func release(_ held: HeldBytes, _ client: ReadClient) {
        self.state.withLock { $0.ledger.release(held, for: client) }
    }
}

/// Bytes that are counted. They no longer are when the last reference is gone, so that no path can forget them.
package final class UnsentTicket: Sendable {
    private let held: HeldBytes
    private let client: ReadClient
    private let desk: UnsentDesk

    fileprivate init(_ held: HeldBytes, _ client: ReadClient, _ desk: UnsentDesk) {
        self.held = held
        self.client = client
        self.desk = desk
    }

    deinit {
        self.desk.release(self.held, self.client)
    }
}
