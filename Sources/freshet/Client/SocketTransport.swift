// Streams over a WebSocket: one subscription, whose messages are the lines of the same stream over HTTP.

import Dispatch
import Foundation
import FreshetClient
import FreshetConfiguration
import JSON
import Synchronization
import System
import WebSocket

/// Carries the streams of a client over a WebSocket for each, on a thread of its own.
struct SocketTransport: FreshetTransport {
    let address: GatewayAddress

    /// The name of an event that no gateway sends: the subscription is live.
    static let subscribed = "subscribed"
    /// Silence after which the gateway counts as gone; its pings come more often.
    private static let silence = Duration.seconds(60)

    func send(_ request: FreshetClient.Request) async throws -> FreshetClient.Response {
        let subscription = try SocketSubscription(request)
        let address = self.address
        return try await withCheckedThrowingContinuation { continuation in
            let exchange = SocketExchange(subscription, continuation)
            do throws(SystemError) {
                try SystemThread.detach(name: "socket") { exchange.run(address, timeout: Self.silence) }
            } catch {
                continuation.resume(throwing: FreshetTransportError("\(error)", isUnsent: true))
            }
        }
    }
}

/// What a request for a stream is as a message.
struct SocketSubscription: Sendable {
    /// The first message, after an upgrade with these fields.
    var message: [UInt8]
    var fields: [(String, String)]

    /// - Throws: `FreshetTransportError` where the request is not for a stream.
    init(_ request: FreshetClient.Request) throws(FreshetTransportError) {
        guard let parts = URLComponents(string: request.url), parts.path.hasPrefix(Self.prefix) else {
            throw FreshetTransportError("a WebSocket carries streams alone", isUnsent: true)
        }
        var json = JSONWriter()
        json.object { json in
            json.member("re", 1)
            json.member("op", "subscribe")
            json.member("sources", String(parts.path.dropFirst(Self.prefix.count)))
            for item in parts.queryItems ?? [] { json.member(item.name, item.value ?? "") }
            if let id = request.headers.first(where: { $0.name == "last-event-id" }) { json.member("since", id.value) }
        }
        self.message = json.text
        self.fields = request.headers.filter { $0.name == "authorization" }.map { ($0.name, $0.value) }
    }

    private static let prefix = "/v1/streams/"
}

/// One WebSocket, from its handshake to its end.
private final class SocketExchange: Sendable {
    private typealias Head = CheckedContinuation<FreshetClient.Response, any Error>

    private let subscription: SocketSubscription
    private let head: Mutex<Head?>
    private let queue: ChunkQueue
    private let isCancelled: Flag
    private let mayGoOn: DispatchSemaphore

    private static let maxWaitingBytes = 256 << 10
    /// The longest message; a snapshot is one.
    private static let maxMessageBytes = 256 << 20

    init(_ subscription: SocketSubscription, _ head: CheckedContinuation<FreshetClient.Response, any Error>) {
        let (isCancelled, mayGoOn) = (Flag(), DispatchSemaphore(value: 0))
        self.subscription = subscription
        self.head = Mutex(head)
        self.isCancelled = isCancelled
        self.mayGoOn = mayGoOn
        self.queue = ChunkQueue(
            maxBytes: Self.maxWaitingBytes,
            resume: { mayGoOn.signal() },
            cancel: {
                isCancelled.raise()
                mayGoOn.signal()
            }
        )
    }

    /// Returns when the socket ends; after the reader has gone, with the gateway's next message or ping.
    func run(_ address: GatewayAddress, timeout: Duration) {
        do throws(GatewayConnectionError) {
            let connection = try GatewayConnection(address, timeout: timeout)
            try self.run(connection, address)
        } catch {
            self.end(FreshetTransportError(error.description, isUnsent: false))
        }
    }

    private func run(_ connection: GatewayConnection, _ address: GatewayAddress) throws(GatewayConnectionError) {
        var generator = SystemRandomNumberGenerator()
        let key = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        let fields =
            [
                ("Upgrade", "websocket"), ("Sec-WebSocket-Version", WebSocketHandshake.version),
                ("Sec-WebSocket-Key", WebSocketHandshake.key(key)), ("Sec-WebSocket-Protocol", "freshet.v1"),
            ] + self.subscription.fields
        let head = try connection.get("/v1/socket", fields: fields, address: address, upgrades: true)
        guard head.status == 101 else { return try self.refuse(head, connection) }
        guard head.fields["sec-websocket-accept"] == WebSocketHandshake.accept(WebSocketHandshake.key(key)) else {
            throw GatewayConnectionError(description: "the answer is none of a WebSocket")
        }
        try connection.send(Self.frame(.text, self.subscription.message))
        var reader = MessageReader(from: .server, maxMessageBytes: Self.maxMessageBytes)
        while let bytes = try connection.next() {
            bytes.withUnsafeBytes { reader.append($0) }
            guard try self.takeMessages(of: &reader, connection) else { return }
        }
        throw GatewayConnectionError(description: "the connection broke off")
    }

    /// - Returns: `false` where the exchange is over.
    private func takeMessages(
        of reader: inout MessageReader,
        _ connection: GatewayConnection
    ) throws(GatewayConnectionError) -> Bool {
        while true {
            let event: WebSocketEvent?
            do throws(WebSocketFailure) {
                event = try reader.next()
            } catch {
                throw GatewayConnectionError(description: error.reason)
            }
            guard !self.isCancelled.isRaised else { return false }
            switch event {
            case nil: return true
            case .ping(let payload):
                try connection.send(Self.frame(.pong, payload))
                // An empty line: the stream lives.
                self.put([])
            case .pong: break
            case .close(let code):
                throw GatewayConnectionError(
                    description: "the gateway closed the socket with \(code?.rawValue ?? 1005)"
                )
            case .text(let text):
                guard let root = try? Document(parsing: text, limits: .widest).root else { continue }
                if let problem = root["problem"] {
                    self.refuse(problem)
                    return false
                }
                self.open()
                if let cursor = root["ok"]?["cursor"]?.string {
                    // Cut off before the next event, the subscription goes on from here.
                    self.put(Array(#"{"id":"\#(cursor)","event":"\#(SocketTransport.subscribed)","data":{}}"#.utf8))
                } else if root["event"] != nil {
                    self.put(text)
                }
            }
        }
    }

    /// Waits where the reader has too much to take.
    private func put(_ line: [UInt8]) {
        while !self.isCancelled.isRaised, !self.queue.put(line + [0x0A]) { self.mayGoOn.wait() }
    }

    private func open() {
        self.takeHead()?.resume(
            returning: FreshetClient.Response(
                status: 200,
                headers: ["content-type": "application/x-ndjson"],
                body: .init(self.queue.stream)
            )
        )
    }

    /// The handshake was refused: an answer like any other.
    private func refuse(
        _ head: GatewayConnection.Head,
        _ connection: GatewayConnection
    ) throws(GatewayConnectionError) {
        var body: [UInt8] = []
        while body.count < 64 << 10, let bytes = try connection.next() { body += bytes }
        self.answer(head.status, head.fields, body)
    }

    /// The subscription was refused, or has ended.
    private func refuse(_ problem: JSON.Value) {
        let status = problem["status"]?.int ?? 500
        let wait = problem["retry_after"]?.int.map { ["retry-after": "\($0)"] } ?? [:]
        guard let error = self.answer(status, wait, problem.document.text) else { return }
        switch status {
        case 408, 425, 429, 500...: self.queue.finish(FreshetTransportError(error.reason, isUnsent: false))
        default: self.queue.finish(error)
        }
    }

    /// - Returns: What it means, where the head of the answer is long gone.
    @discardableResult
    private func answer(_ status: Int, _ fields: [String: String], _ body: [UInt8]) -> FreshetClientError? {
        guard let head = self.takeHead() else { return FreshetClientError(status: status, body: body) }
        let stream = self.queue.stream
        _ = self.queue.put(body)
        self.queue.finish()
        head.resume(returning: FreshetClient.Response(status: status, headers: fields, body: .init(stream)))
        return nil
    }

    private func end(_ error: FreshetTransportError) {
        if let head = self.takeHead() { head.resume(throwing: error) } else { self.queue.finish(error) }
    }

    private func takeHead() -> Head? { self.head.withLock { $0.take() } }

    private static func frame(_ opcode: Opcode, _ payload: [UInt8]) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return FrameHeader.clientFrame(
            opcode,
            payload,
            mask: (0..<4).map { _ in .random(in: .min ... .max, using: &generator) }
        )
    }
}

/// Raised once, by any thread.
private final class Flag: Sendable {
    private let value = Atomic(false)

    var isRaised: Bool { self.value.load(ordering: .acquiring) }
    func raise() { self.value.store(true, ordering: .releasing) }
}
