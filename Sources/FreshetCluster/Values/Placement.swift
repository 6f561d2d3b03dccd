// Which node each source belongs to: the same answer at every node that knows the same nodes and sources.

import FreshetCore

/// Which nodes may have a source, and which sources it goes with.
package struct PlacementRule: Hashable, Sendable {
    /// What the source is ranked by. Sources with the same key go together, as those do that one poll serves.
    package var key: String
    /// The origin that it is polled at.
    package var host: String
    /// The most nodes that poll that host: as many as it may be asked requests at a time, since each node needs one.
    package var maxNodes: Int

    /// `maxNodes`: at least one.
    package init(key: String, host: String, maxNodes: Int) {
        self.key = key
        self.host = host
        self.maxNodes = max(1, maxNodes)
    }

    /// The same in every process that says the same of a source.
    func hash(of source: String) -> UInt64 {
        StableHash.of("\(source)\u{0}\(self.key)\u{0}\(self.host)\u{0}\(self.maxNodes)".utf8)
    }
}

/// Rendezvous hashing with a bound on each node's share: every source ranks all nodes, and goes to the first with room.
/// One that joins takes only what ranks it first, and what one that leaves had goes to the next in each rank, but for the
/// few that the bound moves. A host that only some nodes may poll ranks the nodes itself, and its sources are spread over
/// the first of them.
package struct Placement: Hashable, Sendable {
    /// What a node may have above the mean.
    package static let slackPercent = 8

    /// Sources that go together.
    private struct Bundle {
        var key: String
        var names: [String]
        /// `nil` where any node may have them.
        var boundTo: PlacementRule?
    }

    private var owners: [String: String] = [:]
    /// Ascending, with their hashes.
    private let nodes: [String]
    private let hashes: [UInt64]

    /// `rules` are by source; a source without one may be at any node.
    package init(
        sources: some Sequence<String>,
        nodes: some Sequence<String>,
        rules: [String: PlacementRule] = [:]
    ) {
        self.nodes = Set(nodes).sorted()
        self.hashes = self.nodes.map { Self.mixed(StableHash.of($0.utf8)) }
        guard !self.nodes.isEmpty else { return }
        let bundles = Dictionary(grouping: self.bundles(Set(sources).sorted(), rules), by: \.boundTo?.host)
        var counts = [Int](repeating: 0, count: self.nodes.count)
        // Those cannot make way for others, and are counted before them. Of one host they do not depend on another's.
        for case (_?, let bundles) in bundles {
            var ofHost = [Int](repeating: 0, count: self.nodes.count)
            self.place(bundles, on: self.allowed(bundles.first?.boundTo), &ofHost)
            for (node, count) in ofHost.enumerated() { counts[node] += count }
        }
        self.place(bundles[nil] ?? [], on: Array(self.nodes.indices), &counts)
    }

    /// `nil` for a source that was not placed, since there is no node.
    package func owner(of source: String) -> String? { self.owners[source] }

    /// The node that a name ranks first, whatever other sources there are, of those that its rule allows; `nil` where there is
    /// no node.
    package func first(of name: String, _ rule: PlacementRule? = nil) -> String? {
        let hash = Self.mixed(StableHash.of(name.utf8))
        let best = self.allowed(rule).max { Self.mixed(hash ^ self.hashes[$0]) < Self.mixed(hash ^ self.hashes[$1]) }
        return best.map { self.nodes[$0] }
    }

    /// The nodes that may have a source, as indices.
    private func allowed(_ rule: PlacementRule?) -> [Int] {
        guard let rule, rule.maxNodes < self.nodes.count else { return Array(self.nodes.indices) }
        let hash = Self.mixed(StableHash.of(rule.host.utf8))
        let ranked = self.nodes.indices.sorted {
            Self.mixed(hash ^ self.hashes[$0]) > Self.mixed(hash ^ self.hashes[$1])
        }
        return Array(ranked.prefix(rule.maxNodes))
    }

    private func bundles(_ sources: [String], _ rules: [String: PlacementRule]) -> [Bundle] {
        var bundles: [Bundle] = []
        var places: [String: Int] = [:]
        for name in sources {
            let rule = rules[name]
            let key = rule?.key ?? name
            if let place = places[key] {
                bundles[place].names.append(name)
            } else {
                places[key] = bundles.count
                let isBound = rule.map { $0.maxNodes < self.nodes.count } ?? false
                bundles.append(Bundle(key: key, names: [name], boundTo: isBound ? rule : nil))
            }
        }
        return bundles
    }

    /// Places bundles on some nodes, which have so many sources already.
    private mutating func place(_ bundles: [Bundle], on nodes: [Int], _ counts: inout [Int]) {
        let room = Self.room(counts.reduce(0, +) + bundles.reduce(0) { $0 + $1.names.count }, nodes: nodes.count)
        var choices: [(weight: UInt64, bundle: Int, node: Int)] = []
        choices.reserveCapacity(bundles.count * nodes.count)
        for (index, bundle) in bundles.enumerated() {
            let hash = Self.mixed(StableHash.of(bundle.key.utf8))
            for node in nodes { choices.append((Self.mixed(hash ^ self.hashes[node]), index, node)) }
        }
        // The strongest wish first: who is turned away by a full node is the one who wished it least.
        choices.sort { ($0.weight, $1.bundle, $1.node) > ($1.weight, $0.bundle, $0.node) }
        var placed = [Bool](repeating: false, count: bundles.count)
        for choice in choices where !placed[choice.bundle] {
            let bundle = bundles[choice.bundle]
            guard counts[choice.node] + bundle.names.count <= room else { continue }
            placed[choice.bundle] = true
            self.put(bundle, at: choice.node, &counts)
        }
        // What is larger than any room goes where there is least.
        for (index, bundle) in bundles.enumerated() where !placed[index] {
            guard let node = nodes.min(by: { (counts[$0], $0) < (counts[$1], $1) }) else { continue }
            self.put(bundle, at: node, &counts)
        }
    }

    private mutating func put(_ bundle: Bundle, at node: Int, _ counts: inout [Int]) {
        counts[node] += bundle.names.count
        for name in bundle.names { self.owners[name] = self.nodes[node] }
    }

    /// The most sources that a node may have.
    private static func room(_ sources: Int, nodes: Int) -> Int {
        let (scaled, overflow) = sources.multipliedReportingOverflow(by: 100 + Self.slackPercent)
        let divisor = max(1, nodes) * 100
        return overflow ? sources : max(1, (scaled + divisor - 1) / divisor)
    }

    private static func mixed(_ number: UInt64) -> UInt64 {
        var hash = (number ^ (number >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        hash = (hash ^ (hash >> 33)) &* 0xC4CE_B9FE_1A85_EC53
        return hash ^ (hash >> 33)
    }
}
