// Notices that a row is not the row that was written: SQLite itself has no checksums in its main file.

/// Sums up the columns of one row, in order.
///
/// 64 bits of XXH64: a flipped bit is always seen within a short column, and otherwise missed once in 2⁶⁴ times.
/// Not a defence against an attacker who may write the file.
struct Checksum {
    private var state: UInt64

    /// - Parameter tag: tells tables apart, so that a row of one does not pass in another.
    init(_ tag: UInt64) {
        self.state = tag
    }

    /// As SQLite stores it: a signed integer with the same bits.
    var stored: Int64 { Int64(bitPattern: self.state) }

    mutating func add(_ number: Int64) {
        withUnsafeBytes(of: number.littleEndian) { self.state = XXH64.hash($0, seed: self.state) }
    }

    mutating func add(_ number: UInt64) {
        self.add(Int64(bitPattern: number))
    }

    /// `nil` and empty differ.
    mutating func add(_ bytes: [UInt8]?) {
        guard let bytes else { return self.add(Int64(-1)) }
        self.add(Int64(bytes.count))
        self.state = bytes.withUnsafeBytes { XXH64.hash($0, seed: self.state) }
    }

    mutating func add(_ text: String?) {
        self.add(text.map { Array($0.utf8) })
    }
}

/// XXH64, by its published specification (Yann Collet, "xxHash fast digest algorithm", version 0.1.1).
enum XXH64 {
    private static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
    private static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
    private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
    private static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
    private static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

    static func hash(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
        var offset = 0
        var sum: UInt64
        if bytes.count >= 32 {
            sum = self.stripes(of: bytes, seed: seed, offset: &offset)
        } else {
            sum = seed &+ self.prime5
        }
        sum &+= UInt64(bytes.count)
        while offset + 8 <= bytes.count {
            sum ^= self.round(0, self.load(bytes, offset, as: UInt64.self))
            sum = self.rotate(sum, 27) &* self.prime1 &+ self.prime4
            offset += 8
        }
        if offset + 4 <= bytes.count {
            sum ^= UInt64(self.load(bytes, offset, as: UInt32.self)) &* self.prime1
            sum = self.rotate(sum, 23) &* self.prime2 &+ self.prime3
            offset += 4
        }
        while offset < bytes.count {
            sum ^= UInt64(bytes[offset]) &* self.prime5
            sum = self.rotate(sum, 11) &* self.prime1
            offset += 1
        }
        return self.avalanche(sum)
    }

    /// The four lanes over all whole stripes of 32 bytes; at least one.
    private static func stripes(of bytes: UnsafeRawBufferPointer, seed: UInt64, offset: inout Int) -> UInt64 {
        var lane1 = seed &+ self.prime1 &+ self.prime2
        var lane2 = seed &+ self.prime2
        var lane3 = seed
        var lane4 = seed &- self.prime1
        var position = 0
        while position + 32 <= bytes.count {
            lane1 = self.round(lane1, self.load(bytes, position, as: UInt64.self))
            lane2 = self.round(lane2, self.load(bytes, position + 8, as: UInt64.self))
            lane3 = self.round(lane3, self.load(bytes, position + 16, as: UInt64.self))
            lane4 = self.round(lane4, self.load(bytes, position + 24, as: UInt64.self))
            position += 32
        }
        offset = position
        var sum = self.rotate(lane1, 1) &+ self.rotate(lane2, 7)
        sum = sum &+ self.rotate(lane3, 12) &+ self.rotate(lane4, 18)
        for lane in [lane1, lane2, lane3, lane4] {
            sum = (sum ^ self.round(0, lane)) &* self.prime1 &+ self.prime4
        }
        return sum
    }

    @inline(__always)
    private static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 {
        self.rotate(lane &+ word &* self.prime2, 31) &* self.prime1
    }

    @inline(__always)
    private static func rotate(_ word: UInt64, _ bits: UInt64) -> UInt64 {
        word << bits | word >> (64 - bits)
    }

    @inline(__always)
    private static func load<Word: FixedWidthInteger & BitwiseCopyable>(
        _ bytes: UnsafeRawBufferPointer,
        _ offset: Int,
        as type: Word.Type
    ) -> Word {
        Word(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: type))
    }

    private static func avalanche(_ sum: UInt64) -> UInt64 {
        var sum = sum
        sum = (sum ^ sum >> 33) &* self.prime2
        sum = (sum ^ sum >> 29) &* self.prime3
        return sum ^ sum >> 32
    }
}
