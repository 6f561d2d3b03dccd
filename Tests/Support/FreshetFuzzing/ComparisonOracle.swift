// Parsing by comparison against the plain parser.

@testable import JSON

/// Holds what is parsed by comparison against what the plain parser makes of the same bytes.
package struct ComparisonOracle {
    /// Every run of one byte is taken over and nothing is given up: far more runs than in service.
    package var isEager: Bool

    package init(isEager: Bool) {
        self.isEager = isEager
    }

    private var costs: ComparisonCosts {
        self.isEager ? ComparisonCosts(shortestRun: 1, isEndless: true) : ComparisonCosts()
    }

    /// Reads versions one after the other, within the limits that the first two bytes say.
    package func difference(in input: [UInt8]) -> String? {
        var limits = ParseLimits()
        if let nodes = input.first, nodes & 1 == 1 { limits.maxNodes = Int(nodes) }
        if input.count > 1, input[1] & 1 == 1 { limits.maxDepth = Int(input[1] / 2 % 16) + 1 }
        var last: Storage?
        for version in FuzzTarget.versions(of: input) {
            let plain = version.withUnsafeBytes { Storage.parsePlainly($0, limits: limits) }
            let compared = version.withUnsafeBytes {
                Storage.parse($0, of: version, after: last, limits: limits, costs: self.costs)
            }
            switch (plain, compared) {
            case (.success(let plain), .success(let compared)):
                if let difference = Self.difference(plain, compared) { return difference }
                if let last {
                    let old = Document(storage: last)
                    let patches = [plain, compared].map { old.patch(to: Document(storage: $0)).text }
                    guard patches[0] == patches[1] else { return "the patches differ" }
                }
                last = compared
            case (.failure(let plain), .failure(let compared)):
                guard plain == compared else { return "\(plain) and \(compared)" }
            case (.success, .failure(let error)): return "refused by comparison alone: \(error)"
            case (.failure(let error), .success): return "accepted by comparison alone: \(error)"
            }
        }
        return nil
    }

    /// What differs between two tapes, their texts included; `nil` where nothing does.
    static func difference(_ left: Storage, _ right: Storage) -> String? {
        guard left.text == right.text else { return "the texts differ" }
        guard left.count == right.count else { return "\(left.count) and \(right.count) nodes" }
        for index in 0..<left.count {
            let (a, b) = (left.nodes[index], right.nodes[index])
            guard a.start == b.start, a.length == b.length, a.next == b.next, a.tag == b.tag, a.hash == b.hash else {
                return "node \(index): \(a), \(b)"
            }
        }
        return nil
    }
}
