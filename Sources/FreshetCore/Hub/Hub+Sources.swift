// Which sources there are, by name and number, and how each stands.

extension Hub {
    /// Adds a source; its name is free unless it exists already and was not removed. Whoever reads on from before this
    /// process, or from before the end of another of this name, reads the store or has a gap.
    ///
    /// - Returns: `nil` where the name is taken.
    package func addSource(_ name: String, identity: String = "", status: SourceStatus) -> SourceID? {
        let (id, listeners) = self.state.withLock { state -> (SourceID?, [any HubListener]) in
            guard let id = state.add(name, identity: identity, status: status) else { return (nil, []) }
            return (id, state.listeners)
        }
        for listener in listeners {
            listener.wake()
        }
        return id
    }

    /// Adds an instance of a template, which nobody reads yet. `groups`: what it is counted in while nobody does; `isShared`: other
    /// gateways may have had it before, so that whoever reads on from before this has a gap, or reads the store.
    ///
    /// - Returns: `nil` where the name is taken.
    package func addInstance(
        _ name: String,
        identity: String,
        status: SourceStatus,
        in groups: [IdleGroup],
        isShared: Bool = false,
        now: MonotonicTime
    ) -> SourceID? {
        self.state.withLock { state in
            state.idle.now = now
            return state.addInstance(name, identity: identity, status: status, in: groups, isShared: isShared)
        }
    }

    /// The instance of a group that nobody has read for longest; `nil` where each has a reader.
    package func idleInstance(in group: IdleGroup) -> SourceID? {
        self.state.withLock { $0.idle.first(in: group) }
    }

    /// The instance of a group that nobody has read for longest, where that is so long.
    package func idleInstance(in group: IdleGroup, for duration: Duration, now: MonotonicTime) -> SourceID? {
        self.state.withLock { state in
            state.idle.now = now
            return state.idle.first(in: group, for: duration)
        }
    }

    /// What the value of a source depends on is this from now on; see ``StoredSource/identity``. Called by whoever
    /// publishes its changes, between the last by the old configuration and the first by the new one.
    package func identify(_ id: SourceID, as identity: String) {
        self.state.withLock { state in
            state.update(id) { $0.identity = identity }
        }
    }

    /// Forgets a source: its value, its changes, its name, in memory and in the store. Its number is never given out
    /// again, and what is still published of it is dropped.
    package func removeSource(_ id: SourceID) {
        // No change may be submitted meanwhile: behind the removal in the log, it would be of the next source of this
        // name.
        let (listeners, log) = self.intake.withLock { intake in
            if let name = self.name(of: id) { intake.log.remove(source: name) }
            return (self.state.withLock { $0.remove(id) }, intake.log)
        }
        log.flush()
        for listener in listeners {
            listener.wake()
        }
    }

    /// Forgets what an earlier process left in the store of a source that is not ours: it is not configured any
    /// more, or its value is another's now. Before that source is added, if it is.
    package func release(_ name: String) {
        let log = self.intake.withLock { intake in
            intake.log.remove(source: name)
            self.state.withLock { $0.retire(name) }
            return intake.log
        }
        log.flush()
    }

    /// `nil` for a source that was removed.
    package func name(of source: SourceID) -> String? {
        self.state.withLock { $0[source]?.name }
    }

    /// The sources that a selector names and a grant covers, ascending; or the first name that does not exist or is not
    /// covered. A prefix may match nothing.
    package func resolve(
        _ selector: SourceSelector,
        within grant: SourcePattern = .all
    ) -> Result<[SourceID], UnknownSource> {
        self.state.withLock { state in
            var found: Set<SourceID> = []
            for term in selector.terms {
                switch term {
                case .exact(let name):
                    // Both are looked at in any case: how long it takes says nothing about what is there (FAULTS F52).
                    let id = state.id(of: name)
                    guard grant.matches(name), let id else { return .failure(UnknownSource(name: name)) }
                    found.insert(id)
                case .prefix(let prefix):
                    found.formUnion(state.ids(prefix: prefix, within: grant))
                }
            }
            return .success(found.sorted())
        }
    }

    /// How many sources were ever added: while it stays the same, no pattern names one more.
    package var additions: UInt64 {
        self.state.withLock { $0.additions }
    }

    /// The sources that a pattern names now, ascending.
    package func sources(matching pattern: SourcePattern) -> [SourceID] {
        self.state.withLock { state in
            var found: [SourceID] = []
            for term in pattern.terms {
                switch term {
                case .exact(let name):
                    if let id = state.id(of: name) { found.append(id) }
                case .prefix(let prefix): found += state.ids(prefix: prefix)
                }
            }
            // No source twice: no term of a pattern covers another.
            return found.sorted()
        }
    }

    /// Those of the sources that were removed.
    package func removed(among sources: [SourceID]) -> Set<SourceID> {
        self.state.withLock { state in
            Set(sources.filter { state[$0] == nil })
        }
    }

    /// Those of the sources that were removed, and may have changed between `sequence` and then.
    package func removed(among sources: [SourceID], changedAfter sequence: UInt64) -> Set<SourceID> {
        self.state.withLock { state in
            Set(sources.filter { state[$0] == nil && state.log.cache.evictedThrough($0) > sequence })
        }
    }

    /// A name that no source has.
    package struct UnknownSource: Error, Hashable, Sendable {
        package var name: String
    }

    package func source(named name: String) -> SourceID? {
        self.state.withLock { $0.id(of: name) }
    }

    /// Every source that is not removed, in the order in which they were added. Who publishes waits for a few hundred of
    /// them at most: they are read in slices, so that those at the end may be newer than those at the beginning.
    package func sources() -> [SourceReport] {
        let indices = self.state.withLock { $0.entries.sortedIndices }
        var reports: [SourceReport] = []
        var next = 0
        while next < indices.count {
            let end = min(next + Self.reportsPerSlice, indices.count)
            self.state.withLock { state in
                reports += indices[next..<end].compactMap { state.report(of: SourceID(index: $0)) }
            }
            next = end
        }
        return reports
    }

    private static let reportsPerSlice = 256

    /// How many subscribers listen to this source now.
    package func subscriberCount(of source: SourceID) -> Int {
        self.state.withLock { $0[source]?.subscribers ?? 0 }
    }

    /// Whether somebody listens to this source now, or waits for its next change.
    package func isListenedTo(_ source: SourceID) -> Bool {
        self.state.withLock { state in
            state[source]?.isRead ?? false
        }
    }

    /// Whether somebody listens to a source, or waits for it, at this gateway.
    package func isReadHere(_ source: SourceID) -> Bool {
        self.state.withLock { $0[source]?.isReadHere ?? false }
    }

    /// Takes note of who polls which source in a cluster, and of the sources that are read at other gateways.
    ///
    /// - Returns: Those that are read elsewhere from now on, and were not.
    package func note(owners: [String: String], readElsewhere: Set<String>, now: MonotonicTime) -> [SourceID] {
        self.state.withLock { state in
            var new: [SourceID] = []
            state.idle.now = now
            for ids in [state.ids, state.instances] {
                for (name, id) in ids {
                    guard let entry = state[id] else { continue }
                    let isRead = readElsewhere.contains(name)
                    guard entry.owner != owners[name] || entry.isReadElsewhere != isRead else { continue }
                    if isRead, !entry.isReadElsewhere { new.append(id) }
                    state.update(id) { entry in
                        entry.owner = owners[name]
                        entry.isReadElsewhere = isRead
                    }
                }
            }
            return new
        }
    }

    /// Takes note that a source is read at another gateway of the cluster, until ``note(owners:readElsewhere:)`` says otherwise.
    package func noteReadElsewhere(_ source: SourceID) {
        self.state.withLock { state in
            state.update(source) { $0.isReadElsewhere = true }
        }
    }

    /// Takes an instance that nobody reads for one that somebody has read a moment ago.
    package func postpone(_ source: SourceID, now: MonotonicTime) {
        self.state.withLock { state in
            guard let entry = state[source], !entry.idleGroups.isEmpty, !entry.isRead else { return }
            state.idle.now = now
            state.idle.insert(source, in: entry.idleGroups)
        }
    }

    package func report(of source: SourceID) -> SourceReport? {
        self.state.withLock { $0.report(of: source) }
    }
}

/// A source as it stands at one moment.
package struct SourceReport: Sendable {
    package var id: SourceID
    package var name: String
    package var status: SourceStatus
    /// The current value; `nil` before the first.
    package var version: SourceVersion?
    package var subscribers: Int
    /// What the subscribers would have asked the upstream, each for itself, beyond the polls that were made for all.
    package var requestsSaved: UInt64 = 0
    /// The gateway of a cluster that polls it; `nil` without a cluster, and for none.
    package var owner: String?
}
