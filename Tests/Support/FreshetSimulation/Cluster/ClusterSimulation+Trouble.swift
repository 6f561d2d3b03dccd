// What happens to a cluster, and what has to hold all the same.

import FreshetCluster
import FreshetCore

extension ClusterSimulation {
    func changeUpstream() {
        for name in self.names where self.isLikely(30) { self.upstream[name, default: 1] += 1 }
        if !self.isCalm { self.after(Int64(self.random(20...300))) { [unowned self] in self.changeUpstream() } }
    }

    func poll(_ source: String, _ node: SimulatedNode, value: Int?) {
        // One that was taken away and given back is polled by its new poll alone.
        guard node.isUp, node.polled[source] != nil, node.polled[source] == value else { return }
        self.figures.polls += 1
        self.checkPollers(source)
        self.submit(source, node, from: node.polled[source] ?? 0)
        self.useKey(of: source, node)
        let next = node.polled[source]
        self.after(Int64(self.random(30...400))) { [unowned self] in
            self.arrive(node) { self.poll(source, node, value: next) }
        }
    }

    func submit(_ source: String, _ node: SimulatedNode, from old: Int) {
        guard let new = self.upstream[source], new > old else { return }
        node.polled[source] = new
        let at = WallTime(milliseconds: self.time / Self.millisecond)
        let isLong = self.isLikely(10)
        let record = SimulatedNode.record(source, from: old == 0 ? nil : old, to: new, at: at, isLong: isLong)
        guard let record else { return }
        self.input(node) { $0.submitted(record, now: self.now) }
    }

    /// No two nodes that run may think at once that a source is theirs to write.
    func checkPollers(_ source: String) {
        let owners = self.nodes.filter { $0.isUp && !$0.isPaused && $0.machine.owns(source, now: self.now) }
        // A broker that has lost an owner record names the owner before it; until the other one has heard, both poll, and only
        // one writes.
        guard self.time - self.lastRewind > 5_000 * Self.millisecond else { return }
        if owners.count > 1 { self.objections.append("\(self.time): \(source) is owned by \(owners.map(\.name))") }
    }

    func trouble() {
        guard !self.isCalm else { return }
        self.after(Int64(self.random(200...4000))) { [unowned self] in self.trouble() }
        guard let node = self.nodes.filter(\.isUp).randomElement(using: &self.generator) else { return }
        switch self.random(0...99) {
        case 0..<35: self.cut(node)
        case 35..<60: self.pause(node, for: self.random(10...8000))
        case 60..<75: self.crash(node)
        case 75..<85:
            self.figures.leaves += 1
            self.arrive(node) { [unowned self] in self.input(node) { $0.leave(now: self.now) } }
            self.after(2000) { [unowned self] in self.crash(node) }
        case 85..<93: self.rewind()
        case _:
            self.figures.prunes += 1
            self.keys = [:]
            self.broker.prune(self.random(1...200))
            self.forgetKept()
        }
    }

    func cut(_ node: SimulatedNode) {
        self.figures.partitions += 1
        self.disconnect(node, for: self.random(1...6000))
    }

    func pause(_ node: SimulatedNode, for milliseconds: Int) {
        guard !node.isPaused else { return }
        self.figures.pauses += 1
        node.isPaused = true
        self.after(Int64(milliseconds)) { [unowned self] in self.resume(node) }
    }

    func resume(_ node: SimulatedNode) {
        guard node.isPaused, node.isUp else { return }
        node.isPaused = false
        let held = node.held
        node.held = []
        for run in held { self.arrive(node, run) }
    }

    func crash(_ node: SimulatedNode) {
        guard node.isUp, let index = self.nodes.firstIndex(where: { $0 === node }) else { return }
        self.figures.crashes += 1
        for source in node.polled.keys where !self.isCalm { self.orphans[source] = self.time }
        self.count(node)
        node.isUp = false
        node.connection += 1
        node.readsFrom = nil
        let next = self.node(node.name, node.disk)
        self.nodes[index] = next
        next.isUp = false
        self.after(Int64(self.random(10...6000))) { [unowned self] in
            next.isUp = true
            self.start(next)
        }
    }

    func rewind() {
        self.figures.rewinds += 1
        self.lastRewind = self.time
        self.keys = [:]
        self.broker.rewind(by: self.random(1...60))
        self.forgetKept()
        // What a node has read counts, also where its process is gone: another one may read the same position next.
        for cursor in self.ledger.keys {
            guard let base = self.bases[cursor.epoch], cursor.sequence > base + self.broker.last else { continue }
            self.lost.insert(cursor)
        }
        self.orphans = [:]
        for node in self.nodes { self.disconnect(node, for: self.random(1...2000)) }
    }

    func count(_ node: SimulatedNode) {
        let figures = node.machine.figures
        self.figures.takeovers += figures.takeovers
        self.figures.handovers += figures.handovers
        self.figures.fenced += figures.fenced
        self.figures.unknown += figures.unknown
        self.figures.dropped += node.dropped
    }

    func calm() {
        self.isCalm = true
        for node in self.nodes { self.resume(node) }
    }

    func checkEnd() {
        for source in self.names {
            let owners = self.nodes.filter { $0.machine.owns(source, now: self.now) }.map(\.name)
            if owners.count != 1 {
                let roles = self.nodes.map { "\($0.name): \($0.machine.role(of: source))" }
                self.objections.append("at the end \(source) is owned by \(owners): \(roles)")
            }
            for node in self.nodes where node.values[source] != self.upstream[source] {
                let value = node.values[source].map(String.init) ?? "none"
                self.objections.append(
                    "at the end \(node.name) has \(value) of \(source), which is \(self.upstream[source] ?? 0)"
                )
            }
        }
        let counting = self.nodes.filter { $0.machine.owns(Self.unit, now: self.now) && $0.count != nil }.map(\.name)
        if counting.count != 1 { self.objections.append("at the end \(counting) count") }
        let epochs = Set(self.nodes.map { $0.machine.cursor.epoch })
        if epochs.count != 1 { self.objections.append("at the end there are \(epochs.count) epochs") }
        self.checkLogs()
        for node in self.nodes {
            let epoch = node.machine.cursor.epoch
            for entry in node.entries {
                let cursor = Cursor(epoch: epoch, sequence: entry.position)
                var content = entry
                content.base = nil
                guard self.lost.contains(cursor), self.ledger[cursor] != content else { continue }
                self.objections.append("at the end \(node.name) has \(entry), which the broker lost")
            }
        }
        for node in self.nodes where node.machine.pendingCount > 0 {
            self.objections.append("at the end \(node.name) has \(node.machine.pendingCount) changes in hand")
        }
    }

    /// Every two nodes have the same changes where both have read.
    func checkLogs() {
        for one in self.nodes {
            for other in self.nodes
            where other.name > one.name && one.machine.cursor.epoch == other.machine.cursor.epoch {
                let start = max(one.start.sequence, other.start.sequence)
                let end = min(one.machine.head, other.machine.head)
                let first = one.entries.filter { (start + 1...max(start + 1, end)).contains($0.position) }
                let second = other.entries.filter { (start + 1...max(start + 1, end)).contains($0.position) }
                if first.map(\.position) != second.map(\.position) {
                    self.objections.append("\(one.name) and \(other.name) differ between \(start) and \(end)")
                }
            }
        }
    }
}
