// Whitespace out of JSON, against a loop over bytes.

import CMinify

/// Holds what removes whitespace against the plain way.
package enum MinifyOracle {
    private static let ways = [Int(CMINIFY_SCALAR), Int(CMINIFY_VECTOR), Int(CMINIFY_AVX2), Int(CMINIFY_AVX512)].filter
    {
        cminify_has(Int32($0))
    }

    /// nil where a token would join another.
    private static func minify(_ bytes: [UInt8], way: Int) -> [UInt8]? {
        // In an allocation of exactly this length, so that a sanitizer sees what is read behind it.
        let text = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(bytes.count, 1))
        defer { text.deallocate() }
        _ = text.initialize(from: bytes)
        var isJoined = false
        let copy = [UInt8](unsafeUninitializedCapacity: bytes.count + Int(CMINIFY_SLACK)) { target, count in
            guard let target = target.baseAddress, let text = text.baseAddress else { return }
            let length = cminify_by(Int32(way), text, bytes.count, target)
            isJoined = length < 0
            count = isJoined ? 0 : length
        }
        return isJoined ? nil : copy
    }

    /// Byte by byte; nil where a token would join another.
    package static func model(_ bytes: [UInt8]) -> [UInt8]? {
        var copy: [UInt8] = []
        var isInString = false
        var isEscaped = false
        var isScalar = false
        var isBehindSpace = false
        for byte in bytes {
            if isInString {
                copy.append(byte)
                if byte == UInt8(ascii: "\""), !isEscaped { isInString = false }
                isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
                continue
            }
            switch byte {
            case 0x20, 0x09, 0x0A, 0x0D:
                isBehindSpace = true
                isEscaped = false
                continue
            case UInt8(ascii: "\"") where !isEscaped:
                isInString = true
                isScalar = false
            case UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: ","),
                UInt8(ascii: ":"):
                isScalar = false
            default:
                guard !isScalar || !isBehindSpace else { return nil }
                isScalar = true
            }
            isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
            isBehindSpace = false
            copy.append(byte)
        }
        return copy
    }

    /// What differs in one of the ways that this machine has.
    package static func difference(in bytes: [UInt8]) -> String? {
        let expected = self.model(bytes)
        for way in self.ways {
            var found = self.minify(bytes, way: way)
            // An open string is filled up with spaces, and refused.
            if let length = expected?.count, let more = found?.count, more > length {
                found?.removeSubrange(length...)
            }
            guard found == expected else { return "way \(way)" }
        }
        return nil
    }
}
