// What writes pieces: one compressor, whose memory serves one run, or all pieces that stand for themselves.

import CZlib
import CZstd

/// Codes pieces, each whole at its end. Keeps some 256 KiB (gzip) or 425 KiB (zstd). Belongs to whoever made it.
final class BlockCoder {
    let coding: ContentCoding
    private let deflater: Deflater?
    private let zstd: ZstdWriter?

    /// `nil` where there is no memory.
    init?(_ coding: ContentCoding) {
        self.coding = coding
        switch coding {
        case .gzip:
            guard let deflater = Deflater() else { return nil }
            (self.deflater, self.zstd) = (deflater, nil)
        case .zstd:
            guard let zstd = ZstdWriter() else { return nil }
            (self.deflater, self.zstd) = (nil, zstd)
        }
    }

    /// A piece that refers to the pieces before it; `isFresh`: to none of them, so that it reads the same behind whatever a
    /// reader was sent before.
    ///
    /// - Returns: `nil` where the library fails; then the next piece has to be fresh.
    func piece(_ plain: [UInt8], isFresh: Bool) -> [UInt8]? {
        switch self.coding {
        case .gzip:
            guard let piece = self.deflater?.piece(plain, isFresh: isFresh) else { return nil }
            // The window is what was written, in whatever blocks.
            return piece.count <= self.coding.storedCount(of: plain) ? piece : self.coding.stored(plain)
        case .zstd: return self.zstd?.piece(plain, isFresh: isFresh)
        }
    }
}

/// Writes raw blocks of deflate.
private final class Deflater {
    // Where it lies stays the same: zlib refers back to it.
    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

    init?() {
        self.stream.initialize(to: z_stream())
        guard czlib_deflate_init_raw(self.stream, Z_DEFAULT_COMPRESSION) == Z_OK else {
            self.stream.deallocate()
            return nil
        }
    }

    deinit {
        deflateEnd(self.stream)
        self.stream.deallocate()
    }

    func piece(_ plain: [UInt8], isFresh: Bool) -> [UInt8]? {
        guard let count = UInt32(exactly: plain.count), !isFresh || deflateReset(self.stream) == Z_OK else {
            return nil
        }
        // Of a sync flush too: its empty block and the bits before it.
        let capacity = Int(deflateBound(self.stream, UInt(count))) + 16
        guard let room = UInt32(exactly: capacity) else { return nil }
        var isWhole = false
        let piece = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, filled in
            plain.withUnsafeBufferPointer { input in
                self.stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                self.stream.pointee.avail_in = count
                self.stream.pointee.next_out = buffer.baseAddress
                self.stream.pointee.avail_out = room
                let result = deflate(self.stream, Z_SYNC_FLUSH)
                isWhole = result == Z_OK && self.stream.pointee.avail_in == 0 && self.stream.pointee.avail_out > 0
                filled = capacity - Int(self.stream.pointee.avail_out)
                self.stream.pointee.next_in = nil
                self.stream.pointee.next_out = nil
            }
        }
        return isWhole ? piece : nil
    }
}

/// Writes frames of zstd, of which the last stays open.
private final class ZstdWriter {
    private let context: OpaquePointer

    init?() {
        guard let context = ZSTD_createCCtx() else { return nil }
        self.context = context
        let parameters: [(ZSTD_cParameter, Int)] = [
            // As small as gzip's, at less time; at level 3 large patches take a tenth more.
            (ZSTD_c_compressionLevel, 6), (ZSTD_c_windowLog, ContentCoding.zstdWindowLog),
            // Tables as large as the window is worth, instead of a megabyte.
            (ZSTD_c_hashLog, 15), (ZSTD_c_chainLog, 15),
            (ZSTD_c_contentSizeFlag, 0), (ZSTD_c_checksumFlag, 0), (ZSTD_c_dictIDFlag, 0),
        ]
        for (parameter, value) in parameters {
            guard ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, Int32(value))) == 0 else {
                ZSTD_freeCCtx(context)
                return nil
            }
        }
    }

    deinit {
        ZSTD_freeCCtx(self.context)
    }

    func piece(_ plain: [UInt8], isFresh: Bool) -> [UInt8]? {
        let end = isFresh ? ContentCoding.zstdFrameEnd : []
        if isFresh {
            guard ZSTD_isError(ZSTD_CCtx_reset(self.context, ZSTD_reset_session_only)) == 0 else { return nil }
        }
        // The head of a frame, and for each block its own.
        let capacity = end.count + ZSTD_compressBound(plain.count) + 32 + plain.count >> 10
        var isWhole = false
        let piece = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, filled in
            _ = buffer.update(fromContentsOf: end)
            plain.withUnsafeBytes { bytes in
                var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
                var output = ZSTD_outBuffer(dst: buffer.baseAddress, size: capacity, pos: end.count)
                let left = ZSTD_compressStream2(self.context, &output, &input, ZSTD_e_flush)
                isWhole = left == 0 && input.pos == input.size
                filled = output.pos
            }
        }
        return isWhole ? piece : nil
    }
}
