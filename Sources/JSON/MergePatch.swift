// RFC 7396 JSON Merge Patch: small for maps, useless for lists, and unable to set a member to null.

extension Document {
    /// The merge patch (RFC 7396) that turns this document into `new`.
    ///
    /// Impossible where `new` is not an object, and where a member that is new or changed is null or holds a member that
    /// is: a merge patch reads null as "remove". Arrays are replaced as a whole.
    ///
    /// - Parameters:
    ///   - new: the document to arrive at.
    ///   - limit: for how many bytes a patch is too long. Where a list makes up most of the value, that is known before it is
    ///     copied.
    /// - Returns: JSON text; nil if absent or too long.
    package func mergePatch(to new: Document, shorterThan limit: Int = .max) -> [UInt8]? {
        guard new.root.kind == .object else { return nil }
        return self.withSides(to: new) { sides in
            var writer = MergeWriter(sides, limit: limit)
            return writer.run()
        }
    }

    /// Applies a merge patch (RFC 7396 §2). Any document is one.
    ///
    /// - Precondition: both texts together are shorter than 2 GiB.
    package func applying(mergePatch patch: Document) -> Document {
        let text = MergeApplication(target: self.storage, patch: patch.storage).run()
        // Built from two valid documents: each value's text is taken over, and nesting is that of one of them.
        guard let merged = try? Document(parsing: text, limits: .widest) else {
            preconditionFailure("applying(mergePatch:) built no document of \(text.count) bytes")
        }
        return merged
    }
}

/// Writes a merge patch, one pair of objects after the other, without recursion. Linear in both documents.
///
/// An object's members are paired before the first is written, so that no pair of objects is ever walked twice.
private struct MergeWriter {
    /// A pair of objects of which the patch object is being written.
    private struct Frame {
        /// The next of its members in `pairs`.
        var next: Int
        let firstMember: Int
        let endMember: Int
        /// Its removed names in `pairs` go from here to the end, since those of inner objects are gone by then.
        let firstRemoved: Int
    }

    let sides: Sides
    /// The patch must be shorter, in bytes.
    let limit: Int
    private var text: [UInt8] = []
    private var frames: [Frame] = []
    /// Those of all frames, the outermost first. One list, because a copy of a frame must not share what the next step
    /// changes.
    private var pairs = MemberPairing()

    init(_ sides: Sides, limit: Int) {
        self.sides = sides
        self.limit = limit
    }

    mutating func run() -> [UInt8]? {
        guard self.sides.old.nodes[0].hash != self.sides.new.nodes[0].hash else {
            return self.limit > 2 ? Array("{}".utf8) : nil
        }
        guard self.sides.old.nodes[0].kind == .object else {
            let text = self.sides.new.storage.text
            return text.count >= self.limit || self.holdsNullMember(0) ? nil : text
        }
        self.text.reserveCapacity(min(self.sides.new.storage.text.count, 4096))
        self.open(old: 0, new: 0)
        while let frame = self.frames.last {
            guard frame.next < frame.endMember else {
                self.close(frame)
                continue
            }
            self.frames[self.frames.count - 1].next += 1
            let member = self.pairs.members[frame.next]
            let value = member.new + 1
            self.write(self.sides.new.bytes(member.new))
            if member.old >= 0, self.sides.old.nodes[member.old + 1].kind == .object,
                self.sides.new.nodes[value].kind == .object
            {
                self.open(old: member.old + 1, new: value)
            } else {
                let bytes = self.sides.new.bytes(value)
                // Each open object has its end to come.
                guard self.text.count + bytes.count + self.frames.count < self.limit, !self.holdsNullMember(value)
                else { return nil }
                self.text.append(contentsOf: bytes)
            }
        }
        return self.text.count < self.limit ? self.text : nil
    }

    private mutating func open(old: Int, new: Int) {
        self.text.append(UInt8(ascii: "{"))
        let (firstMember, firstRemoved) = (self.pairs.members.count, self.pairs.removed.count)
        self.pairs.append(
            self.sides,
            old: old + 1,
            oldEnd: self.sides.old.nodes[old].end,
            new: new + 1,
            newEnd: self.sides.new.nodes[new].end
        )
        self.frames.append(
            Frame(
                next: firstMember,
                firstMember: firstMember,
                endMember: self.pairs.members.count,
                firstRemoved: firstRemoved
            )
        )
    }

    /// Removes what the new object does not have, and ends the patch object.
    private mutating func close(_ frame: Frame) {
        for index in frame.firstRemoved..<self.pairs.removed.count {
            self.write(self.sides.old.bytes(self.pairs.removed[index]))
            self.text.append(contentsOf: "null".utf8)
        }
        self.text.append(UInt8(ascii: "}"))
        self.pairs.cut(members: frame.firstMember, removed: frame.firstRemoved)
        self.frames.removeLast()
    }

    /// Writes a name and its colon, with a comma where one is due: `{` ends no value.
    private mutating func write(_ name: UnsafeBufferPointer<UInt8>) {
        if self.text.last != UInt8(ascii: "{") { self.text.append(UInt8(ascii: ",")) }
        self.text.append(contentsOf: name)
        self.text.append(UInt8(ascii: ":"))
    }

    /// Whether the value is null or an object that a merge would strip a null from. Nulls in arrays are kept.
    private func holdsNullMember(_ index: Int) -> Bool {
        let nodes = self.sides.new.nodes
        var node = index
        let end = nodes[index].end
        while node < end {
            switch nodes[node].kind {
            case .null: return true
            case .array: node = nodes[node].end
            case .false, .true, .number, .string, .object: node += 1
            }
        }
        return false
    }
}

/// Applies a merge patch by writing the merged text, without recursion.
private struct MergeApplication {
    private enum Step {
        /// Merge a patch object into a target, which may be absent or no object.
        case merge(target: Int?, patch: Int)
        case name(ArraySlice<UInt8>)
        case copy(target: Int)
        case close
    }

    let target: Storage
    let patch: Storage

    func run() -> [UInt8] {
        var text: [UInt8] = []
        var steps: [Step] = [.merge(target: 0, patch: 0)]
        while let step = steps.popLast() {
            switch step {
            case .close:
                text.append(UInt8(ascii: "}"))
            case .name(let name):
                if text.last != UInt8(ascii: "{") { text.append(UInt8(ascii: ",")) }
                text.append(contentsOf: name)
                text.append(UInt8(ascii: ":"))
            case .copy(let index):
                text.append(contentsOf: self.target.sourceText(index))
            case .merge(let index, let patch) where self.patch.nodes[patch].kind == .object:
                text.append(UInt8(ascii: "{"))
                steps += self.merge(index, patch).reversed()
            case .merge(_, let patch):
                text.append(contentsOf: self.patch.sourceText(patch))
            }
        }
        return text
    }

    /// The members of one merged object: the target's in their order, then the new ones.
    private func merge(_ index: Int?, _ patch: Int) -> [Step] {
        let names = NameIndex(self.patch, from: patch + 1, to: self.patch.nodes[patch].end)
        var isUsed = [Bool](repeating: false, count: names.names.count)
        var steps: [Step] = []
        if let index, self.target.nodes[index].kind == .object {
            var name = index + 1
            while name < self.target.nodes[index].end {
                let match = names.find(name, of: self.target)
                if let match { isUsed[match] = true }
                let value = match.map { names.names[$0] + 1 }
                if value.map({ self.patch.nodes[$0].kind != .null }) ?? true {
                    steps.append(.name(self.target.sourceText(name)))
                    steps.append(value.map { .merge(target: name + 1, patch: $0) } ?? .copy(target: name + 1))
                }
                name = self.target.nodes[name + 1].end
            }
        }
        for (name, isUsed) in zip(names.names, isUsed) where !isUsed && self.patch.nodes[name + 1].kind != .null {
            steps.append(.name(self.patch.sourceText(name)))
            steps.append(.merge(target: nil, patch: name + 1))
        }
        steps.append(.close)
        return steps
    }
}
