// Pairs the members of two objects by name: for the patch, the merge patch, and whoever else walks two objects.

/// Which members of two objects go together, from where they fall out of step.
///
/// Objects of two successive versions mostly differ by a name that came or one that went, so the two are walked side by
/// side and a few names ahead are looked at where they differ. Where that finds nothing, or a name turns out to have
/// changed its place, the names are looked up in a table. Both ways give the same pairs. Linear in both objects.
///
/// A value to be kept for as long as the two documents are: its lists are reused from object to object.
struct MemberPairing {
    /// A member of the new object.
    struct Member {
        /// The name node of the old object's member of that name; negative where there is none.
        var old: Int
        /// The name node.
        var new: Int
    }

    /// How many names are looked at on either side.
    static let lookAhead = 8

    /// The new object's members that are new or changed, in its order.
    private(set) var members: [Member] = []
    /// The name nodes of the old object's members that the new one does not have, in the old one's order.
    private(set) var removed: [Int] = []
    private var added = 0

    /// Forgets the pairs behind the first ones.
    mutating func cut(members: Int, removed: Int) {
        self.members.removeSubrange(members...)
        self.removed.removeSubrange(removed...)
    }

    /// Appends what the members from `old` and `new` on, which are name nodes of two objects that end at `oldEnd` and
    /// `newEnd`, have in common and what not.
    mutating func append(_ sides: Sides, old: Int, oldEnd: Int, new: Int, newEnd: Int) {
        let memberCount = self.members.count
        let removedCount = self.removed.count
        guard !self.appendInStep(sides, old, oldEnd, new, newEnd) else { return }
        self.cut(members: memberCount, removed: removedCount)
        self.appendByName(sides, old, oldEnd, new, newEnd)
    }

    /// - Returns: false where the names have to be looked up.
    private mutating func appendInStep(_ sides: Sides, _ old: Int, _ oldEnd: Int, _ new: Int, _ newEnd: Int) -> Bool {
        let firstMember = self.members.count
        let firstRemoved = self.removed.count
        self.added = 0
        var i = old
        var j = new
        while i < oldEnd, j < newEnd {
            if sides.namesAreEqual(i, j) {
                self.note(sides, i, j)
                i = sides.old.nodes[i + 1].end
                j = sides.new.nodes[j + 1].end
                continue
            }
            guard let skip = Self.skip(sides, i, oldEnd, j, newEnd) else { return false }
            for _ in 0..<skip.old {
                self.removed.append(i)
                i = sides.old.nodes[i + 1].end
            }
            for _ in 0..<skip.new {
                self.add(j)
                j = sides.new.nodes[j + 1].end
            }
        }
        while i < oldEnd {
            self.removed.append(i)
            i = sides.old.nodes[i + 1].end
        }
        while j < newEnd {
            self.add(j)
            j = sides.new.nodes[j + 1].end
        }
        return !self.mayHaveMoved(sides, firstMember, firstRemoved)
    }

    /// How many names to pass over on one side to be in step again: as few as possible.
    private static func skip(_ sides: Sides, _ i: Int, _ oldEnd: Int, _ j: Int, _ newEnd: Int) -> (old: Int, new: Int)?
    {
        let oldHash = sides.old.nodes[i].hash
        let newHash = sides.new.nodes[j].hash
        var (nextOld, nextNew) = (i, j)
        for distance in 1...self.lookAhead {
            if nextOld < oldEnd { nextOld = sides.old.nodes[nextOld + 1].end }
            if nextNew < newEnd { nextNew = sides.new.nodes[nextNew + 1].end }
            if nextOld < oldEnd, sides.old.nodes[nextOld].hash == newHash { return (distance, 0) }
            if nextNew < newEnd, sides.new.nodes[nextNew].hash == oldHash { return (0, distance) }
        }
        return nil
    }

    /// Whether a name is among those that went and among those that came.
    private func mayHaveMoved(_ sides: Sides, _ firstMember: Int, _ firstRemoved: Int) -> Bool {
        let gone = self.removed[firstRemoved...]
        guard !gone.isEmpty, self.added > 0 else { return false }
        let came = self.members[firstMember...].lazy.filter { $0.old < 0 }.map { sides.new.nodes[$0.new].hash }
        if gone.count <= 4 {
            return came.contains { hash in gone.contains { sides.old.nodes[$0].hash == hash } }
        }
        let table = HashTable(gone.map { sides.old.nodes[$0].hash })
        return came.contains { table.first($0) != nil }
    }

    private mutating func appendByName(_ sides: Sides, _ old: Int, _ oldEnd: Int, _ new: Int, _ newEnd: Int) {
        let names = NameIndex(sides.old.storage, from: old, to: oldEnd)
        var isKept = [Bool](repeating: false, count: names.names.count)
        var name = new
        while name < newEnd {
            if let match = names.find(name, of: sides.new.storage) {
                isKept[match] = true
                self.note(sides, names.names[match], name)
            } else {
                self.add(name)
            }
            name = sides.new.nodes[name + 1].end
        }
        for (name, isKept) in zip(names.names, isKept) where !isKept { self.removed.append(name) }
    }

    /// Notes two members of the same name, unless their values are equal.
    private mutating func note(_ sides: Sides, _ old: Int, _ new: Int) {
        guard sides.old.nodes[old + 1].hash != sides.new.nodes[new + 1].hash else { return }
        self.members.append(Member(old: old, new: new))
    }

    private mutating func add(_ new: Int) {
        self.added += 1
        self.members.append(Member(old: -1, new: new))
    }
}

// MARK: - Two documents

/// A document: its tape and its text, which have to be pinned.
struct Side {
    let storage: Storage
    let text: UnsafePointer<UInt8>
    /// The storage's, without a detour through the object.
    let nodes: UnsafePointer<Node>

    init(storage: Storage, text: UnsafePointer<UInt8>) {
        self.storage = storage
        self.text = text
        self.nodes = storage.nodes
    }

    @inline(__always)
    func bytes(_ index: Int) -> UnsafeBufferPointer<UInt8> {
        let node = self.nodes[index]
        return UnsafeBufferPointer(start: self.text + node.first, count: node.byteCount)
    }
}

/// Two documents whose texts are pinned.
struct Sides {
    let old: Side
    let new: Side

    @inline(__always)
    func namesAreEqual(_ i: Int, _ j: Int) -> Bool {
        let a = self.old.nodes[i]
        let b = self.new.nodes[j]
        guard a.hash == b.hash else { return false }
        guard a.tag == b.tag, a.length == b.length else {
            return self.old.storage.stringsAreEqual(i, in: self.new.storage, j)
        }
        let (left, right) = (self.old.text + a.first, self.new.text + b.first)
        return bytesAreEqual(left, right, count: a.byteCount)
            || self.old.storage.stringsAreEqual(i, in: self.new.storage, j)
    }
}

extension Document {
    /// Calls `body` with this document and `new`, both texts pinned.
    func withSides<Result>(to new: Document, _ body: (Sides) -> Result) -> Result {
        self.storage.text.withUnsafeBufferPointer { oldText in
            new.storage.text.withUnsafeBufferPointer { newText in
                guard let oldBase = oldText.baseAddress, let newBase = newText.baseAddress else {
                    preconditionFailure("a document without text")
                }
                return body(
                    Sides(
                        old: Side(storage: self.storage, text: oldBase),
                        new: Side(storage: new.storage, text: newBase)
                    )
                )
            }
        }
    }
}
