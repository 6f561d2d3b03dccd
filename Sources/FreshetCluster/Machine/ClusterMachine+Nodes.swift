// Which nodes there are, and which sources belong to each.

package import FreshetCore

extension ClusterMachine {
    mutating func nodeRead(_ message: StoredMessage, of node: String, now: MonotonicTime) {
        guard let record = NodeRecord(message.payload) else { return }
        if node == self.settings.node, record.incarnation != self.settings.incarnation {
            // Soon after the start it may be this node's last process.
            if self.knowsTheGone { self.note(.nameTaken) }
            return
        }
        let before = self.members[node]
        // Long on its way, it is of a process before the one that is there, and says nothing of that.
        if let before, record.incarnation < before.record.incarnation { return }
        if message.sequence > self.syncedLast, self.awaited.remove(node) != nil, self.awaited.isEmpty {
            self.proceed(now: now)
        }
        self.members[node] = Member(record: record, seenAt: now)
        if before?.record.sources != record.sources, record.sources != self.sourcesHash {
            self.note(.sourcesDiffer(node: node))
        }
        guard before?.record != record else { return }
        self.place(now: now)
    }

    /// Places all sources on the nodes that are there and have the configuration of this one. A node of another configuration, as
    /// during a reload, may not have the source, or would give it back at once. Where nodes of several configurations want a
    /// source without an owner, the broker accepts the record of one of them.
    mutating func place(now: MonotonicTime) {
        let own = self.settings.node
        var others = self.members.filter { $0.key != own && !$0.value.record.isLeaving }
        let nodes = (Array(others.keys) + (self.isLeaving ? [] : [own])).sorted()
        if nodes != self.nodes { self.note(.joined(nodes: nodes)) }
        self.nodes = nodes
        self.version += 1
        others = others.filter { $0.value.record.sources == self.sourcesHash }
        self.placement = Placement(
            sources: self.sources.filter { $0.value.instance == nil }.keys,
            nodes: Array(others.keys) + (self.isLeaving ? [] : [own]),
            rules: self.rules
        )
        self.reviewAll(now: now)
    }

    /// These are the sources of the configuration, and other units of it. `rules` are by source or template, of those that are
    /// polled.
    package mutating func sourcesChanged(
        _ names: Set<String>,
        rules: [String: PlacementRule] = [:],
        now: MonotonicTime
    ) {
        for name in self.names where !names.contains(name) && self.sources[name]?.instance == nil {
            self.forget(name)
            self.forgetState(of: name)
            self.stopPolling(name)
            let rest = self.sources[name]?.pending.map(\.record) ?? []
            if !rest.isEmpty { self.actions.append(.drop(rest)) }
            self.sources[name] = nil
        }
        for name in names where self.sources[name] == nil { self.sources[name] = ClusterSource() }
        self.names = self.sources.keys.sorted()
        self.rules = rules
        self.sourcesHash = names.reduce(0) { $0 &+ StableHash.of($1.utf8) }
        for (name, rule) in rules { self.sourcesHash &+= rule.hash(of: name) }
        self.place(now: now)
    }
}
