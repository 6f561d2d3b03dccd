// What a client receives when its request cannot be met: `application/problem+json` (RFC 9457).

import FreshetCore
import JSON

/// A refusal with a status, a code for programs, and a sentence for people. Names no file, secret or address.
struct Problem: Error, Hashable, Sendable {
    var statusCode: Int
    /// What programs tell problems apart by: lower-case words joined by `_`. Never changes its meaning.
    var code: String
    /// What happened, and the way out where there is one.
    var detail: String
    /// Fields that belong to this answer, such as `Allow` and `Retry-After`.
    var fields: [AnswerField]
    /// Members beside those of RFC 9457, as (name, text).
    var members: [Member] = []

    struct Member: Hashable, Sendable {
        var name: String
        var text: String
        /// JSON text, in the place of ``text``.
        var json: [UInt8]?

        init(name: String, text: String) {
            self.name = name
            self.text = text
        }

        init(name: String, json: [UInt8]) {
            self.name = name
            self.text = ""
            self.json = json
        }
    }

    init(_ status: Int, _ code: String, _ detail: String, fields: [AnswerField] = []) {
        self.statusCode = status
        self.code = code
        self.detail = detail
        self.fields = fields
    }

    /// The members of the problem, inside of an object.
    func write(to json: inout JSONWriter) {
        json.member("type", "about:blank")
        json.member("title", StatusText.of(self.statusCode))
        json.member("status", self.statusCode)
        json.member("code", self.code)
        json.member("detail", self.detail)
        for member in self.members {
            if let raw = member.json {
                json.member(member.name, raw: raw)
            } else {
                json.member(member.name, member.text)
            }
        }
    }

    var answer: Answer {
        var json = JSONWriter()
        json.object { self.write(to: &$0) }
        var answer = Answer(self.statusCode, body: json.text, type: "application/problem+json")
        answer.fields.append(contentsOf: self.fields)
        answer.set("Cache-Control", "no-store")
        return answer
    }
}

// MARK: - Before a request is understood

extension Problem {
    static func malformed(_ detail: String) -> Problem {
        Problem(400, "malformed_request", detail)
    }

    static let chunkTooLong = Problem.malformed("A chunk is longer than its size says.")

    static func targetTooLong(limit: Int) -> Problem {
        Problem(414, "target_too_long", "The request target is longer than \(limit) bytes.")
    }

    static func fieldsTooLarge(bytes: Int, count: Int) -> Problem {
        Problem(431, "headers_too_large", "The header is larger than \(bytes) bytes or has more than \(count) fields.")
    }

    static func bodyTooLarge(limit: Int) -> Problem {
        Problem(413, "body_too_large", "The body is larger than \(limit) bytes.")
    }

    static let timedOut = Problem(408, "request_timeout", "The request did not arrive in time.")

    static var tooManyConnections: Problem {
        .busy(
            "too_many_connections",
            "The gateway has reached its limit of connections.",
            retryAfter: Int64.random(in: 1...10)
        )
    }

    /// 503. `seconds` is what the client is asked to wait; drawn, so that clients do not come back together.
    static func busy(_ code: String, _ detail: String, retryAfter seconds: Int64) -> Problem {
        Problem(503, code, detail, fields: [AnswerField("Retry-After", "\(max(1, seconds))")])
    }
}

extension ConnectionRefusal {
    /// 503 for a connection that has no place, whatever it asks for.
    var problem: Problem {
        let detail = "The gateway has reached its limit of connections."
        return .busy("too_many_connections", detail, retryAfter: Int64.random(in: 1...10))
    }
}

// MARK: - After

extension Problem {
    static let noSuchRoute = Problem(404, "no_such_route", "There is nothing at this path.")

    static func unknownSource(_ name: String? = nil) -> Problem {
        let detail = name.map { "There is no source named \($0)." } ?? "No source has such a name."
        return Problem(404, "unknown_source", detail)
    }

    static let notPolled = Problem(409, "not_polled", "This source has no url; its values are pushed.")

    static func methodNotAllowed(_ allowed: [String]) -> Problem {
        let list = allowed.joined(separator: ", ")
        let detail = "This path answers to \(list)."
        return Problem(405, "method_not_allowed", detail, fields: [AnswerField("Allow", list)])
    }

    static func badParameter(_ name: String, _ detail: String) -> Problem {
        Problem(400, "bad_\(name)", detail)
    }

    static func forbidden(_ code: String, _ detail: String) -> Problem {
        Problem(403, code, detail)
    }

    /// 503 for a read of the log that was not carried out.
    static func unread(_ refusal: ReadRefusal) -> Problem {
        let seconds = Int64.random(in: 1...10)
        switch refusal {
        case .full:
            return .busy("too_many_reads", "Too many requests wait for the log.", retryAfter: seconds)
        case .address:
            return .busy(
                "too_many_reads_from_address",
                "Too many requests from this address wait for the log.",
                retryAfter: seconds
            )
        case .abandoned:
            let detail = "The client closed its side of the connection before the log was read."
            return .busy("read_abandoned", detail, retryAfter: seconds)
        }
    }

    /// 503 for an answer that there is no memory for.
    static func unsent(_ refusal: UnsentRefusal) -> Problem {
        let seconds = Int64.random(in: 1...10)
        switch refusal {
        case .full:
            return .busy("too_many_unsent_bytes", "Too many answers wait for their clients.", retryAfter: seconds)
        case .address:
            let detail = "Too many answers wait for clients of this address."
            return .busy("too_many_unsent_bytes_for_address", detail, retryAfter: seconds)
        }
    }

    static let internalError = Problem(500, "internal_error", "The gateway could not answer; its log says why.")
}
