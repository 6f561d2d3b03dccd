/// The start line and header of a request.
package struct RequestHead: Hashable, Sendable {
    package var method: String
    /// The request target as it was sent: path and query.
    package var target: String
    /// `HTTP/1.1` or `HTTP/1.0`.
    package var version: String
    package var headers: HeaderFields
}

/// The start line and header of a response.
package struct ResponseHead: Hashable, Sendable {
    package var version: String
    package var status: Int
    package var reason: String
    package var headers: HeaderFields
}

/// The lines of a message up to the blank one, taken from the front of a buffer.
struct MessageHead {
    var startLine: String
    var headers: HeaderFields

    /// Takes a whole head from the front of `buffer`, or `nil` when its end has not come. `limitBytes` bounds it.
    ///
    /// Lines end in CRLF and nothing else: what the program under test sends has to be right.
    static func take(from buffer: inout ByteBuffer, limitBytes: Int = 256 << 10) throws -> MessageHead? {
        guard let end = buffer.firstBlankLine else {
            guard buffer.count <= limitBytes else { throw TestingError(.malformed, "a head over \(limitBytes) bytes") }
            return nil
        }
        var lines = try buffer.take(end).split(separator: 0x0A, omittingEmptySubsequences: false).dropLast(2)
            .map { line -> ArraySlice<UInt8> in
                guard line.last == 0x0D else { throw TestingError(.malformed, "a line that ends in LF alone") }
                return line.dropLast()
            }
        guard !lines.isEmpty else { throw TestingError(.malformed, "a message without a start line") }
        let startLine = String(decoding: lines.removeFirst(), as: UTF8.self)
        var headers = HeaderFields()
        for line in lines {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex else {
                throw TestingError(.malformed, "no field: \(String(decoding: line, as: UTF8.self))")
            }
            let isSpace: (UInt8) -> Bool = { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            var value = line[(colon + 1)...].drop(while: isSpace)
            while let last = value.last, isSpace(last) { value = value.dropLast() }
            headers.append(String(decoding: line[..<colon], as: UTF8.self), bytes: [UInt8](value))
        }
        return MessageHead(startLine: startLine, headers: headers)
    }
}

/// Bytes that were received and not yet understood.
struct ByteBuffer: Sendable {
    private var bytes: [UInt8] = []
    private var start = 0
    /// Up to here no blank line was found, so that a head that comes byte by byte is not searched again and again.
    private var searched = 0

    var count: Int { self.bytes.count - self.start }
    var isEmpty: Bool { self.count == 0 }
    var first: UInt8? { self.isEmpty ? nil : self.bytes[self.start] }

    mutating func append(_ more: [UInt8]) { self.bytes += more }

    /// Removes and returns the first `count` bytes, which must be there.
    mutating func take(_ count: Int) -> [UInt8] {
        let taken = [UInt8](self.bytes[self.start..<(self.start + count)])
        self.start += count
        if self.start == self.bytes.count || self.start > 1 << 20 {
            self.bytes.removeFirst(self.start)
            self.start = 0
        }
        self.searched = self.start
        return taken
    }

    /// Removes and returns the bytes up to and without the next CRLF, or `nil` when none has come.
    mutating func takeLine(limitBytes: Int = 16 << 10) throws -> [UInt8]? {
        guard let end = self.bytes[self.start...].firstIndex(of: 0x0A) else {
            guard self.count <= limitBytes else { throw TestingError(.malformed, "a line over \(limitBytes) bytes") }
            return nil
        }
        let line = self.take(end - self.start + 1)
        guard line.suffix(2) == [0x0D, 0x0A] else { throw TestingError(.malformed, "a line that ends in LF alone") }
        return line.dropLast(2)
    }

    /// How many bytes a head takes, its blank line included.
    fileprivate var firstBlankLine: Int? {
        mutating get {
            var position = max(self.start, self.searched - 3)
            defer { self.searched = self.bytes.count }
            while let end = self.bytes[position...].firstIndex(of: 0x0A) {
                if self.bytes[self.start...end].suffix(4) == [0x0D, 0x0A, 0x0D, 0x0A] { return end - self.start + 1 }
                position = end + 1
            }
            return nil
        }
    }
}
