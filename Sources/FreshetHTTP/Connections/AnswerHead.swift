// The head of an answer as bytes (RFC 9112 §4).

import FreshetCore
import HTTPFields

/// How an answer's body is delimited.
enum AnswerFraming: Hashable, Sendable {
    /// `Content-Length`.
    case length(Int)
    /// HTTP/1.1 chunks.
    case chunked
    /// The end of the connection.
    case close
    /// There is no body, whatever the status (RFC 9112 §6.3, cases 1 and 2).
    case none
}

enum AnswerHead {
    /// The bytes of the head, `Date` and the framing fields included. An HTTP/1.0 client has to be informed that the
    /// connection stays, others that it does not.
    static func bytes(
        _ answer: Answer,
        framing: AnswerFraming,
        keepsAlive: Bool,
        version: RequestHead.Version,
        now: WallTime
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(512)
        bytes.append(contentsOf: "HTTP/1.1 ".utf8)
        bytes.appendDigits(answer.status)
        bytes.append(UInt8(ascii: " "))
        bytes.append(contentsOf: StatusText.of(answer.status).utf8)
        bytes.append(contentsOf: "\r\nDate: ".utf8)
        bytes.append(contentsOf: now.httpDate.bytes)
        for field in answer.fields {
            self.append(field.name, field.value, to: &bytes)
        }
        switch framing {
        case .length(let length): self.append("Content-Length", String(length), to: &bytes)
        case .chunked: self.append("Transfer-Encoding", "chunked", to: &bytes)
        case .close, .none: break
        }
        if !keepsAlive {
            self.append("Connection", "close", to: &bytes)
        } else if version == .http10 {
            self.append("Connection", "keep-alive", to: &bytes)
        }
        bytes.append(contentsOf: "\r\n\r\n".utf8)
        return bytes
    }

    /// A value with a line break in it would be a field of its own: what is not plain text is left out.
    private static func append(_ name: String, _ value: String, to bytes: inout [UInt8]) {
        guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else { return }
        bytes.append(contentsOf: "\r\n".utf8)
        bytes.append(contentsOf: name.utf8)
        bytes.append(contentsOf: ": ".utf8)
        bytes.append(contentsOf: value.utf8)
    }
}
