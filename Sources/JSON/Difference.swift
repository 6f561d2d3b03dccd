// Walks two tapes side by side and writes the operations that turn one into the other.
//
// Each pair of containers is a frame. On entry it writes its own operations (members and elements that come, go or
// move), in an order in which every path is right when it is applied; then its changed children follow at their final
// paths, each a frame or a `replace`. When a frame has written more than replacing it would take, what it wrote is
// taken back and it is replaced. Frames live in an array: no recursion.

/// One computation of a patch. Valid only while both documents' texts are pinned.
struct Difference {
    /// A pair of values that differ, below the frame that holds it.
    struct Change {
        var old: Int
        var new: Int
        /// In an object the name node on the new side; in an array the final position.
        var token: Int
    }

    private struct Frame {
        var new: Int
        var isObject: Bool
        /// The lengths to go back to when this container is replaced.
        var outputStart: Int
        var operationStart: Int
        var changeStart: Int
        var pathLength: Int
        /// How much may be written before replacing is cheaper, in bytes.
        var room: Int
    }

    /// Members or elements of both sides together beyond which a container that is not changed in step is replaced: to
    /// align half a million takes a tenth of a second.
    static let alignmentLimit = 1 << 19

    let sides: Sides
    let workspace: Workspace
    /// The collection that a rule names, as `path` spells it, and the key within its items.
    let ruledPath: [UInt8]?
    let ruledKey: ItemKey?

    private(set) var output: [UInt8] = [UInt8(ascii: "[")]
    private(set) var operations = 0
    /// The pointer of the value at hand, as it stands inside a JSON string.
    private(set) var path: [UInt8] = []
    private var frames: [Frame] = []
    var changes: [Change] = []
    /// Of the object at hand, for as long as it is looked at.
    private var pairs = MemberPairing()
    /// Elements looked at and bytes written, against hostile shapes that make every level write all below it again.
    private var work = 0
    private let workLimit: Int

    /// Containers are replaced only where the work gets too much.
    private let isDetailed: Bool

    var old: Side { self.sides.old }
    var new: Side { self.sides.new }

    /// The workspace is of this computation alone until it has ended.
    init(_ sides: Sides, items: ItemRule?, isDetailed: Bool = false, in workspace: Workspace) {
        self.workspace = workspace
        self.isDetailed = isDetailed
        self.sides = sides
        self.ruledPath = items.map { rule in
            var path: [UInt8] = []
            for token in rule.items.tokens {
                token.utf8.withUnsafeBufferPointer { PathText.append($0, to: &path) }
            }
            return path
        }
        self.ruledKey = items?.key.map(ItemKey.init)
        let (old, new) = (sides.old.storage, sides.new.storage)
        self.workLimit = 64 * (old.count + new.count) + 8 * (old.text.count + new.text.count) + 65_536
    }

    mutating func run() -> Patch {
        guard self.old.nodes[0].hash != self.new.nodes[0].hash else {
            return Patch(text: Array("[]".utf8), operationCount: 0)
        }
        self.output.reserveCapacity(min(self.new.storage.text.count, 4096))
        self.change(Change(old: 0, new: 0, token: 0))
        while let frame = self.frames.last {
            if self.work > self.workLimit {
                self.giveUp()
            } else if self.output.count - frame.outputStart > frame.room {
                self.replace(frame)
                self.frames.removeLast()
            } else if self.changes.count > frame.changeStart {
                let change = self.changes.removeLast()
                self.path.removeSubrange(frame.pathLength...)
                self.appendToken(change.token, isObject: frame.isObject)
                self.change(change)
            } else {
                self.frames.removeLast()
            }
        }
        self.output.append(UInt8(ascii: "]"))
        return Patch(text: self.output, operationCount: self.operations)
    }

    /// Handles two different values at `path`: opens a frame, or replaces.
    private mutating func change(_ change: Change) {
        let old = self.old.nodes[change.old]
        let new = self.new.nodes[change.new]
        guard new.isContainer, old.kind == new.kind else {
            self.emit(.replace, value: change.new)
            return
        }
        let frame = Frame(
            new: change.new,
            isObject: new.kind == .object,
            outputStart: self.output.count,
            operationStart: self.operations,
            changeStart: self.changes.count,
            pathLength: self.path.count,
            room: self.isDetailed ? .max : Operation.replace.overhead + self.path.count + new.byteCount
        )
        self.frames.append(frame)
        self.work += old.count + new.count
        if frame.isObject {
            self.objectChanged(change)
        } else {
            self.arrayChanged(change)
        }
        // Taken from the back, so that operations come in the order of the new document.
        self.changes[frame.changeStart...].reverse()
    }

    /// Whether the innermost frame has already written more than replacing it would take.
    var hasOutgrown: Bool {
        guard let frame = self.frames.last else { return false }
        return self.output.count - frame.outputStart > frame.room
    }

    /// Whether that would be so after as many more operations, each with a path below this one.
    func wouldOutgrow(_ operations: Int) -> Bool {
        guard let frame = self.frames.last else { return false }
        let least = Operation.remove.overhead + frame.pathLength + 2
        return self.output.count - frame.outputStart + operations * least > frame.room
    }

    /// Lets the innermost frame be replaced without writing what is known to be too much.
    mutating func outgrow() {
        self.frames[self.frames.count - 1].room = -1
    }

    private mutating func replace(_ frame: Frame) {
        self.output.removeSubrange(frame.outputStart...)
        self.changes.removeSubrange(frame.changeStart...)
        self.operations = frame.operationStart
        self.path.removeSubrange(frame.pathLength...)
        self.emit(.replace, value: frame.new)
    }

    private mutating func giveUp() {
        guard let outermost = self.frames.first else { return }
        self.replace(outermost)
        self.frames.removeAll()
    }
}

// MARK: - Objects

extension Difference {
    /// Writes what came and went, and notes what changed: in step while the names agree, then by name.
    private mutating func objectChanged(_ change: Change) {
        let oldEnd = self.old.nodes[change.old].end
        let newEnd = self.new.nodes[change.new].end
        var i = change.old + 1
        var j = change.new + 1
        while i < oldEnd, j < newEnd, self.sides.namesAreEqual(i, j) {
            self.note(old: i + 1, new: j + 1, token: j)
            i = self.old.nodes[i + 1].end
            j = self.new.nodes[j + 1].end
        }
        guard i < oldEnd || j < newEnd else { return }
        guard self.old.nodes[change.old].count + self.new.nodes[change.new].count <= Self.alignmentLimit else {
            return self.outgrow()
        }

        self.pairs.cut(members: 0, removed: 0)
        self.pairs.append(self.sides, old: i, oldEnd: oldEnd, new: j, newEnd: newEnd)
        let length = self.path.count
        for index in 0..<self.pairs.removed.count {
            guard !self.hasOutgrown else { return }
            PathText.append(nameAt: self.pairs.removed[index], of: self.old, to: &self.path)
            self.emit(.remove)
            self.path.removeSubrange(length...)
        }
        for index in 0..<self.pairs.members.count {
            let member = self.pairs.members[index]
            guard member.old < 0 else {
                self.note(old: member.old + 1, new: member.new + 1, token: member.new)
                continue
            }
            guard !self.hasOutgrown else { return }
            PathText.append(nameAt: member.new, of: self.new, to: &self.path)
            self.emit(.add, value: member.new + 1)
            self.path.removeSubrange(length...)
        }
    }

    /// Notes a pair of values at the same final place, unless they are equal.
    mutating func note(old: Int, new: Int, token: Int) {
        guard self.old.nodes[old].hash != self.new.nodes[new].hash else { return }
        self.changes.append(Change(old: old, new: new, token: token))
    }
}

// MARK: - Writing operations

extension Difference {
    /// The operations of RFC 6902 §4 that a difference needs.
    enum Operation {
        case add
        case remove
        case replace
        case move

        var name: StaticString {
            switch self {
            case .add: "add"
            case .remove: "remove"
            case .replace: "replace"
            case .move: "move"
            }
        }

        /// The bytes of an operation besides its paths and its value, the comma in front included.
        var overhead: Int {
            switch self {
            case .add: 32
            case .remove: 26
            case .replace: 36
            case .move: 34
            }
        }
    }

    /// Writes an operation at `path`.
    mutating func emit(_ operation: Operation, value: Int? = nil) {
        let start = self.output.count
        self.begin(operation)
        self.output.append(contentsOf: self.path)
        if let value {
            self.write("\",\"value\":")
            self.output.append(contentsOf: self.new.bytes(value))
            self.output.append(UInt8(ascii: "}"))
        } else {
            self.write("\"}")
        }
        self.work += self.output.count - start
    }

    /// Writes an operation at an element of the array at `path`.
    mutating func emit(_ operation: Operation, element position: Int, value: Int? = nil) {
        let length = self.path.count
        self.appendToken(position, isObject: false)
        self.emit(operation, value: value)
        self.path.removeSubrange(length...)
    }

    /// Writes a move within the array at `path`; `target` is the position once the element is gone from `source`.
    mutating func emitMove(from source: Int, to target: Int) {
        self.begin(.move)
        let length = self.path.count
        self.appendToken(target, isObject: false)
        self.output.append(contentsOf: self.path)
        self.path.removeSubrange(length...)
        self.write("\",\"from\":\"")
        self.appendToken(source, isObject: false)
        self.output.append(contentsOf: self.path)
        self.path.removeSubrange(length...)
        self.write("\"}")
    }

    private mutating func begin(_ operation: Operation) {
        if self.operations > 0 { self.output.append(UInt8(ascii: ",")) }
        self.operations += 1
        self.write("{\"op\":\"")
        self.write(operation.name)
        self.write("\",\"path\":\"")
    }

    private mutating func write(_ text: StaticString) {
        self.output.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private mutating func appendToken(_ token: Int, isObject: Bool) {
        if isObject {
            PathText.append(nameAt: token, of: self.new, to: &self.path)
        } else {
            PathText.append(position: token, to: &self.path)
        }
    }
}

/// Writes pointer tokens as they stand inside a JSON string: escaped twice (RFC 6901 §3 and §5).
enum PathText {
    static func append(_ name: UnsafeBufferPointer<UInt8>, to path: inout [UInt8]) {
        path.append(UInt8(ascii: "/"))
        var start = 0
        while start < name.count {
            let plain = self.plainCount(name, from: start)
            path.append(contentsOf: UnsafeBufferPointer(rebasing: name[start..<(start + plain)]))
            start += plain
            guard start < name.count else { break }
            switch name[start] {
            case UInt8(ascii: "~"): path.append(contentsOf: "~0".utf8)
            case UInt8(ascii: "/"): path.append(contentsOf: "~1".utf8)
            default: Escapes.append(name[start], to: &path)
            }
            start += 1
        }
    }

    /// How many bytes from `start` on stand for themselves.
    private static func plainCount(_ name: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        guard let base = name.baseAddress else { return 0 }
        var position = start
        while name.count &- position >= 8 {
            let special = Word.needsPathEscape(loadWord(base + position))
            guard special == 0 else { return position &- start &+ special.trailingZeroBitCount >> 3 }
            position &+= 8
        }
        while position < name.count {
            let byte = name[position]
            guard byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte != UInt8(ascii: "~"),
                byte != UInt8(ascii: "/")
            else { break }
            position &+= 1
        }
        return position &- start
    }

    /// A name without escapes is copied, since then the source's text is right as it is, `~` and `/` aside.
    static func append(nameAt index: Int, of side: Side, to path: inout [UInt8]) {
        guard side.nodes[index].isEscaped else {
            // A name has its two quotes.
            self.append(UnsafeBufferPointer(rebasing: side.bytes(index).dropFirst().dropLast()), to: &path)
            return
        }
        side.storage.unescaped(index).withUnsafeBufferPointer { self.append($0, to: &path) }
    }

    static func append(position: Int, to path: inout [UInt8]) {
        path.append(UInt8(ascii: "/"))
        let start = path.count
        var rest = position
        repeat {
            path.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        path[start...].reverse()
    }
}
