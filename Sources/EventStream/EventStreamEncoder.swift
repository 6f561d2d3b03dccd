/// Writes `text/event-stream` (WHATWG HTML §9.2.5) as bytes at the end of a buffer.
///
/// Whatever it is given, it writes exactly one event and no field that was not asked for: `data` and comments are split
/// at every line end, `id` and `event` have closed alphabets and are refused outside them, never repaired. All functions
/// are pure and may be called from any thread.
package enum EventStreamEncoder {
    /// The longest `id` or `event` value in bytes.
    ///
    /// Browsers ask for permission (a CORS preflight) before they reconnect with a `Last-Event-ID` over 128 bytes.
    package static let maxNameBytes = 64

    /// Appends a whole event: `retry`, `id`, `event` where given, the data, and the blank line.
    ///
    /// - Parameters:
    ///   - id: The value that a client returns in `Last-Event-ID`. See `isValidID(_:)`.
    ///   - event: The event's type. See `isValidEventName(_:)`.
    ///   - data: UTF-8 text of any content, empty included; see `appendData(_:to:)`.
    ///   - retryMilliseconds: The delay before a reconnect.
    ///   - buffer: Where the bytes go; unchanged when the event is refused.
    /// - Throws: `EventStreamEncodingError` for an `id` or `event` outside its alphabet.
    package static func append(
        id: String? = nil,
        event: String? = nil,
        data: [UInt8],
        retryMilliseconds: Int? = nil,
        to buffer: inout [UInt8]
    ) throws(EventStreamEncodingError) {
        let start = buffer.count
        do throws(EventStreamEncodingError) {
            if let retryMilliseconds { appendRetry(milliseconds: retryMilliseconds, to: &buffer) }
            if let id { try appendID(id, to: &buffer) }
            if let event { try appendEventName(event, to: &buffer) }
        } catch {
            buffer.removeSubrange(start...)
            throw error
        }
        appendData(data, to: &buffer)
        endEvent(to: &buffer)
    }

    /// Appends an `id` field.
    ///
    /// - Throws: `EventStreamEncodingError` when `isValidID(_:)` is false; the buffer is then unchanged.
    package static func appendID(_ id: String, to buffer: inout [UInt8]) throws(EventStreamEncodingError) {
        guard isValidID(id) else { throw EventStreamEncodingError(reason: .idOutsideAlphabet) }
        appendField("id: ", value: id, to: &buffer)
    }

    /// Appends an `event` field.
    ///
    /// - Throws: `EventStreamEncodingError` when `isValidEventName(_:)` is false; the buffer is then unchanged.
    package static func appendEventName(_ name: String, to buffer: inout [UInt8]) throws(EventStreamEncodingError) {
        guard isValidEventName(name) else { throw EventStreamEncodingError(reason: .eventNameOutsideAlphabet) }
        appendField("event: ", value: name, to: &buffer)
    }

    /// Appends a `retry` field; a negative delay is written as 0.
    package static func appendRetry(milliseconds: Int, to buffer: inout [UInt8]) {
        appendField("retry: ", value: String(max(0, milliseconds)), to: &buffer)
    }

    /// Appends `bytes` as one `data` field per line; CRLF, LF and CR each end a line.
    ///
    /// A client joins the lines with LF. Bytes that are not UTF-8 are passed on as they are: a client replaces them.
    package static func appendData(_ bytes: UnsafeRawBufferPointer, to buffer: inout [UInt8]) {
        appendLines(bytes, prefix: "data: ", to: &buffer)
    }

    /// Appends `bytes` as one `data` field per line; CRLF, LF and CR each end a line.
    package static func appendData(_ bytes: [UInt8], to buffer: inout [UInt8]) {
        bytes.withUnsafeBytes { appendData($0, to: &buffer) }
    }

    /// Appends one `data` field whose value `write` appends: text that the caller knows to hold no line end, as JSON
    /// without white space does.
    ///
    /// Debug builds stop when that is not so; others split the data as `appendData(_:to:)` does, so that a line end
    /// can never become a field of its own.
    ///
    /// - Returns: Where the value stands in the buffer.
    package static func appendSingleLineData(
        to buffer: inout [UInt8],
        _ write: (inout [UInt8]) -> Void
    ) -> Range<Int> {
        let start = buffer.count
        buffer.append(contentsOf: "data: ".utf8)
        let value = buffer.count
        write(&buffer)
        guard buffer.withUnsafeBytes({ Newlines.first(in: $0, from: value) }) == nil else {
            assertionFailure("EventStreamEncoder.appendSingleLineData(to:_:) was given several lines")
            let lines = Array(buffer[value...])
            buffer.removeSubrange(start...)
            appendData(lines, to: &buffer)
            return value..<buffer.count
        }
        buffer.append(Newlines.lineFeed)
        return value..<(buffer.count - 1)
    }

    /// Whether a text may be the value of one `data` field as it is.
    package static func isSingleLine(_ text: [UInt8]) -> Bool {
        text.withUnsafeBytes { Newlines.first(in: $0, from: 0) } == nil
    }

    /// Appends a comment, which clients ignore: one comment line per line of `text`.
    package static func appendComment(_ text: StaticString, to buffer: inout [UInt8]) {
        text.withUTF8Buffer { appendLines(UnsafeRawBufferPointer($0), prefix: ": ", to: &buffer) }
    }

    /// Appends the blank line that lets a client dispatch the event.
    package static func endEvent(to buffer: inout [UInt8]) {
        buffer.append(Newlines.lineFeed)
    }

    /// Whether `id` may be an event's id: 1 to 64 of `[A-Za-z0-9._-]`.
    ///
    /// Bytes outside it, such as `: < {`, make browsers preflight the reconnect; a NUL makes clients ignore the id.
    package static func isValidID(_ id: String) -> Bool {
        isValid(id) { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
            case UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
            default: false
            }
        }
    }

    /// Whether `name` may be an event's type: 1 to 64 lower-case ASCII letters, digits, `-` and `.`.
    package static func isValidEventName(_ name: String) -> Bool {
        isValid(name) { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "."), UInt8(ascii: "-"): true
            default: false
            }
        }
    }

    private static func isValid(_ value: String, alphabet: (UInt8) -> Bool) -> Bool {
        let bytes = value.utf8
        return !bytes.isEmpty && bytes.count <= maxNameBytes && bytes.allSatisfy(alphabet)
    }

    /// Appends a field whose value is already known to hold no line end.
    private static func appendField(_ prefix: String, value: String, to buffer: inout [UInt8]) {
        buffer.append(contentsOf: prefix.utf8)
        buffer.append(contentsOf: value.utf8)
        buffer.append(Newlines.lineFeed)
    }

    /// Appends each line of `bytes` behind `prefix`. Text that ends in a line end has an empty last line, which counts.
    private static func appendLines(_ bytes: UnsafeRawBufferPointer, prefix: String, to buffer: inout [UInt8]) {
        buffer.reserveCapacityForAppending(bytes.count &+ 7)
        var start = 0
        while let end = Newlines.first(in: bytes, from: start) {
            appendLine(bytes[start..<end], prefix: prefix, to: &buffer)
            let isPair =
                bytes[end] == Newlines.carriageReturn && end &+ 1 < bytes.count && bytes[end &+ 1] == Newlines.lineFeed
            start = end &+ (isPair ? 2 : 1)
        }
        appendLine(bytes[start...], prefix: prefix, to: &buffer)
    }

    private static func appendLine(_ line: Slice<UnsafeRawBufferPointer>, prefix: String, to buffer: inout [UInt8]) {
        buffer.append(contentsOf: prefix.utf8)
        buffer.append(contentsOf: line)
        buffer.append(Newlines.lineFeed)
    }
}

/// Why a field was not written.
package struct EventStreamEncodingError: Error, Hashable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        /// An `id` is 1 to 64 of `[A-Za-z0-9._-]`.
        case idOutsideAlphabet
        /// An `event` is 1 to 64 lower-case letters, digits, `-` and `.`.
        case eventNameOutsideAlphabet
    }

    package var reason: Reason

    package init(reason: Reason) { self.reason = reason }

    package var description: String {
        switch self.reason {
        case .idOutsideAlphabet: "an event id must be 1 to 64 of A-Z a-z 0-9 . _ -"
        case .eventNameOutsideAlphabet: "an event name must be 1 to 64 of a-z 0-9 . -"
        }
    }
}

extension [UInt8] {
    /// Makes room for `count` more bytes, growing at least twofold so that many small appends stay linear.
    fileprivate mutating func reserveCapacityForAppending(_ count: Int) {
        let needed = self.count &+ count
        if needed > self.capacity { self.reserveCapacity(Swift.max(needed, self.capacity &* 2)) }
    }
}
