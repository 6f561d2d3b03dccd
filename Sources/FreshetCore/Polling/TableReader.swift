// Reads the fields of a table eight bytes at a time and hands them on, without an array for each.

/// Where the fields of a table go.
protocol FieldOutput {
    /// Takes the lowest bytes of a word, up to eight, which stand for themselves in a JSON string.
    mutating func append(_ word: UInt64, count: Int)
    /// Takes a byte that a JSON string has to escape.
    mutating func append(escaping byte: UInt8)
    /// The field is complete.
    mutating func endField()
}

/// A place in a table. Valid while the table's bytes are.
struct TableReader {
    private let bytes: UnsafeBufferPointer<UInt8>
    private let separator: UInt8
    /// A field that begins with a quote goes on to the next one.
    private let hasQuotes: Bool
    /// How far the table was read: at most the number of its bytes.
    private(set) var offset: Int

    init(_ bytes: UnsafeBufferPointer<UInt8>, from offset: Int, separator: UInt8, hasQuotes: Bool = true) {
        self.bytes = bytes
        self.offset = offset
        self.separator = separator
        self.hasQuotes = hasQuotes
    }

    /// Passes over empty lines; false at the end of the table.
    mutating func beginRecord() -> Bool {
        while self.offset < self.bytes.count, self.bytes[self.offset] == 0x0A || self.bytes[self.offset] == 0x0D {
            self.offset += 1
        }
        return self.offset < self.bytes.count
    }

    /// Passes over the separator behind a field; false where the record ends.
    mutating func passSeparator() -> Bool {
        guard self.offset < self.bytes.count, self.bytes[self.offset] == self.separator else { return false }
        self.offset += 1
        return true
    }

    /// Reads a field, up to what ends it.
    ///
    /// - Throws: ``UpstreamError`` of kind `malformed` where a quote does not close, or text follows one that does.
    @inline(__always)
    mutating func field(into output: inout some FieldOutput) throws(UpstreamError) {
        if self.hasQuotes, self.offset < self.bytes.count, self.bytes[self.offset] == UInt8(ascii: "\"") {
            try self.quotedField(into: &output)
        } else {
            self.plainField(into: &output)
        }
        output.endField()
    }

    @inline(__always)
    private mutating func plainField(into output: inout some FieldOutput) {
        while true {
            let word = self.word(at: self.offset)
            let stop = Self.escaped(word) | Self.zero(word ^ (Self.ones &* UInt64(self.separator)))
            let count = stop.trailingZeroBitCount >> 3
            output.append(word, count: count)
            self.offset &+= count
            guard stop != 0 else { continue }
            guard self.offset < self.bytes.count else { return }
            let byte = self.bytes[self.offset]
            guard !self.endsField(byte) else { return }
            output.append(escaping: byte)
            self.offset &+= 1
        }
    }

    private mutating func quotedField(into output: inout some FieldOutput) throws(UpstreamError) {
        let start = self.offset
        self.offset += 1
        while true {
            let word = self.word(at: self.offset)
            let stop = Self.escaped(word)
            let count = stop.trailingZeroBitCount >> 3
            output.append(word, count: count)
            self.offset &+= count
            guard stop != 0 else { continue }
            guard self.offset < self.bytes.count else {
                throw UpstreamError(.malformed, "the quote that opens at byte \(start) never closes")
            }
            let byte = self.bytes[self.offset]
            self.offset &+= 1
            if byte == UInt8(ascii: "\"") {
                guard self.offset < self.bytes.count, self.bytes[self.offset] == byte else { break }
                // Doubled: one of them is text.
                self.offset &+= 1
            }
            output.append(escaping: byte)
        }
        guard self.offset == self.bytes.count || self.endsField(self.bytes[self.offset]) else {
            throw UpstreamError(.malformed, "text after the closing quote at byte \(self.offset)")
        }
    }

    private func endsField(_ byte: UInt8) -> Bool {
        byte == self.separator || byte == 0x0A || byte == 0x0D
    }

    // MARK: - Words

    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let highs: UInt64 = 0x8080_8080_8080_8080

    /// The eight bytes there, the first one lowest, with zeros behind the end. A zero stops a field like any control
    /// character, so `offset` never passes the end.
    @inline(__always)
    private func word(at offset: Int) -> UInt64 {
        if self.bytes.count &- offset >= 8, let base = self.bytes.baseAddress {
            return UInt64(littleEndian: UnsafeRawPointer(base + offset).loadUnaligned(as: UInt64.self))
        }
        var word: UInt64 = 0
        for position in stride(from: self.bytes.count, to: offset, by: -1) {
            word = word << 8 | UInt64(self.bytes[position - 1])
        }
        return word
    }

    /// The high bit of each byte that is zero. Exact for the lowest one.
    @inline(__always)
    private static func zero(_ word: UInt64) -> UInt64 { (word &- self.ones) & ~word & self.highs }

    /// The high bit of each quote, backslash and control character. Exact for the lowest one.
    @inline(__always)
    private static func escaped(_ word: UInt64) -> UInt64 {
        let quote = (word ^ (self.ones &* 0x22)) &- self.ones
        let backslash = (word ^ (self.ones &* 0x5C)) &- self.ones
        let control = word &- (self.ones &* 0x20)
        return (quote | backslash | control) & ~word & self.highs
    }
}

// MARK: - Outputs

/// Fields as they are.
struct FieldList: FieldOutput {
    private(set) var fields: [[UInt8]] = []
    private var field: [UInt8] = []

    mutating func append(_ word: UInt64, count: Int) {
        for index in 0..<count { self.field.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * index))) }
    }

    mutating func append(escaping byte: UInt8) { self.field.append(byte) }

    mutating func endField() {
        self.fields.append(self.field)
        self.field.removeAll(keepingCapacity: true)
    }
}

/// For fields that only have to be passed over.
struct NoFields: FieldOutput {
    mutating func append(_ word: UInt64, count: Int) {}
    mutating func append(escaping byte: UInt8) {}
    mutating func endField() {}
}

/// JSON text that fields are written into, in memory of its own so that whole words can be stored. To be deallocated.
struct TableImage: FieldOutput {
    /// `capacity` bytes, of which the first `count` are written. Every store is preceded by ``reserve(_:)``.
    private var bytes: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private(set) var count = 0

    init(capacity: Int) {
        self.capacity = max(capacity, 64)
        self.bytes = .allocate(capacity: self.capacity)
    }

    func deallocate() { self.bytes.deallocate() }

    var text: [UInt8] { Array(UnsafeBufferPointer(start: self.bytes, count: self.count)) }

    /// Makes room for so many bytes behind those that are written.
    @inline(__always)
    mutating func reserve(_ count: Int) {
        if self.capacity &- self.count < count { self.grow(by: count) }
    }

    @inline(never)
    private mutating func grow(by count: Int) {
        let capacity = max(self.capacity * 2, self.count + count)
        let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        bytes.moveInitialize(from: self.bytes, count: self.count)
        self.bytes.deallocate()
        self.bytes = bytes
        self.capacity = capacity
    }

    @inline(__always)
    mutating func append(_ byte: UInt8) {
        self.reserve(1)
        self.bytes[self.count] = byte
        self.count &+= 1
    }

    /// Stores the whole word; what lies behind its first `count` bytes is written over.
    @inline(__always)
    mutating func append(_ word: UInt64, count: Int) {
        self.reserve(8)
        UnsafeMutableRawPointer(self.bytes + self.count).storeBytes(of: word.littleEndian, as: UInt64.self)
        self.count &+= count
    }

    mutating func append(escaping byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): self.escape(byte)
        case 0x08: self.escape(UInt8(ascii: "b"))
        case 0x09: self.escape(UInt8(ascii: "t"))
        case 0x0A: self.escape(UInt8(ascii: "n"))
        case 0x0C: self.escape(UInt8(ascii: "f"))
        case 0x0D: self.escape(UInt8(ascii: "r"))
        default:
            self.escape(UInt8(ascii: "u"))
            self.append(UInt8(ascii: "0"))
            self.append(UInt8(ascii: "0"))
            self.append(0x30 + (byte >> 4))
            self.append(byte & 0xF < 10 ? 0x30 + (byte & 0xF) : 0x57 + (byte & 0xF))
        }
    }

    private mutating func escape(_ letter: UInt8) {
        self.append(UInt8(ascii: "\\"))
        self.append(letter)
    }

    mutating func endField() {}
}

/// What stands in front of each column's field in the image: the end of the field before, the name, the quote.
struct ColumnText {
    /// All of them and a word of zeros.
    private var text: [UInt8] = []
    /// Where each one begins, and where the last one ends.
    private var starts: [Int] = [0]

    /// - Parameter names: the columns' names as JSON strings.
    init(_ names: [[UInt8]]) {
        for (index, name) in names.enumerated() {
            self.text.append(contentsOf: (index > 0 ? "\"," : "{").utf8)
            self.text.append(contentsOf: name)
            self.text.append(contentsOf: ":\"".utf8)
            self.starts.append(self.text.count)
        }
        self.text.append(contentsOf: repeatElement(0, count: 8))
    }

    var count: Int { self.starts.count - 1 }

    /// Writes what stands in front of the field of a column.
    @inline(__always)
    func begin(_ column: Int, in image: inout TableImage) {
        let (start, end) = (self.starts[column], self.starts[column + 1])
        self.text.withUnsafeBytes { text in
            // Words from in front of `end` stop at most seven bytes behind it, where eight zeros are.
            for position in stride(from: start, to: end, by: 8) {
                let word = text.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                image.append(UInt64(littleEndian: word), count: min(8, end &- position))
            }
        }
    }
}
