// The same stream over a WebSocket: one subscription, which goes on after the last event that came.

import FreshetConfiguration
import JSON
import WebSocket

extension StreamFollower {
    /// Follows over a connection until it ends.
    mutating func followSocket(
        _ connection: GatewayConnection,
        _ take: (Event) -> Bool
    ) throws(GatewayConnectionError) -> End {
        var generator = SystemRandomNumberGenerator()
        let key = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        let fields =
            [
                ("Upgrade", "websocket"), ("Sec-WebSocket-Version", WebSocketHandshake.version),
                ("Sec-WebSocket-Key", WebSocketHandshake.key(key)), ("Sec-WebSocket-Protocol", "freshet.v1"),
            ] + self.target.fields.map { ($0.name, $0.value) }
        let head = try connection.get("/v1/socket", fields: fields, address: self.target.address, upgrades: true)
        guard head.status == 101 else { return try Self.refusal(connection, status: head.status) }
        guard head.fields["sec-websocket-accept"] == WebSocketHandshake.accept(WebSocketHandshake.key(key)) else {
            throw GatewayConnectionError(description: "the answer is none of a WebSocket")
        }
        try connection.send(Self.frame(.text, self.subscription))
        var reader = MessageReader(from: .server, maxMessageBytes: Self.maxLineBytes)
        while let bytes = try connection.next() {
            self.failures = 0
            bytes.withUnsafeBytes { reader.append($0) }
            if let end = try self.takeEvents(of: &reader, connection, take) { return end }
        }
        return .interrupted("the connection broke off")
    }

    private var subscription: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("re", 1)
            json.member("op", "subscribe")
            json.member("sources", self.sources)
            json.member("mode", self.mode)
            if let since { json.member("since", since) }
        }
        return json.text
    }

    private static func frame(_ opcode: Opcode, _ payload: [UInt8]) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return FrameHeader.clientFrame(
            opcode,
            payload,
            mask: (0..<4).map { _ in .random(in: .min ... .max, using: &generator) }
        )
    }

    /// - Returns: How the connection ends, where it does.
    private mutating func takeEvents(
        of reader: inout MessageReader,
        _ connection: GatewayConnection,
        _ take: (Event) -> Bool
    ) throws(GatewayConnectionError) -> End? {
        while true {
            let event: WebSocketEvent?
            do throws(WebSocketFailure) {
                event = try reader.next()
            } catch {
                throw GatewayConnectionError(description: error.reason)
            }
            switch event {
            case nil: return nil
            case .ping(let payload): try connection.send(Self.frame(.pong, payload))
            case .pong: break
            case .close(let code):
                return .interrupted("the gateway closed the socket with \(code?.rawValue ?? 1005)")
            case .text(let text):
                guard let line = StreamLine(text) else {
                    if let end = self.answered(text) { return end }
                    continue
                }
                self.since = line.id ?? self.since
                guard take(.line(line)) else { return .finished }
            }
        }
    }

    /// - Returns: How the connection ends, where the gateway refuses the subscription or has ended it.
    private mutating func answered(_ text: [UInt8]) -> End? {
        guard let root = try? Document(parsing: text).root else { return nil }
        guard let problem = root["problem"] else {
            // Cut off before the next event, the subscription goes on from here.
            self.since = root["ok"]?["cursor"]?.string ?? self.since
            return nil
        }
        let status = problem["status"]?.int ?? 500
        return Self.end(status, problem["detail"]?.string?.escapingControls() ?? "the gateway answered \(status)")
    }
}
