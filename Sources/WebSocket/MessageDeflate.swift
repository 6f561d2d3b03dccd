// Compression of messages (RFC 7692), each by itself: without context there is nothing to keep for a connection.

import CZlib

/// What ends a deflated message, and is left out of it (RFC 7692 §7.2.1).
private let flushMark: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]

/// Compresses messages. Keeps some 256 KiB. Belongs to whoever made it.
package final class MessageDeflater {
    // Where it lies stays the same: zlib refers back to it.
    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private let isReady: Bool

    package init() {
        self.stream.initialize(to: z_stream())
        self.isReady = czlib_deflate_init_raw(self.stream, Z_DEFAULT_COMPRESSION) == Z_OK
    }

    deinit {
        if self.isReady { deflateEnd(self.stream) }
        self.stream.deallocate()
    }

    /// A message without its end mark; `nil` where it would not be shorter.
    package func deflate(_ message: UnsafeRawBufferPointer) -> [UInt8]? {
        guard self.isReady, message.count > 16, let input = UInt32(exactly: message.count),
            let base = message.bindMemory(to: UInt8.self).baseAddress, deflateReset(self.stream) == Z_OK
        else { return nil }
        let count = message.count
        let output = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            self.stream.pointee.next_in = UnsafeMutablePointer(mutating: base)
            self.stream.pointee.avail_in = input
            self.stream.pointee.next_out = buffer.baseAddress
            self.stream.pointee.avail_out = input
            let result = CZlib.deflate(self.stream, Z_SYNC_FLUSH)
            // Where the room was too short, it did not pay.
            let isWhole = result == Z_OK && self.stream.pointee.avail_in == 0 && self.stream.pointee.avail_out > 0
            filled = isWhole ? count - Int(self.stream.pointee.avail_out) : 0
        }
        guard output.count > flushMark.count, output.suffix(flushMark.count) == flushMark[...] else { return nil }
        return Array(output.dropLast(flushMark.count))
    }
}

/// Decompresses messages. Keeps some 40 KiB. Belongs to whoever made it.
package final class MessageInflater {
    package enum Failure: Error, Equatable, Sendable {
        /// The message is longer than it may be; it was read no further.
        case tooLong
        case malformed
    }

    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private let isReady: Bool

    package init() {
        self.stream.initialize(to: z_stream())
        self.isReady = czlib_inflate_init_raw(self.stream) == Z_OK
    }

    deinit {
        if self.isReady { inflateEnd(self.stream) }
        self.stream.deallocate()
    }

    /// A message as it was before.
    package func inflate(_ message: [UInt8], maxBytes: Int) -> Result<[UInt8], Failure> {
        guard self.isReady, inflateReset(self.stream) == Z_OK else { return .failure(.malformed) }
        var output: [UInt8] = []
        var input = message + flushMark
        let failure = input.withUnsafeMutableBufferPointer { buffer -> Failure? in
            self.stream.pointee.next_in = buffer.baseAddress
            self.stream.pointee.avail_in = UInt32(clamping: buffer.count)
            while true {
                let room = min(max(256, 4 * message.count), maxBytes - output.count + 1, 64 << 10)
                var result = Z_OK
                let piece = [UInt8](unsafeUninitializedCapacity: room) { buffer, filled in
                    self.stream.pointee.next_out = buffer.baseAddress
                    self.stream.pointee.avail_out = UInt32(clamping: room)
                    result = CZlib.inflate(self.stream, Z_SYNC_FLUSH)
                    filled = room - Int(self.stream.pointee.avail_out)
                }
                output += piece
                guard output.count <= maxBytes else { return .tooLong }
                switch result {
                // A last block (RFC 7692 §7.2.3.4): the empty one that the sender put behind it begins anew.
                case Z_STREAM_END:
                    guard self.stream.pointee.avail_in > 0 else { return nil }
                    guard inflateReset(self.stream) == Z_OK else { return .malformed }
                    continue
                case Z_OK, Z_BUF_ERROR: break
                case _: return .malformed
                }
                if self.stream.pointee.avail_out > 0 { return self.stream.pointee.avail_in == 0 ? nil : .malformed }
            }
        }
        return failure.map { .failure($0) } ?? .success(output)
    }
}
