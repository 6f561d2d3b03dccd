// What a node may use of limits that hold for all nodes together: requests of an hour, and requests to one host.

/// A node's part of the limits of polling. The parts of all nodes add up to the limits, once all have read who owns what.
package struct UpstreamShare: Hashable, Sendable {
    /// A node's part of what one host may be asked.
    package struct Host: Hashable, Sendable {
        /// Requests at a time, at least one.
        package var concurrency: Int
        /// Of the requests in a time, above 0 and at most 1.
        package var rate: Double

        package init(concurrency: Int, rate: Double) {
            self.concurrency = concurrency
            self.rate = rate
        }
    }

    /// Of the polls of an hour, from 0 to 1.
    package var rate = 1.0
    /// By origin, of the hosts that the configuration names.
    package var hosts: [String: Host] = [:]
    /// Nodes that may poll a host that the configuration does not name, as streamdata's addresses have.
    package var nodes = 1

    package init() {}

    /// - Parameters:
    ///   - node: Whose part it is.
    ///   - nodes: How many there are.
    ///   - sources: The rule of each source that is polled, `nil` where its host is not known, and its owner, where it has one.
    package init(of node: String, nodes: Int, sources: some Sequence<(rule: PlacementRule?, owner: String?)>) {
        var (all, own) = (0, 0)
        var hosts: [String: (limit: Int, all: Int, owned: [String: Int])] = [:]
        for source in sources {
            all += 1
            if source.owner == node { own += 1 }
            guard let rule = source.rule else { continue }
            hosts[rule.host, default: (rule.maxNodes, 0, [:])].all += 1
            if let owner = source.owner { hosts[rule.host]?.owned[owner, default: 0] += 1 }
        }
        self.nodes = max(1, nodes)
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
