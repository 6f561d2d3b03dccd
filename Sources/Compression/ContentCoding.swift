// The codings in which a stream of events may leave (RFC 9110 §8.4.1), and what of them needs no compressor.

/// A content coding. What a reader is sent in it is an opening, then pieces, then an ending; every piece ends at a byte, and
/// all of its events can be read as soon as it is there.
package enum ContentCoding: String, CaseIterable, Hashable, Sendable {
    /// One member (RFC 1952) of raw blocks (RFC 1951), which never ends: its checksum would be each reader's own.
    case gzip
    /// Frames (RFC 8878), the last of them left open for the next piece.
    case zstd

    /// What a stream begins with, in front of any piece.
    package var opening: [UInt8] {
        switch self {
        // Deflate, no flags, no time, no operating system.
        case .gzip: [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF]
        // A frame without size and checksum. Empty as it is, the first piece ends it or goes on in it.
        case .zstd: [0x28, 0xB5, 0x2F, 0xFD, 0x00, UInt8(Self.zstdWindowLog - 10) << 3]
        }
    }

    /// What a stream ends with, so that what can be told to be whole is.
    package var ending: [UInt8] {
        switch self {
        case .gzip: []
        case .zstd: Self.zstdFrameEnd
        }
    }

    /// A last block without content, which ends a frame of zstd that is open.
    static let zstdFrameEnd: [UInt8] = [0x01, 0x00, 0x00]
    /// How far back frames of zstd refer, and how long their blocks are at most: 64 KiB.
    static let zstdWindowLog = 16

    /// The most bytes that one block holds as they are.
    private var maxStoredBytes: Int {
        switch self {
        case .gzip: 0xFFFF
        case .zstd: 1 << Self.zstdWindowLog
        }
    }

    /// The bytes that a block costs which holds others as they are.
    private var storedHeadBytes: Int {
        switch self {
        case .gzip: 5
        case .zstd: 3
        }
    }

    /// The length of ``stored(_:)``.
    func storedCount(of plain: [UInt8]) -> Int {
        let blocks = (plain.count + self.maxStoredBytes - 1) / self.maxStoredBytes
        return plain.count + blocks * self.storedHeadBytes
    }

    /// A piece that holds bytes as they are: no larger than they by more than 5 bytes for each 64 KiB. It reads the same
    /// wherever it stands.
    package func stored(_ plain: [UInt8]) -> [UInt8] {
        var piece: [UInt8] = []
        piece.reserveCapacity(self.storedCount(of: plain))
        var rest = plain[...]
        while !rest.isEmpty {
            let block = rest.prefix(self.maxStoredBytes)
            rest = rest.dropFirst(block.count)
            let count = UInt32(truncatingIfNeeded: block.count)
            switch self {
            case .gzip:
                piece.append(0)
                piece.append(contentsOf: [UInt8(count & 0xFF), UInt8(count >> 8)])
                piece.append(contentsOf: [~UInt8(count & 0xFF), ~UInt8(count >> 8)])
            case .zstd:
                let head = count << 3
                piece.append(contentsOf: [UInt8(head & 0xFF), UInt8(head >> 8 & 0xFF), UInt8(head >> 16)])
            }
            piece.append(contentsOf: block)
        }
        return piece
    }
}
