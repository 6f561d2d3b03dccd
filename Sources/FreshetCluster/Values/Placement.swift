// Which node each source belongs to: the same answer at every node that knows the same nodes and sources.

import FreshetCore

/// Rendezvous hashing with a bound on each node's share: every source ranks all nodes, and goes to the first with room.
/// One that joins takes only what ranks it first, and what one that leaves had goes to the next in each rank, but for the
/// few that the bound moves.
package struct Placement: Hashable, Sendable {
    /// What a node may have above the mean.
    package static let slackPercent = 8

    private let owners: [String: String]
    /// Ascending, with their hashes.
    private let nodes: [String]
    private let hashes: [UInt64]

    package init(sources: some Sequence<String>, nodes: some Sequence<String>) {
        let nodes = Set(nodes).sorted()
        let sources = Set(sources).sorted()
        let hashes = nodes.map { Self.mixed(StableHash.of($0.utf8)) }
        self.nodes = nodes
        self.hashes = hashes
        guard !nodes.isEmpty else {
            self.owners = [:]
            return
        }
        let (scaled, overflow) = sources.count.multipliedReportingOverflow(by: 100 + Self.slackPercent)
        let divisor = nodes.count * 100
        let room = overflow ? sources.count : max(1, (scaled + divisor - 1) / divisor)
        var choices: [(weight: UInt64, source: Int, node: Int)] = []
        choices.reserveCapacity(sources.count * nodes.count)
        for (index, source) in sources.enumerated() {
            let hash = Self.mixed(StableHash.of(source.utf8))
            for (node, other) in hashes.enumerated() {
                choices.append((Self.mixed(hash ^ other), index, node))
            }
        }
        // The strongest wish first: who is turned away by a full node is the one who wished it least.
        choices.sort { ($0.weight, $1.source, $1.node) > ($1.weight, $0.source, $0.node) }
        var counts = [Int](repeating: 0, count: nodes.count)
        var owners: [String: String] = [:]
        owners.reserveCapacity(sources.count)
        var placed = [Bool](repeating: false, count: sources.count)
        for choice in choices where !placed[choice.source] && counts[choice.node] < room {
            placed[choice.source] = true
            counts[choice.node] += 1
            owners[sources[choice.source]] = nodes[choice.node]
        }
        self.owners = owners
    }

    /// `nil` for a source that was not placed, since there is no node.
    package func owner(of source: String) -> String? { self.owners[source] }

    /// The node that a name ranks first, whatever other sources there are; `nil` where there is no node.
    package func first(of name: String) -> String? {
        let hash = Self.mixed(StableHash.of(name.utf8))
        let best = self.hashes.indices.max { Self.mixed(hash ^ self.hashes[$0]) < Self.mixed(hash ^ self.hashes[$1]) }
        return best.map { self.nodes[$0] }
    }

    private static func mixed(_ number: UInt64) -> UInt64 {
        var hash = (number ^ (number >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        hash = (hash ^ (hash >> 33)) &* 0xC4CE_B9FE_1A85_EC53
        return hash ^ (hash >> 33)
    }
}
