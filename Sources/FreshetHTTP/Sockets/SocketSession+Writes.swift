// Writes over a socket, as over HTTP (CONTRACT §6, §11).

import FreshetAccess
import FreshetCore
import FreshetStreaming
import JSON
import NIOCore

extension SocketSession {
    /// Begins a write. What is asked for next does not wait for it: clients that write the same in turn wait for the answer.
    func write(_ message: SocketMessage, on exchange: WebSocketExchange) throws(Problem) {
        guard self.caller.mayChange else { throw .crossOrigin }
        guard !self.caller.mayOnlyRead else { throw Problem(CredentialProblem(.ticket)) }
        let request = try WriteRequest(message)
        let caller = try self.present()
        let (re, client, gateway, eventLoop) = (message.re, self.client, self.gateway, self.eventLoop)
        // Goes on where the socket ends: a client that leaves takes nothing back.
        Task {
            let text: [UInt8]
            do throws(Problem) {
                let answer = try await gateway.write(request, for: caller, from: client, on: eventLoop)
                text = SocketAnswer.write(re, answer)
            } catch {
                text = SocketAnswer.problem(re, error)
            }
            do throws(UnsentRefusal) {
                var held = HeldBytes()
                held.own = text.count
                exchange.answer(text, held: try gateway.unread.desk.hold(held, for: client.readClient))
            } catch {
                exchange.answer(SocketAnswer.problem(re, .unsent(error)))
            }
        }
    }
}

extension WriteRequest {
    fileprivate init(_ message: SocketMessage) throws(Problem) {
        let list = WriteMethod.allCases.map(\.rawValue).joined(separator: ", ")
        guard let method = WriteMethod(rawValue: try message.string("method")) else {
            throw .badMessage("method is one of \(list).")
        }
        self.init(method, source: try message.string("source"))
        if let key = message.members["key"], !key.isNull {
            guard key.kind == .string || key.kind == .number else { throw .badMessage("key is a string or a number.") }
            self.key = key.string ?? String(decoding: key.text, as: UTF8.self)
        }
        self.body = message.members["body"].map { Array($0.text) } ?? []
        self.contentType = try message.optionalString("content_type")
        self.ifMatch = try message.optionalString("if_match")
        self.ifNoneMatch = try message.optionalString("if_none_match")
        self.idempotencyKey = try message.optionalString("idempotency_key")
    }
}

extension SocketMessage {
    /// A member that may be absent.
    fileprivate func optionalString(_ name: String) throws(Problem) -> String? {
        guard let value = self.members[name], !value.isNull else { return nil }
        guard let text = value.string else { throw .badMessage("\(name) is a string.") }
        return text
    }
}

extension SocketAnswer {
    /// The answer to a write.
    fileprivate static func write(_ re: [UInt8], _ answer: WriteAnswer) -> [UInt8] {
        guard let problem = answer.problem else {
            return self.ok(re) { json in
                json.member("status", answer.status)
                if let cursor = answer.cursor { json.member("cursor", cursor.description) }
                if let etag = answer.etag { json.member("etag", etag) }
                if let location = answer.location { json.member("location", location) }
                if let note = answer.guardNote { json.member("guard", note) }
                if let value = answer.value { json.member("value", raw: value) }
            }
        }
        var json = JSONWriter()
        json.object { json in
            json.member("re", raw: re)
            json.name("problem")
            json.object { json in
                Problem(problem.status, problem.code, problem.detail).write(to: &json)
                if let seconds = problem.retryAfter { json.member("retry_after", seconds) }
                for member in problem.members { json.member(member.name, raw: member.json) }
            }
        }
        return json.text
    }
}
