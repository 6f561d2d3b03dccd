// A second opinion on where a body ends. libcurl forgives chunk sizes followed by anything, and drops what follows the
// end of a body without a word; both are how a cut, doubled or smuggled body looks from inside (FAULTS F07, F09, F10).

import FreshetCore

/// Follows the bytes of a body as they stood on the wire, framing included, and remembers the first violation.
struct FramingAudit {
    private enum State {
        case size(value: Int, digits: Int)
        case extensionName(length: Int)
        case extensionValue(length: Int)
        case extensionQuoted(escaped: Bool)
        case extensionQuotedEnd
        case sizeLineFeed(Int)
        case data(Int)
        case dataCarriageReturn
        case dataLineFeed
        case trailerStart
        case trailer
        case trailerLineFeed
        case lastLineFeed
        /// After the end of the body. `matched` counts the bytes that looked like the start of another response.
        case excess(matched: Int)
        /// The body ends with the connection, or the framing was violated. Final.
        case open
    }

    /// Why the framing cannot be trusted; kind `framing`.
    private(set) var violation: PollError?
    /// Bytes of the body on the wire, chunk framing included.
    private(set) var wireBytes = 0

    private var state: State
    private let closesConnection: Bool

    init(_ framing: ResponseHead.Framing, closesConnection: Bool) {
        self.closesConnection = closesConnection
        switch framing {
        case .chunked: self.state = .size(value: 0, digits: 0)
        case .length(0), .empty: self.state = .excess(matched: 0)
        case .length(let length): self.state = .data(length)
        case .stream, .close: self.state = .open
        }
        self.isChunked = framing == .chunked
    }

    private let isChunked: Bool

    /// Takes the next bytes from the wire.
    mutating func received(_ bytes: Span<UInt8>) {
        self.wireBytes += bytes.count
        var index = 0
        while index < bytes.count {
            switch self.state {
            case .open:
                return
            case .data(let left):
                let taken = min(left, bytes.count - index)
                index += taken
                self.state =
                    taken < left ? .data(left - taken) : self.isChunked ? .dataCarriageReturn : .excess(matched: 0)
            case _:
                self.byteReceived(bytes[index])
                index += 1
            }
        }
    }

    private mutating func byteReceived(_ byte: UInt8) {
        switch self.state {
        case .size, .extensionName, .extensionValue, .extensionQuoted, .extensionQuotedEnd, .sizeLineFeed:
            self.sizeLineByteReceived(byte)
        case .dataCarriageReturn: self.expect(0x0D, byte, then: .dataLineFeed)
        case .dataLineFeed: self.expect(0x0A, byte, then: .size(value: 0, digits: 0))
        case .trailerStart: self.state = byte == 0x0D ? .lastLineFeed : .trailer
        case .trailer: if byte == 0x0D { self.state = .trailerLineFeed }
        case .trailerLineFeed: self.expect(0x0A, byte, then: .trailerStart)
        case .lastLineFeed: self.expect(0x0A, byte, then: .excess(matched: 0))
        case .excess(let matched): self.excessByteReceived(byte, matched: matched)
        case .data, .open: break
        }
    }

    /// The size of the chunk being announced, kept over its extensions.
    private var chunkSize = 0

    /// `chunk-size [ *( ";" name [ "=" value ] ) ] CRLF` (RFC 9112 §7.1), without the white space that old servers
    /// may put there and that every parser reads differently.
    private mutating func sizeLineByteReceived(_ byte: UInt8) {
        switch (self.state, byte) {
        case (.size(let value, let digits), _) where byte.hexDigit != nil:
            guard digits < 15 else { return self.fail("a chunk size of more than 15 digits") }
            self.state = .size(value: value << 4 | (byte.hexDigit ?? 0), digits: digits + 1)
        case (.size(let value, 1...), 0x0D), (.size(let value, 1...), 0x3B):
            self.chunkSize = value
            self.state = byte == 0x0D ? .sizeLineFeed(value) : .extensionName(length: 0)
        case (.extensionName(let length), _) where byte.isTokenCharacter:
            self.state = .extensionName(length: length + 1)
        case (.extensionName(1...), 0x3D): self.state = .extensionValue(length: 0)
        case (.extensionValue(0), 0x22): self.state = .extensionQuoted(escaped: false)
        case (.extensionValue(let length), _) where byte.isTokenCharacter:
            self.state = .extensionValue(length: length + 1)
        case (.extensionQuoted(true), _): self.state = .extensionQuoted(escaped: false)
        case (.extensionQuoted(false), 0x5C): self.state = .extensionQuoted(escaped: true)
        case (.extensionQuoted(false), 0x22): self.state = .extensionQuotedEnd
        case (.extensionQuoted(false), _) where byte >= 0x20 || byte == 0x09: break
        case (.extensionName(1...), 0x3B), (.extensionValue(1...), 0x3B), (.extensionQuotedEnd, 0x3B):
            self.state = .extensionName(length: 0)
        case (.extensionName(1...), 0x0D), (.extensionValue(1...), 0x0D), (.extensionQuotedEnd, 0x0D):
            self.state = .sizeLineFeed(self.chunkSize)
        case (.sizeLineFeed(let size), 0x0A): self.state = size == 0 ? .trailerStart : .data(size)
        case _: self.fail("a chunk size line that RFC 9112 §7.1 does not allow")
        }
    }

    /// A server that times an idle connection out may send a response nobody asked for, and it may meet our request:
    /// that is tolerated (libcurl closes the connection). Anything else means that the length was wrong.
    private mutating func excessByteReceived(_ byte: UInt8, matched: Int) {
        guard !self.closesConnection else {
            return self.fail("bytes after the last response of the connection")
        }
        let expected = Array("HTTP/".utf8)
        if matched == 0, byte == 0x0D || byte == 0x0A { return }
        guard matched < expected.count, byte == expected[matched] else {
            return self.fail("the body is longer than its framing says")
        }
        self.state = matched + 1 == expected.count ? .open : .excess(matched: matched + 1)
    }

    private mutating func expect(_ expected: UInt8, _ byte: UInt8, then next: State) {
        guard byte == expected else { return self.fail("chunk data that do not end where their size says") }
        self.state = next
    }

    private mutating func fail(_ message: String) {
        self.violation = PollError(.framing, message)
        self.state = .open
    }
}
