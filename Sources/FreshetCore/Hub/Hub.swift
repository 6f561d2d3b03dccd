// Where the two threads meet: the poller publishes, shards and requests read.

import JSON
import Synchronization

/// The change log, the latest value of each source, and who listens to what, behind one lock.
///
/// Publishing is done by one thread at a time, in two steps: numbering and encoding under a lock of its own, then
/// making the event readable and handing it to the shards under the hub's lock, in which nothing long happens.
package final class Hub: Sendable {
    let state: Mutex<HubState>
    /// Numbers to give out and changes that wait for their commit. Held while a change is numbered and encoded, so that
    /// the order of numbers is the order of publishing. Taken before ``state``, never inside it.
    let numbering: Mutex<Numbering>
    /// Has the store read and values rebuilt, by threads that may block.
    package let reads: ReadDesk

    /// - Parameters:
    ///   - log: empty, or at the head of what `store` holds.
    ///   - store: where changes are committed before anybody sees them; `nil` to keep them in memory alone.
    ///   - storeError: why there is no store although one was asked for.
    ///   - reads: has the store read and values rebuilt.
    package init(
        log: ChangeLog,
        store: (any ChangeStore)? = nil,
        storeError: StoreError? = nil,
        reads: ReadDesk = ReadDesk()
    ) {
        self.reads = reads
        self.numbering = Mutex(Numbering(epoch: log.epoch, last: log.head, store: store))
        self.state = Mutex(HubState(log: log, hasStore: store != nil, storeError: storeError))
    }
}
