// A change that is longer than a message: cut into parts, and put together again by those who read.

/// Which change a message is of. The same change is sent with the same number, however often it is sent.
package struct ChangeNumber: Hashable, Sendable {
    package var incarnation: Incarnation
    package var count: UInt64

    package init(incarnation: Incarnation, count: UInt64) {
        self.incarnation = incarnation
        self.count = count
    }
}

/// One message of a change.
package struct ChangePart: Hashable, Sendable {
    package var number: ChangeNumber
    /// From 0.
    package var index: UInt32
    package var of: UInt32
    package var bytes: ArraySlice<UInt8>

    /// The most messages of one change; one batch holds them, so that no reader sees a part of it alone.
    package static let maxParts = SharedStreamLimits.maxBatch
    static let overhead = 25

    package init(number: ChangeNumber, index: UInt32, of: UInt32, bytes: ArraySlice<UInt8>) {
        self.number = number
        self.index = index
        self.of = of
        self.bytes = bytes
    }

    package var encoded: [UInt8] {
        var writer = RecordWriter(reserving: self.bytes.count + Self.overhead)
        writer.put(RecordFormat.version)
        writer.put(self.number.incarnation.rawValue)
        writer.put(self.number.count)
        writer.put(self.index)
        writer.put(self.of)
        return writer.bytes + self.bytes
    }

    package init?(_ payload: [UInt8]) {
        var reader = RecordReader(payload[...])
        guard reader.number(UInt8.self) == RecordFormat.version,
            let incarnation = reader.number(UInt64.self), let count = reader.number(UInt64.self),
            let index = reader.number(UInt32.self), let of = reader.number(UInt32.self),
            of <= Self.maxParts, index < of
        else { return nil }
        self.number = ChangeNumber(incarnation: Incarnation(rawValue: incarnation), count: count)
        self.index = index
        self.of = of
        self.bytes = reader.rest()
    }

    /// The messages of a change; `nil` where it is longer than a batch of them.
    package static func parts(of record: [UInt8], _ number: ChangeNumber, maxPayload: Int) -> [ChangePart]? {
        let room = max(1, maxPayload - Self.overhead)
        let count = max(1, (record.count + room - 1) / room)
        guard count <= Self.maxParts else { return nil }
        return (0..<count).map { index in
            let start = index * room
            return ChangePart(
                number: number,
                index: UInt32(index),
                of: UInt32(count),
                bytes: record[start..<min(record.count, start + room)]
            )
        }
    }
}

/// Puts parts together. They come one after the other, since they were one batch.
package struct ChangeAssembly: Sendable {
    private var number: ChangeNumber?
    private var next: UInt32 = 0
    private var bytes: [UInt8] = []

    /// The most bytes that are held.
    static let maxBytes = 512 << 20

    package init() {}

    package enum Outcome: Hashable, Sendable {
        case whole(ArraySlice<UInt8>)
        case more
        /// Parts are missing, or in the wrong order.
        case broken
    }

    package mutating func take(_ part: ChangePart) -> Outcome {
        if part.of == 1 {
            self.clear()
            return .whole(part.bytes)
        }
        if part.index == 0 {
            self.clear()
            self.number = part.number
        }
        guard self.number == part.number, self.next == part.index,
            self.bytes.count + part.bytes.count <= Self.maxBytes
        else {
            self.clear()
            return part.index + 1 == part.of ? .broken : .more
        }
        self.bytes += part.bytes
        self.next += 1
        guard self.next == part.of else { return .more }
        defer { self.clear() }
        return .whole(self.bytes[...])
    }

    package mutating func clear() {
        self.number = nil
        self.next = 0
        self.bytes = []
    }
}
