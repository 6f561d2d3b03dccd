// Memory that a parse needs until it ends, kept for the next one: to ask for it anew costs a poll more than the little that is
// done with it.

import Synchronization

/// Room for a text without its whitespace, for the open containers and for what corresponds to them. One thread at a time
/// has it.
///
/// What an earlier parse left in it is not read: the text ends in zeros, and what is kept of a container is written when it
/// is opened.
///
/// Unchecked sendability: ``with(_:)`` takes it out of the list for as long as it is used.
final class Workspace: @unchecked Sendable {
    /// How many are kept while nobody parses. The default is 4, as many as there are threads that read large bodies.
    static let maxKept = 4
    /// The longest text whose room is kept, in bytes: with ``maxKept``, what this holds of the memory when all is quiet.
    /// The default is 1 MiB.
    static let maxTextBytes = 1 << 20
    /// Containers open at once that there is room for. The default is 128, as of ``ParseLimits/maxDepth``; a parser of a
    /// deeper document makes more for itself.
    static let depth = 128

    private static let spare = Mutex<[Workspace]>([])

    let frames = UnsafeMutablePointer<Parser.Frame>.allocate(capacity: Workspace.depth)
    /// One more, for what is around the outermost value.
    let pairs = UnsafeMutablePointer<Comparison.Pair>.allocate(capacity: Workspace.depth + 1)
    let shapes = UnsafeMutablePointer<UInt64>.allocate(capacity: NameCheck.slots)
    /// Valid for every document, unlike the rest of the workspace.
    var ranks = ItemKeyRanks()
    private var text = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 4096)

    private init() {}

    deinit {
        self.frames.deallocate()
        self.pairs.deallocate()
        self.shapes.deallocate()
        self.text.deallocate()
    }

    /// Calls `body` with a workspace that no other thread uses until it returns. Any thread may call.
    static func with<Result>(_ body: (Workspace) -> Result) -> Result {
        let workspace = self.spare.withLock { $0.popLast() } ?? Workspace()
        defer {
            self.spare.withLock { spare in
                if spare.count < self.maxKept { spare.append(workspace) }
            }
        }
        return body(workspace)
    }

    /// Room for so many bytes, at most ``maxTextBytes`` and what a parser needs behind them; undefined until written.
    func text(_ count: Int) -> UnsafeMutablePointer<UInt8>? {
        if self.text.count < count {
            self.text.deallocate()
            // Twice as much, so that a document which grows does not ask for more each time.
            self.text = .allocate(capacity: min(count * 2, max(count, Self.maxTextBytes)))
        }
        return self.text.baseAddress
    }
}
