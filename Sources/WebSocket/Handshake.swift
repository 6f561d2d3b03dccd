// The words of the opening handshake (RFC 6455 §4, RFC 7692 §7).

/// What a handshake says and answers.
package enum WebSocketHandshake {
    package static let version = "13"
    private static let suffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

    /// Whether a `Sec-WebSocket-Key` is base64 of 16 bytes.
    package static func isKey(_ key: String) -> Bool {
        let bytes = Array(key.utf8)
        guard bytes.count == 24, bytes[22] == UInt8(ascii: "="), bytes[23] == UInt8(ascii: "=") else { return false }
        return bytes[..<22].allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
                true
            case _: false
            }
        }
    }

    /// The `Sec-WebSocket-Accept` of a key.
    package static func accept(_ key: String) -> String {
        String(decoding: self.base64(SHA1.digest(Array(key.utf8) + Array(self.suffix.utf8))), as: UTF8.self)
    }

    /// 16 random bytes as a client's key.
    package static func key(_ bytes: [UInt8]) -> String {
        String(decoding: self.base64(bytes), as: UTF8.self)
    }

    private static func base64(_ bytes: [UInt8]) -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let value = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
            for place in 0...group.count { text.append(alphabet[value >> (18 - 6 * place) & 63]) }
            text += repeatElement(UInt8(ascii: "="), count: 3 - group.count)
        }
        return text
    }
}

/// The extension permessage-deflate as this server speaks it: both sides begin anew with each message.
package enum PerMessageDeflate {
    /// What an acceptable offer is answered with.
    package static let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    /// What a client of ours offers.
    package static let offer = answer

    /// The answer to the first offer that can be met, of a `Sec-WebSocket-Extensions` field; `nil` for none.
    package static func accept(_ field: String) -> String? {
        for offer in field.utf8.split(separator: UInt8(ascii: ",")) {
            if let answer = self.accept(offer: offer) { return answer }
        }
        return nil
    }

    private static func accept(offer: Substring.UTF8View) -> String? {
        let parts = offer.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false).map { part in
            String(Substring(part)).trimmingSpaces
        }
        guard parts.first?.lowercased() == "permessage-deflate" else { return nil }
        var names: Set<String> = []
        var answer = self.answer
        for part in parts.dropFirst() {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = (pair.first.map(String.init) ?? "").trimmingSpaces.lowercased()
            let value = pair.count > 1 ? String(pair[1]).trimmingSpaces.trimmingQuotes : nil
            // A parameter that is not known, or is there twice, declines the offer (RFC 7692 §7.1).
            guard names.insert(name).inserted else { return nil }
            switch name {
            case "server_no_context_takeover", "client_no_context_takeover":
                guard value == nil else { return nil }
            case "client_max_window_bits":
                guard value.map(self.isWindow) ?? true else { return nil }
            case "server_max_window_bits":
                // One frame serves every socket, with the widest window.
                guard let value, self.isWindow(value), value == "15" else { return nil }
                answer += "; server_max_window_bits=15"
            case _: return nil
            }
        }
        return answer
    }

    private static func isWindow(_ text: String) -> Bool {
        (8...15).contains { text == "\($0)" }
    }
}

extension String {
    fileprivate var trimmingSpaces: String {
        let isSpace = { (character: Character) in character == " " || character == "\t" }
        guard let first = self.firstIndex(where: { !isSpace($0) }), let last = self.lastIndex(where: { !isSpace($0) })
        else { return "" }
        return String(self[first...last])
    }

    fileprivate var trimmingQuotes: String {
        guard self.count >= 2, self.hasPrefix("\""), self.hasSuffix("\"") else { return self }
        return String(self.dropFirst().dropLast())
    }
}
