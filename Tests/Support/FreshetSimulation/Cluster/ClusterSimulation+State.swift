// A unit that is no source: one node at a time counts, and the next one goes on counting where that one was.

import FreshetCluster
import FreshetCore

extension ClusterSimulation {
    static let unit = ClusterUnit.ofWebhook("crm")

    /// The node owns the unit. No state that is known to be in the stream may be missing.
    func own(_ state: [UInt8], _ node: SimulatedNode) {
        let count = Int(String(decoding: state, as: UTF8.self)) ?? 0
        if count < self.keptCount {
            self.objections.append("\(self.time): \(node.name) goes on at \(count), and \(self.keptCount) was kept")
        }
        node.count = count
        self.advance(node, from: count)
    }

    func advance(_ node: SimulatedNode, from count: Int) {
        self.after(Int64(self.random(20...300))) { [unowned self] in
            self.arrive(node) {
                guard node.isUp, node.count == count else { return }
                self.checkPollers(Self.unit)
                // A gateway asks before each message.
                guard node.machine.owns(Self.unit, now: self.now) else { return self.advance(node, from: count) }
                node.count = count + 1
                self.figures.counts += 1
                self.keep(node)
                self.advance(node, from: count + 1)
            }
        }
    }

    func keep(_ node: SimulatedNode) {
        guard let count = node.count else { return }
        node.keeps += 1
        node.kept[node.keeps] = count
        let (state, number) = (Array("\(count)".utf8), node.keeps)
        self.input(node) { $0.keep(Self.unit, state, number: number, now: self.now) }
    }

    func kept(through number: UInt64, _ node: SimulatedNode) {
        self.keptCount = max(self.keptCount, node.kept[number] ?? 0)
        node.kept = node.kept.filter { $0.key > number }
    }

    /// The broker may have lost it: then what the nodes know is all there is.
    func forgetKept() {
        self.keptCount = 0
    }
}
