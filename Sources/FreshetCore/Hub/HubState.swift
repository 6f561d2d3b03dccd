// What the hub knows of one moment. Its lock is held over what is done here, so nothing here makes a frame, calls anybody
// or waits: values go in ready made, and plans come out from which frames are made afterwards.

import JSON

/// The readable log, the sources with their values, and who listens to what.
struct HubState: Sendable {
    /// A source that is there.
    struct Entry: Sendable {
        var name: String
        /// What its value depends on; see ``StoredSource/identity``.
        var identity: String
        var status: SourceStatus
        var version: SourceVersion?
        /// Readers of the whole value.
        var demand = FormatDemand()
        /// Readers of parts of it; `nil` where there never was one.
        var views: ViewRegistry?
        var viewers = 0
        /// The change from which on its items stand where they do now; 0 where they always did.
        var ruleSince: UInt64 = 0
        /// How often it is waited for: see ``Hub/beginWait(for:)``.
        var waits = 0
        /// What its subscribers would have asked the upstream, each for itself, beyond what was asked for all.
        var requestsSaved: UInt64 = 0
        /// Up to here what the store has under this name may be an earlier source's.
        var startsAfter: UInt64 = 0
        /// The gateway of a cluster that polls it; `nil` without a cluster, and for none.
        var owner: String?
        /// Somebody reads it at another gateway of the cluster.
        var isReadElsewhere = false
        /// Those that an instance is counted in; empty for a source that the configuration names.
        var idleGroups: [IdleGroup] = []

        /// Somebody listens, or waits.
        var isRead: Bool { self.isReadHere || self.isReadElsewhere }

        var isReadHere: Bool { self.waits > 0 || self.subscribers > 0 }

        var subscribers: Int { self.demand.subscribers + self.viewers }

        /// Counts subscribers in.
        mutating func join(_ subscription: Subscription, _ count: Int) {
            guard !subscription.view.isWhole else { return self.demand.add(count, in: subscription.format) }
            let views = self.views ?? ViewRegistry()
            self.views = views
            self.viewers += count
            views.join(subscription.viewID, subscription.view, count, in: subscription.format)
        }

        /// Counts subscribers out.
        mutating func leave(_ subscription: Subscription, _ count: Int) {
            guard !subscription.view.isWhole else { return self.demand.remove(count, in: subscription.format) }
            self.viewers -= count
            self.views?.leave(subscription.viewID, count, in: subscription.format)
        }

        /// Takes note of a status. Each subscriber would have made the polls that have ended since the last one.
        mutating func take(_ status: SourceStatus) {
            let (polls, isOlder) = status.answers.subtractingReportingOverflow(self.status.answers)
            let others = UInt64(max(0, self.subscribers - 1))
            if !isOlder, polls > 0, others > 0 {
                let saved = polls.multipliedReportingOverflow(by: others).partialValue
                self.requestsSaved = self.requestsSaved.addingReportingOverflow(saved).partialValue
            }
            self.status = status
        }
    }

    var log: ChangeLog
    /// Whether what memory has evicted may still be read from the store.
    var hasStore: Bool
    /// Why the store was given up, while it is.
    var storeError: StoreError?
    /// What the store was last read for, shared by those who ask for the same.
    var fetched: [Hub.FetchKey: StreamFeed] = [:]
    /// The bytes of the frames in ``fetched``.
    var fetchedBytes = 0
    /// Values of the past that were read or rebuilt.
    var past = PastCache()
    /// Sources that are not removed.
    private(set) var entries = SourceTable<Entry>()
    private(set) var ids: [String: SourceID] = [:]
    /// Instances of templates by name. No pattern names them: only their own name does.
    private(set) var instances: [String: SourceID] = [:]
    /// Instances that nobody reads.
    var idle = IdleSources()
    /// How many sources were ever added.
    private(set) var additions: UInt64 = 0
    /// Up to here there may have been changes of a source that is added now: those of an earlier process, or of a
    /// source that was removed and had its name.
    private var unknownThrough: UInt64
    /// A shared log went on after here: what was before is a gap, also where the store has the values of that time.
    private(set) var movedThrough: UInt64 = 0
    private var retired = RetiredNames()
    /// What is read of parts of values.
    var views = ViewNumbers()
    var subscriptions: [Subscription.Key: Subscription] = [:]
    var listeners: [any HubListener] = []
    /// Notified of changes and removals of sources that requests wait for.
    var waitListeners: [any HubListener] = []
    private(set) var published: UInt64 = 0
    var gaps: [GapReason: UInt64] = [:]

    init(log: ChangeLog, hasStore: Bool, storeError: StoreError?) {
        self.log = log
        self.hasStore = hasStore
        self.storeError = storeError
        self.unknownThrough = log.head
    }

    /// The source, where it is not removed.
    subscript(_ source: SourceID) -> Entry? {
        self.entries.indices.contains(source.index) ? self.entries[source.index] : nil
    }

    /// The value of a source; `nil` before the first, and where the source is removed.
    func version(of source: SourceID) -> SourceVersion? {
        // Not by the subscript: nothing else of the source is copied, for streams of thousands of them.
        self.entries.indices.contains(source.index) ? self.entries[source.index].version : nil
    }

    /// Changes a source. Does nothing to one that was removed.
    mutating func update(_ source: SourceID, _ change: (inout Entry) -> Void) {
        guard self.entries.indices.contains(source.index) else { return }
        guard !self.entries[source.index].idleGroups.isEmpty else { return change(&self.entries[source.index]) }
        let wasRead = self.entries[source.index].isRead
        change(&self.entries[source.index])
        let entry = self.entries[source.index]
        guard entry.isRead != wasRead else { return }
        if wasRead {
            self.idle.insert(source, in: entry.idleGroups)
        } else {
            self.idle.remove(source, from: entry.idleGroups)
        }
    }

    /// The source of a name, of an instance too.
    func id(of name: String) -> SourceID? {
        self.ids[name] ?? self.instances[name]
    }

    // MARK: Sources

    /// Adds an instance of a template, which nobody reads yet; `nil` where the name is taken. It is not announced: who
    /// reads it has named it, and asks for it.
    mutating func addInstance(
        _ name: String,
        identity: String,
        status: SourceStatus,
        in groups: [IdleGroup],
        isShared: Bool
    ) -> SourceID? {
        guard self.id(of: name) == nil else { return nil }
        var entry = Entry(name: name, identity: identity, status: status)
        entry.startsAfter = self.retired.end(of: name)
        entry.idleGroups = groups
        let id = SourceID(index: self.entries.append(entry))
        self.instances[name] = id
        self.idle.insert(id, in: groups)
        self.log.startAfter(isShared ? self.log.head : self.unknownThrough, for: id)
        return id
    }

    /// Adds a source and announces it; `nil` where the name is taken.
    mutating func add(_ name: String, identity: String, status: SourceStatus) -> SourceID? {
        guard self.id(of: name) == nil else { return nil }
        var entry = Entry(name: name, identity: identity, status: status)
        entry.startsAfter = self.retired.end(of: name)
        let id = SourceID(index: self.entries.append(entry))
        self.ids[name] = id
        self.additions += 1
        // Who resumes from before must not take silence for nothing.
        self.log.startAfter(self.unknownThrough, for: id)
        for listener in self.listeners {
            listener.enqueue(.added(id, name: name))
        }
        return id
    }

    /// Forgets a source and says so.
    ///
    /// - Returns: Those to be woken.
    mutating func remove(_ source: SourceID) -> [any HubListener] {
        guard let entry = self[source] else { return [] }
        let listeners = self.enqueue(.removed(source), of: source)
        let isInstance = !entry.idleGroups.isEmpty
        if isInstance {
            self.idle.remove(source, from: entry.idleGroups)
            self.instances[entry.name] = nil
        } else {
            self.ids[entry.name] = nil
        }
        self.entries.remove(source.index)
        self.log.remove(source)
        self.unknownThrough = self.log.head
        // Of the many that come and go, most were never read from the store.
        if !isInstance || self.fetched.keys.contains(where: { $0.subscription.sources.contains(source) }) {
            self.forgetFetched()
        }
        if !isInstance || self.past.holds(source) { self.past.removeAll() }
        self.retire(entry.name, isInstance: isInstance)
        return listeners
    }

    private mutating func retire(_ name: String, isInstance: Bool) {
        guard isInstance else { return self.retired.retire(name, at: self.log.head) }
        // Without a store there is nothing under a name that could be taken for the next source's.
        if self.hasStore { self.retired.retireInstances(at: self.log.head) }
    }

    /// What the store holds under this name belongs neither to the present source nor to the next.
    mutating func retire(_ name: String) {
        let head = self.log.head
        if InstanceName.isInstance(name) {
            self.retired.retireInstances(at: head)
        } else {
            self.retired.retire(name, at: head)
        }
        if let id = self.id(of: name) { self.update(id) { $0.startsAfter = head } }
    }

    /// Up to where what the store has under this name is not of its present source, or the next.
    func end(ofEarlier name: String) -> UInt64 {
        self.id(of: name).flatMap { self[$0]?.startsAfter } ?? self.retired.end(of: name)
    }

    /// The sources with names like this that a grant covers.
    func ids(prefix: String, within grant: SourcePattern = .all) -> [SourceID] {
        self.ids.compactMap { name, id in name.hasPrefix(prefix) && grant.matches(name) ? id : nil }
    }

    func report(of source: SourceID) -> SourceReport? {
        self[source].map { entry in
            SourceReport(
                id: source,
                name: entry.name,
                status: entry.status,
                version: entry.version,
                subscribers: entry.subscribers,
                requestsSaved: entry.requestsSaved,
                owner: entry.owner
            )
        }
    }

    // MARK: Changes

    /// Whose change came out of the log, and who listens to it.
    struct Addressee: Sendable {
        var source: SourceID
        /// In which formats somebody listens to the whole.
        var demand: FormatDemand
        /// The views that are read; `nil` for none.
        var views: ViewRegistry?
        /// The value that changes.
        var version: SourceVersion?
    }

    /// `nil` if this hub does not have the source: it was removed, or it is another node's.
    func addressee(of record: LogRecord) -> Addressee? {
        guard let source = record.source ?? self.id(of: record.name), let entry = self[source] else { return nil }
        let views = entry.viewers > 0 ? entry.views : nil
        return Addressee(source: source, demand: entry.demand, views: views, version: entry.version)
    }

    /// Makes a change readable and tells of it.
    ///
    /// - Returns: Those to be woken; `nil` where the source was removed.
    mutating func append(
        _ event: ChangeEvent,
        _ version: SourceVersion,
        _ published: PublishedEvent,
        hasAskedViews: Bool
    ) -> [any HubListener]? {
        guard self.entries.indices.contains(event.source.index) else { return nil }
        self.log.append(event)
        if let before = self.entries[event.source.index].version, before.rule != version.rule {
            self.entries[event.source.index].ruleSince = event.sequence
        }
        self.entries[event.source.index].version = version
        self.published += 1
        var published = published
        let late = self.entries[event.source.index].views?.endAsking(hasAsked: hasAskedViews) ?? []
        published.parts += late.map { ViewPart(view: $0, frames: FrameSet()) }
        return self.enqueue(.published(published), of: event.source)
    }

    /// Takes note of a source's status, and tells of it where there is a notice.
    ///
    /// - Returns: Those to be woken.
    mutating func report(_ status: SourceStatus, of source: SourceID, _ notice: HubNotice?) -> [any HubListener] {
        guard self[source] != nil else { return [] }
        self.update(source) { entry in
            entry.take(status)
            // Of a value of an earlier process it becomes known only now.
            if let rule = status.collection?.rule, let version = entry.version, version.rule == nil {
                entry.version = version.ruled(by: rule)
            }
        }
        guard let notice else { return [] }
        for listener in self.listeners {
            listener.enqueue(notice)
        }
        return self.listeners
    }

    /// Enqueues a notice about a source with everybody that it concerns.
    ///
    /// - Returns: Those to be woken.
    private func enqueue(_ notice: HubNotice, of source: SourceID) -> [any HubListener] {
        for listener in self.listeners {
            listener.enqueue(notice)
        }
        guard self.entries.indices.contains(source.index), self.entries[source.index].waits > 0 else {
            return self.listeners
        }
        for listener in self.waitListeners {
            listener.enqueue(notice)
        }
        return self.listeners + self.waitListeners
    }

    /// Lets go of what was read from the store.
    mutating func forgetFetched() {
        self.fetched = [:]
        self.fetchedBytes = 0
    }

    // MARK: The store

    /// The log goes on after `position`; every source keeps its value, and everybody has a gap.
    ///
    /// - Returns: Those to be woken.
    mutating func move(to position: Cursor) -> [any HubListener] {
        guard position.sequence >= self.log.head else { return [] }
        let sources = self.entries.sortedIndices.map { SourceID(index: $0) }
        self.log.moved(to: position, sources: sources)
        self.unknownThrough = position.sequence
        self.movedThrough = position.sequence
        for source in sources {
            self.update(source) { $0.version = $0.version?.moved(to: position) }
        }
        self.forgetFetched()
        self.past.removeAll()
        for listener in self.listeners { listener.enqueue(.interrupted) }
        return self.listeners
    }

    /// The store failed, and the log goes on without it under the same numbers.
    mutating func storeLost(_ error: StoreError) {
        self.hasStore = false
        self.storeError = error
        self.forgetFetched()
    }

    /// The store was given up: the log goes on in memory, in a new epoch.
    mutating func storeFailed(_ error: StoreError, newEpoch: Epoch) {
        self.log.epochLost(newEpoch: newEpoch)
        self.hasStore = false
        self.storeError = error
        self.forgetFetched()
    }

    /// The values of all sources as a store begins with them: those of changes that are committed and not readable yet,
    /// else those that hold.
    func storedSources(with arrivals: [Hub.Arrival]) -> [StoredSource] {
        var stored: [SourceID: StoredSource] = [:]
        for index in self.entries.sortedIndices {
            let source = SourceID(index: index)
            guard let entry = self[source], let version = entry.version else { continue }
            stored[source] = StoredSource(
                name: entry.name,
                identity: entry.identity,
                sequence: version.cursor.sequence,
                at: version.at,
                value: version.document.text,
                validators: version.validators
            )
        }
        for case .committed(let record, let position) in arrivals {
            guard let source = self.addressee(of: record)?.source else { continue }
            stored[source] = StoredSource(record, position.sequence)
        }
        return stored.values.sorted { $0.sequence < $1.sequence }
    }
}
