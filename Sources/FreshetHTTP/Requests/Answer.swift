// An answer as the routes make it, and its bytes as the connection sends them.

import HTTPTypes
import Hummingbird
import NIOCore

/// A response field. A value with a control character in it is not sent: see ``AnswerHead``.
struct AnswerField: Hashable, Sendable {
    var name: String
    var value: String

    init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// A response: status, fields, body. `Content-Length`, `Connection` and `Date` are added by the connection.
struct Answer: Sendable {
    var status: Int
    var fields: [AnswerField]
    var body: ByteBuffer
    /// The head of a stream, asked for with HEAD: there is no length to tell.
    var isStream = false

    init(_ status: Int, fields: [AnswerField] = []) {
        self.status = status
        self.fields = fields
        self.body = ByteBuffer()
    }

    init(_ status: Int, body: [UInt8], type: String) {
        self.status = status
        self.fields = [AnswerField("Content-Type", type), AnswerField("X-Content-Type-Options", "nosniff")]
        self.body = ByteBuffer(bytes: body)
    }

    /// JSON text of this moment: not to be kept by any cache.
    static func json(_ body: [UInt8], status: Int = 200) -> Answer {
        var answer = Answer(status, body: body, type: "application/json")
        answer.set("Cache-Control", "no-store")
        return answer
    }

    static func text(_ body: String, status: Int = 200) -> Answer {
        var answer = Answer(status, body: Array(body.utf8), type: "text/plain; charset=utf-8")
        answer.set("Cache-Control", "no-store")
        return answer
    }

    /// Replaces a field.
    mutating func set(_ name: String, _ value: String) {
        self.fields.removeAll { $0.name == name }
        self.fields.append(AnswerField(name, value))
    }

    /// Adds to the list that `Vary` is.
    mutating func vary(on name: String) {
        if let index = self.fields.firstIndex(where: { $0.name == "Vary" }) {
            self.fields[index].value += ", \(name)"
        } else {
            self.fields.append(AnswerField("Vary", name))
        }
    }
}

// MARK: - From and to Hummingbird

extension Answer: ResponseGenerator {
    func response(from request: Request, context: some RequestContext) throws -> Response {
        var fields = HTTPFields()
        for field in self.fields {
            guard let name = HTTPField.Name(field.name) else { continue }
            fields.append(HTTPField(name: name, value: field.value))
        }
        let status = HTTPResponse.Status(code: self.status, reasonPhrase: StatusText.of(self.status))
        return Response(status: status, headers: fields, body: ResponseBody(byteBuffer: self.body))
    }

    init(_ response: Response) async throws {
        self.status = response.status.code
        // The length is the connection's to tell: only it knows whether the body goes out.
        self.fields = response.headers.filter { $0.name != .contentLength }
            .map { AnswerField($0.name.rawName, $0.value) }
        let collected = CollectedBody()
        try await response.body.write(BodyCollector(into: collected))
        self.body = collected.buffer
    }
}

extension Problem: HTTPResponseError {
    /// The status as Hummingbird has it.
    var status: HTTPResponse.Status {
        HTTPResponse.Status(code: self.statusCode, reasonPhrase: StatusText.of(self.statusCode))
    }

    func response(from request: Request, context: some RequestContext) throws -> Response {
        try self.answer.response(from: request, context: context)
    }
}

/// Where a body is gathered. Confined to the task that writes it.
private final class CollectedBody {
    var buffer = ByteBuffer()
}

private struct BodyCollector: ResponseBodyWriter {
    private let collected: CollectedBody

    init(into collected: CollectedBody) {
        self.collected = collected
    }

    mutating func write(_ buffer: ByteBuffer) async throws {
        guard self.collected.buffer.readableBytes > 0 else {
            // The usual case: one buffer, which is shared and not copied.
            self.collected.buffer = buffer
            return
        }
        self.collected.buffer.writeImmutableBuffer(buffer)
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
