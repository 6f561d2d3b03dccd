/// Reads `text/event-stream` (WHATWG HTML §9.2.6) from bytes that arrive in pieces of any size.
///
/// Feed it with `push`; it hands out each event when its blank line arrives. What the stream ends in the middle of is
/// never handed out. A value without I/O: one owner, any thread.
///
/// It keeps at most `maxLineBytes` of an unfinished line and `maxEventBytes` of an unfinished event.
package struct EventStreamDecoder: Sendable {
    /// The id of the last completed event block that set one: what a reconnect sends as `Last-Event-ID`. Empty: none.
    ///
    /// A block without data sets it too; a block that the end of the stream cut off does not.
    package private(set) var lastEventID: String
    /// The last valid `retry` in milliseconds, or `nil`. More than fits is `Int.max`.
    package private(set) var retryMilliseconds: Int?

    private let maxLineBytes: Int
    private let maxEventBytes: Int
    private var failure: EventStreamDecodingError?

    /// The bytes of a line whose end has not arrived.
    private var line: [UInt8] = []
    /// Whether the stream may still begin with a byte order mark, of which `line` is a prefix.
    private var mayBeginWithMark = true
    /// Whether the last byte was a CR: an LF right after it belongs to the same line end.
    private var followsCarriageReturn = false

    /// The lines of data so far, each followed by an LF.
    private var data: [UInt8] = []
    private var eventType = ""
    private var idOfBlock: String

    /// - Parameters:
    ///   - lastEventID: What an earlier connection of the same subscriber ended with.
    ///   - maxLineBytes: The longest line, without its end; longer ones fail the stream.
    ///   - maxEventBytes: The longest data of one event; longer ones fail the stream.
    package init(lastEventID: String = "", maxLineBytes: Int = 16 << 20, maxEventBytes: Int = 16 << 20) {
        self.lastEventID = lastEventID
        self.idOfBlock = lastEventID
        self.maxLineBytes = maxLineBytes
        self.maxEventBytes = maxEventBytes
    }

    /// Takes the next bytes of the stream and calls `receive` for each event that they complete, in order.
    ///
    /// - Throws: `EventStreamDecodingError`; events before the fault have been received, and every later call throws
    ///   the same error.
    package mutating func push(
        _ bytes: UnsafeRawBufferPointer,
        _ receive: (StreamEvent) -> Void
    ) throws(EventStreamDecodingError) {
        if let failure { throw failure }
        do throws(EventStreamDecodingError) {
            try self.consume(bytes, receive)
        } catch {
            self.failure = error
            self.line = []
            self.data = []
            throw error
        }
    }

    /// Takes the next bytes of the stream and returns the events that they complete.
    ///
    /// - Throws: `EventStreamDecodingError`; events of this piece before the fault are then lost.
    package mutating func push(_ bytes: [UInt8]) throws(EventStreamDecodingError) -> [StreamEvent] {
        var events: [StreamEvent] = []
        try bytes.withUnsafeBufferPointer { (bytes) throws(EventStreamDecodingError) in
            try self.push(UnsafeRawBufferPointer(bytes)) { events.append($0) }
        }
        return events
    }

    private mutating func consume(
        _ bytes: UnsafeRawBufferPointer,
        _ receive: (StreamEvent) -> Void
    ) throws(EventStreamDecodingError) {
        var position = self.skipMark(bytes)
        while position < bytes.count {
            if self.followsCarriageReturn {
                self.followsCarriageReturn = false
                if bytes[position] == Newlines.lineFeed {
                    position &+= 1
                    continue
                }
            }
            guard let end = Newlines.first(in: bytes, from: position) else {
                try self.checkLength(ofLine: bytes.count &- position)
                self.line.append(contentsOf: bytes[position...])
                return
            }
            try self.checkLength(ofLine: end &- position)
            try self.endLine(with: UnsafeRawBufferPointer(rebasing: bytes[position..<end]), receive)
            self.followsCarriageReturn = bytes[end] == Newlines.carriageReturn
            position = end &+ 1
        }
    }

    /// Steps over one byte order mark at the very start of the stream, even one in several pieces, and returns how many
    /// bytes that took. Bytes that only look like the start of one are kept as the start of the first line.
    private mutating func skipMark(_ bytes: UnsafeRawBufferPointer) -> Int {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        var position = 0
        while self.mayBeginWithMark, position < bytes.count {
            guard bytes[position] == mark[self.line.count] else {
                self.mayBeginWithMark = false
                return position
            }
            self.line.append(bytes[position])
            position &+= 1
            if self.line.count == mark.count {
                self.line.removeAll()
                self.mayBeginWithMark = false
            }
        }
        return position
    }

    private func checkLength(ofLine added: Int) throws(EventStreamDecodingError) {
        guard added <= self.maxLineBytes &- self.line.count else {
            throw EventStreamDecodingError(reason: .lineTooLong(limitBytes: self.maxLineBytes))
        }
    }

    /// Processes the line whose last part is `rest`, from where it lies when it came in one piece.
    private mutating func endLine(
        with rest: UnsafeRawBufferPointer,
        _ receive: (StreamEvent) -> Void
    ) throws(EventStreamDecodingError) {
        guard !self.line.isEmpty else { return try self.process(line: rest, receive) }
        var whole: [UInt8] = []
        swap(&whole, &self.line)
        whole.append(contentsOf: rest)
        try whole.withUnsafeBufferPointer { (bytes) throws(EventStreamDecodingError) in
            try self.process(line: UnsafeRawBufferPointer(bytes), receive)
        }
        // The storage serves the next line; a rare huge line does not hold on to it.
        if whole.count <= 64 << 10 {
            whole.removeAll(keepingCapacity: true)
            self.line = whole
        }
    }

    private mutating func process(
        line: UnsafeRawBufferPointer,
        _ receive: (StreamEvent) -> Void
    ) throws(EventStreamDecodingError) {
        if line.isEmpty { return self.dispatch(receive) }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
            return try self.process(field: line, value: UnsafeRawBufferPointer(start: nil, count: 0))
        }
        // A line that starts with a colon is a comment.
        if colon == 0 { return }
        var start = colon &+ 1
        if start < line.count, line[start] == UInt8(ascii: " ") { start &+= 1 }
        try self.process(
            field: UnsafeRawBufferPointer(rebasing: line[..<colon]),
            value: UnsafeRawBufferPointer(rebasing: line[start...])
        )
    }

    /// "Process the field": names are compared byte by byte, unknown ones ignored.
    private mutating func process(
        field: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer
    ) throws(EventStreamDecodingError) {
        if field.elementsEqual("data".utf8) {
            guard value.count <= self.maxEventBytes &- self.data.count else {
                throw EventStreamDecodingError(reason: .eventTooLarge(limitBytes: self.maxEventBytes))
            }
            self.data.append(contentsOf: value)
            self.data.append(Newlines.lineFeed)
        } else if field.elementsEqual("event".utf8) {
            self.eventType = String(decoding: value, as: UTF8.self)
        } else if field.elementsEqual("id".utf8) {
            if !value.contains(0) { self.idOfBlock = String(decoding: value, as: UTF8.self) }
        } else if field.elementsEqual("retry".utf8) {
            if let milliseconds = Self.retry(value) { self.retryMilliseconds = milliseconds }
        }
    }

    /// The value of a `retry` of ASCII digits only, or `nil`.
    private static func retry(_ value: UnsafeRawBufferPointer) -> Int? {
        guard !value.isEmpty else { return nil }
        var milliseconds = 0
        for byte in value {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            let (tens, tooManyTens) = milliseconds.multipliedReportingOverflow(by: 10)
            let (sum, tooMany) = tens.addingReportingOverflow(Int(byte &- UInt8(ascii: "0")))
            milliseconds = tooManyTens || tooMany ? .max : sum
        }
        return milliseconds
    }

    /// "Dispatch the event": an event without a data line is not dispatched, but its id holds.
    private mutating func dispatch(_ receive: (StreamEvent) -> Void) {
        self.lastEventID = self.idOfBlock
        defer { self.eventType = "" }
        guard !self.data.isEmpty else { return }
        var data: [UInt8] = []
        swap(&data, &self.data)
        data.removeLast()
        let type = self.eventType.isEmpty ? "message" : self.eventType
        receive(StreamEvent(type: type, data: data, lastEventID: self.lastEventID))
    }
}

/// Why a stream cannot be read any further.
package struct EventStreamDecodingError: Error, Hashable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        /// A line is longer than `maxLineBytes`.
        case lineTooLong(limitBytes: Int)
        /// The data of one event is longer than `maxEventBytes`.
        case eventTooLarge(limitBytes: Int)
    }

    package var reason: Reason

    package init(reason: Reason) { self.reason = reason }

    package var description: String {
        switch self.reason {
        case .lineTooLong(let limit): "a line of the event stream is longer than \(limit) bytes"
        case .eventTooLarge(let limit): "the data of an event is longer than \(limit) bytes"
        }
    }
}
