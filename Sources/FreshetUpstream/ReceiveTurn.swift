// Large bodies in turns: libcurl reads for as long as the kernel has bytes, and meanwhile nothing else goes on.

/// How much of the bodies under way is taken before the thread goes on with all else. What comes beyond it waits in the
/// kernel, and the upstream with it. Confined to the poll thread.
final class ReceiveTurn {
    /// Bytes of one turn, as they come or decoded, whichever are more: 256 KiB, which take a fraction of a millisecond.
    static let bytes = 256 << 10

    private var left = ReceiveTurn.bytes
    private var waiting: [CurlTransfer] = []

    /// Whether nothing more is to be taken in this turn.
    var isOver: Bool { self.left <= 0 }

    /// A transfer took so many bytes.
    func took(_ bytes: Int) {
        self.left -= min(bytes, self.left)
    }

    /// A transfer was paused: it has the next turn.
    func wait(_ transfer: CurlTransfer) {
        if !self.waiting.contains(where: { $0 === transfer }) { self.waiting.append(transfer) }
    }

    /// A transfer is gone.
    func forget(_ transfer: CurlTransfer) {
        self.waiting.removeAll { $0 === transfer }
    }

    /// Begins the next turn.
    ///
    /// - Returns: The transfers that waited for it, in the order in which they came to wait.
    func next() -> [CurlTransfer] {
        self.left = Self.bytes
        guard !self.waiting.isEmpty else { return [] }
        defer { self.waiting = [] }
        return self.waiting
    }
}
