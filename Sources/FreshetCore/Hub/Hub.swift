// Where the threads meet: pollers publish, shards and requests read.

import Synchronization

/// The readable log, the latest value of each source, and who listens to what.
///
/// The log (``LogBackend``) gives changes their positions; the hub makes them readable in that order and tells its
/// listeners. Three locks, taken in this order where one is taken inside another: ``intake``, the log's own,
/// ``arrivals``, ``state``. Under none of them is a frame made, a callback called, anybody woken or a disk touched
/// (``BriefLock``). A fourth, ``turn``, is held as long as that takes, and taken with none of the others held.
package final class Hub: Sendable {
    let intake: BriefLock<Intake>
    let arrivals: BriefLock<TurnQueue<Arrival>>
    /// Held by the thread that works ``arrivals`` off; see ``settle()``.
    let turn = Mutex(())
    let state: BriefLock<HubState>
    let instances = Mutex(Instances())
    let viewFigures = ViewFigures()
    /// Has the store read and values rebuilt, by threads that may block.
    package let reads: ReadDesk
    /// The tags of items, for those who read them and those who write them.
    package let itemTags = ItemTags()

    /// - Parameters:
    ///   - log: empty, or at the head of what `store` holds.
    ///   - store: where changes are committed before anybody sees them; `nil` to keep them in memory alone.
    ///   - storeError: why there is no store although one was asked for.
    ///   - reads: has the store read and values rebuilt.
    package convenience init(
        log: ChangeLog,
        store: (any ChangeStore)? = nil,
        storeError: StoreError? = nil,
        reads: ReadDesk = ReadDesk()
    ) {
        let backend: any LogBackend = store.map { StoreLog($0, after: log.cursor) } ?? MemoryLog(after: log.cursor)
        self.init(log: log, backend: backend, store: store, storeError: storeError, reads: reads)
    }

    /// - Parameters:
    ///   - log: at the head of `backend`.
    ///   - backend: gives changes their positions. Not started yet.
    ///   - store: where what memory has evicted may be read, and what `backend` commits to, if it does.
    ///   - storeError: why there is no store although one was asked for.
    ///   - reads: has the store read and values rebuilt.
    package init(
        log: ChangeLog,
        backend: any LogBackend,
        store: (any ChangeStore)? = nil,
        storeError: StoreError? = nil,
        reads: ReadDesk = ReadDesk()
    ) {
        self.reads = reads
        self.intake = BriefLock(Intake(log: backend, store: store))
        self.arrivals = BriefLock(TurnQueue())
        self.state = BriefLock(HubState(log: log, hasStore: store != nil, storeError: storeError))
        backend.start(telling: self)
    }
}
