// The opening handshake of a WebSocket (RFC 6455 §4.2, RFC 8441), and what it is answered.

import FreshetCore
import HTTPFields
import WebSocket

/// A handshake that can be answered.
struct SocketHandshake: Sendable {
    /// Messages may be compressed.
    let deflates: Bool
    /// The fields of the answer's head.
    let fields: [AnswerField]

    static let subprotocol = "freshet.v1"

    static func addRoute(to routes: inout RouteTable) {
        let route = Route(method: .get, bodyLimit: .dropped, access: .caller, isCrossOrigin: true, action: .socket)
        routes.add(route, at: "/v1/socket")
    }

    /// Checks a request. `mayCompress`: the gateway compresses at all.
    ///
    /// - Throws: 426 for what asks for no WebSocket, or for another version; 400 for what no client sends.
    init(_ head: RequestHead, mayCompress: Bool) throws(Problem) {
        if !head.isTunnel {
            guard head.method == "GET", head.version == .http11, Self.names("connection", "upgrade", in: head),
                Self.names("upgrade", "websocket", in: head)
            else { throw .upgradeRequired }
        }
        guard head.value(of: "sec-websocket-version") == WebSocketHandshake.version else { throw .upgradeRequired }
        var fields: [AnswerField] = []
        if !head.isTunnel {
            let keys = head.values(of: "sec-websocket-key")
            guard keys.count == 1, let key = keys.first, WebSocketHandshake.isKey(key) else {
                throw .badHandshake("Sec-WebSocket-Key is not base64 of 16 bytes.")
            }
            guard head.framing == .none else { throw .badHandshake("A handshake has no body.") }
            fields = [
                AnswerField("Upgrade", "websocket"), AnswerField("Connection", "Upgrade"),
                AnswerField("Sec-WebSocket-Accept", WebSocketHandshake.accept(key)),
            ]
        }
        if let offered = head.value(of: "sec-websocket-protocol") {
            guard Self.list(offered).contains(Self.subprotocol) else {
                throw .badHandshake("The subprotocol is \(Self.subprotocol).")
            }
            fields.append(AnswerField("Sec-WebSocket-Protocol", Self.subprotocol))
        }
        let extensions = mayCompress ? head.value(of: "sec-websocket-extensions") : nil
        let accepted = extensions.flatMap(PerMessageDeflate.accept)
        if let accepted { fields.append(AnswerField("Sec-WebSocket-Extensions", accepted)) }
        self.deflates = accepted != nil
        self.fields = fields
    }

    private static func names(_ field: String, _ token: String, in head: RequestHead) -> Bool {
        head.value(of: field).map { self.list($0).contains { $0.utf8.equals(ignoringCase: token) } } ?? false
    }

    private static func list(_ value: String) -> [String] {
        value.utf8.split(separator: UInt8(ascii: ",")).map { String(decoding: Array($0)[...].trimmed, as: UTF8.self) }
    }
}

extension Problem {
    static let upgradeRequired = Problem(
        426,
        "upgrade_required",
        "This path is a WebSocket of version 13: ask for it with Upgrade: websocket.",
        fields: [
            AnswerField("Upgrade", "websocket"), AnswerField("Connection", "Upgrade"),
            AnswerField("Sec-WebSocket-Version", WebSocketHandshake.version),
        ]
    )

    static func badHandshake(_ detail: String) -> Problem {
        Problem(400, "bad_handshake", detail)
    }
}
