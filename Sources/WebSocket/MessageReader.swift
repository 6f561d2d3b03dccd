// What a peer sends: frames in, whole messages out, and the rules of RFC 6455 on the way.

/// What came.
package enum WebSocketEvent: Equatable, Sendable {
    /// A whole text message.
    case text([UInt8])
    case ping([UInt8])
    case pong
    /// The peer closes; `nil` where it says no code. Nothing follows.
    case close(CloseCode?)
}

/// Reads the frames of one connection. A value; performs no I/O. Holds at most one message, as far as it came, and what was
/// appended and not yet taken.
package struct MessageReader: Sendable {
    /// Whose frames are read.
    package enum Peer: Sendable {
        /// Its frames have a mask.
        case client
        /// Its frames have none.
        case server
    }

    private struct OpenFrame: Sendable {
        var opcode: Opcode
        var isLast: Bool
        /// Bytes of the payload that have not come.
        var left: Int
        var mask: UInt32
        /// Bytes of the payload that have.
        var passed = 0
    }

    private let peer: Peer
    private let maxMessageBytes: Int
    /// Messages may be compressed (RFC 7692).
    private let inflates: Bool
    private var input: [UInt8] = []
    private var start = 0
    private var frame: OpenFrame?
    /// The data frames of the message under way.
    private var message: [UInt8] = []
    private var control: [UInt8] = []
    private var isInMessage = false
    private var isCompressed = false
    private var text = TextCheck()
    private var isClosed = false

    /// `maxMessageBytes`: of a message as it is after decompression, and as it comes.
    package init(from peer: Peer, maxMessageBytes: Int, inflates: Bool = false) {
        self.peer = peer
        self.maxMessageBytes = maxMessageBytes
        self.inflates = inflates
    }

    /// Whether a message or a frame has begun and not ended.
    package var isInsideMessage: Bool {
        self.isInMessage || self.frame != nil || self.start < self.input.count
    }

    /// Bytes that are held.
    package var heldBytes: Int { self.message.count + self.input.count - self.start }

    /// Adds what arrived.
    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard !self.isClosed else { return }
        if self.start == self.input.count {
            self.input.removeAll(keepingCapacity: false)
            self.start = 0
        }
        self.input.append(contentsOf: bytes)
    }

    /// The next event of what arrived; `nil` where more has to come. `inflater` undoes compression; it is needed where the
    /// connection may compress.
    ///
    /// - Throws: what the peer did wrong. Nothing is read any more then.
    package mutating func next(_ inflater: MessageInflater? = nil) throws(WebSocketFailure) -> WebSocketEvent? {
        do throws(WebSocketFailure) {
            while !self.isClosed {
                guard let frame else {
                    guard try self.readHeader() else { return nil }
                    continue
                }
                let count = min(frame.left, self.input.count - self.start)
                if count > 0 { try self.take(count) }
                guard let open = self.frame, open.left == 0 else { return nil }
                self.frame = nil
                if let event = try self.end(of: open, inflater) { return event }
            }
            return nil
        } catch {
            self.close()
            throw error
        }
    }

    private mutating func close() {
        self.isClosed = true
        self.input = []
        self.start = 0
        self.message = []
        self.frame = nil
        self.isInMessage = false
    }

    // MARK: Headers

    /// - Returns: Whether a whole header was there.
    private mutating func readHeader() throws(WebSocketFailure) -> Bool {
        let available = self.input.count - self.start
        guard available >= 2 else {
            if available == 1 { try self.check(first: self.input[self.start]) }
            return false
        }
        let (first, second) = (self.input[self.start], self.input[self.start + 1])
        try self.check(first: first)
        guard (second & 0x80 != 0) == (self.peer == .client) else {
            throw WebSocketFailure(.protocolError, "A client's frames have a mask, and a server's have none.")
        }
        let short = Int(second & 0x7F)
        let opcode = Opcode(rawValue: first & 0x0F) ?? .continuation
        guard !opcode.isControl || short <= FrameHeader.maxControlBytes else {
            throw WebSocketFailure(.protocolError, "A control frame is longer than 125 bytes.")
        }
        let digits = short == 126 ? 2 : short == 127 ? 8 : 0
        let maskBytes = self.peer == .client ? 4 : 0
        guard available >= 2 + digits else { return false }
        let length = digits == 0 ? short : try self.length(digits)
        guard opcode.isControl || self.message.count <= self.maxMessageBytes - length else {
            throw WebSocketFailure(.tooBig, "A message is longer than \(self.maxMessageBytes) bytes.")
        }
        guard available >= 2 + digits + maskBytes else { return false }
        self.start += 2 + digits
        var mask: UInt32 = 0
        for index in 0..<maskBytes { mask |= UInt32(self.input[self.start + index]) << UInt32(8 * index) }
        self.start += maskBytes
        if !opcode.isControl {
            if opcode != .continuation {
                self.isCompressed = first & 0x40 != 0
                self.isInMessage = true
                self.text = TextCheck()
            }
        }
        self.frame = OpenFrame(opcode: opcode, isLast: first & 0x80 != 0, left: length, mask: mask)
        return true
    }

    private func check(first: UInt8) throws(WebSocketFailure) {
        guard let opcode = Opcode(rawValue: first & 0x0F) else {
            throw WebSocketFailure(.protocolError, "A frame has a reserved opcode.")
        }
        guard first & 0x30 == 0 else { throw WebSocketFailure(.protocolError, "A reserved bit is set.") }
        if first & 0x40 != 0 {
            // RFC 7692 §6: on the first frame of a data message alone.
            guard self.inflates, !opcode.isControl, opcode != .continuation else {
                throw WebSocketFailure(.protocolError, "The bit of compression is set where nothing is compressed.")
            }
        }
        guard !opcode.isControl || first & 0x80 != 0 else {
            throw WebSocketFailure(.protocolError, "A control frame is fragmented.")
        }
        switch opcode {
        case .continuation:
            guard self.isInMessage else {
                throw WebSocketFailure(.protocolError, "A continuation belongs to no message.")
            }
        case .text, .binary:
            guard !self.isInMessage else {
                throw WebSocketFailure(.protocolError, "A message begins before the one before it has ended.")
            }
            guard opcode == .text else { throw WebSocketFailure(.unsupportedData, "Messages are text.") }
        case .close, .ping, .pong: break
        }
    }

    private func length(_ digits: Int) throws(WebSocketFailure) -> Int {
        let bytes = self.input[(self.start + 2)..<(self.start + 2 + digits)]
        guard digits == 2 || bytes.first.map({ $0 < 0x80 }) == true else {
            throw WebSocketFailure(.protocolError, "A frame's length has its first bit set.")
        }
        let length = bytes.reduce(0) { $0 << 8 | Int($1) }
        guard length > (digits == 2 ? 125 : 0xFFFF) else {
            throw WebSocketFailure(.protocolError, "A frame's length is not written in the fewest bytes.")
        }
        return length
    }

    // MARK: Payloads

    /// Takes so many bytes of the payload under way, without their mask.
    private mutating func take(_ count: Int) throws(WebSocketFailure) {
        guard var frame else { return }
        let range = self.start..<(self.start + count)
        if self.peer == .client, frame.mask != 0 {
            let (mask, passed) = (frame.mask, frame.passed)
            self.input.withUnsafeMutableBytes { Self.unmask($0, range, mask, from: passed) }
        }
        if frame.opcode.isControl {
            self.control.append(contentsOf: self.input[range])
        } else {
            if !self.isCompressed {
                let isText = self.input.withUnsafeBytes {
                    self.text.pass(UnsafeRawBufferPointer(rebasing: $0[range]))
                }
                guard isText else { throw WebSocketFailure(.invalidData, "A message is not UTF-8.") }
            }
            self.message.append(contentsOf: self.input[range])
        }
        frame.left -= count
        frame.passed += count
        self.frame = frame
        self.start += count
        if self.start == self.input.count {
            self.input = []
            self.start = 0
        }
    }

    private static func unmask(
        _ bytes: UnsafeMutableRawBufferPointer,
        _ range: Range<Int>,
        _ mask: UInt32,
        from passed: Int
    ) {
        let turn = UInt32(8 * (passed & 3))
        let turned = turn == 0 ? mask : mask >> turn | mask << (32 - turn)
        let wide = UInt64(turned) << 32 | UInt64(turned)
        var offset = range.lowerBound
        while offset + 8 <= range.upperBound {
            let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            bytes.storeBytes(of: word ^ wide.littleEndian, toByteOffset: offset, as: UInt64.self)
            offset += 8
        }
        while offset < range.upperBound {
            bytes[offset] ^= UInt8(truncatingIfNeeded: turned >> UInt32(8 * ((offset - range.lowerBound) & 3)))
            offset += 1
        }
    }

    /// A frame is there whole.
    private mutating func end(
        of frame: OpenFrame,
        _ inflater: MessageInflater?
    ) throws(WebSocketFailure) -> WebSocketEvent? {
        switch frame.opcode {
        case .ping: return .ping(self.takeControl())
        case .pong:
            _ = self.takeControl()
            return .pong
        case .close:
            let code = try Self.code(self.takeControl())
            self.close()
            return .close(code)
        case .continuation, .text, .binary:
            guard frame.isLast else { return nil }
            self.isInMessage = false
            defer { self.message = [] }
            guard self.isCompressed else {
                guard self.text.isComplete else { throw WebSocketFailure(.invalidData, "A message is not UTF-8.") }
                return .text(self.message)
            }
            return .text(try self.inflated(inflater))
        }
    }

    private mutating func takeControl() -> [UInt8] {
        defer { self.control = [] }
        return self.control
    }

    private static func code(_ payload: [UInt8]) throws(WebSocketFailure) -> CloseCode? {
        guard !payload.isEmpty else { return nil }
        guard payload.count >= 2 else { throw WebSocketFailure(.protocolError, "A Close frame has half a code.") }
        let code = CloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
        guard code.maySend else { throw WebSocketFailure(.protocolError, "A Close frame has an invalid code.") }
        var text = TextCheck()
        guard payload.withUnsafeBytes({ text.pass(UnsafeRawBufferPointer(rebasing: $0[2...])) }), text.isComplete else {
            throw WebSocketFailure(.invalidData, "The reason of a Close frame is not UTF-8.")
        }
        return code
    }

    private func inflated(_ inflater: MessageInflater?) throws(WebSocketFailure) -> [UInt8] {
        guard let inflater else { throw WebSocketFailure(.protocolError, "Nothing may be compressed.") }
        let bytes: [UInt8]
        switch inflater.inflate(self.message, maxBytes: self.maxMessageBytes) {
        case .success(let inflated): bytes = inflated
        case .failure(.tooLong):
            throw WebSocketFailure(.tooBig, "A message is longer than \(self.maxMessageBytes) bytes.")
        case .failure(.malformed): throw WebSocketFailure(.invalidData, "A message does not decompress.")
        }
        var text = TextCheck()
        guard bytes.withUnsafeBytes({ text.pass($0) }), text.isComplete else {
            throw WebSocketFailure(.invalidData, "A message is not UTF-8.")
        }
        return bytes
    }
}
