// An answer as the routes make it.

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
    var body: AnswerBody
    /// The head of a stream, asked for with HEAD: there is no length to tell.
    var isStream = false
    /// The credential behind a ticket has ended, which no status may say: `EventSource` would come back.
    var isRefusal = false
    /// What follows the head, in place of ``body``.
    var parts: (any AnswerParts)?

    init(_ status: Int, fields: [AnswerField] = []) {
        self.status = status
        self.fields = fields
        self.body = AnswerBody()
    }

    init(_ status: Int, body: [UInt8], type: String) {
        self.status = status
        self.fields = [AnswerField("Content-Type", type), AnswerField("X-Content-Type-Options", "nosniff")]
        self.body = AnswerBody(body)
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
