// The body of a response on its way into memory, with every bound that a hostile one would like to see missing
// (FAULTS F11–F13, S18). libcurl's own limit holds only for lengths announced in advance.

import FreshetCore

/// Collects and decodes one body. Confined to the poll thread.
struct BodyCollector: ~Copyable {
    /// A body may decode to this many times its bytes on the wire; beyond that it is a bomb.
    static let maxRatio = 200
    /// The ratio is not looked at below this size, where small bodies of one repeated character would fail.
    static let ratioFloorBytes = 1 << 20

    /// Bytes received, before decoding.
    private(set) var wireBytes = 0
    /// Bytes of the body so far, decoded.
    var bytes: Int { self.body.count }
    private var body: [UInt8] = []
    private var gunzip: Gunzip?
    private var unpacker: Unpacker?
    private let coding: ResponseHead.ContentCoding
    private let maxBytes: Int

    /// `maxBytes` holds for the body on the wire and decoded. Memory is reserved for `expectedBytes` (as announced),
    /// but for no more than 1 MiB.
    ///
    /// - Throws: ``UpstreamError`` of kind `decode` for a content coding that was not asked for.
    init(coding: ResponseHead.ContentCoding, maxBytes: Int, expectedBytes: Int?) throws(UpstreamError) {
        self.maxBytes = maxBytes
        self.coding = coding
        self.gunzip = nil
        self.unpacker = nil
        switch coding {
        case .identity:
            guard expectedBytes ?? 0 <= maxBytes else { throw Self.tooLarge(maxBytes) }
            self.body.reserveCapacity(min(expectedBytes ?? 0, maxBytes, Self.ratioFloorBytes))
        case .gzip:
            do { self.gunzip = try Gunzip() } catch { throw Self.error(for: error, coding) }
        case .brotli where Unpacker.canDecode(coding), .zstd where Unpacker.canDecode(coding):
            do { self.unpacker = try Unpacker(coding) } catch { throw Self.error(for: error, coding) }
        case .brotli, .zstd, .other:
            throw UpstreamError(.decode, "a content coding other than one layer of what was asked for")
        }
    }

    /// Takes the next bytes of the body, chunk framing undone. `scratch` is room for decoding, at least one byte.
    ///
    /// - Throws: ``UpstreamError`` of kind `too_large` or `decode`.
    mutating func received(
        _ bytes: UnsafeBufferPointer<UInt8>,
        scratch: UnsafeMutableBufferPointer<UInt8>
    ) throws(UpstreamError) {
        self.wireBytes += bytes.count
        guard self.wireBytes <= self.maxBytes else { throw Self.tooLarge(self.maxBytes) }
        guard self.coding != .identity else {
            self.append(bytes)
            return
        }
        var refusal: UpstreamError?
        do {
            // The decoders are taken out while their sink appends to the same value.
            var gunzip = self.gunzip.take()
            var unpacker = self.unpacker.take()
            defer {
                self.gunzip = gunzip.take()
                self.unpacker = unpacker.take()
            }
            func take(_ piece: UnsafeBufferPointer<UInt8>) -> Bool {
                refusal = self.reasonToRefuse(pieceBytes: piece.count)
                if refusal == nil { self.append(piece) }
                return refusal == nil
            }
            try gunzip?.received(bytes, scratch: scratch, sink: take)
            try unpacker?.received(bytes, scratch: scratch, sink: take)
        } catch {
            throw refusal ?? Self.error(for: error, self.coding)
        }
    }

    /// Ends the body and gives it away.
    ///
    /// - Throws: ``UpstreamError`` of kind `decode` where a compressed body was cut.
    consuming func finished() throws(UpstreamError) -> [UInt8] {
        do {
            try self.gunzip?.finished()
            try self.unpacker?.finished()
        } catch {
            throw Self.error(for: error, self.coding)
        }
        return self.body
    }

    private func reasonToRefuse(pieceBytes: Int) -> UpstreamError? {
        let decoded = self.body.count + pieceBytes
        guard decoded <= self.maxBytes else { return Self.tooLarge(self.maxBytes) }
        guard decoded > Self.ratioFloorBytes, decoded / Self.maxRatio > self.wireBytes else { return nil }
        return UpstreamError(.tooLarge, "the body decodes to more than \(Self.maxRatio) times its size, as bombs do")
    }

    /// Above 1 MiB the array's doubling would hold three times the body while it grows; room for the largest body
    /// costs only address space, since pages are not touched before they are written.
    private mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
        if self.body.count + bytes.count > Self.ratioFloorBytes, self.body.capacity < self.maxBytes {
            self.body.reserveCapacity(self.maxBytes)
        }
        self.body.append(contentsOf: bytes)
    }

    private static func tooLarge(_ maxBytes: Int) -> UpstreamError {
        UpstreamError(.tooLarge, "the body is larger than \(maxBytes) bytes; raise max_body_bytes if that is expected")
    }

    private static func error(for failure: Gunzip.Failure, _ coding: ResponseHead.ContentCoding) -> UpstreamError {
        switch failure {
        case .corrupt(let offset): UpstreamError(.decode, "broken \(coding) data near byte \(offset) of the body")
        case .trailingGarbage(let offset): UpstreamError(.decode, "garbage after the \(coding) data, at byte \(offset)")
        case .truncated(let offset): UpstreamError(.decode, "the \(coding) data were cut after \(offset) bytes")
        case .outOfMemory: UpstreamError(.internal, "no memory to decode the body")
        case .refused: UpstreamError(.tooLarge, "the decoded body was refused")
        }
    }
}
