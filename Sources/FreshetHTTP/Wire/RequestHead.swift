// The start of a request: its line and its fields, read by the grammar of RFC 9112 and by nothing more lenient.

import HTTPFields

/// One request as far as its empty line. Every byte of it came from a client and fits the grammar; nothing is decoded.
struct RequestHead: Hashable, Sendable {
    enum Version: Hashable, Sendable {
        case http10
        case http11
    }

    /// How the body is delimited (RFC 9112 §6).
    enum Framing: Hashable, Sendable {
        case none
        case length(Int)
        case chunked
    }

    /// A field. The name is in lower case; the value has no surrounding white space.
    struct Field: Hashable, Sendable {
        var name: String
        var value: String
    }

    /// A token, as sent: methods are case-sensitive (RFC 9110 §9.1).
    var method: String
    /// Begins with `/`, or is `*`. Percent-encoded as it came, without the query.
    var path: String
    /// What follows the first `?`; empty if absent.
    var query: String
    /// Of the absolute form, else of `Host`; `nil` where an HTTP/1.0 client named none.
    var authority: String?
    var version: Version
    var fields: [Field]
    var framing: Framing
    /// Whether the client expects another answer on this connection (RFC 9112 §9.3).
    var keepsAlive: Bool
    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    var expectsContinue: Bool
    /// The extended CONNECT of HTTP/2 for a WebSocket (RFC 8441), read as the GET that HTTP/1.1 has for it.
    var isTunnel = false

    /// The values of a field, in order; several lines are several values.
    func values(of name: String) -> [String] {
        self.fields.compactMap { $0.name == name ? $0.value : nil }
    }

    /// The value of a field; of several lines, all of them joined with commas (RFC 9110 §5.3).
    func value(of name: String) -> String? {
        var joined: String?
        for field in self.fields where field.name == name {
            joined = joined.map { "\($0), \(field.value)" } ?? field.value
        }
        return joined
    }
}

extension RequestHead {
    /// The three parts of a request line (RFC 9112 §3).
    struct Line: Hashable {
        var method: String
        var path: String
        var query: String
        /// Only from the absolute form.
        var authority: String?
        var version: Version
    }

    /// The longest method that is looked at.
    static let maxMethodBytes = 32

    /// Reads `method SP request-target SP HTTP-version`.
    static func line(_ bytes: [UInt8], maxTargetBytes: Int) throws(Problem) -> Line {
        let parts = bytes.split(separator: UInt8(ascii: " "), maxSplits: 3, omittingEmptySubsequences: false)
        guard let method = parts.first, method.isToken, method.count <= Self.maxMethodBytes,
            let first = method.first, first.isLetter
        else { throw .malformed("The request line does not begin with a method.") }
        guard parts.count == 3 else {
            throw .malformed("The request line is not a method, a target and a version, one space between them.")
        }
        guard parts[1].count <= maxTargetBytes else { throw .targetTooLong(limit: maxTargetBytes) }
        let version = try Self.version(parts[2])
        let target = try Self.target(parts[1], method: method)
        return Line(
            method: String(decoding: method, as: UTF8.self),
            path: target.path,
            query: target.query,
            authority: target.authority,
            version: version
        )
    }

    /// `uri-host [ ":" port ]` as far as its characters go (RFC 3986 §3.2); empty is allowed (RFC 9110 §7.2).
    static func isHost(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "="), UInt8(ascii: "("),
                UInt8(ascii: ")"), UInt8(ascii: ";"):
                true
            case UInt8(ascii: "#"), UInt8(ascii: "^"), UInt8(ascii: "`"), UInt8(ascii: "|"):
                false
            case _:
                byte.isTokenCharacter
            }
        }
    }

    private static func version(_ bytes: ArraySlice<UInt8>) throws(Problem) -> Version {
        if bytes.elementsEqual("HTTP/1.1".utf8) { return .http11 }
        if bytes.elementsEqual("HTTP/1.0".utf8) { return .http10 }
        guard bytes.starts(with: "HTTP/".utf8), bytes.count > 5, bytes[bytes.startIndex + 5].isDigit else {
            throw .malformed("The request line does not end with a version of HTTP.")
        }
        throw Problem(505, "http_version", "Only HTTP/1.1 and HTTP/1.0 are supported.")
    }

    /// Reads the target (RFC 9112 §3.2): origin form, absolute form, or `*` for OPTIONS.
    private static func target(
        _ bytes: ArraySlice<UInt8>,
        method: ArraySlice<UInt8>
    ) throws(Problem) -> (path: String, query: String, authority: String?) {
        // A fragment never goes over the wire; controls, spaces and DEL are no part of any target.
        guard bytes.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "#") }) else {
            throw .malformed("The request target holds a character that has to be percent-encoded.")
        }
        if bytes.elementsEqual("*".utf8), method.elementsEqual("OPTIONS".utf8) { return ("*", "", nil) }
        var rest = bytes
        var authority: String?
        if bytes.first != UInt8(ascii: "/") {
            guard let scheme = ["http://", "https://"].first(where: { bytes.hasPrefix(ignoringCase: $0) }) else {
                throw .malformed("The request target is neither a path nor an http URL.")
            }
            rest = bytes.dropFirst(scheme.utf8.count)
            let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
            guard end > rest.startIndex, Self.isHost(rest[..<end]) else {
                throw .malformed("The request target has no valid host.")
            }
            authority = String(decoding: rest[..<end], as: UTF8.self)
            rest = rest[end...]
        }
        let mark = rest.firstIndex(of: UInt8(ascii: "?")) ?? rest.endIndex
        let path = String(decoding: rest[..<mark], as: UTF8.self)
        return (path.isEmpty ? "/" : path, String(decoding: rest[mark...].dropFirst(), as: UTF8.self), authority)
    }

    /// Reads `field-name ":" OWS field-value OWS` (RFC 9112 §5). A folded line, a space before the colon and a control
    /// character in the value are refused.
    static func field(_ bytes: [UInt8]) throws(Problem) -> Field {
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else {
            throw .malformed("A header line has no colon.")
        }
        guard bytes[..<colon].isToken else { throw .malformed("A header name is not a token.") }
        let value = bytes[(colon + 1)...].trimmed
        guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
            throw .malformed("A header value holds a control character.")
        }
        return Field(
            name: String(decoding: bytes[..<colon].map(\.lowercasedASCII), as: UTF8.self),
            value: String(decoding: value, as: UTF8.self)
        )
    }

    /// Joins a line and its fields, and settles where the message ends.
    init(_ line: Line, fields: [Field]) throws(Problem) {
        self.method = line.method
        self.path = line.path
        self.query = line.query
        self.version = line.version
        self.fields = fields
        self.authority = nil
        self.framing = .none
        self.keepsAlive = line.version == .http11
        self.expectsContinue = false
        let host = try self.host()
        self.authority = line.authority ?? host
        self.framing = try self.bodyFraming()
        self.expectsContinue = try self.expectation()
        for value in self.values(of: "connection") {
            for token in value.utf8.split(separator: UInt8(ascii: ",")) {
                let token = token.trimmed
                if token.equals(ignoringCase: "close") {
                    self.keepsAlive = false
                    return
                }
                if token.equals(ignoringCase: "keep-alive") { self.keepsAlive = true }
            }
        }
    }

    /// RFC 9112 §3.2: exactly one `Host` in HTTP/1.1, and a valid one.
    private func host() throws(Problem) -> String? {
        let hosts = self.values(of: "host")
        guard hosts.count <= 1 else { throw .malformed("There is more than one Host.") }
        guard let host = hosts.first else {
            guard self.version == .http10 else { throw .malformed("There is no Host.") }
            return nil
        }
        guard Self.isHost(Array(host.utf8)[...]) else { throw .malformed("The Host field is not a valid host.") }
        return host
    }

    /// RFC 9112 §6.3, without its tolerance: two lengths, a length beside a coding, or a coding other than `chunked`
    /// end the connection, since whoever stands between may have read them otherwise.
    private func bodyFraming() throws(Problem) -> Framing {
        let codings = self.values(of: "transfer-encoding")
        let lengths = self.values(of: "content-length")
        if let coding = codings.first {
            guard lengths.isEmpty else {
                throw .malformed("Content-Length and Transfer-Encoding contradict each other.")
            }
            guard self.version == .http11 else { throw .malformed("HTTP/1.0 has no Transfer-Encoding.") }
            guard codings.count == 1, coding.utf8.equals(ignoringCase: "chunked") else {
                throw .malformed("The only supported transfer coding is chunked, once.")
            }
            return .chunked
        }
        guard let text = lengths.first else { return .none }
        guard lengths.count == 1 else { throw .malformed("There is more than one Content-Length.") }
        guard !text.isEmpty, text.utf8.count <= 18, text.utf8.allSatisfy(\.isDigit), let length = Int(text) else {
            throw .malformed("The Content-Length is not a number of bytes.")
        }
        return length == 0 ? .none : .length(length)
    }

    private func expectation() throws(Problem) -> Bool {
        guard let expectation = self.value(of: "expect"), self.version == .http11 else { return false }
        guard expectation.utf8.equals(ignoringCase: "100-continue") else {
            throw Problem(417, "expectation_failed", "The only supported expectation is 100-continue.")
        }
        return self.framing != .none
    }
}
