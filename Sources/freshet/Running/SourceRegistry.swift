// The sources that are polled now, and the way from one set of them to another.

import FreshetCluster
import FreshetConfiguration
import FreshetCore
import FreshetPolling
import FreshetUpstream
import JSON
import Synchronization

/// Keeps hub and poller in step with the configuration. Any thread may call; calls exclude each other.
final class SourceRegistry: Sendable {
    /// What a new set of sources changed, by name.
    struct Changes: Hashable, Sendable {
        var added: [String] = []
        var changed: [String] = []
        var removed: [String] = []

        var isEmpty: Bool { self.added.isEmpty && self.changed.isEmpty && self.removed.isEmpty }
    }

    private struct Entry: Sendable {
        var id: SourceID
        var configuration: SourceConfiguration
    }

    private struct State: Sendable {
        var entries: [String: Entry] = [:]
        /// What an earlier process left on the disk, by name. Only the first set of sources may take it over: later
        /// the file knows better.
        var stored: [String: StoredSource]
        /// Where sources may be polled in a cluster.
        var rules: [String: PlacementRule] = [:]
    }

    private let hub: Hub
    private let poller: Poller
    /// The sources with parameters, and what they are made into.
    let instances: InstanceDesk
    private let state: Mutex<State>
    private let closedAt: WallTime?
    /// `nil` for a gateway that is alone: it polls every source.
    private let cluster: ClusterDesk?
    private let hostConcurrency: Int

    /// `stored`: what an earlier process left, which ended in order at `closedAt`. `hostConcurrency`: requests at a time that
    /// the gateways of the cluster send to one host.
    init(
        hub: Hub,
        poller: Poller,
        stored: [StoredSource] = [],
        closedAt: WallTime? = nil,
        cluster: ClusterDesk? = nil,
        hostConcurrency: Int = Defaults.Polling.hostConcurrency
    ) {
        self.cluster = cluster
        self.hostConcurrency = hostConcurrency
        self.closedAt = closedAt
        self.hub = hub
        self.poller = poller
        self.instances = InstanceDesk(hub: hub, poller: poller, sharing: cluster)
        self.state = Mutex(State(stored: Dictionary(stored.map { ($0.name, $0) }, uniquingKeysWith: { $1 })))
    }

    /// Makes these the sources: new ones are added, changed ones go on under their number, with their log and their
    /// subscribers, missing ones are removed, and equal ones are not touched (FAULTS F73).
    ///
    /// - Throws: ``StartFailure`` where the poller refuses one; then nothing has changed.
    @discardableResult
    func apply(_ all: [SourceConfiguration]) throws(StartFailure) -> Changes {
        try self.check(all)
        let sources = all.filter { $0.template == nil }
        let before = self.instances.sources
        let stored = self.state.withLock { state in
            let stored = state.stored.values.filter { InstanceName.isInstance($0.name) }
            for source in stored { state.stored[source.name] = nil }
            return stored
        }
        var changes = try self.applyNamed(sources)
        self.instances.apply(all)
        self.instances.adopt(stored).forEach(self.hub.release)
        changes.add(templates: all.filter { $0.template != nil }, before: before)
        if let cluster {
            let rules = ClusterLimits.rules(of: all, hostConcurrency: self.hostConcurrency)
            self.state.withLock { $0.rules = rules }
            cluster.log.update(sources: Set(sources.map(\.name)), rules: rules)
        }
        return changes
    }

    /// Sees whether the poller would take the instances of each template.
    private func check(_ sources: [SourceConfiguration]) throws(StartFailure) {
        for source in sources {
            guard let template = source.template else { continue }
            do throws(UpstreamError) {
                _ = try UpstreamURL(template.example(of: source).url)
            } catch {
                throw StartFailure("sources.\(source.name): \(error.message)")
            }
        }
    }

    private func applyNamed(_ sources: [SourceConfiguration]) throws(StartFailure) -> Changes {
        try self.state.withLock { (state) throws(StartFailure) in
            let others = self.takeOthers(from: &state.stored, sources)
            let before = state.entries
            var changes = Changes()
            do throws(UpstreamError) {
                for source in sources {
                    try self.put(source, into: &state, &changes)
                }
            } catch {
                self.undo(changes, to: before, from: state.entries)
                state.entries = before
                throw StartFailure(error.message)
            }
            others.forEach(self.hub.release)
            let names = Set(sources.map(\.name))
            for (name, entry) in state.entries where !names.contains(name) {
                self.remove(entry)
                state.entries[name] = nil
                changes.removed.append(name)
            }
            changes.removed.sort()
            state.stored = [:]
            return changes
        }
    }

    /// Takes out what an earlier process left of sources that are gone, or are others now.
    ///
    /// - Returns: Their names.
    private func takeOthers(
        from stored: inout [String: StoredSource],
        _ sources: [SourceConfiguration]
    ) -> [String] {
        let identities = Dictionary(sources.map { ($0.name, $0.identity) }, uniquingKeysWith: { $1 })
        let others = stored.values.filter { $0.identity != identities[$0.name] }.map(\.name)
        for name in others {
            stored[name] = nil
        }
        return others
    }

    private func put(
        _ source: SourceConfiguration,
        into state: inout State,
        _ changes: inout Changes
    ) throws(UpstreamError) {
        if let entry = state.entries[source.name] {
            guard entry.configuration != source else { return }
            if self.cluster?.polls(source.name) ?? true {
                try self.poller.add(entry.id, source)
            } else {
                try Self.check(source)
                self.hub.identify(entry.id, as: source.identity)
                if var status = self.hub.report(of: entry.id)?.status {
                    status.describe(source, learned: state.stored[source.name]?.learned ?? [])
                    self.hub.report(status, of: entry.id)
                }
            }
            state.entries[source.name]?.configuration = source
            changes.changed.append(source.name)
            return
        }
        var status = SourceStatus(
            stateSince: WallTime.now,
            interval: source.nominalInterval,
            intervalReason: source.isPolled ? "waiting for the first poll" : SourceStateMachine.isOnlyPushed
        )
        status.isPolled = source.isPolled
        // What the poller says, where another gateway polls.
        if self.cluster != nil { status.describe(source, learned: state.stored[source.name]?.learned ?? []) }
        guard let id = self.hub.addSource(source.name, identity: source.identity, status: status) else {
            throw UpstreamError(.internal, "the name \(source.name) is taken")
        }
        do throws(UpstreamError) {
            let stored = state.stored[source.name]
            let learned = self.restore(source, as: id, from: stored)
            if self.cluster == nil {
                try self.poller.add(id, source, learned: learned, resumes: stored != nil && self.isRecent(source))
            } else {
                try Self.check(source)
            }
        } catch {
            self.hub.removeSource(id)
            throw UpstreamError(error.kind, "sources.\(source.name): \(error.message)")
        }
        state.entries[source.name] = Entry(id: id, configuration: source)
        changes.added.append(source.name)
    }

    /// What the poller would refuse.
    private static func check(_ source: SourceConfiguration) throws(UpstreamError) {
        if source.isPolled { _ = try UpstreamURL(source.url) }
    }

    /// This gateway of a cluster polls the source from here on, with what the one before it had learned.
    func own(_ name: String, learned: [UInt8]) {
        self.state.withLock { state in
            guard let entry = state.entries[name] else { return self.instances.own(name, learned: learned) }
            // It was accepted before.
            try? self.poller.add(entry.id, entry.configuration, learned: learned)
        }
    }

    /// Another one does, or its owner is not known. `done` is called once nothing more of it is published here.
    func release(_ name: String, done: @escaping @Sendable () -> Void) {
        guard let entry = self.state.withLock({ $0.entries[name] }) else {
            return self.instances.release(name, done: done)
        }
        self.poller.remove(entry.id)
        let (poller, id) = (self.poller, entry.id)
        Task {
            // Of a source that the poller does not have this only says that it has come so far.
            await poller.pause(id)
            done()
        }
    }

    /// A process that begins so soon after the one before it goes on with the polls of that one, however short the interval.
    private static let restartTime = Duration.seconds(10)

    /// Whether the process before this one polled a source less than an interval ago, or ended a moment ago.
    private func isRecent(_ source: SourceConfiguration) -> Bool {
        guard let closedAt else { return false }
        let age = WallTime.now.milliseconds - closedAt.milliseconds
        return age >= 0 && age < max(source.nominalInterval, Self.restartTime).milliseconds
    }

    /// Takes over what an earlier process knew, so that the first poll is conditional and makes no false change. A
    /// value of another URL, root or format does not belong to this source.
    ///
    /// - Returns: What the adaptive policy had learned.
    private func restore(_ source: SourceConfiguration, as id: SourceID, from stored: StoredSource?) -> [UInt8] {
        guard let stored else { return [] }
        guard let document = try? Document(parsing: stored.value) else {
            self.hub.release(stored.name)
            return []
        }
        self.hub.restore(stored, document: document, of: id, rule: source.itemRule(learned: stored.learned))
        return stored.learned
    }

    private func undo(_ changes: Changes, to before: [String: Entry], from after: [String: Entry]) {
        for name in changes.added {
            if let entry = after[name] { self.remove(entry) }
        }
        for name in changes.changed {
            guard let entry = before[name] else { continue }
            // What was accepted once is accepted again.
            try? self.poller.add(entry.id, entry.configuration)
        }
    }

    private func remove(_ entry: Entry) {
        self.poller.remove(entry.id)
        self.hub.removeSource(entry.id)
    }

    /// Reads the credentials of a source from their files again, and polls with them at once where they are others now
    /// (FAULTS F30, F85). May block for as long as the file system does.
    ///
    /// - Returns: Whether they are.
    func renewCredentials(of name: String) -> Bool {
        // Of an instance it was the template that was given them.
        let name = String(InstanceName.template(of: name))
        if self.instances.renewCredentials(of: name) { return true }
        guard let entry = self.state.withLock({ $0.entries[name] }),
            let renewed = SecretPlaces.renewed(entry.configuration)
        else { return false }
        return self.state.withLock { state in
            guard state.entries[name]?.configuration == entry.configuration else { return false }
            state.entries[name]?.configuration = renewed
            self.poller.renew(entry.id, renewed)
            return true
        }
    }

    /// The files that secrets were read from, each with the names of the sources that have one from it.
    var secretFiles: [String: [String]] {
        self.state.withLock { state in
            var files: [String: [String]] = [:]
            let sources = state.entries.values.map(\.configuration) + self.instances.sources
            for source in sources {
                for path in Set(source.secretFiles.map(\.path)) { files[path, default: []].append(source.name) }
            }
            return files
        }
    }

    /// Where sources may be polled in a cluster, by the name of a source or a template.
    var rules: [String: PlacementRule] { self.state.withLock { $0.rules } }

    /// The number of each source, by name.
    var ids: [String: SourceID] {
        self.state.withLock { $0.entries.mapValues(\.id) }
    }
}

extension SourceRegistry.Changes {
    /// Counts templates among what has changed.
    fileprivate mutating func add(templates: [SourceConfiguration], before: [SourceConfiguration]) {
        let known = Dictionary(before.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        for source in templates where known[source.name] != source {
            if known[source.name] == nil { self.added.append(source.name) } else { self.changed.append(source.name) }
        }
        let names = Set(templates.map(\.name))
        self.removed += known.keys.filter { !names.contains($0) }
        self.removed.sort()
    }
}

extension SourceStatus {
    /// What the configuration says of a source: what is asked of it is the same at every gateway.
    mutating func describe(_ source: SourceConfiguration, learned: [UInt8]) {
        self.url = URLRedaction.redacted(source.url, wholly: true)
        self.schema = source.schema
        self.write = source.write
        self.collection = source.itemRule(learned: learned)
            .map { SourceCollection(rule: $0, isGuessed: source.itemRule == nil) }
    }
}
