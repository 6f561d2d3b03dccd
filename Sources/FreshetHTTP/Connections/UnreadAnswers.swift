// Answers that wait for clients to read: what they hold, and which of them end first when memory is short.

package import FreshetCore
import NIOCore
import Synchronization

/// The answers of a server that have not left, beyond what the kernel took at once. Any thread.
package final class UnreadAnswers: Sendable {
    private struct Entry: Sendable {
        var channel: any Channel
        var client: ReadClient
        /// Bytes that the kernel has not taken.
        var unsent: Int
        /// When the client last took something.
        var progress: NIODeadline
    }

    private struct State: Sendable {
        var entries: [ObjectIdentifier: Entry] = [:]
        var ended: UInt64 = 0
    }

    private let state = Mutex(State())
    /// Counts and bounds what the answers hold.
    package let desk: UnsentDesk

    private let stallTime: TimeAmount

    /// `stallTime`: how long a client takes nothing before its answer counts as stalled.
    package init(limits: UnsentLedger.Limits = UnsentLedger.Limits(), stallTime: Duration = .seconds(1)) {
        self.desk = UnsentDesk(limits: limits)
        self.stallTime = .nanoseconds(stallTime.clampedNanoseconds)
    }

    /// Adds an answer, or notes that its client took something.
    func note(_ channel: any Channel, of client: ReadClient, unsent: Int) {
        let entry = Entry(channel: channel, client: client, unsent: unsent, progress: .now())
        self.state.withLock { $0.entries[ObjectIdentifier(channel)] = entry }
    }

    func remove(_ channel: any Channel) {
        self.state.withLock { $0.entries[ObjectIdentifier(channel)] = nil }
    }

    /// Closes the connections of clients that take nothing: of those the half that has most to read, one at least.
    ///
    /// - Returns: How many.
    @discardableResult
    package func endStalled() -> Int { self.endStalled { _ in true } }

    /// Closes connections of clients that take nothing, after there was no room for an answer to `client`.
    func makeRoom(for client: ReadClient, after refusal: UnsentRefusal) {
        switch refusal {
        case .full: self.endStalled { _ in true }
        case .address: self.endStalled { $0 == client }
        }
    }

    @discardableResult
    private func endStalled(where isIncluded: (ReadClient) -> Bool) -> Int {
        let limit = NIODeadline.now() - self.stallTime
        let stalled = self.state.withLock { state in
            state.entries.values.filter { $0.progress <= limit && isIncluded($0.client) }
        }
        return self.end(stalled.sorted { $0.unsent > $1.unsent }.prefix((stalled.count + 1) / 2))
    }

    /// Closes the connections of all clients that have something to read, however slowly they take it.
    ///
    /// - Returns: How many.
    @discardableResult
    package func endAll() -> Int {
        self.end(self.state.withLock { Array($0.entries.values) }[...])
    }

    private func end(_ entries: ArraySlice<Entry>) -> Int {
        self.state.withLock { state in
            for entry in entries {
                state.entries[ObjectIdentifier(entry.channel)] = nil
            }
            state.ended += UInt64(entries.count)
        }
        for entry in entries {
            entry.channel.close(promise: nil)
        }
        return entries.count
    }

    /// Answers that have not left.
    package var count: Int { self.state.withLock { $0.entries.count } }

    /// Answers that were ended because others needed their place or their memory.
    package var ended: UInt64 { self.state.withLock { $0.ended } }
}
