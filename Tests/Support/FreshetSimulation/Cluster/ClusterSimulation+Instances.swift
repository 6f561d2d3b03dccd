// Instances of templates in a simulated cluster: readers come and go at every node, and at the end there is what is read.

import FreshetCluster
import FreshetCore

extension ClusterSimulation {
    static let instanceNames = (0..<4).map { "i/\($0)" }

    func beginReaders() {
        guard self.hasInstances else { return }
        for name in Self.instanceNames { self.upstream[name] = 1 }
        self.after(5) { [unowned self] in self.changeReaders() }
        self.after(7) { [unowned self] in self.endIdle() }
    }

    /// A reader comes to a node, or goes.
    private func changeReaders() {
        guard !self.isCalm else { return }
        self.after(Int64(self.random(20...500))) { [unowned self] in self.changeReaders() }
        guard let node = self.nodes.filter(\.isUp).randomElement(using: &self.generator),
            let name = Self.instanceNames.randomElement(using: &self.generator)
        else { return }
        self.upstream[name, default: 1] += 1
        self.arrive(node) { [unowned self] in
            if node.read.remove(name) != nil {
                let read = node.read
                self.input(node) { $0.instancesRead(read) }
            } else {
                node.read.insert(name)
                node.instances.insert(name)
                self.input(node) { $0.instanceWanted(name, InstanceRecord(maker: node.name), now: self.now) }
            }
        }
    }

    /// Each node ends what nobody reads, and, as long as there is trouble, now and then what somebody reads at another node, of
    /// which it has not heard.
    private func endIdle() {
        self.after(Int64(self.random(300...900))) { [unowned self] in self.endIdle() }
        for node in self.nodes where node.isUp {
            for name in node.instances.sorted() where !node.read.contains(name) {
                let isRead = self.nodes.contains { $0.isUp && $0.read.contains(name) }
                guard !isRead || (!self.isCalm && self.isLikely(20)) else { continue }
                self.arrive(node) { [unowned self] in
                    guard !node.read.contains(name) else { return }
                    self.input(node) { $0.instanceEnded(name, now: self.now) }
                }
            }
        }
    }

    func changed(_ name: String, _ change: InstanceChange, _ node: SimulatedNode) {
        switch change {
        case .added:
            self.figures.added += 1
            node.instances.insert(name)
            node.isFirst.insert(name)
        case .removed:
            self.figures.removed += 1
            node.instances.remove(name)
            node.values[name] = nil
            node.polled[name] = nil
            node.disk.sources[name] = nil
            guard node.read.contains(name) else { return }
            node.instances.insert(name)
            node.isFirst.insert(name)
            node.machine.instanceWanted(name, InstanceRecord(maker: node.name), now: self.now)
        }
    }

    /// What somebody reads has one owner, and its value at every node; what nobody reads is nowhere.
    func checkInstances() {
        guard self.hasInstances else { return }
        for name in Self.instanceNames {
            let owners = self.nodes.filter { $0.machine.owns(name, now: self.now) }.map(\.name)
            let roles = self.nodes.map { "\($0.name): \($0.machine.role(of: name))" }
            if self.nodes.contains(where: { $0.read.contains(name) }) {
                if owners.count != 1 { self.objections.append("at the end \(name) is owned by \(owners): \(roles)") }
                for node in self.nodes where node.values[name] != self.upstream[name] {
                    let value = node.values[name].map(String.init) ?? "none"
                    self.objections.append("at the end \(node.name) has \(value) of \(name): \(roles)")
                }
            } else if !owners.isEmpty || self.nodes.contains(where: { $0.machine.role(of: name) != "unknown" }) {
                self.objections.append("at the end nobody reads \(name), and it is there: \(roles)")
            }
        }
    }
}
