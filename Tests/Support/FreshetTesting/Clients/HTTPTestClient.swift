import Glibc
import Synchronization

/// A small HTTP/1.1 client that keeps its connection alive and sends one request at a time.
package final class HTTPTestClient: Sendable {
    private struct State: Sendable {
        var socket: StreamSocket?
        var connections = 0
    }

    private let endpoint: Endpoint
    private let headers: HeaderFields
    private let state = Mutex(State())

    /// Connects at the first request. `headers`: sent with every request that does not bring its own.
    package init(_ endpoint: Endpoint, headers: HeaderFields = [:]) {
        self.endpoint = endpoint
        self.headers = headers
    }

    /// How many connections it has opened so far.
    package var connectionCount: Int { self.state.withLock { $0.connections } }

    /// Sends a GET and returns its answer. Throws as `send`.
    package func get(_ path: String, headers: HeaderFields = [:]) async throws -> HTTPReply {
        try await self.send("GET", path, headers: headers)
    }

    /// Sends a HEAD and returns its answer. Throws as `send`.
    package func head(_ path: String, headers: HeaderFields = [:]) async throws -> HTTPReply {
        try await self.send("HEAD", path, headers: headers)
    }

    /// Sends a POST and returns its answer. Throws as `send`.
    package func post(_ path: String, headers: HeaderFields = [:], body: [UInt8]) async throws -> HTTPReply {
        try await self.send("POST", path, headers: headers, body: body)
    }

    /// Sends a request and returns its answer. A kept connection that the server has closed meanwhile is replaced.
    ///
    /// - Throws: `TestingError` when no whole answer comes in time.
    package func send(
        _ method: String,
        _ path: String,
        headers: HeaderFields = [:],
        body: [UInt8]? = nil,
        timeout: Duration = .patience
    ) async throws -> HTTPReply {
        var headers = headers
        headers.appendDefaults(self.headers)
        headers.appendDefault("Host", self.endpoint.authority)
        if let body { headers.appendDefault("Content-Length", "\(body.count)") }
        let wire = [UInt8]("\(method) \(path) HTTP/1.1\r\n".utf8) + headers.wire + [0x0D, 0x0A] + (body ?? [])
        return try await PlainThread.run("http-client") {
            let deadline = Deadline(in: timeout)
            return try self.state.withLock { try self.exchange(method, wire, &$0, deadline) }
        }
    }

    private func exchange(_ method: String, _ wire: [UInt8], _ state: inout State, _ deadline: Deadline) throws
        -> HTTPReply
    {
        if let kept = state.socket, !kept.isAlive { state.socket = nil }
        if state.socket == nil {
            state.socket = try StreamSocket.connected(to: self.endpoint, deadline: deadline)
            state.connections += 1
        }
        guard let socket = state.socket else { throw TestingError(.connectionEnded, "no connection") }
        // Not kept unless all goes well.
        state.socket = nil
        _ = try? socket.write(wire, deadline: deadline)
        let (reply, mayKeep) = try self.readReply(to: method, from: socket, deadline)
        if mayKeep, !reply.headers.contains("close", in: "Connection") { state.socket = socket }
        return reply
    }

    /// Reads one answer; also whether the connection may be used again.
    private func readReply(to method: String, from socket: StreamSocket, _ deadline: Deadline) throws -> (
        HTTPReply, Bool
    ) {
        var reader = ResponseReader()
        reader.requestSent(method: method)
        var reply: HTTPReply?
        while socket.wait(for: POLLIN, deadline: deadline) == .ready {
            guard let bytes = try socket.read() else { continue }
            for part in try bytes.isEmpty ? reader.streamEnded() : reader.push(bytes) {
                switch part {
                case .interim: break
                case .head(let head): reply = HTTPReply(head: head, body: [])
                case .body(let content): reply?.body += content
                case .end:
                    if let reply { return (reply, !bytes.isEmpty) }
                }
            }
            if bytes.isEmpty { throw TestingError(.connectionEnded, "\(method): closed without an answer") }
        }
        throw TestingError(.timedOut, "\(method): no answer in time")
    }
}
