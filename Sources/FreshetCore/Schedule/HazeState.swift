// The learned state as bytes, so that a gateway that restarts does not begin to learn anew.

extension Haze {
    /// The first byte of a stored state.
    private static let version: UInt8 = 1
    private static let headerBytes = 1 + 8 * 8
    private static let encodedBytes = headerBytes + 4 * numberCount
    /// A quotient of what is outside could leave the range of the numbers that it is added to.
    private static let storedChanges = 1e-3...rateMemory
    private static let storedSeconds = 1e-3...1e12

    /// The state for storage, 1,729 bytes. Times are stored as unix time, since a monotonic axis ends with its process.
    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.encodedBytes)
        bytes.append(Self.version)
        let times = [lastPoll + wallOffset, lastChange + wallOffset, changes, seconds]
        for value in times + (0..<4).map({ scores[$0] }) {
            for shift in stride(from: 0, to: 64, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> shift))
            }
        }
        for value in numbers {
            for shift in stride(from: 0, to: 32, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> shift))
            }
        }
        return bytes
    }

    /// Reads a stored state; nil when it is of another version, of another length, or holds what no model can reach.
    ///
    /// - Parameters:
    ///   - encoded: What `encoded` gave, possibly in another process.
    ///   - now: Seconds on this process's monotonic axis. A last poll after it (the wall clock was stepped back)
    ///     becomes `now`.
    ///   - wallOffset: As in `init(now:wallOffset:)`.
    package init?(encoded: [UInt8], now: Double, wallOffset: Double = 0) {
        guard encoded.count == Self.encodedBytes, encoded.first == Self.version else { return nil }
        self.init(now: now, wallOffset: wallOffset)
        let header = (0..<8).map { Self.double(in: encoded, at: 1 + 8 * $0) }
        let stored = (0..<Self.numberCount).map { Self.float(in: encoded, at: Self.headerBytes + 4 * $0) }
        guard header.allSatisfy(\.isFinite), Self.storedChanges.contains(header[2]),
            Self.storedSeconds.contains(header[3])
        else { return nil }
        guard stored.allSatisfy({ $0.isFinite && $0 >= 0 && $0 <= 1e6 }) else { return nil }
        let belief = stored[Self.beliefStart...].reduce(0, +)
        guard abs(belief - 1) < 1e-3, header[4...].allSatisfy({ abs($0) <= 1e6 }) else { return nil }
        self.lastPoll = min(lastPoll, Self.clamped(header[0] - self.wallOffset))
        self.lastChange = min(lastPoll, Self.clamped(header[1] - self.wallOffset))
        self.changes = header[2]
        self.seconds = header[3]
        self.scores = SIMD4(header[4], header[5], header[6], header[7])
        self.numbers = stored
    }

    private static func double(in bytes: [UInt8], at offset: Int) -> Double {
        Double(bitPattern: bytes[offset..<(offset + 8)].reversed().reduce(0) { $0 << 8 | UInt64($1) })
    }

    private static func float(in bytes: [UInt8], at offset: Int) -> Float {
        Float(bitPattern: bytes[offset..<(offset + 4)].reversed().reduce(0) { $0 << 8 | UInt32($1) })
    }
}
