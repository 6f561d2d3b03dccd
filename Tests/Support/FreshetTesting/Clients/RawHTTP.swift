/// What came back over a connection, byte for byte.
package struct RawReply: Hashable, Sendable {
    package enum End: Hashable, Sendable {
        case closed
        case reset
        /// The connection was still open when the time was up.
        case timedOut
    }

    package var bytes: [UInt8]
    package var end: End

    /// The bytes as text; those that are not UTF-8 are replaced.
    package var text: String { String(decoding: self.bytes, as: UTF8.self) }

    /// The status of each response in it, of the 1xx too, in order. `methods` are those of the requests, GET where there
    /// are fewer: the answer to a HEAD has no body.
    ///
    /// - Throws: `TestingError` when the bytes are not HTTP/1 responses, whole up to the last.
    package func statuses(methods: [String] = []) throws -> [Int] {
        var reader = ResponseReader()
        for method in methods { reader.requestSent(method: method) }
        let parts = try reader.push(self.bytes) + reader.streamEnded()
        return parts.compactMap { part in
            switch part {
            case .interim(let head), .head(let head): head.status
            case .body, .end: nil
            }
        }
    }
}

/// A response, whole.
package struct HTTPReply: Hashable, Sendable {
    package var head: ResponseHead
    package var body: [UInt8]

    package var status: Int { self.head.status }
    package var headers: HeaderFields { self.head.headers }
    /// The body as text; bytes that are not UTF-8 are replaced.
    package var text: String { String(decoding: self.body, as: UTF8.self) }

    package init(head: ResponseHead, body: [UInt8]) {
        self.head = head
        self.body = body
    }
}

/// HTTP/1.1 by hand: any bytes whatever, or one plain request on a connection of its own.
package enum RawHTTP {
    /// Sends `bytes` on a new connection, shuts the sending side if `halfClose` says so, and reads until the server closes
    /// or the time is up.
    ///
    /// - Throws: `TestingError` when there is no connection.
    package static func exchange(
        _ endpoint: Endpoint,
        sending bytes: [UInt8],
        halfClose: Bool = false,
        timeout: Duration = .patience
    ) async throws -> RawReply {
        let connection = try await RawConnection(endpoint, timeout: timeout)
        // A server may answer and close before it has read everything: its answer counts, not the failed write.
        try? await connection.send(bytes, timeout: timeout)
        if halfClose { connection.halfClose() }
        return try await connection.receiveToEnd(timeout: timeout)
    }

    /// Sends one request with `Connection: close` and returns its answer.
    package static func send(
        _ method: String,
        _ path: String,
        to endpoint: Endpoint,
        headers: HeaderFields = [:],
        body: [UInt8]? = nil,
        timeout: Duration = .patience
    ) async throws -> HTTPReply {
        var headers = headers
        headers.appendDefault("Connection", "close")
        return try await HTTPTestClient(endpoint).send(method, path, headers: headers, body: body, timeout: timeout)
    }

    /// Sends a GET with `Connection: close` and returns its answer.
    package static func get(
        _ path: String,
        from endpoint: Endpoint,
        headers: HeaderFields = [:],
        timeout: Duration = .patience
    ) async throws -> HTTPReply {
        try await self.send("GET", path, to: endpoint, headers: headers, timeout: timeout)
    }
}
