// The way between nodes and broker: late, cut, or both.

import FreshetCluster
import FreshetCore

extension ClusterSimulation {
    func ask<Answer>(
        _ node: SimulatedNode,
        isPublish: Bool = false,
        _ question: @escaping () -> Answer,
        then: @escaping (Result<Answer, StreamFailure>) -> Void
    ) {
        guard node.isConnected else {
            return self.after(1) { [unowned self] in
                self.arrive(node) { then(.failure(StreamFailure(.disconnected, "no connection"))) }
            }
        }
        self.requests += 1
        let (request, connection) = (self.requests, node.connection)
        node.waiting[request] = { [unowned self] failure in
            self.arrive(node) { then(.failure(failure)) }
        }
        let there = self.arrival(node)
        if isPublish, self.cutsPublishes, !self.isCalm, self.isLikely(2) {
            self.at(there - 1) { [unowned self] in
                if node.connection == connection { self.disconnect(node, for: self.random(1...500)) }
            }
        }
        self.at(there) { [unowned self] in
            if node.connection != connection {
                // Cut on its way: it arrives late, or never.
                guard isPublish, self.isLikely(40) else { return }
                self.figures.late += 1
                return self.after(Int64(self.random(0...4000))) { _ = question() }
            }
            let answer = question()
            self.at(self.arrival(node)) { [unowned self] in
                guard node.waiting.removeValue(forKey: request) != nil else { return }
                self.arrive(node) { then(.success(answer)) }
            }
        }
    }

    func arrival(_ node: SimulatedNode) -> Int64 {
        let delay = Int64(self.random(100_000...2_000_000))
        node.lastArrival = max(node.lastArrival + 1, self.time + delay)
        return node.lastArrival
    }

    func deliverToAll() {
        for node in self.nodes where node.isUp && node.readsFrom != nil { self.deliver(to: node) }
    }

    func deliver(to node: SimulatedNode) {
        guard let from = node.readsFrom, node.isConnected else { return }
        let messages = self.broker.messages(from: from, limit: self.random(1...40))
        guard let last = messages.last else { return }
        node.readsFrom = last.sequence + 1
        let connection = node.connection
        self.at(self.arrival(node)) { [unowned self] in
            guard node.connection == connection else { return }
            self.arrive(node) {
                guard node.readsFrom != nil else { return }
                self.input(node) { $0.delivered(messages, now: self.now) }
                self.deliver(to: node)
            }
        }
    }
}
