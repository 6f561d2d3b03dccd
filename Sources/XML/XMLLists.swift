// Which elements of a source are lists: a place where two of a name once stood holds a list for good.

/// The places where several elements of one name were seen side by side: the names from the root to them.
///
/// A lone element at such a place is an array of one, so that a list that shrinks to one keeps its shape.
package struct XMLLists: Hashable, Sendable {
    /// Names joined by `/`, in the order in which they were found.
    private(set) var paths: [[UInt8]] = []
    private var known: Set<[UInt8]> = []

    /// The most places that are remembered of a source; what comes after keeps its shape within one document alone.
    package static let maxPaths = 256
    /// The longest way to a place, in bytes.
    static let maxPathBytes = 512

    package init() {}

    package var isEmpty: Bool { self.paths.isEmpty }

    func contains(_ path: [UInt8]) -> Bool { self.known.contains(path) }

    mutating func insert(_ path: [UInt8]) {
        guard self.paths.count < Self.maxPaths, path.count <= Self.maxPathBytes, !path.isEmpty,
            self.known.insert(path).inserted
        else { return }
        self.paths.append(path)
    }

    /// For storage: the places, each ended by a line feed, which no name holds.
    package var encoded: [UInt8] { self.paths.flatMap { $0 + [0x0A] } }

    /// Reads what ``encoded`` gave.
    package init(encoded: some Collection<UInt8>) {
        for path in encoded.split(separator: 0x0A) { self.insert(Array(path)) }
    }
}

/// The distinct ways from the root to an element of one document, by number.
struct XMLPaths {
    private struct Entry {
        /// Names joined by `/`.
        var text: [UInt8]
        /// Several elements stand there side by side, here or in an earlier document.
        var isList: Bool
    }

    private struct Step: Hashable {
        var parent: Int
        var name: Int
    }

    private var entries: [Entry] = []
    private var steps: [Step: Int] = [:]
    /// Steps that were asked for, with the number of the way; 0 where there is none.
    private var recent = [UInt64](repeating: 0, count: recentCount)

    private static let recentCount = 256
    private var lists: XMLLists

    /// The most paths that are distinguished; elements on others are lists only where they are several.
    private static let maxPaths = 4096

    init(lists: XMLLists) {
        self.lists = lists
    }

    /// The number of the way that leads on by `name` from the one of `parent`, which is nil at the root; -1 where it is
    /// not distinguished.
    mutating func number(of name: Int, text: UnsafeRawBufferPointer, in parent: Int?) -> Int {
        let parent = parent ?? -2
        if parent == -1 { return -1 }
        // There are fewer than 2¹² ways, and fewer than 2³¹ names.
        let key = UInt64(truncatingIfNeeded: parent &+ 3) << 43 | UInt64(truncatingIfNeeded: name) << 12
        let slot = (name &* 31 &+ parent) & (Self.recentCount - 1)
        if self.recent[slot] >> 12 == key >> 12 { return Int(self.recent[slot] & 0xFFF) }
        let step = Step(parent: parent, name: name)
        let number = self.steps[step] ?? self.add(step, text)
        if number >= 0 { self.recent[slot] = key | UInt64(truncatingIfNeeded: number) }
        return number
    }

    private mutating func add(_ step: Step, _ name: UnsafeRawBufferPointer) -> Int {
        let lead = step.parent >= 0 ? self.entries[step.parent].text + [UInt8(ascii: "/")] : []
        guard self.entries.count < Self.maxPaths, lead.count + name.count <= XMLLists.maxPathBytes else { return -1 }
        let text = lead + Array(name)
        self.entries.append(Entry(text: text, isList: self.lists.contains(text)))
        self.steps[step] = self.entries.count - 1
        return self.entries.count - 1
    }

    func isList(_ number: Int) -> Bool { number >= 0 && self.entries[number].isList }

    /// Several elements stand side by side there.
    mutating func noteList(_ number: Int) {
        guard number >= 0, !self.entries[number].isList else { return }
        self.entries[number].isList = true
        self.lists.insert(self.entries[number].text)
    }

    /// The lists of earlier documents and of this one.
    var found: XMLLists { self.lists }
}
