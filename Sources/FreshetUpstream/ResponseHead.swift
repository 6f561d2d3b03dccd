// The head of a response, line by line as libcurl hands it over, held to what HTTP allows. libcurl is lenient: it takes
// bare line feeds, folded lines, two lengths. Whatever two parsers may read differently is refused here, because the
// difference is where smuggling and cut bodies hide (FAULTS F10, F14, F21, F34, S14).

import FreshetCore
import HTTPFields

/// Reads and checks the head of one response, interim ones before it, and the trailers after it. Performs no I/O.
struct ResponseHead {
    /// Bytes of status lines and fields, over interim responses, the response, and its trailers.
    static let maxBytes = 64 << 10
    /// Fields, over the same.
    static let maxFields = 256
    /// Interim (1xx) responses before the final one; more are a flood.
    static let maxInterim = 8

    /// What a line meant.
    enum Effect: Hashable {
        case none
        /// The head of the final response is complete; a body may follow.
        case complete
    }

    /// How the end of the body is found (RFC 9112 §6.3).
    enum Framing: Hashable {
        /// No body, whatever the fields say: 204 and 304.
        case empty
        case length(Int)
        case chunked
        /// HTTP/2 streams end themselves.
        case stream
        /// With the connection, so that a truncated body cannot be distinguished from a whole one.
        case close
    }

    private enum Phase {
        /// Next: `.fields`.
        case statusLine
        /// Next: `.trailers`, or `.statusLine` after an interim response.
        case fields
        /// Final.
        case trailers
    }

    private(set) var status = 0
    /// 10 for HTTP/1.0, 11, 20, 30.
    private(set) var version = 0
    /// The fields that somebody downstream may read, in their order; all others are checked and dropped.
    private(set) var fields: [HeaderField] = []
    private(set) var contentLength: Int?
    private(set) var isChunked = false
    /// Where `Content-Encoding` is not `identity`.
    private(set) var contentCoding: ContentCoding = .identity
    private(set) var closesConnection = false
    /// Fields that `Connection` names, in lower case: they are not the response's but the connection's.
    private var nominated: [[UInt8]] = []

    /// `lenient_http`: lines may end in LF alone, and white space may stand between a name and its colon.
    let isLenient: Bool
    /// libcurl did not understand the length, for the white space before its colon, and waits for the connection to end:
    /// the transfer must be ended here.
    private(set) var endIsUnknownToCurl = false
    private var phase = Phase.statusLine
    private var bytes = 0
    private var fieldCount = 0
    private var interim = 0

    init(isLenient: Bool = false) {
        self.isLenient = isLenient
    }

    /// The content coding of the body (RFC 9110 §8.4).
    enum ContentCoding: Hashable {
        case identity
        case gzip
        case brotli
        case zstd
        /// One that was not asked for, or several.
        case other
    }

    /// Any byte at all has arrived.
    var hasBegun: Bool { self.bytes > 0 }
    /// The head of the final response has been read.
    var isComplete: Bool { self.phase == .trailers }

    /// The body is the source's value: 200, and 203 where a proxy had a hand in it (RFC 9110 §15.3.4).
    var hasRepresentation: Bool { self.status == 200 || self.status == 203 }

    /// How the body ends; valid once the head is complete.
    var framing: Framing {
        if self.status == 204 || self.status == 304 { return .empty }
        if self.version >= 20 { return .stream }
        if self.isChunked { return .chunked }
        return self.contentLength.map { .length($0) } ?? .close
    }

    /// Takes one line with its line end.
    ///
    /// - Throws: ``UpstreamError`` of kind `headers`, `framing` or `protocol`; the transfer is then of no use.
    mutating func lineReceived(_ line: Span<UInt8>) throws(UpstreamError) -> Effect {
        self.bytes += line.count
        guard self.bytes <= Self.maxBytes else {
            throw UpstreamError(.headers, "more than \(Self.maxBytes >> 10) KiB of header fields")
        }
        let content = try self.contentLength(of: line)
        switch self.phase {
        case .statusLine:
            try self.statusLineReceived(line.extracting(0..<content))
            self.phase = .fields
        case .fields where content == 0:
            return try self.headEnded()
        case .trailers where content == 0:
            break
        case .fields, .trailers:
            try self.fieldReceived(line.extracting(0..<content))
        }
        return .none
    }

    /// The length of the line without its end. A bare LF is refused unless the reader is lenient, and so is any control
    /// character but a tab.
    private func contentLength(of line: Span<UInt8>) throws(UpstreamError) -> Int {
        let endsInCRLF = line.count >= 2 && line[line.count - 1] == 0x0A && line[line.count - 2] == 0x0D
        guard endsInCRLF || (self.isLenient && line.count >= 1 && line[line.count - 1] == 0x0A) else {
            throw UpstreamError(
                .protocol,
                "a line of the response head does not end in CR LF (RFC 9112 §2.2); `lenient_http: true` takes LF alone"
            )
        }
        let content = line.count - (endsInCRLF ? 2 : 1)
        for index in 0..<content where (line[index] < 0x20 && line[index] != 0x09) || line[index] == 0x7F {
            throw UpstreamError(.protocol, "a control character in the response head (RFC 9110 §5.5)")
        }
        return content
    }

    private mutating func headEnded() throws(UpstreamError) -> Effect {
        guard self.status >= 200 else {
            self.interim += 1
            guard self.status != 101 else {
                throw UpstreamError(.protocol, "status 101: the upstream switched protocols without being asked")
            }
            guard self.interim <= Self.maxInterim else {
                throw UpstreamError(.protocol, "more than \(Self.maxInterim) interim (1xx) responses")
            }
            let (bytes, fieldCount, interim) = (self.bytes, self.fieldCount, self.interim)
            self = ResponseHead(isLenient: self.isLenient)
            (self.bytes, self.fieldCount, self.interim) = (bytes, fieldCount, interim)
            return .none
        }
        if self.version < 20, self.isChunked, self.contentLength != nil {
            throw UpstreamError(.framing, "both Content-Length and Transfer-Encoding (RFC 9112 §6.3)")
        }
        if !self.nominated.isEmpty { self.fields.removeAll { self.nominated.contains($0.name) } }
        self.phase = .trailers
        return .complete
    }
}

extension ResponseHead {
    /// `HTTP/1.1 200 OK`, `HTTP/2 200 `; the reason phrase may lack (RFC 9112 §4).
    private mutating func statusLineReceived(_ line: Span<UInt8>) throws(UpstreamError) {
        guard let version = Self.version(of: line) else {
            throw UpstreamError(.protocol, "the response does not begin with an HTTP status line")
        }
        let start = version.length
        guard line.count >= start + 4, line[start] == 0x20, line.count == start + 4 || line[start + 4] == 0x20 else {
            throw UpstreamError(.protocol, "the status line has no three-digit status code")
        }
        var status = 0
        for index in (start + 1)..<(start + 4) {
            guard let digit = line[index].decimalDigit else {
                throw UpstreamError(.protocol, "the status line has no three-digit status code")
            }
            status = status * 10 + digit
        }
        guard status >= 100 else { throw UpstreamError(.protocol, "status codes begin at 100, not \(status)") }
        self.status = status
        self.version = version.number
    }

    private static func version(of line: Span<UInt8>) -> (number: Int, length: Int)? {
        if line.starts(with: "HTTP/1.1") { return (11, 8) }
        if line.starts(with: "HTTP/1.0") { return (10, 8) }
        // libcurl writes these lines itself, from the pseudo-fields.
        if line.starts(with: "HTTP/2 ") { return (20, 6) }
        if line.starts(with: "HTTP/3 ") { return (30, 6) }
        return nil
    }

    private mutating func fieldReceived(_ line: Span<UInt8>) throws(UpstreamError) {
        self.fieldCount += 1
        guard self.fieldCount <= Self.maxFields else {
            throw UpstreamError(.headers, "more than \(Self.maxFields) header fields")
        }
        var nameEnd = 0
        while nameEnd < line.count, line[nameEnd].isTokenCharacter { nameEnd += 1 }
        var colon = nameEnd
        if self.isLenient { while colon < line.count, line[colon].isBlank { colon += 1 } }
        guard nameEnd > 0, colon < line.count, line[colon] == 0x3A else {
            // Also a folded line, which begins with white space.
            let isPadded = nameEnd > 0 && nameEnd < line.count && line[nameEnd].isBlank && !self.isLenient
            throw UpstreamError(
                .protocol,
                "a header field without a valid name (RFC 9112 §5.1)"
                    + (isPadded ? "; `lenient_http: true` takes white space before the colon" : "")
            )
        }
        guard self.phase == .fields, let known = KnownField(line.extracting(0..<nameEnd)) else { return }
        var start = colon + 1
        var end = line.count
        while start < end, line[start].isBlank { start += 1 }
        while end > start, line[end - 1].isBlank { end -= 1 }
        try self.knownFieldReceived(known, line.extracting(start..<end), isPadded: colon > nameEnd)
        if known.isKept {
            let name = line.extracting(0..<nameEnd)
            self.fields.append(HeaderField(name: name.lowercasedBytes, value: line.extracting(start..<end).bytes))
        }
    }

    /// `isPadded`: white space stands before the colon, which libcurl takes for a part of the name.
    private mutating func knownFieldReceived(
        _ field: KnownField,
        _ value: Span<UInt8>,
        isPadded: Bool
    ) throws(UpstreamError) {
        switch field {
        case .contentLength:
            try self.lengthReceived(value)
            if isPadded { self.endIsUnknownToCurl = true }
        case .transferEncoding:
            guard !isPadded else {
                throw UpstreamError(.framing, "white space before the colon of Transfer-Encoding (RFC 9112 §5.1)")
            }
            guard self.version != 10, !self.isChunked, value.lowercasedBytes.elementsEqual("chunked".utf8) else {
                throw UpstreamError(.framing, "Transfer-Encoding is not exactly `chunked` (RFC 9112 §6.1)")
            }
            self.isChunked = true
        case .contentEncoding:
            self.contentCoding = self.contentCoding.combined(withValue: value.lowercasedBytes)
        case .connection:
            for option in value.lowercasedBytes.split(separator: 0x2C) {
                let name = option.filter { !$0.isBlank }
                if name.elementsEqual("close".utf8) { self.closesConnection = true }
                if !name.elementsEqual("keep-alive".utf8) { self.nominated.append(name) }
            }
        case .kept:
            break
        }
    }

    /// A length that is repeated, in one field or in several, has one reading as long as the numbers are equal.
    private mutating func lengthReceived(_ value: Span<UInt8>) throws(UpstreamError) {
        var start = 0
        while start <= value.count {
            var end = start
            while end < value.count, value[end] != 0x2C { end += 1 }
            var (first, last) = (start, end)
            while first < last, value[first].isBlank { first += 1 }
            while last > first, value[last - 1].isBlank { last -= 1 }
            guard let length = value.extracting(first..<last).decimalNumber else {
                throw UpstreamError(.framing, "Content-Length is not a number (RFC 9112 §6.3)")
            }
            guard self.contentLength ?? length == length else {
                throw UpstreamError(.framing, "two Content-Lengths contradict each other (RFC 9112 §6.3)")
            }
            self.contentLength = length
            start = end + 1
        }
    }
}

extension ResponseHead.ContentCoding {
    /// The coding after another field value, a list. As in browsers, a name that names no coding (`UTF-8`, `none`,
    /// `aws-chunked`) means no coding; a coding that was not asked for is refused all the same.
    fileprivate func combined(withValue value: [UInt8]) -> Self {
        value.split(separator: 0x2C).reduce(self) { coding, element in
            let name = Array(element.drop(while: \.isBlank).reversed().drop(while: \.isBlank).reversed())
            guard let next = Self.codings[name] else { return coding }
            return coding == .identity ? next : .other
        }
    }

    /// The codings that there are: IANA's registry, and others that are in use.
    private static let codings: [[UInt8]: Self] = {
        var codings: [[UInt8]: Self] = [:]
        for name in [
            "aes128gcm", "bzip2", "compress", "dcb", "dcz", "deflate", "exi", "lz4", "lzma", "pack200-gzip", "sdch",
            "snappy", "x-bzip2", "x-compress", "x-deflate", "xz", "zlib",
        ] {
            codings[Array(name.utf8)] = .other
        }
        codings[Array("gzip".utf8)] = .gzip
        codings[Array("x-gzip".utf8)] = .gzip
        codings[Array("br".utf8)] = .brotli
        codings[Array("zstd".utf8)] = .zstd
        return codings
    }()
}
