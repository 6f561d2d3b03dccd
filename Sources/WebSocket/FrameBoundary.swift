// Where frames end among the bytes that leave, however they are cut: so that several may write to one connection.

/// Follows the frames of a server by their headers.
package struct FrameBoundary: Sendable {
    /// Bytes of the header of the frame under way that have passed; 0 between frames and inside of a payload.
    private var headerCount = 0
    /// Bytes of the length that have not passed.
    private var digits = 0
    private var length = 0
    /// Bytes of the payload under way that have not passed.
    private var left = 0

    package init() {}

    /// Whether whatever passed ends with a frame.
    package var isBetweenFrames: Bool { self.left == 0 && self.headerCount == 0 }

    /// Notes bytes that left.
    package mutating func pass(_ bytes: UnsafeRawBufferPointer) {
        var offset = 0
        while offset < bytes.count { offset = self.step(bytes, from: offset) }
    }

    /// How many of these bytes, which come next, end the frame under way; all of them where they do not end it, none between
    /// frames.
    package func rest(in bytes: UnsafeRawBufferPointer) -> Int {
        var copy = self
        var offset = 0
        while offset < bytes.count, !copy.isBetweenFrames { offset = copy.step(bytes, from: offset) }
        return offset
    }

    /// Passes the payload under way, or one byte of a header.
    private mutating func step(_ bytes: UnsafeRawBufferPointer, from offset: Int) -> Int {
        guard self.left == 0 else {
            let count = min(self.left, bytes.count - offset)
            self.left -= count
            return offset + count
        }
        let byte = bytes[offset]
        self.headerCount += 1
        if self.headerCount == 2 {
            switch byte & 0x7F {
            case 126: (self.digits, self.length) = (2, 0)
            case 127: (self.digits, self.length) = (8, 0)
            case let length: (self.digits, self.length) = (0, Int(length))
            }
        } else if self.headerCount > 2 {
            self.length = self.length << 8 | Int(byte)
            self.digits -= 1
        }
        if self.headerCount >= 2, self.digits == 0 {
            self.left = self.length
            self.headerCount = 0
        }
        return offset + 1
    }
}
