// Instances of templates: sources that come with their first owner record and go with their last.

import DequeModule
package import FreshetCore

/// What has become of an instance.
package enum InstanceChange: Hashable, Sendable {
    /// The cluster has it, from before the next change that is taken. Without a record only a change was read, and the record is
    /// asked for; it may be gone as well.
    case added(InstanceRecord?)
    /// The cluster has it no more. Where somebody reads it at this node, it is to be wanted again.
    case removed
}

/// What a node knows of an instance, beside what it knows of every source.
struct ClusterInstance {
    /// `nil` until it was read, or made here.
    var record: InstanceRecord?
    /// ``InstanceChange/added(_:)`` has told the record.
    var isTold = false
    /// Somebody reads it at this node.
    var isWanted = false
    /// Nobody has read it for long: its owner writes its last record.
    var isEnding = false
    /// An owner record was read since it was asked for: the answer may be older.
    var isReadSinceAsked = false
    /// An owner record that names another node, or the last one, is on its way.
    var making: ClusterMachine.PublishID?
}

extension ClusterMachine {
    /// The most instances of which a change was read and no record yet. What is read of others is passed over.
    package static let maxUnconfirmed = 1_000

    // MARK: What this node wants

    /// Somebody reads an instance at this node. Where the cluster does not have it, it is made, with this record.
    package mutating func instanceWanted(_ name: String, _ record: InstanceRecord, now: MonotonicTime) {
        if self.sources[name] == nil {
            self.addInstance(name, record)
            // If it is there already, the broker refuses this node's first record of it, and it is asked for.
            let isCaughtUp = self.isCaughtUp
            self.sources[name]?.isOwnerKnown = isCaughtUp
        }
        guard let instance = self.sources[name]?.instance else { return }
        if instance.record == nil { self.sources[name]?.instance?.record = record }
        self.sources[name]?.instance?.isWanted = true
        self.sources[name]?.instance?.isEnding = false
        self.review(name, now: now)
    }

    /// These are the instances that somebody reads at this node. Those that the cluster does not have are passed over.
    package mutating func instancesRead(_ names: Set<String>) {
        for name in self.names {
            guard let isWanted = self.sources[name]?.instance?.isWanted, isWanted != names.contains(name) else {
                continue
            }
            self.sources[name]?.instance?.isWanted = !isWanted
        }
    }

    /// Nobody has read an instance at any node for long, or this node does not have its template any more. Its owner ends it, and
    /// any node one that has no owner.
    package mutating func instanceEnded(_ name: String, now: MonotonicTime) {
        guard self.sources[name]?.instance != nil else { return }
        self.sources[name]?.instance?.isWanted = false
        self.sources[name]?.instance?.isEnding = true
        self.review(name, now: now)
    }

    /// The log on disk has these instances. Whether the cluster has them is asked.
    package mutating func instancesRestored(_ names: some Sequence<String>) {
        for name in names where self.sources[name] == nil { self.addInstance(name, nil) }
    }

    // MARK: Coming and going

    private mutating func addInstance(_ name: String, _ record: InstanceRecord?) {
        var source = ClusterSource()
        source.instance = ClusterInstance(record: record)
        self.sources[name] = source
        self.names.insert(name, at: self.place(of: name))
        if record == nil { self.unconfirmed.insert(name) }
        self.version += 1
    }

    private mutating func removeInstance(_ name: String) {
        guard let source = self.sources[name], source.instance != nil else { return }
        self.stopPolling(name)
        self.dropPending(of: name)
        self.sources[name] = nil
        self.unconfirmed.remove(name)
        let index = self.place(of: name)
        if self.names.indices.contains(index), self.names[index] == name { self.names.remove(at: index) }
        self.version += 1
        self.actions.append(.instance(name, .removed))
    }

    /// Where a name stands in ``names``, or would.
    private func place(of name: String) -> Int {
        var range = 0..<self.names.count
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            if self.names[middle] < name {
                range = (middle + 1)..<range.upperBound
            } else {
                range = range.lowerBound..<middle
            }
        }
        return range.lowerBound
    }

    /// Tells of the record of an instance, once.
    private mutating func take(_ record: InstanceRecord, of name: String) {
        guard let instance = self.sources[name]?.instance else { return }
        self.unconfirmed.remove(name)
        self.sources[name]?.instance?.making = nil
        self.sources[name]?.instance?.record = record
        guard !instance.isTold else { return }
        self.sources[name]?.instance?.isTold = true
        self.actions.append(.instance(name, .added(record)))
    }

    // MARK: What is read

    /// A change of a source that this node does not know: the record of an instance may have been stored again since, behind the
    /// change, or before this node began to read.
    mutating func suspectInstance(_ name: String) {
        guard InstanceName.isInstance(name), InstanceName(name)?.text == name,
            self.unconfirmed.count < Self.maxUnconfirmed
        else { return }
        self.addInstance(name, nil)
        self.actions.append(.instance(name, .added(nil)))
        self.askOwner(name)
    }

    /// An owner record was read.
    ///
    /// - Returns: Whether it was the last one of an instance.
    mutating func instanceRead(_ record: OwnerRecord, at sequence: UInt64, of name: String) -> Bool {
        guard let instance = record.instance, InstanceName.isInstance(name) else { return false }
        guard !instance.isGone else {
            // Read again after a connection was lost, it may be older than what was asked for.
            if let owner = self.sources[name]?.owner, owner.sequence > sequence { return true }
            self.removeInstance(name)
            self.reviewLeft()
            return true
        }
        if self.sources[name] == nil { self.addInstance(name, instance) }
        self.sources[name]?.instance?.isReadSinceAsked = true
        self.take(instance, of: name)
        return false
    }

    /// The answer to `.readOwner` for an instance.
    ///
    /// - Returns: Whether the instance is gone, and all is done about it.
    mutating func instanceReceived(_ message: StoredMessage?, of name: String, now: MonotonicTime) -> Bool {
        guard let source = self.sources[name], let instance = source.instance else { return false }
        let record = message.map { self.ownerRecord(in: $0, of: name) }
        if let known = record?.instance, !known.isGone {
            // Made here at the same time as there, it is what the stream has.
            if message.map({ $0.sequence <= self.readThrough }) ?? false || instance.record == nil {
                self.take(known, of: name)
            }
            return false
        }
        // What was read since is newer than the answer.
        guard !instance.isReadSinceAsked else { return true }
        // Less than there was: the broker has lost it.
        self.sources[name]?.lastFence = min(source.lastFence, message?.sequence ?? 0)
        switch source.role {
        case .acquiring, .handing, .refencing(.some): return true
        case .owned, .other, .refencing(nil): break
        }
        guard instance.making == nil else { return true }
        // Whose record the broker has lost, or removed as its oldest, still has it, and writes it again.
        guard instance.isWanted || (message == nil && source.role != .other) else {
            self.removeInstance(name)
            self.reviewLeft()
            return true
        }
        if source.role != .other { self.lose(name) }
        self.dropPending(of: name)
        self.sources[name]?.owner = nil
        if let message, let record { self.sources[name]?.owner = (record, message.sequence) }
        self.sources[name]?.isOwnerKnown = true
        self.review(name, now: now)
        return true
    }

    // MARK: What is written

    /// Where a source belongs: instances by their names and their template's host alone, so that none moves because others come
    /// and go.
    func target(of name: String) -> String? {
        guard self.sources[name]?.instance != nil else { return self.placement.owner(of: name) }
        return self.placement.first(of: name, self.rule(of: name))
    }

    /// `nil` where nothing is polled, or its host is not known.
    func rule(of name: String) -> PlacementRule? {
        self.rules[self.sources[name]?.instance == nil ? name : String(InstanceName.template(of: name))]
    }

    /// An instance that somebody wants here, and that belongs to another node: a record that says so.
    mutating func makeElsewhere(_ name: String, target: String?) {
        guard let source = self.sources[name], let instance = source.instance, instance.isWanted,
            instance.making == nil,
            let record = instance.record, let target, let member = self.members[target]
        else { return }
        let owner = OwnerRecord(
            node: target,
            incarnation: member.record.incarnation,
            learned: source.learned,
            validators: source.validators,
            instance: record
        )
        let id = self.writeOwner(name, owner)
        self.sources[name]?.instance?.making = id
    }

    /// Ends an instance that this node owns, once all that it has in hand is in the stream.
    mutating func end(_ name: String, now: MonotonicTime) {
        self.stopPolling(name)
        guard let source = self.sources[name], source.pending.isEmpty, source.batch == nil else {
            return self.pump(name, now: now)
        }
        guard !source.isReleasing else { return }
        let id = self.writeOwner(name, Self.lastRecord)
        self.sources[name]?.role = .handing(id)
    }

    /// Ends an instance that nobody owns.
    mutating func endVacant(_ name: String) {
        guard let instance = self.sources[name]?.instance, instance.making == nil else { return }
        // One that was never stored is gone as it is; the broker knows better where another node has made it.
        let id = self.writeOwner(name, Self.lastRecord)
        self.sources[name]?.instance?.making = id
    }

    private static let lastRecord = OwnerRecord(
        node: "",
        incarnation: Incarnation(rawValue: 0),
        instance: InstanceRecord.gone
    )

    /// What became of a record that ``makeElsewhere(_:target:)`` or ``endVacant(_:)`` wrote.
    ///
    /// - Returns: Whether it was one.
    mutating func instancePublished(
        _ id: PublishID,
        _ outcome: PublishOutcome,
        of name: String,
        now: MonotonicTime
    ) -> Bool {
        guard self.sources[name]?.instance?.making == id else { return false }
        switch outcome {
        case .stored:
            // It counts when it is read.
            break
        case .refused(.fenced):
            self.sources[name]?.instance?.making = nil
            self.sources[name]?.isOwnerKnown = false
            self.askOwner(name)
        case .refused, .unknown:
            self.sources[name]?.instance?.making = nil
            self.sources[name]?.isOwnerKnown = false
            self.retry(now: now)
        }
        return true
    }
}
