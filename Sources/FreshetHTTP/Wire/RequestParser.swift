// Takes requests off a connection, byte by byte if need be. Strict, because two readers of one message that disagree
// about where it ends are all that request smuggling needs: what is not plainly right ends the connection.

import NIOCore

/// An incremental reader of HTTP/1.1 and HTTP/1.0 requests (RFC 9112). Performs no I/O and reads no clock.
///
/// Each line is judged when it ends, so that nonsense is answered at once and not at the deadline. No byte is looked
/// at twice for a line's end, however the bytes drip in.
struct RequestParser {
    struct Limits: Hashable, Sendable {
        /// Of the request target.
        var maxTargetBytes = 8 << 10
        /// Of all header lines together, and of all trailer lines.
        var maxFieldBytes = 16 << 10
        var maxFields = 100
    }

    /// What one call of ``next(_:)`` came to.
    enum Step {
        /// Everything was consumed that could be.
        case needsMore
        /// A head is complete. Its body comes with a later call; ``bodyLimit`` may be set before.
        case head(RequestHead)
        /// The request of the last head is complete; the next one may begin.
        case end(body: ByteBuffer)
        /// Answer with this and close: what follows cannot be parsed any more.
        case failed(Problem)
    }

    private enum State {
        /// Next: `.fields`. `skipped` empty lines came before (RFC 9112 §2.2).
        case line(skipped: Int)
        /// Next: `.body`, `.chunkSize` or `.end`, with the head.
        case fields(RequestHead.Line)
        /// So many bytes are missing. Next: `.end`.
        case body(missing: Int)
        /// Next: `.chunk`, or `.trailers` after the last.
        case chunkSize
        /// So many bytes are missing. Next: `.chunkEnd`.
        case chunk(missing: Int)
        /// The CRLF behind a chunk. Next: `.chunkSize`.
        case chunkEnd
        /// Next: `.end`.
        case trailers
        /// Next: `.line`.
        case end
        /// Final.
        case failed
    }

    /// How many bytes of body the receiver takes; beyond it the request fails with 413.
    var bodyLimit: Int

    private let limits: Limits
    private var state = State.line(skipped: 0)
    /// Bytes of the current line in which no end was found.
    private var scanned = 0
    private var fields: [RequestHead.Field] = []
    private var fieldBytes = 0
    private var body = ByteBuffer()

    /// The most empty lines that are passed over before a request.
    private static let maxEmptyLines = 2
    /// The longest chunk-size line, extensions included.
    private static let maxChunkLineBytes = 256

    init(limits: Limits, bodyLimit: Int) {
        self.limits = limits
        self.bodyLimit = bodyLimit
    }

    /// Whether a request has begun and is not complete.
    var isInsideMessage: Bool {
        switch self.state {
        case .line: self.scanned > 0
        case .fields, .body, .chunkSize, .chunk, .chunkEnd, .trailers, .end: true
        case .failed: false
        }
    }

    /// Takes the next step, consuming what it used.
    mutating func next(_ buffer: inout ByteBuffer) -> Step {
        do {
            return try self.step(&buffer)
        } catch {
            self.state = .failed
            return .failed(error)
        }
    }

    private mutating func step(_ buffer: inout ByteBuffer) throws(Problem) -> Step {
        while true {
            switch self.state {
            case .line(let skipped):
                guard let line = try self.requestLine(&buffer) else { return .needsMore }
                guard !line.isEmpty else {
                    guard skipped < Self.maxEmptyLines else { throw .malformed("There is no request line.") }
                    self.state = .line(skipped: skipped + 1)
                    continue
                }
                self.state = .fields(try RequestHead.line(line, maxTargetBytes: self.limits.maxTargetBytes))
            case .fields(let line):
                guard try self.fieldLines(&buffer) else { return .needsMore }
                let head = try RequestHead(line, fields: self.takeFields())
                self.begin(head)
                return .head(head)
            case .body(let missing):
                let count = self.takeBody(&buffer, upTo: missing)
                guard count == missing else {
                    self.state = .body(missing: missing - count)
                    return .needsMore
                }
                self.state = .end
            case .chunkSize:
                guard let line = try self.chunkLine(&buffer) else { return .needsMore }
                try self.beginChunk(ChunkedBody.size(line))
            case .chunk(let missing):
                let count = self.takeBody(&buffer, upTo: missing)
                self.state = count == missing ? .chunkEnd : .chunk(missing: missing - count)
                guard count == missing else { return .needsMore }
            case .chunkEnd:
                guard let line = try self.takeLine(&buffer, limit: 0, tooLong: .chunkTooLong) else { return .needsMore }
                guard line.isEmpty else { throw .chunkTooLong }
                self.state = .chunkSize
            case .trailers:
                guard try self.fieldLines(&buffer) else { return .needsMore }
                try ChunkedBody.checkTrailers(self.takeFields())
                self.state = .end
            case .end:
                self.state = .line(skipped: 0)
                defer { self.body = ByteBuffer() }
                return .end(body: self.body)
            case .failed:
                return .needsMore
            }
        }
    }

    private mutating func requestLine(_ buffer: inout ByteBuffer) throws(Problem) -> [UInt8]? {
        // The target has a limit of its own; the method and the version have room beside it.
        let limit = self.limits.maxTargetBytes + RequestHead.maxMethodBytes + 16
        return try self.takeLine(&buffer, limit: limit, tooLong: .targetTooLong(limit: self.limits.maxTargetBytes))
    }

    /// - Returns: Whether the empty line has come.
    private mutating func fieldLines(_ buffer: inout ByteBuffer) throws(Problem) -> Bool {
        while true {
            let left = self.limits.maxFieldBytes - self.fieldBytes
            let problem = Problem.fieldsTooLarge(bytes: self.limits.maxFieldBytes, count: self.limits.maxFields)
            guard let line = try self.takeLine(&buffer, limit: left, tooLong: problem) else { return false }
            guard !line.isEmpty else { return true }
            guard self.fields.count < self.limits.maxFields else { throw problem }
            self.fieldBytes += line.count
            self.fields.append(try RequestHead.field(line))
        }
    }

    private mutating func takeFields() -> [RequestHead.Field] {
        defer {
            self.fields = []
            self.fieldBytes = 0
        }
        return self.fields
    }

    private mutating func begin(_ head: RequestHead) {
        switch head.framing {
        case .none: self.state = .end
        case .length(let length): self.state = .body(missing: length)
        case .chunked: self.state = .chunkSize
        }
    }

    private mutating func chunkLine(_ buffer: inout ByteBuffer) throws(Problem) -> [UInt8]? {
        try self.takeLine(
            &buffer,
            limit: Self.maxChunkLineBytes,
            tooLong: .malformed("A chunk's size line is too long.")
        )
    }

    private mutating func beginChunk(_ size: Int) throws(Problem) {
        guard size > 0 else {
            self.state = .trailers
            return
        }
        guard size <= self.bodyLimit - self.body.readableBytes else { throw .bodyTooLarge(limit: self.bodyLimit) }
        self.state = .chunk(missing: size)
    }

    private mutating func takeBody(_ buffer: inout ByteBuffer, upTo missing: Int) -> Int {
        guard var part = buffer.readSlice(length: min(missing, buffer.readableBytes)) else { return 0 }
        return self.body.writeBuffer(&part)
    }

    /// Takes a line off, without its CRLF; `nil` where its end has not come.
    private mutating func takeLine(
        _ buffer: inout ByteBuffer,
        limit: Int,
        tooLong: Problem
    ) throws(Problem) -> [UInt8]? {
        let view = buffer.readableBytesView
        var index = self.scanned
        while index < view.count {
            let byte = view[view.startIndex + index]
            if byte == 0x0A { throw .malformed("A line ends with a bare line feed.") }
            if byte == 0x0D { break }
            index += 1
        }
        guard index <= limit else { throw tooLong }
        self.scanned = index
        guard index + 1 < view.count else { return nil }
        guard view[view.startIndex + index + 1] == 0x0A else {
            throw .malformed("The request contains a bare carriage return.")
        }
        self.scanned = 0
        let line = buffer.readBytes(length: index)
        buffer.moveReaderIndex(forwardBy: 2)
        return line
    }
}

extension RequestParser {
    /// Whether this head's body may come: its length is known and over ``bodyLimit``, so 413 goes out before a byte
    /// of it is read.
    func refusal(of head: RequestHead) -> Problem? {
        guard case .length(let length) = head.framing, length > self.bodyLimit else { return nil }
        return .bodyTooLarge(limit: self.bodyLimit)
    }
}
