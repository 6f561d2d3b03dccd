// A second opinion on where a body ends. libcurl forgives chunk sizes followed by anything, and drops what follows the
// end of a body without a word; both are how a cut, doubled or smuggled body looks from inside (FAULTS F07, F09, F10).

import FreshetCore
import HTTPFields

/// Follows the bytes of a body as they stood on the wire, framing included, and remembers the first violation.
struct FramingAudit {
    private enum State {
        /// `digits` counts without leading zeros, of which old servers write many; `isBlank`: not one digit was read.
        case size(value: Int, digits: Int, isBlank: Bool)
        /// White space after a size, with which some servers pad it, or after a part of an extension (`BWS`).
        case sizePadding
        case extensionName(length: Int)
        case extensionNamePadding
        case extensionValue(length: Int)
        case extensionQuoted(escaped: Bool)
        case extensionEnd
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
    private(set) var violation: UpstreamError?
    /// Bytes of the body on the wire, chunk framing included.
    private(set) var wireBytes = 0

    private var state: State
    private let closesConnection: Bool
    private let isLenient: Bool

    /// `isLenient`: lines may end in LF alone.
    init(_ framing: ResponseHead.Framing, closesConnection: Bool, isLenient: Bool = false) {
        self.closesConnection = closesConnection
        self.isLenient = isLenient
        switch framing {
        case .chunked: self.state = Self.sizeStart
        case .length(0), .empty: self.state = .excess(matched: 0)
        case .length(let length): self.state = .data(length)
        case .stream, .close: self.state = .open
        }
        self.isChunked = framing == .chunked
    }

    private let isChunked: Bool
    private static let sizeStart = State.size(value: 0, digits: 0, isBlank: true)

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
        case .size, .sizePadding, .extensionName, .extensionNamePadding, .extensionValue, .extensionQuoted,
            .extensionEnd, .sizeLineFeed:
            self.sizeLineByteReceived(byte)
        case .dataCarriageReturn where self.isLenient && byte == 0x0A: self.state = Self.sizeStart
        case .dataCarriageReturn: self.expect(0x0D, byte, then: .dataLineFeed)
        case .dataLineFeed: self.expect(0x0A, byte, then: Self.sizeStart)
        case .trailerStart where self.isLenient && byte == 0x0A: self.state = .excess(matched: 0)
        case .trailerStart: self.state = byte == 0x0D ? .lastLineFeed : .trailer
        case .trailer where self.isLenient && byte == 0x0A: self.state = .trailerStart
        case .trailer: if byte == 0x0D { self.state = .trailerLineFeed }
        case .trailerLineFeed: self.expect(0x0A, byte, then: .trailerStart)
        case .lastLineFeed: self.expect(0x0A, byte, then: .excess(matched: 0))
        case .excess(let matched): self.excessByteReceived(byte, matched: matched)
        case .data, .open: break
        }
    }

    /// The size of the chunk being announced, kept over its extensions.
    private var chunkSize = 0

    /// `chunk-size *( BWS ";" BWS name [ BWS "=" BWS value ] ) CRLF` (RFC 9112 §7.1), and the white space with which some
    /// servers pad a size: it has one reading.
    private mutating func sizeLineByteReceived(_ byte: UInt8) {
        switch (self.state, byte) {
        case (.size(let value, let digits, _), _) where byte.hexDigit != nil:
            guard digits < 15 else { return self.fail("a chunk size of more than 15 digits") }
            let sum = value << 4 | (byte.hexDigit ?? 0)
            self.state = .size(value: sum, digits: sum == 0 ? 0 : digits + 1, isBlank: false)
        case (.size(let value, _, false), _):
            self.chunkSize = value
            self.sizePartEnded(byte, padding: .sizePadding)
        case (.sizePadding, _): self.sizePartEnded(byte, padding: .sizePadding)
        case (.extensionName(let length), _) where byte.isTokenCharacter:
            self.state = .extensionName(length: length + 1)
        case (.extensionName(0), _) where byte.isBlank: break
        case (.extensionName(1...), 0x3D), (.extensionNamePadding, 0x3D): self.state = .extensionValue(length: 0)
        case (.extensionName(1...), _), (.extensionNamePadding, _):
            self.sizePartEnded(byte, padding: .extensionNamePadding)
        case (.extensionValue(0), 0x22): self.state = .extensionQuoted(escaped: false)
        case (.extensionValue(0), _) where byte.isBlank: break
        case (.extensionValue(let length), _) where byte.isTokenCharacter:
            self.state = .extensionValue(length: length + 1)
        case (.extensionValue(1...), _), (.extensionEnd, _): self.sizePartEnded(byte, padding: .extensionEnd)
        case (.extensionQuoted(true), _): self.state = .extensionQuoted(escaped: false)
        case (.extensionQuoted(false), 0x5C): self.state = .extensionQuoted(escaped: true)
        case (.extensionQuoted(false), 0x22): self.state = .extensionEnd
        case (.extensionQuoted(false), _) where byte >= 0x20 || byte == 0x09: break
        case (.sizeLineFeed(let size), 0x0A): self.state = size == 0 ? .trailerStart : .data(size)
        case _: self.failSizeLine()
        }
    }

    /// The byte after a size, a name or a value: white space, the next extension, or the end of the line.
    private mutating func sizePartEnded(_ byte: UInt8, padding: State) {
        switch byte {
        case _ where byte.isBlank: self.state = padding
        case 0x3B: self.state = .extensionName(length: 0)
        case 0x0D: self.state = .sizeLineFeed(self.chunkSize)
        case 0x0A where self.isLenient: self.state = self.chunkSize == 0 ? .trailerStart : .data(self.chunkSize)
        case _: self.failSizeLine()
        }
    }

    private mutating func failSizeLine() {
        self.fail("a chunk size line that RFC 9112 §7.1 does not allow")
    }

    /// A server that times an idle connection out may send an unsolicited response, and it may meet our request:
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
        self.violation = UpstreamError(.framing, message)
        self.state = .open
    }
}
