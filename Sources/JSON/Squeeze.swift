// Drops whitespace from a buffer while it is being parsed.

/// Moves each run of kept bytes down over the whitespace in front of it.
///
/// Bytes at or behind `runStart` are still where the input had them; those in front are already minified. A text
/// without whitespace is one run that never moves.
struct Squeeze {
    /// Where the current run of kept bytes starts, in the input.
    private var runStart = 0
    /// How many bytes were dropped before it: input position minus this is the position in the minified text.
    private(set) var shift = 0

    /// Passes over the whitespace at `position` (RFC 8259 §2), which may be none.
    @inline(never)
    mutating func skip(_ position: Int, in bytes: UnsafeMutablePointer<UInt8>) -> Int {
        var end = position
        // Space, tab, line feed, carriage return; zero behind the input is not one of them.
        while true {
            switch bytes[end] {
            case 0x20, 0x0A:
                end &+= 1
                // Indentation: eight spaces at a time. Words of spaces only cannot reach the zeros behind the input.
                while loadWord(bytes + end) == 0x2020_2020_2020_2020 { end &+= 8 }
            case 0x0D, 0x09:
                end &+= 1
            default:
                if end != position { self.drop(from: position, to: end, in: bytes) }
                return end
            }
        }
    }

    /// Leaves out `start..<end` of the input.
    mutating func drop(from start: Int, to end: Int, in bytes: UnsafeMutablePointer<UInt8>) {
        self.flush(to: start, in: bytes)
        self.runStart = end
        self.shift &+= end &- start
    }

    /// Moves the last run; returns the length of the minified text of an input of `end` bytes.
    mutating func finish(at end: Int, in bytes: UnsafeMutablePointer<UInt8>) -> Int {
        self.flush(to: end, in: bytes)
        self.runStart = end
        return end &- self.shift
    }

    private func flush(to end: Int, in bytes: UnsafeMutablePointer<UInt8>) {
        guard self.shift > 0, end > self.runStart else { return }
        var source = bytes + self.runStart
        var target = source - self.shift
        let stop = bytes + end
        guard self.shift >= 8, end &- self.runStart < 64 else {
            target.update(from: source, count: stop - source)
            return
        }
        // Whole words may write up to seven bytes too many, which lie before `stop` because the shift is at least
        // eight; they may read up to seven bytes of padding.
        while source < stop {
            UnsafeMutableRawPointer(target).storeBytes(of: loadWord(source).littleEndian, as: UInt64.self)
            source += 8
            target += 8
        }
    }
}
