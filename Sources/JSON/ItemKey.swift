// What identifies a record of a list: given by a rule, or guessed from names.

/// The way to an item's identity inside an item, by hashes of names.
///
/// Only for pairing records up: a mistaken pair costs bytes in a patch, never correctness.
struct ItemKey {
    /// Hashes of the member names on the way; one or two where it is guessed.
    var names: [UInt64]

    init(names: [UInt64]) {
        self.names = names
    }

    init(_ pointer: Pointer) {
        self.names = pointer.tokens.map { HashSeed.process.string($0.utf8) }
    }

    /// The node of the identity of the item at `index`, a string or a number; nil where there is none.
    func find(_ index: Int, in nodes: UnsafePointer<Node>) -> Int? {
        var index = index
        for name in self.names {
            guard nodes[index].kind == .object else { return nil }
            let end = nodes[index].end
            var member = index + 1
            while member < end, nodes[member].hash != name { member = nodes[member + 1].end }
            guard member < end else { return nil }
            index = member + 1
        }
        return nodes[index].kind == .string || nodes[index].kind == .number ? index : nil
    }

    /// The hash of the identity of the item at `index`.
    func hash(_ index: Int, in nodes: UnsafePointer<Node>) -> UInt64? {
        self.find(index, in: nodes).map { nodes[$0].hash }
    }
}

/// How much a member looks like an identity, by its name.
enum ItemKeyRank: Int, Comparable {
    /// `id`, `uuid`, `key` and the like.
    case exact
    /// Ends in one of them: `UniqueId`, `F_OUTAGE_ID`.
    case suffix
    /// `code`, `slug`, `number` and the like, or ends in one.
    case code
    /// `name`, `title`, `url` and the like, or ends in one: `County Name`.
    case label
    /// Anything else.
    case other

    static func < (left: ItemKeyRank, right: ItemKeyRank) -> Bool { left.rawValue < right.rawValue }

    /// Trusted without looking whether it tells all records apart.
    var isStrong: Bool { self <= .suffix }

    /// The rank of a member of this name (UTF-8).
    init(_ name: some BidirectionalCollection<UInt8>) {
        let letters = name.filter { $0 < 0x80 && $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "@") }.map { $0 | 0x20 }
        func isOne(of words: [StaticString]) -> Bool {
            words.contains { letters.elementsEqual($0.bytes) }
        }
        func ends(in words: [StaticString]) -> Bool {
            words.contains {
                letters.count > $0.utf8CodeUnitCount && letters.suffix($0.utf8CodeUnitCount).elementsEqual($0.bytes)
            }
        }
        if isOne(of: ["id", "uuid", "guid", "uid", "key", "objectid"]) {
            self = .exact
        } else if ends(in: ["uuid", "guid"]) || Self.endsInWordID(name) {
            self = .suffix
        } else if isOne(of: Self.codes) || ends(in: Self.codes) {
            self = .code
        } else if isOne(of: Self.labels) || ends(in: Self.labels) {
            self = .label
        } else {
            self = .other
        }
    }

    private static let codes: [StaticString] = [
        "code", "slug", "symbol", "number", "sku", "isbn", "iso", "ref", "key", "handle", "ticker",
    ]
    private static let labels: [StaticString] = ["name", "title", "url", "uri", "href", "link", "domain", "host"]

    /// `…Id`, `…ID`, `…_id`: not `paid` or `grid`.
    private static func endsInWordID(_ name: some BidirectionalCollection<UInt8>) -> Bool {
        let tail = Array(name.suffix(3))
        guard tail.count == 3, tail[2] | 0x20 == UInt8(ascii: "d"), tail[1] | 0x20 == UInt8(ascii: "i") else {
            return false
        }
        let isLetter = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(tail[0] | 0x20)
        let isLower = tail[0] & 0x20 != 0
        return !isLetter || (isLower && tail[1] == UInt8(ascii: "I"))
    }
}

extension StaticString {
    fileprivate var bytes: UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: self.utf8Start, count: self.utf8CodeUnitCount)
    }
}

extension Difference {
    /// A member that may identify the records of a list.
    struct KeyCandidate {
        var key: ItemKey
        var rank: ItemKeyRank
    }

    /// The members of a sample record that may identify it, most likely first: a rule's key alone, or up to six guesses
    /// at the record's own members and those one level below.
    func keyCandidates(sample: Int) -> [KeyCandidate] {
        if let key = self.ruledKey, self.path == self.ruledPath {
            return [KeyCandidate(key: key, rank: .exact)]
        }
        let nodes = self.new.nodes
        guard nodes[sample].kind == .object else { return [] }
        var candidates: [(order: Int, candidate: KeyCandidate)] = []
        func consider(_ name: Int, inside outer: Int? = nil) {
            guard nodes[name + 1].kind == .string || nodes[name + 1].kind == .number else { return }
            var telling = self.new.bytes(name).dropFirst().dropLast()
            if let outer, telling.elementsEqual("#text".utf8) {
                // The text of an XML element with attributes has its name one level further out.
                telling = self.new.bytes(outer).dropFirst().dropLast()
            }
            let rank = ItemKeyRank(telling)
            let order = rank.rawValue * 2 + (outer == nil ? 0 : 1)
            let names = (outer.map { [nodes[$0].hash] } ?? []) + [nodes[name].hash]
            candidates.append((order, KeyCandidate(key: ItemKey(names: names), rank: rank)))
        }
        var name = sample + 1
        while name < nodes[sample].end, candidates.count < 64 {
            consider(name)
            if nodes[name + 1].kind == .object {
                var inner = name + 2
                while inner < nodes[name + 1].end, candidates.count < 64 {
                    consider(inner, inside: name)
                    inner = nodes[inner + 1].end
                }
            }
            name = nodes[name + 1].end
        }
        // Stable, so that members in front win.
        return candidates.enumerated()
            .sorted { ($0.element.order, $0.offset) < ($1.element.order, $1.offset) }
            .prefix(6)
            .map(\.element.candidate)
    }
}
