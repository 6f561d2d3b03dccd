// Undoes the content codings `br` and `zstd`, and proves that the data were whole, as `Gunzip` does for gzip.

import CCodings

/// Decodes a body of brotli (RFC 7932) or of zstd frames (RFC 8878) as it arrives. Confined to the poll thread.
///
/// Several zstd frames one after another are one body; brotli has no such thing. Nothing may follow the end.
struct Unpacker: ~Copyable {
    typealias Failure = Gunzip.Failure

    /// Whether the library of the coding is there; only then may it be asked for.
    static func canDecode(_ coding: ResponseHead.ContentCoding) -> Bool {
        self.code(of: coding).map { ccodings_available($0) } ?? false
    }

    private static func code(of coding: ResponseHead.ContentCoding) -> Int32? {
        switch coding {
        case .brotli: Int32(CCODINGS_BROTLI)
        case .zstd: Int32(CCODINGS_ZSTD)
        case .identity, .gzip, .other: nil
        }
    }

    private let decoder: OpaquePointer
    private let mayRepeat: Bool
    /// The data so far are whole.
    private var isWhole = false
    /// Bytes taken from the wire.
    private var offset = 0

    /// - Throws: ``Gunzip/Failure/outOfMemory``, also for a coding whose library is not there.
    init(_ coding: ResponseHead.ContentCoding) throws(Failure) {
        guard let code = Self.code(of: coding), let decoder = ccodings_create(code) else { throw .outOfMemory }
        self.decoder = decoder
        self.mayRepeat = coding == .zstd
    }

    deinit { ccodings_destroy(self.decoder) }

    /// Takes the next bytes from the wire and hands what they decode to to `sink`, in pieces of `scratch`'s size.
    ///
    /// - Throws: ``Failure``; ``Gunzip/Failure/refused`` where `sink` returned false.
    mutating func received(
        _ input: UnsafeBufferPointer<UInt8>,
        scratch: UnsafeMutableBufferPointer<UInt8>,
        sink: (UnsafeBufferPointer<UInt8>) -> Bool
    ) throws(Failure) {
        var next = input.baseAddress
        var left = input.count
        guard left > 0 else { return }
        if self.isWhole, !self.mayRepeat { throw .trailingGarbage(offset: self.offset) }
        repeat {
            var output = scratch.baseAddress
            var room = scratch.count
            let before = left
            let status = ccodings_decode(self.decoder, &next, &left, &output, &room)
            self.offset += before - left
            let produced = scratch.count - room
            if produced > 0, !sink(UnsafeBufferPointer(rebasing: scratch[..<produced])) { throw .refused }
            switch Int(status) {
            case CCODINGS_NEEDS_OUTPUT: self.isWhole = false
            case CCODINGS_NEEDS_INPUT:
                self.isWhole = false
                if left == 0 { return }
            case CCODINGS_ENDED:
                self.isWhole = true
                guard left > 0 else { return }
                guard self.mayRepeat else { throw .trailingGarbage(offset: self.offset) }
            case CCODINGS_NO_MEMORY: throw .outOfMemory
            case _: throw .corrupt(offset: self.offset)
            }
        } while true
    }

    /// Call once, after the last byte.
    func finished() throws(Failure) {
        guard self.isWhole else { throw .truncated(offset: self.offset) }
    }
}
