// Numbers and texts as bytes, and back: little-endian, lengths first, nothing trusted.

/// Appends fields.
struct RecordWriter {
    private(set) var bytes: [UInt8] = []

    init(reserving count: Int = 0) {
        self.bytes.reserveCapacity(count)
    }

    mutating func put(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.littleEndian) { self.bytes.append(contentsOf: $0) }
    }

    mutating func put(_ text: some Collection<UInt8>) {
        self.put(UInt32(clamping: text.count))
        self.bytes.append(contentsOf: text)
    }

    mutating func put(_ text: [UInt8]?) {
        self.put(UInt8(text == nil ? 0 : 1))
        if let text { self.put(text) }
    }
}

/// Takes fields from bytes that anybody may have written.
struct RecordReader {
    private let bytes: ArraySlice<UInt8>
    private var offset: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        self.offset = bytes.startIndex
    }

    var isAtEnd: Bool { self.offset == self.bytes.endIndex }

    mutating func number<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) -> Number? {
        let size = Number.bitWidth / 8
        guard self.bytes.endIndex - self.offset >= size else { return nil }
        var value: Number = 0
        for index in (0..<size).reversed() {
            value = (size == 1 ? 0 : value << 8) | Number(truncatingIfNeeded: self.bytes[self.offset + index])
        }
        self.offset += size
        return value
    }

    mutating func text(atMost limit: Int) -> ArraySlice<UInt8>? {
        guard let count = self.number(UInt32.self), count <= limit, Int(count) <= self.bytes.endIndex - self.offset
        else { return nil }
        defer { self.offset += Int(count) }
        return self.bytes[self.offset..<(self.offset + Int(count))]
    }

    mutating func string(atMost limit: Int) -> String? {
        self.text(atMost: limit).flatMap { String(validating: $0, as: UTF8.self) }
    }

    /// Of a node, a source or what it depends on. With a zero in it, C code would read another one.
    mutating func name(atMost limit: Int = RecordFormat.maxName) -> String? {
        guard let text = self.text(atMost: limit), !text.contains(0) else { return nil }
        return String(validating: text, as: UTF8.self)
    }

    /// What goes into a field of HTTP: `nil` for anything that could end it. The outer `nil` is for bytes that are no such field.
    mutating func optionalField(atMost limit: Int) -> [UInt8]?? {
        guard let text = self.optionalText(atMost: limit) else { return nil }
        guard let text, !text.contains(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F }) else { return .some(nil) }
        return .some(text)
    }

    /// The outer `nil` is for bytes that are no such field.
    mutating func optionalText(atMost limit: Int) -> [UInt8]?? {
        switch self.number(UInt8.self) {
        case 0: return .some(nil)
        case 1: return self.text(atMost: limit).map { .some(Array($0)) }
        default: return nil
        }
    }

    mutating func rest() -> ArraySlice<UInt8> {
        defer { self.offset = self.bytes.endIndex }
        return self.bytes[self.offset...]
    }
}
