// Undoes a content coding as a reader does that shows each byte as it comes: by zlib and by zstd themselves.

import CZlib
import CZstd

/// One stream in a coding, read piece by piece.
package final class ContentDecoder {
    package enum Failure: Error, Equatable {
        case unknownCoding(String)
        /// The library cannot read it; after so many bytes that it could.
        case malformed(after: Int)
    }

    private enum Kind {
        case gzip(UnsafeMutablePointer<z_stream>)
        case zstd(OpaquePointer)
    }

    private let kind: Kind
    /// Bytes given so far.
    package private(set) var decoded = 0

    /// `coding`: as `Content-Encoding` names it.
    package init(_ coding: String) throws {
        switch coding {
        case "gzip":
            let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
            stream.initialize(to: z_stream())
            guard czlib_inflate_init_gzip(stream) == Z_OK else {
                stream.deallocate()
                throw Failure.unknownCoding(coding)
            }
            self.kind = .gzip(stream)
        case "zstd":
            guard let context = ZSTD_createDCtx() else { throw Failure.unknownCoding(coding) }
            self.kind = .zstd(context)
        case _: throw Failure.unknownCoding(coding)
        }
    }

    deinit {
        switch self.kind {
        case .gzip(let stream):
            inflateEnd(stream)
            stream.deallocate()
        case .zstd(let context): ZSTD_freeDCtx(context)
        }
    }

    /// Everything that can be read by now.
    package func decode(_ bytes: some Collection<UInt8>) throws -> [UInt8] {
        // zstd takes the sixteenth call in a row without input for an error.
        guard !bytes.isEmpty else { return [] }
        var input = Array(bytes)
        var output: [UInt8] = []
        var offset = 0
        repeat {
            var isFull = false
            let piece = [UInt8](unsafeUninitializedCapacity: 64 << 10) { buffer, filled in
                input.withUnsafeMutableBufferPointer { input in
                    let rest = UnsafeMutableBufferPointer(rebasing: input[offset...])
                    guard let taken = self.step(rest, buffer, &filled) else { return offset = -1 }
                    offset += taken
                }
                isFull = filled == buffer.count
            }
            guard offset >= 0 else { throw Failure.malformed(after: self.decoded + output.count) }
            output += piece
            if offset == input.count, !isFull { break }
        } while true
        self.decoded += output.count
        return output
    }

    /// - Returns: How many bytes were taken; `nil` where they cannot be read.
    private func step(
        _ input: UnsafeMutableBufferPointer<UInt8>,
        _ buffer: UnsafeMutableBufferPointer<UInt8>,
        _ filled: inout Int
    ) -> Int? {
        switch self.kind {
        case .gzip(let stream):
            stream.pointee.next_in = input.baseAddress
            stream.pointee.avail_in = UInt32(clamping: input.count)
            stream.pointee.next_out = buffer.baseAddress
            stream.pointee.avail_out = UInt32(clamping: buffer.count)
            let result = inflate(stream, Z_SYNC_FLUSH)
            filled = buffer.count - Int(stream.pointee.avail_out)
            guard result == Z_OK || result == Z_BUF_ERROR else { return nil }
            return input.count - Int(stream.pointee.avail_in)
        case .zstd(let context):
            var input = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
            var output = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
            let result = ZSTD_decompressStream(context, &output, &input)
            filled = output.pos
            return ZSTD_isError(result) == 0 ? input.pos : nil
        }
    }
}
