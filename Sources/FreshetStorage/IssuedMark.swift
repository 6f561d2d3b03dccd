// How the store notices that its file is not the one that it last wrote.

import FreshetCore

/// The highest number that may have been given out, kept beside the log in `PATH.mark`.
///
/// A commit is on the disk before its number is given to anybody, so an honest file never lacks an issued change. But
/// somebody may have deleted the write-ahead log, put an old copy of the file back, or the disk may have lied about a
/// sync; numbering on would then give issued numbers to other contents. Therefore the mark is written after every
/// commit, without a sync, which costs a microsecond: it is never ahead of an honest log, whatever crashes, and where
/// it is ahead, or does not belong to the file, a new epoch is drawn.
///
/// What it cannot see: file and mark put back together with their inodes, as with the snapshot of a whole disk.
struct IssuedMark: Hashable {
    /// The format of the log that this belongs to, as in ``Schema``.
    var format: Int64
    /// Of the log's file: a copy has another.
    var inode: UInt64
    /// As in ``Epoch``.
    var epoch: UInt64
    /// The last sequence that was committed.
    var head: UInt64

    static let byteCount = 48
    private static let magic: UInt64 = 0x6672_6573_6865_746D

    var bytes: [UInt8] {
        let words = [Self.magic, UInt64(bitPattern: self.format), self.inode, self.epoch, self.head, self.checksum]
        return words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * UInt64($0))) } }
    }

    init(format: Int64, inode: UInt64, epoch: UInt64, head: UInt64) {
        self.format = format
        self.inode = inode
        self.epoch = epoch
        self.head = head
    }

    /// `nil` for bytes that ``bytes`` does not produce.
    init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        let words = (0..<6).map { index in
            bytes[(index * 8)..<(index * 8 + 8)].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        self.init(format: Int64(bitPattern: words[1]), inode: words[2], epoch: words[3], head: words[4])
        guard words[0] == Self.magic, words[5] == self.checksum else { return nil }
    }

    private var checksum: UInt64 {
        var sum = Checksum(Self.magic)
        sum.add(self.format)
        sum.add(self.inode)
        sum.add(self.epoch)
        sum.add(self.head)
        return UInt64(bitPattern: sum.stored)
    }
}
