// Undoes the gzip content coding, and proves that it was whole. libcurl reports a cut gzip body as success with half
// of the bytes (FAULTS, fact 2), so that a broken upstream could replace a good value by the beginning of one.

import CZlib

/// Inflates a body of gzip members (RFC 1952, RFC 9110 §8.4.1.3) as it arrives. Confined to the poll thread.
///
/// Several members one after another are one body. Zeros after the last member are tolerated, since some servers pad
/// with them; anything else is not.
struct Gunzip: ~Copyable {
    enum Failure: Error, Hashable {
        /// The data are no gzip member, or contradict their checksum or length. The offset counts bytes on the wire.
        case corrupt(offset: Int)
        /// Something other than a member or zeros follows the last member.
        case trailingGarbage(offset: Int)
        /// The body ended inside a member.
        case truncated(offset: Int)
        /// zlib has no memory.
        case outOfMemory
        /// What `sink` was given was too much.
        case refused
    }

    private enum State {
        /// Between members. Next: `.inside`, `.padding`.
        case between
        /// In a member. Next: `.between`.
        case inside
        /// After the last member, in its padding of zeros. Final.
        case padding
    }

    /// zlib keeps the address of its stream, so the stream has to stay where it is.
    private let stream: UnsafeMutablePointer<z_stream>
    private var state = State.between
    private var members = 0
    /// Bytes taken from the wire.
    private var offset = 0

    init() throws(Failure) {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        guard czlib_inflate_init_gzip(stream) == Z_OK else {
            // `self` is not whole yet, so `deinit` will not run.
            stream.deallocate()
            throw .outOfMemory
        }
        self.stream = stream
    }

    deinit {
        inflateEnd(self.stream)
        self.stream.deallocate()
    }

    /// Takes the next bytes from the wire and hands what they decode to to `sink`, in pieces of `scratch`'s size.
    ///
    /// - Throws: ``Failure``; ``Failure/refused`` where `sink` returned false.
    mutating func received(
        _ input: UnsafeBufferPointer<UInt8>,
        scratch: UnsafeMutableBufferPointer<UInt8>,
        sink: (UnsafeBufferPointer<UInt8>) -> Bool
    ) throws(Failure) {
        guard let start = input.baseAddress else { return }
        self.stream.pointee.next_in = UnsafeMutablePointer(mutating: start)
        self.stream.pointee.avail_in = UInt32(clamping: input.count)
        defer { self.stream.pointee.next_in = nil }
        while self.stream.pointee.avail_in > 0 {
            switch self.state {
            case .between: try self.enterMember()
            case .padding: try self.skipZero()
            case .inside: try self.inflate(into: scratch, sink: sink)
            }
        }
    }

    /// Call once, after the last byte.
    mutating func finished() throws(Failure) {
        guard self.members > 0, case .between = self.state else {
            if case .padding = self.state { return }
            throw .truncated(offset: self.offset)
        }
    }

    private mutating func enterMember() throws(Failure) {
        guard let next = self.stream.pointee.next_in else { return }
        if self.members > 0 {
            // zlib resets the counters of the stream, but leaves its input where it is.
            switch next.pointee {
            case 0: self.state = .padding
            case 0x1F:
                guard inflateReset(self.stream) == Z_OK else { throw .corrupt(offset: self.offset) }
                self.state = .inside
            case _: throw .trailingGarbage(offset: self.offset)
            }
        } else {
            self.state = .inside
        }
    }

    private mutating func skipZero() throws(Failure) {
        guard let next = self.stream.pointee.next_in, next.pointee == 0 else {
            throw .trailingGarbage(offset: self.offset)
        }
        self.stream.pointee.next_in = next + 1
        self.stream.pointee.avail_in -= 1
        self.offset += 1
    }

    private mutating func inflate(
        into scratch: UnsafeMutableBufferPointer<UInt8>,
        sink: (UnsafeBufferPointer<UInt8>) -> Bool
    ) throws(Failure) {
        repeat {
            self.stream.pointee.next_out = scratch.baseAddress
            self.stream.pointee.avail_out = UInt32(clamping: scratch.count)
            let before = self.stream.pointee.avail_in
            let code = CZlib.inflate(self.stream, Z_NO_FLUSH)
            self.offset += Int(before - self.stream.pointee.avail_in)
            let produced = scratch.count - Int(self.stream.pointee.avail_out)
            if produced > 0, !sink(UnsafeBufferPointer(rebasing: scratch[..<produced])) { throw .refused }
            switch code {
            case Z_STREAM_END:
                self.members += 1
                self.state = .between
                return
            case Z_OK: break
            case Z_BUF_ERROR: return  // Nothing left to take or to give.
            case Z_MEM_ERROR: throw .outOfMemory
            case _: throw .corrupt(offset: self.offset)
            }
        } while self.stream.pointee.avail_in > 0 || self.stream.pointee.avail_out == 0
    }
}
