// Lists in memory of their own: the reader appends to some of them at every tag.

/// Values in memory that grows, without a count of references. To be deallocated by its only owner.
struct Growing<Element: BitwiseCopyable> {
    /// The first `count` of them are initialized.
    private(set) var base: UnsafeMutablePointer<Element>
    private(set) var count = 0
    private var capacity: Int

    init(capacity: Int = 64) {
        self.capacity = max(capacity, 16)
        self.base = .allocate(capacity: self.capacity)
    }

    func deallocate() { self.base.deallocate() }

    var last: Element? { self.count > 0 ? self.base[self.count &- 1] : nil }

    /// Makes room for so many more.
    @inline(__always)
    mutating func reserve(_ more: Int) {
        if self.capacity &- self.count < more { self.grow(by: more) }
    }

    @inline(never)
    private mutating func grow(by more: Int) {
        let capacity = max(self.capacity * 2, self.count + more)
        let base = UnsafeMutablePointer<Element>.allocate(capacity: capacity)
        base.moveInitialize(from: self.base, count: self.count)
        self.base.deallocate()
        self.base = base
        self.capacity = capacity
    }

    @inline(__always)
    mutating func append(_ element: Element) {
        self.reserve(1)
        (self.base + self.count).initialize(to: element)
        self.count &+= 1
    }

    /// Forgets all behind the first ones.
    @inline(__always)
    mutating func cut(to count: Int) {
        self.count = min(self.count, max(0, count))
    }
}

extension Growing where Element == UInt8 {
    /// The bytes, until the next one is appended.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: self.base, count: self.count) }

    @inline(__always)
    mutating func append(contentsOf bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        self.reserve(bytes.count)
        UnsafeMutableRawPointer(self.base + self.count).copyMemory(from: start, byteCount: bytes.count)
        self.count &+= bytes.count
    }

    mutating func append(_ text: StaticString) {
        self.append(contentsOf: UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends UTF-8 text as a JSON string, which may not lie in this memory.
    mutating func appendJSONString(_ text: UnsafeRawBufferPointer, prefix: StaticString = "") {
        // The quotes, and what the last whole word writes behind itself.
        self.reserve(text.count &+ prefix.utf8CodeUnitCount &+ 16)
        self.append(UInt8(ascii: "\""))
        self.append(prefix)
        var position = 0
        while position < text.count {
            let rest = text.count &- position
            guard rest >= 8 else {
                self.appendEscaped(text[position])
                position &+= 1
                continue
            }
            let word = UInt64(littleEndian: text.loadUnaligned(fromByteOffset: position, as: UInt64.self))
            let special = Self.needsEscape(word)
            let plain = special.trailingZeroBitCount >> 3
            self.reserve(16)
            UnsafeMutableRawPointer(self.base + self.count).storeBytes(of: word.littleEndian, as: UInt64.self)
            self.count &+= plain
            position &+= plain
            guard special != 0 else { continue }
            self.appendEscaped(text[position])
            position &+= 1
        }
        self.append(UInt8(ascii: "\""))
    }

    /// The high bit of each byte that a JSON string has to escape: a quote, a backslash, a control character. Exact for
    /// the lowest one.
    @inline(__always)
    private static func needsEscape(_ word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quote = (word ^ (ones &* 0x22)) &- ones
        let backslash = (word ^ (ones &* 0x5C)) &- ones
        let control = word &- (ones &* 0x20)
        return (quote | backslash | control) & ~word & (ones &* 0x80)
    }

    @inline(__always)
    private mutating func appendEscaped(_ byte: UInt8) {
        guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { return self.append(byte) }
        self.escape(byte)
    }

    @inline(never)
    private mutating func escape(_ byte: UInt8) {
        switch byte {
        case 0x0A: self.append("\\n")
        case 0x0D: self.append("\\r")
        case 0x09: self.append("\\t")
        case 0..<0x20:
            // XML has no other control characters; escaped all the same, so that no parser's leniency reaches JSON.
            self.append("\\u00")
            for digit in [byte >> 4, byte & 15] { self.append(digit < 10 ? 0x30 &+ digit : 0x57 &+ digit) }
        default:
            self.append(UInt8(ascii: "\\"))
            self.append(byte)
        }
    }
}
