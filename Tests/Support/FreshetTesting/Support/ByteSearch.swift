import Glibc

/// Finds bytes in bytes quickly in debug builds too, where tests look through answers of megabytes.
enum ByteSearch {
    /// Whether `needle` is in `bytes[start...]`. A negative start counts as 0.
    static func contains(_ needle: [UInt8], in bytes: [UInt8], from start: Int = 0) -> Bool {
        guard let first = needle.first else { return true }
        return bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return false }
            var position = max(0, start)
            while position + needle.count <= buffer.count {
                let left = buffer.count - needle.count + 1 - position
                guard let found = memchr(base + position, Int32(first), left) else { return false }
                if memcmp(found, needle, needle.count) == 0 { return true }
                position = UnsafeRawPointer(found) - base + 1
            }
            return false
        }
    }
}
