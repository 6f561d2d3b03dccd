// Pieces that stand for themselves: what a reader is sent that is not in step with others.

/// Codes pieces that refer to nothing before them, so that they may stand anywhere in any stream. One serves all readers of
/// a thread. Belongs to it.
package final class IndependentCoder {
    package let coding: ContentCoding
    private lazy var coder = BlockCoder(self.coding)

    /// What is shorter is sent as it is: blocks of its own would not make it shorter.
    package static let minBytes = 128

    package init(_ coding: ContentCoding) {
        self.coding = coding
    }

    /// The shorter of the compressed bytes and the bytes as they are: at most 5 bytes more for each 64 KiB.
    package func piece(_ plain: [UInt8]) -> [UInt8] {
        guard plain.count >= Self.minBytes, let piece = self.coder?.piece(plain, isFresh: true),
            piece.count < self.coding.storedCount(of: plain)
        else { return self.coding.stored(plain) }
        return piece
    }
}
