// The disk behind the log: whether it works, and how it takes over again after it failed.

extension Hub {
    /// Why changes are not made durable although a store was configured; `nil` while they are.
    package var storeError: StoreError? {
        self.state.withLock { $0.storeError }
    }

    /// The store, while it works.
    package var store: (any ChangeStore)? {
        self.intake.withLock { $0.store }
    }

    /// Takes note that the store has failed, where that showed otherwise than in an answer to a change. Does nothing
    /// where it was given up already.
    package func storeFailed(_ error: StoreError) {
        self.intake.withLock { intake in
            guard intake.store != nil else { return }
            self.goOnInMemory(error, &intake)
        }
        self.settle()
    }

    /// Makes a store that failed the place of changes again, beginning with the values that hold now. Blocks; who
    /// publishes meanwhile does not.
    ///
    /// Tried first with an empty log of a numbering that is never published, so that changes are not held back for a disk
    /// that is still bad. Then they are: what is published from here on is numbered, and shown only after the store has
    /// begun and committed it.
    package func resumeStore(_ store: any ChangeStore) throws(StoreError) {
        guard !self.intake.withLock({ $0.log.isShared }) else {
            throw StoreError(.io, "a gateway of a cluster keeps its log in memory until it is started again")
        }
        var generator = SystemRandomNumberGenerator()
        do throws(StoreError) {
            try store.restart(epoch: Epoch.random(using: &generator), head: 0, sources: [])
        } catch {
            self.state.withLock { $0.storeError = error }
            throw error
        }
        let (log, head, sources) = self.intake.withLock { self.hold(for: store, &$0) }
        self.settle()
        do throws(StoreError) {
            try store.restart(epoch: head.epoch, head: head.sequence, sources: sources)
        } catch {
            // The disk may hold this numbering all the same, and a later process go on in it.
            self.failed(log, error)
            throw error
        }
        let hasBegun = self.intake.withLock { intake in
            guard intake.log === log else { return false }
            intake.store = store
            self.state.withLock { state in
                state.hasStore = true
                state.storeError = nil
            }
            log.release()
            return true
        }
        guard hasBegun else {
            throw StoreError(.io, "more than \(StoreLog.maxPending) changes arrived while the log was recreated")
        }
        log.flush()
    }

    /// Puts a log in place that holds changes back until its store is ready.
    ///
    /// - Returns: The log, and what its store begins with: the last position before it, and the values at that position.
    private func hold(for store: any ChangeStore, _ intake: inout Intake) -> (StoreLog, Cursor, [StoredSource]) {
        let rest = intake.log.withdraw()
        let head = intake.log.head
        let log = StoreLog(store, after: head, isHeld: true)
        log.start(telling: self)
        intake.log = log
        // First those that are committed and not readable yet: one that becomes so in between is in both.
        let waiting = self.arrivals.withLock { $0.all }
        let sources = self.state.withLock { $0.storedSources(with: waiting) }
        for record in rest {
            // No more than the bound: they were within it before.
            try? log.submit(record)
        }
        return (log, head, sources)
    }
}
