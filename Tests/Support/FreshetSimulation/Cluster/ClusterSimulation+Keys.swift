// Idempotency keys of a simulated cluster: what an owner has stored, each later owner knows.

import FreshetCluster
import FreshetCore

extension ClusterSimulation {
    static func isFenced(_ subject: String) -> Bool { subject.hasPrefix("fr.change.") || subject.hasPrefix("fr.key.") }

    /// A write with a key begins at a node that may believe that it owns the source.
    func useKey(of source: String, _ node: SimulatedNode) {
        guard self.hasKeys, self.isLikely(30) else { return }
        self.lastKey += 1
        let (request, key) = (self.lastKey, "k\(self.lastKey)")
        let account = Principal.Account(kind: .anonymous, issuer: "", id: "anonymous")
        let at = WallTime(milliseconds: self.time / Self.millisecond)
        let record = KeyRecord(
            incarnation: node.machine.settings.incarnation,
            scope: IdempotencyScope(account: account, key: key),
            record: IdempotencyRecord(fingerprint: [1], madeAt: at)
        )
        node.keyRequests[request] = (source, key)
        self.input(node) { $0.keySubmitted(request, record.encoded, of: source, now: self.now) }
    }

    func keyStored(_ request: UInt64, _ isStored: Bool, _ node: SimulatedNode) {
        guard let (source, key) = node.keyRequests.removeValue(forKey: request), isStored else { return }
        self.figures.keys += 1
        node.disk.keys.insert(key)
        // One whose answer took long may have been lost by then.
        guard self.broker.holds(key: key, of: source) else { return }
        self.keys[source, default: []].insert(key)
    }

    func learn(_ record: KeyRecord, _ node: SimulatedNode) {
        node.disk.keys.insert(record.scope.key)
    }

    /// A node begins to poll a source.
    func checkKeys(of source: String, _ node: SimulatedNode) {
        let known = self.keys[source] ?? []
        let missing = known.subtracting(node.disk.keys)
        self.figures.inherited += known.count - missing.count
        guard !missing.isEmpty else { return }
        self.objections.append("\(self.time): \(node.name) owns \(source) and does not know \(missing.sorted())")
    }

    /// Who begins a numbering, or has missed something, does not know all of what was before.
    func noted(_ note: ClusterNote) {
        switch note {
        case .epochBegan, .historyLost, .rewound: self.keys = [:]
        case _: break
        }
    }
}

extension SimulatedBroker {
    /// Whether the stream has this key yet.
    func holds(key: String, of source: String) -> Bool {
        let subject = self.subjects.subject(of: .key(source: source))
        return self.messages.contains { stored in
            stored.message.subject == subject && KeyRecord(stored.message.payload)?.scope.key == key
        }
    }
}
