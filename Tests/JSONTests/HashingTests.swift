import Testing

@testable import JSON

@Suite("Hashes of bytes")
struct HashingTests {
    @Test("equal bytes hash alike; another byte, another length and another order do not, at every length to 100")
    func bytes() {
        var seen: Set<UInt64> = []
        for count in 0...100 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
            #expect(processHash(of: bytes) == processHash(of: Array(bytes)))
            #expect(seen.insert(processHash(of: bytes)).inserted, "\(count) bytes")
            for index in bytes.indices {
                var other = bytes
                other[index] ^= 0x80
                #expect(seen.insert(processHash(of: other)).inserted, "\(count) bytes, another at \(index)")
            }
            guard count >= 64 else { continue }
            // Whole words change places within a step and between two.
            for (first, second) in [(0, 8), (8, 24), (0, 32), (16, 40)] {
                var other = bytes
                for index in 0..<8 { other.swapAt(first + index, second + index) }
                #expect(seen.insert(processHash(of: other)).inserted, "\(count) bytes, words at \(first) and \(second)")
            }
        }
    }
}
