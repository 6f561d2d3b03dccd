// What a node may use of limits that hold for all nodes together: requests of an hour, and requests to one host.

package import FreshetCore

extension PollShare {
    /// A node's part. The parts of all nodes add up to the limits, once all have read who owns what.
    ///
    /// - Parameters:
    ///   - node: Whose part it is.
    ///   - nodes: How many there are.
    ///   - sources: The rule of each source that is polled, `nil` where its host is not known, and its owner, where it has one.
    package init(of node: String, nodes: Int, sources: some Sequence<(rule: PlacementRule?, owner: String?)>) {
        self.init()
        var (all, own) = (0, 0)
        var hosts: [String: (limit: Int, all: Int, owned: [String: Int])] = [:]
        for source in sources {
            all += 1
            if source.owner == node { own += 1 }
            guard let rule = source.rule else { continue }
            hosts[rule.host, default: (rule.maxNodes, 0, [:])].all += 1
            if let owner = source.owner { hosts[rule.host]?.owned[owner, default: 0] += 1 }
        }
        self.ofOtherHosts = 1 / Double(max(1, nodes))
        if all > 0 { self.rate = Double(own) / Double(all) }
        for (name, host) in hosts {
            guard let own = host.owned[node] else { continue }
            let parts = Self.split(host.limit, by: host.owned)
            self.hosts[name] = Host(concurrency: parts[node] ?? 1, rate: Double(own) / Double(host.all))
        }
    }

    /// Splits a number into parts of at least one, the rest in proportion to counts: the method of largest remainders. Where
    /// there are more counts than the number has ones, the sum is larger.
    package static func split(_ number: Int, by counts: [String: Int]) -> [String: Int] {
        let rest = number - counts.count
        let sum = counts.values.reduce(0, +)
        guard rest > 0, sum > 0 else { return counts.mapValues { _ in 1 } }
        var parts: [String: Int] = [:]
        var remainders: [(remainder: Int, name: String)] = []
        var left = rest
        for (name, count) in counts {
            let (part, remainder) = (rest * count).quotientAndRemainder(dividingBy: sum)
            parts[name] = 1 + part
            left -= part
            remainders.append((remainder, name))
        }
        // In the same order at every node.
        remainders.sort { ($1.remainder, $0.name) < ($0.remainder, $1.name) }
        for (_, name) in remainders.prefix(left) { parts[name, default: 1] += 1 }
        return parts
    }
}
