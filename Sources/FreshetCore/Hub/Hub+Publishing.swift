// How a change gets its number, is made durable where a store is configured, and becomes readable.

import DequeModule
package import JSON
import Synchronization

extension Hub {
    /// The state behind the numbers.
    struct Numbering: Sendable {
        var epoch: Epoch
        /// The last sequence given out.
        var last: UInt64
        /// `nil` where changes are kept in memory alone, by configuration or because the disk failed.
        var store: (any ChangeStore)?
        /// Given to the store, not yet committed; oldest first.
        var pending = Deque<Pending>()
    }

    /// A change between its number and its commit.
    struct Pending: Sendable {
        var change: Change
        var source: SourceID
        var sequence: UInt64
        var done: @Sendable (Cursor?) -> Void
    }

    /// The most changes that may wait for the disk. Beyond it the disk counts as failed, and publishing goes on in
    /// memory.
    package static let maxPending = 10_000

    /// Numbers a change and makes it the source's value, at once or after its commit. Changes become readable in the
    /// order of their numbers, and each is handed to every listener then. Any thread; never waits for the disk.
    ///
    /// `done` is called once the change is readable, with its cursor; on the store's thread or inside this call.
    ///   It must not publish. A change of a source that is removed before that is dropped, and has no cursor.
    package func publish(
        _ change: Change,
        of source: SourceID,
        done: @escaping @Sendable (Cursor?) -> Void = { _ in }
    ) {
        self.numbering.withLock { numbering in
            guard self.isPresent(source) else { return done(nil) }
            numbering.last += 1
            let pending = Pending(change: change, source: source, sequence: numbering.last, done: done)
            guard let store = numbering.store else {
                self.commit(pending, epoch: numbering.epoch)
                return
            }
            numbering.pending.append(pending)
            guard numbering.pending.count <= Self.maxPending else {
                self.giveUpStore(StoreError(.io, "the disk is \(Self.maxPending) changes behind"), &numbering)
                return
            }
            let (stored, snapshot) = self.records(of: pending)
            store.append(stored, snapshot: snapshot) { [weak self] result in
                self?.storeAnswered(pending.sequence, result)
            }
        }
    }

    /// Keeps what a poll without a change taught, where there is a store. Best effort.
    package func keep(validators: Validators, learned: [UInt8], of source: SourceID) {
        guard let store = self.numbering.withLock({ $0.store }), let name = self.name(of: source) else { return }
        store.update(source: name, validators: validators, learned: learned)
    }

    /// Takes over a value of an earlier process: no event, no new number.
    package func restore(_ stored: StoredSource, document: Document, of source: SourceID) {
        self.state.withLock { state in
            guard state[source] != nil else { return }
            let change = Change(document: document, at: stored.at, validators: stored.validators)
            let cursor = Cursor(epoch: state.log.epoch, sequence: stored.sequence)
            state.update(source) { $0.version = SourceVersion(change, cursor: cursor, sourceName: stored.name) }
            state.log.startAfter(state.log.head, for: source)
        }
    }

    /// Why changes are not made durable although a store was configured; `nil` while they are.
    package var storeError: StoreError? {
        self.state.withLock { $0.storeError }
    }

    /// The store, while it works.
    package var store: (any ChangeStore)? {
        self.numbering.withLock { $0.store }
    }

    /// Takes note that the store has failed, where that showed otherwise than in an answer to a change. Does nothing
    /// where it was given up already.
    package func storeFailed(_ error: StoreError) {
        self.numbering.withLock { numbering in
            guard numbering.store != nil else { return }
            self.giveUpStore(error, &numbering)
        }
    }

    /// Makes a store that failed the place of changes again, beginning with the values that hold now. Blocks.
    ///
    /// Tried first with an empty log of a numbering that nobody ever sees, so that nobody waits for a disk that is still
    /// bad. Then publishing waits, since nothing may be numbered between the snapshot and the first commit.
    package func resumeStore(_ store: any ChangeStore) throws(StoreError) {
        var generator = SystemRandomNumberGenerator()
        do throws(StoreError) {
            try store.restart(epoch: Epoch.random(using: &generator), head: 0, sources: [])
        } catch {
            self.state.withLock { $0.storeError = error }
            throw error
        }
        let result = self.numbering.withLock { numbering -> Result<Void, StoreError> in
            do throws(StoreError) {
                try store.restart(epoch: numbering.epoch, head: numbering.last, sources: self.storedSources())
            } catch {
                // The disk may hold this numbering all the same, and a later process go on in it.
                self.giveUpStore(error, &numbering)
                return .failure(error)
            }
            numbering.store = store
            self.state.withLock { state in
                state.hasStore = true
                state.storeError = nil
            }
            return .success(())
        }
        try result.get()
    }
}

// MARK: - Commit

extension Hub {
    private func storeAnswered(_ sequence: UInt64, _ result: Result<Void, StoreError>) {
        self.numbering.withLock { numbering in
            // Already committed in memory after an earlier failure.
            guard let first = numbering.pending.first, first.sequence == sequence else { return }
            switch result {
            case .success:
                numbering.pending.removeFirst()
                self.commit(first, epoch: numbering.epoch)
            case .failure(let error):
                self.giveUpStore(error, &numbering)
            }
        }
    }

    /// Goes on in memory after the disk failed. What waits was shown to nobody; it is numbered in a new epoch, since
    /// the disk may hold some of it or none, and no cursor may ever name two contents (FAULTS F64, F65).
    private func giveUpStore(_ error: StoreError, _ numbering: inout Numbering) {
        var generator = SystemRandomNumberGenerator()
        numbering.store = nil
        numbering.epoch = Epoch.random(using: &generator)
        self.state.withLock { state in
            state.log.epochLost(newEpoch: numbering.epoch)
            state.hasStore = false
            state.storeError = error
            state.forgetFetched()
        }
        while let pending = numbering.pending.popFirst() {
            self.commit(pending, epoch: numbering.epoch)
        }
    }

    /// Makes a change readable and hands it to the listeners, with its frames in the formats that somebody listens in.
    private func commit(_ pending: Pending, epoch: Epoch) {
        let source = pending.source
        let (demand, name) = self.demand(for: source)
        let cursor = Cursor(epoch: epoch, sequence: pending.sequence)
        let event = ChangeEvent(pending.change, cursor: cursor, source: source, sourceName: name)
        var frames = FrameSet()
        for (format, _) in demand.counts {
            if let frame = event.frame(for: format) { frames.add(frame, for: format) }
        }
        let version = SourceVersion(pending.change, cursor: cursor, sourceName: name)
        let published = PublishedEvent(
            sequence: event.sequence,
            source: source,
            frames: frames,
            touchesNoItem: event.touchesNoItem
        )
        let notice = HubNotice.published(published)
        let listeners = self.state.withLock { $0.append(event, version, notice) }
        guard let listeners else { return pending.done(nil) }
        for listener in listeners {
            listener.wake()
        }
        pending.done(cursor)
    }

    /// The formats in which the source is listened to, and its name.
    private func demand(for source: SourceID) -> (demand: FormatDemand, name: String) {
        self.state.withLock { state in
            guard let entry = state[source] else { return (FormatDemand(), "") }
            return (entry.demand, entry.name)
        }
    }

    private func records(of pending: Pending) -> (StoredChange, StoredSource) {
        let (name, identity) = self.state.withLock { state -> (String, String) in
            guard let entry = state[pending.source] else { return ("", "") }
            return (entry.name, entry.identity)
        }
        let change = pending.change
        let stored = StoredChange(
            sequence: pending.sequence,
            source: name,
            at: change.at,
            patch: change.patch,
            merge: change.merge,
            items: change.items,
            value: change.document.text
        )
        let snapshot = StoredSource(
            name: name,
            identity: identity,
            sequence: pending.sequence,
            at: change.at,
            value: change.document.text,
            validators: change.validators,
            learned: change.learned
        )
        return (stored, snapshot)
    }

    private func storedSources() -> [StoredSource] {
        self.state.withLock { state in
            state.entries.all.compactMap { entry in
                guard let version = entry.version else { return nil }
                return StoredSource(
                    name: entry.name,
                    identity: entry.identity,
                    sequence: version.cursor.sequence,
                    at: version.at,
                    value: version.document.text,
                    validators: version.validators
                )
            }
        }
    }
}

// MARK: - Status

extension Hub {
    /// Takes note of a source's status.
    ///
    /// `transition` is the state that the source has entered, so that its subscribers get one `status` event;
    ///   `nil` where it is as before.
    package func report(_ status: SourceStatus, of source: SourceID, transition: SourceState? = nil) {
        var notice: HubNotice?
        if transition != nil, let name = self.name(of: source) {
            let planned = PlannedStatus(source: name, status: status)
            notice = .status(
                source,
                status.state,
                eventStream: planned.frame(wire: .eventStream),
                jsonLine: planned.frame(wire: .jsonLines)
            )
        }
        let listeners = self.state.withLock { $0.report(status, of: source, notice) }
        for listener in listeners {
            listener.wake()
        }
    }
}
