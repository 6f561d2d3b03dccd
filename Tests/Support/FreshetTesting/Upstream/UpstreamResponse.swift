/// A response of a scripted upstream, whole and well-formed. For broken ones, script the bytes.
package struct UpstreamResponse: Sendable {
    package enum Framing: Hashable, Sendable {
        case contentLength
        /// Chunks of at most this many bytes.
        case chunked(pieceBytes: Int)
        /// Neither length nor chunks: the end of the connection ends the body.
        case close
    }

    package var status: Int
    package var reason: String
    package var headers: HeaderFields
    package var body: [UInt8]
    package var framing: Framing

    package init(
        status: Int = 200,
        reason: String? = nil,
        headers: HeaderFields = [:],
        body: [UInt8] = [],
        framing: Framing = .contentLength
    ) {
        self.status = status
        self.reason = reason ?? Self.reasons[status] ?? "Status"
        self.headers = headers
        self.body = body
        self.framing = framing
    }

    /// A response with this text as `application/json`.
    package static func json(_ text: String, status: Int = 200, headers: HeaderFields = [:]) -> UpstreamResponse {
        var headers = headers
        headers.appendDefault("Content-Type", "application/json")
        return UpstreamResponse(status: status, headers: headers, body: [UInt8](text.utf8))
    }

    /// A response without a body.
    package static func status(_ status: Int, headers: HeaderFields = [:]) -> UpstreamResponse {
        UpstreamResponse(status: status, headers: headers)
    }

    /// Whether the connection ends after it.
    var closes: Bool { self.framing == .close || self.headers.contains("close", in: "Connection") }

    /// The bytes of the response to a request of this method.
    package func wire(method: String) -> [UInt8] {
        var headers = self.headers
        let isBare = method == "HEAD" || self.status == 204 || self.status == 304
        switch self.framing {
        case .contentLength where self.status == 204 || self.status == 304: break
        case .contentLength: headers.appendDefault("Content-Length", "\(self.body.count)")
        case .chunked: headers.appendDefault("Transfer-Encoding", "chunked")
        case .close: headers.appendDefault("Connection", "close")
        }
        let head = [UInt8]("HTTP/1.1 \(self.status) \(self.reason)\r\n".utf8) + headers.wire + [0x0D, 0x0A]
        return isBare ? head : head + self.framedBody
    }

    private var framedBody: [UInt8] {
        guard case .chunked(let pieceBytes) = self.framing else { return self.body }
        var wire: [UInt8] = []
        var rest = self.body[...]
        while !rest.isEmpty {
            let piece = rest.prefix(max(1, pieceBytes))
            wire += [UInt8]("\(String(piece.count, radix: 16))\r\n".utf8) + piece + [0x0D, 0x0A]
            rest = rest.dropFirst(piece.count)
        }
        return wire + [UInt8]("0\r\n\r\n".utf8)
    }

    private static let reasons = [
        200: "OK", 201: "Created", 204: "No Content", 206: "Partial Content", 301: "Moved Permanently", 302: "Found",
        303: "See Other", 304: "Not Modified", 307: "Temporary Redirect", 308: "Permanent Redirect",
        400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict", 410: "Gone",
        412: "Precondition Failed", 429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
        503: "Service Unavailable", 504: "Gateway Timeout",
    ]
}
