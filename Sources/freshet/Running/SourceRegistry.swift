// The sources that are polled now, and the way from one set of them to another.

import FreshetCore
import FreshetPolling
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

    private let hub: Hub
    private let poller: Poller
    private let entries = Mutex<[String: Entry]>([:])

    init(hub: Hub, poller: Poller) {
        self.hub = hub
        self.poller = poller
    }

    /// Makes these the sources: new ones are added, changed ones go on under their number, with their log and their
    /// subscribers, missing ones are removed, and equal ones are not touched (FAULTS F73).
    ///
    /// - Throws: ``StartFailure`` where the poller refuses one; then nothing has changed.
    @discardableResult
    func apply(_ sources: [SourceConfiguration]) throws(StartFailure) -> Changes {
        try self.entries.withLock { (entries) throws(StartFailure) in
            let before = entries
            var changes = Changes()
            do throws(PollError) {
                for source in sources {
                    try self.put(source, into: &entries, &changes)
                }
            } catch {
                self.undo(changes, to: before, from: entries)
                entries = before
                throw StartFailure(error.message)
            }
            let names = Set(sources.map(\.name))
            for (name, entry) in entries where !names.contains(name) {
                self.remove(entry)
                entries[name] = nil
                changes.removed.append(name)
            }
            changes.removed.sort()
            return changes
        }
    }

    private func put(
        _ source: SourceConfiguration,
        into entries: inout [String: Entry],
        _ changes: inout Changes
    ) throws(PollError) {
        if let entry = entries[source.name] {
            guard entry.configuration != source else { return }
            try self.poller.add(entry.id, source)
            entries[source.name]?.configuration = source
            changes.changed.append(source.name)
            return
        }
        let now = WallTime.now
        let status = SourceStatus(
            stateSince: now,
            interval: source.nominalInterval,
            intervalReason: "waiting for the first poll"
        )
        guard let id = self.hub.addSource(source.name, identity: source.identity, status: status) else {
            throw PollError(.internal, "the name \(source.name) is taken")
        }
        do throws(PollError) {
            try self.poller.add(id, source)
        } catch {
            self.hub.removeSource(id)
            throw PollError(error.kind, "sources.\(source.name): \(error.message)")
        }
        entries[source.name] = Entry(id: id, configuration: source)
        changes.added.append(source.name)
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

    /// The number of each source, by name.
    var ids: [String: SourceID] {
        self.entries.withLock { $0.mapValues(\.id) }
    }
}
