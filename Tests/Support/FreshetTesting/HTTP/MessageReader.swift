/// Reads requests from a connection, one after the other.
struct RequestReader: Sendable {
    private var buffer = ByteBuffer()
    private var head: RequestHead?
    private var body = BodyReader(.length(0))
    private var content: [UInt8] = []

    /// Whether a request has begun that is not whole.
    var isWithinRequest: Bool { self.head != nil || !self.buffer.isEmpty }

    mutating func append(_ bytes: [UInt8]) { self.buffer.append(bytes) }

    /// The head of a request that waits for `100 Continue` before it sends its body; once per request.
    mutating func takeExpectation() throws -> Bool {
        guard self.head == nil, try self.readHead(), let head = self.head, !self.body.isDone else { return false }
        return head.headers.contains("100-continue", in: "Expect") && self.buffer.isEmpty
    }

    /// The next whole request, or `nil` when more bytes are needed.
    mutating func next() throws -> (RequestHead, [UInt8])? {
        guard try self.head != nil || self.readHead(), let head = self.head else { return nil }
        self.content += try self.body.take(from: &self.buffer)
        guard self.body.isDone else { return nil }
        defer { (self.head, self.content) = (nil, []) }
        return (head, self.content)
    }

    private mutating func readHead() throws -> Bool {
        guard let head = try MessageHead.take(from: &self.buffer) else { return false }
        let words = head.startLine.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard words.count == 3 else { throw TestingError(.malformed, "no request line: \(head.startLine)") }
        self.head = RequestHead(method: words[0], target: words[1], version: words[2], headers: head.headers)
        self.body = BodyReader(try head.headers.framing() ?? .length(0))
        return true
    }
}

/// What comes out of a connection that carries responses.
package enum ResponsePart: Hashable, Sendable {
    /// A 1xx response; the real one follows.
    case interim(ResponseHead)
    case head(ResponseHead)
    case body([UInt8])
    /// The response is whole.
    case end
}

/// Reads responses from a connection, one after the other.
package struct ResponseReader: Sendable {
    private var buffer = ByteBuffer()
    private var body: BodyReader?
    private var methods: [String] = []

    package init() {}

    /// Chunks of the body so far; with one event per chunk, events.
    var chunks: Int { self.body?.chunks ?? 0 }

    /// To be told of each request, since the answer to a HEAD has no body (RFC 9112 §6.3).
    package mutating func requestSent(method: String) { self.methods.append(method) }

    /// Takes the next bytes and returns what they complete.
    package mutating func push(_ bytes: [UInt8]) throws -> [ResponsePart] {
        self.buffer.append(bytes)
        var parts: [ResponsePart] = []
        while true {
            if self.body == nil {
                guard let part = try self.readHead() else { return parts }
                parts.append(part)
                continue
            }
            let content = try self.body?.take(from: &self.buffer) ?? []
            if !content.isEmpty { parts.append(.body(content)) }
            guard self.body?.isDone == true else { return parts }
            self.body = nil
            parts.append(.end)
        }
    }

    /// The connection has ended: the end of a body that has no other; throws when something is missing.
    package mutating func streamEnded() throws -> [ResponsePart] {
        if self.body != nil {
            try self.body?.streamEnded()
            self.body = nil
            return [.end]
        }
        guard self.buffer.isEmpty else { throw TestingError(.connectionEnded, "the head of the response is cut off") }
        return []
    }

    /// Reads a head, if it is there, and prepares for its body.
    private mutating func readHead() throws -> ResponsePart? {
        guard let head = try MessageHead.take(from: &self.buffer) else { return nil }
        let words = head.startLine.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false).map(
            String.init
        )
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), words[1].utf8.count == 3, let status = Int(words[1])
        else {
            throw TestingError(.malformed, "no status line: \(head.startLine)")
        }
        let reason = words.count > 2 ? words[2] : ""
        let response = ResponseHead(version: words[0], status: status, reason: reason, headers: head.headers)
        if (100..<200).contains(status), status != 101 { return .interim(response) }
        let method = self.methods.isEmpty ? "GET" : self.methods.removeFirst()
        let isBare = method == "HEAD" || status == 204 || status == 304
        self.body = BodyReader(isBare ? .length(0) : try head.headers.framing() ?? .untilClose)
        return .head(response)
    }
}

extension HeaderFields {
    /// How the body is delimited, or `nil` when the header does not say.
    ///
    /// - Throws: for framing that contradicts itself, which a smuggler would use.
    func framing() throws -> BodyReader.Framing? {
        let lengths = self.values("Content-Length")
        let codings = self.values("Transfer-Encoding")
        if !codings.isEmpty {
            guard lengths.isEmpty, codings.map({ $0.lowercased() }) == ["chunked"] else {
                throw TestingError(.malformed, "Transfer-Encoding \(codings) with Content-Length \(lengths)")
            }
            return .chunked
        }
        guard let length = lengths.first else { return nil }
        guard lengths.count == 1, !length.isEmpty, length.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let bytes = Int(length)
        else {
            throw TestingError(.malformed, "Content-Length \(lengths)")
        }
        return .length(bytes)
    }
}
