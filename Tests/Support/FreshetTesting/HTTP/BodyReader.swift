/// Takes the body of one HTTP/1 message from a stream (RFC 9112 §6, §7.1), and says when it is whole.
///
/// Strict on purpose: a chunk that is framed a little wrong is an error, not something to be read kindly.
struct BodyReader: Sendable {
    enum Framing: Hashable, Sendable {
        case length(Int)
        case chunked
        /// The end of the connection is the end of the body.
        case untilClose
    }

    private enum State: Sendable {
        /// `left` bytes to go. Next: `.done`.
        case length(left: Int)
        /// Before a chunk's size. Next: `.chunk`, or `.trailers` after the last one.
        case chunkSize
        /// Within a chunk. Next: `.chunkEnd`.
        case chunk(left: Int)
        /// Before the line end after a chunk. Next: `.chunkSize`.
        case chunkEnd
        /// Before a trailer, or the blank line. Next: `.done`.
        case trailers
        /// Next: `.done`, when the connection ends.
        case untilClose
        /// Final.
        case done
    }

    private var state: State
    /// How many chunks have begun, the last one not counted.
    private(set) var chunks = 0

    init(_ framing: Framing) {
        switch framing {
        case .length(0): self.state = .done
        case .length(let bytes): self.state = .length(left: bytes)
        case .chunked: self.state = .chunkSize
        case .untilClose: self.state = .untilClose
        }
    }

    var isDone: Bool { if case .done = self.state { true } else { false } }

    /// Takes all that belongs to the body from the front of `buffer` and returns its content.
    mutating func take(from buffer: inout ByteBuffer) throws -> [UInt8] {
        var content: [UInt8] = []
        while try self.step(&buffer, &content) {}
        return content
    }

    /// The connection has ended. Throws when the body is not whole.
    mutating func streamEnded() throws {
        switch self.state {
        case .untilClose, .done: self.state = .done
        case .length(let left): throw TestingError(.connectionEnded, "the body lacks \(left) bytes")
        case .chunkSize, .chunk, .chunkEnd, .trailers: throw TestingError(.connectionEnded, "the last chunk is missing")
        }
    }

    /// Makes one step and returns whether another is worth a try.
    private mutating func step(_ buffer: inout ByteBuffer, _ content: inout [UInt8]) throws -> Bool {
        switch self.state {
        case .done:
            return false
        case .untilClose:
            content += buffer.take(buffer.count)
            return false
        case .length(let left):
            let piece = buffer.take(min(left, buffer.count))
            content += piece
            self.state = piece.count == left ? .done : .length(left: left - piece.count)
            return false
        case .chunk(let left):
            let piece = buffer.take(min(left, buffer.count))
            content += piece
            self.state = piece.count == left ? .chunkEnd : .chunk(left: left - piece.count)
            return piece.count == left
        case .chunkSize:
            guard let line = try buffer.takeLine() else { return false }
            let size = try Self.size(line)
            self.chunks += size == 0 ? 0 : 1
            self.state = size == 0 ? .trailers : .chunk(left: size)
        case .chunkEnd:
            guard buffer.count >= 2 else { return false }
            guard buffer.take(2) == [0x0D, 0x0A] else { throw TestingError(.malformed, "a chunk longer than its size") }
            self.state = .chunkSize
        case .trailers:
            guard let line = try buffer.takeLine() else { return false }
            if line.isEmpty { self.state = .done }
        }
        return true
    }

    /// The size that a chunk's first line states: hexadecimal digits, then perhaps extensions.
    private static func size(_ line: [UInt8]) throws -> Int {
        let text = String(decoding: line.prefix { $0 != UInt8(ascii: ";") }, as: UTF8.self)
        guard let size = Int(text, radix: 16), size >= 0, text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") }) else {
            throw TestingError(.malformed, "no chunk size: \(String(decoding: line.prefix(64), as: UTF8.self))")
        }
        return size
    }
}
