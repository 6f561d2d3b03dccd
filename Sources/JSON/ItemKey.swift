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

    /// The node of the identity of the item at `index`, a string or a number; nil if absent.
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
        let letters = Letters(name)
        if Self.identities.contains(where: letters.are) {
            self = .exact
        } else if Self.uniques.contains(where: letters.endLonger) || Self.endsInWordID(name) {
            self = .suffix
        } else if Self.codes.contains(where: letters.end) {
            self = .code
        } else if Self.labels.contains(where: letters.end) {
            self = .label
        } else {
            self = .other
        }
    }

    private static let identities: [Word] = ["id", "uuid", "guid", "uid", "key", "objectid"]
    private static let uniques: [Word] = ["uuid", "guid"]
    private static let codes: [Word] = [
        "code", "slug", "symbol", "number", "sku", "isbn", "iso", "ref", "key", "handle", "ticker",
    ]
    private static let labels: [Word] = ["name", "title", "url", "uri", "href", "link", "domain", "host"]

    /// `…Id`, `…ID`, `…_id`: not `paid` or `grid`.
    private static func endsInWordID(_ name: some BidirectionalCollection<UInt8>) -> Bool {
        var rest = name.reversed().makeIterator()
        guard let last = rest.next(), last | 0x20 == UInt8(ascii: "d"),
            let middle = rest.next(), middle | 0x20 == UInt8(ascii: "i"),
            let first = rest.next()
        else { return false }
        let isLetter = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first | 0x20)
        let isLower = first & 0x20 != 0
        return !isLetter || (isLower && middle == UInt8(ascii: "I"))
    }

    /// A word of up to eight letters, the last one lowest: a diff ranks the names of many records, and compares words as
    /// numbers.
    private struct Word: ExpressibleByStringLiteral {
        var letters: UInt64 = 0
        var count = 0

        init(stringLiteral word: StaticString) {
            word.withUTF8Buffer { utf8 in
                for letter in utf8 { self.letters = self.letters << 8 | UInt64(letter) }
                self.count = utf8.count
            }
        }
    }

    /// The last letters of a name in lower case, `_` and `@` left out.
    private struct Letters {
        private var letters: UInt64 = 0
        /// At most nine.
        private var count = 0

        init(_ name: some BidirectionalCollection<UInt8>) {
            for byte in name.reversed() where byte < 0x80 && byte != UInt8(ascii: "_") && byte != UInt8(ascii: "@") {
                if self.count < 8 { self.letters |= UInt64(byte | 0x20) << UInt64(8 * self.count) }
                self.count += 1
                guard self.count < 9 else { break }
            }
        }

        func are(_ word: Word) -> Bool { self.count == word.count && self.letters == word.letters }

        /// Whether they end in the word, or are it.
        func end(_ word: Word) -> Bool {
            self.count >= word.count
                && (self.letters ^ word.letters) << UInt64(64 - 8 * word.count) == 0
        }

        func endLonger(_ word: Word) -> Bool { self.count > word.count && self.end(word) }
    }
}

/// The ranks of names that were met lately, by the hashes of the names: the lists of a source ask for the same few at every
/// poll.
///
/// A name whose hash falls on another one's place takes that over.
struct ItemKeyRanks {
    private struct Entry {
        var hash: UInt64
        var rank: ItemKeyRank
    }

    private static let places = 256
    private var entries = [Entry?](repeating: nil, count: ItemKeyRanks.places)

    /// The rank of the name at a place of a document.
    mutating func rank(ofNameAt index: Int, in side: Side) -> ItemKeyRank {
        let node = side.nodes[index]
        let name = UnsafeBufferPointer(rebasing: side.bytes(index).dropFirst().dropLast())
        // Written otherwise, a name has the same hash and is judged by what is written.
        guard !node.isEscaped else { return ItemKeyRank(name) }
        let place = Int(truncatingIfNeeded: node.hash & UInt64(Self.places - 1))
        if let entry = self.entries[place], entry.hash == node.hash { return entry.rank }
        let rank = ItemKeyRank(name)
        self.entries[place] = Entry(hash: node.hash, rank: rank)
        return rank
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
        var best = BestGuesses()
        func consider(_ name: Int, inside outer: Int? = nil) {
            guard nodes[name + 1].kind == .string || nodes[name + 1].kind == .number else { return }
            var telling = name
            if let outer, nodes[name].length == 7, self.new.bytes(name).elementsEqual("\"#text\"".utf8) {
                // The text of an XML element with attributes has its name one level further out.
                telling = outer
            }
            let rank = self.workspace.ranks.rank(ofNameAt: telling, in: self.new)
            best.offer(BestGuesses.Guess(rank: rank, outer: outer, name: name))
        }
        var name = sample + 1
        while name < nodes[sample].end, best.offered < 64 {
            consider(name)
            if nodes[name + 1].kind == .object {
                var inner = name + 2
                while inner < nodes[name + 1].end, best.offered < 64 {
                    consider(inner, inside: name)
                    inner = nodes[inner + 1].end
                }
            }
            name = nodes[name + 1].end
        }
        return best.guesses.map { guess in
            let names = (guess.outer.map { [nodes[$0].hash] } ?? []) + [nodes[guess.name].hash]
            return KeyCandidate(key: ItemKey(names: names), rank: guess.rank)
        }
    }
}

/// The six most likely of many members; of equal ones those that were offered first.
private struct BestGuesses {
    struct Guess {
        var rank: ItemKeyRank
        /// The name nodes.
        var outer: Int?
        var name: Int

        var order: Int { self.rank.rawValue * 2 + (self.outer == nil ? 0 : 1) }
    }

    private(set) var guesses: [Guess] = []
    private(set) var offered = 0

    mutating func offer(_ guess: Guess) {
        self.offered += 1
        if self.guesses.count == 6 {
            guard let last = self.guesses.last, guess.order < last.order else { return }
            self.guesses.removeLast()
        }
        let position = self.guesses.firstIndex { guess.order < $0.order } ?? self.guesses.count
        self.guesses.insert(guess, at: position)
    }
}
