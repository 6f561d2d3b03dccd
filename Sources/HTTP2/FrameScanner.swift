// The headers of the frames that come, to count them: nghttp2 tells of no frame whose kind it does not know.

/// A frame's header, as far as it is counted by (RFC 9113 §4.1).
struct FrameHeader {
    var length: Int
    var kind: UInt8
    var flags: UInt8
}

/// Finds the headers in what comes, in whatever pieces.
struct FrameScanner {
    /// Bytes until the next header: at first those of the connection preface.
    private var skipped = 24
    private var header: [UInt8] = []

    mutating func scan(_ bytes: UnsafeRawBufferPointer, _ found: (FrameHeader) -> Void) {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard self.skipped == 0 else {
                let count = min(self.skipped, rest.count)
                self.skipped -= count
                rest = rest.dropFirst(count)
                continue
            }
            let missing = rest.prefix(9 - self.header.count)
            self.header.append(contentsOf: missing)
            rest = rest.dropFirst(missing.count)
            guard self.header.count == 9 else { return }
            let length = Int(self.header[0]) << 16 | Int(self.header[1]) << 8 | Int(self.header[2])
            found(FrameHeader(length: length, kind: self.header[3], flags: self.header[4]))
            self.skipped = length
            self.header.removeAll(keepingCapacity: true)
        }
    }
}
