// A write that one node takes and the owner of the source carries out, and its answer on the way back.

package import FreshetCore
import JSON

/// A write for the owner of a source, with what the node that took it vouches for.
package struct WriteCall: Hashable, Sendable {
    package var request: WriteRequest
    /// Who writes, as the node has authenticated it. That it may write to the source, the node has looked at.
    package var caller: Principal.Account
    /// Whether the caller may read the source too.
    package var mayRead: Bool

    /// Fields of a trace (W3C Trace Context), which go with every write.
    private static let traceFields: Set<String> = ["traceparent", "tracestate"]
    /// The most fields, and the most bytes of each text but the body.
    static let maxFields = 256
    static let maxText = 64 << 10
    /// Seconds.
    static let maxRetryAfter: Int64 = 86_400

    package init(request: WriteRequest, caller: Principal.Account, mayRead: Bool) {
        self.request = request
        self.caller = caller
        self.mayRead = mayRead
    }

    /// The write of a caller. Of the fields of its request those go along that may go on to the upstream.
    package init(_ request: WriteRequest, of caller: Principal, forwarding fields: [String]) {
        self.init(request: request, caller: caller.account, mayRead: caller.grants.read.matches(request.source))
        let names = Self.traceFields.union(fields)
        self.request.fields.removeAll { !names.contains($0.name.lowercased()) }
    }

    /// The caller with the rights that this one write needs, and no others.
    package var principal: Principal {
        let source = SourcePattern([.exact(self.request.source)])
        return Principal(
            kind: self.caller.kind,
            id: self.caller.id,
            issuer: self.caller.issuer,
            grants: Grants(read: self.mayRead ? source : .none, write: source)
        )
    }
}

extension RecordWriter {
    /// The source is not in it.
    mutating func put(_ call: WriteCall) {
        let request = call.request
        self.put(request.method.rawValue.utf8)
        self.put(text: request.key)
        self.put(request.body)
        self.put(text: request.contentType)
        self.put(text: request.ifMatch)
        self.put(text: request.ifNoneMatch)
        self.put(text: request.idempotencyKey)
        self.put(UInt8((request.isMinimal ? 1 : 0) | (request.isDryRun ? 2 : 0) | (call.mayRead ? 4 : 0)))
        self.put(UInt32(clamping: request.fields.count))
        for field in request.fields {
            self.put(field.name.utf8)
            self.put(field.value.utf8)
        }
        self.put(call.caller.kind.rawValue.utf8)
        self.put(call.caller.issuer.utf8)
        self.put(call.caller.id.utf8)
    }

    mutating func put(_ answer: WriteAnswer) {
        self.put(UInt32(clamping: answer.status))
        self.put(text: answer.etag)
        self.put(text: answer.cursor?.description)
        self.put(text: answer.location)
        self.put(answer.value)
        self.put(text: answer.guardNote)
        self.put(text: answer.preference)
        self.put(UInt8(answer.problem == nil ? 0 : 1))
        guard let problem = answer.problem else { return }
        self.put(UInt32(clamping: problem.status))
        self.put(problem.code.utf8)
        self.put(problem.detail.utf8)
        self.put(Int64(problem.retryAfter ?? -1))
        self.put(UInt8(clamping: problem.allowed.count))
        for method in problem.allowed { self.put(method.rawValue.utf8) }
        self.put(UInt8(clamping: problem.members.count))
        for member in problem.members {
            self.put(member.name.utf8)
            self.put(member.json)
        }
    }

    private mutating func put(text: String?) {
        self.put(text.map { Array($0.utf8) })
    }
}

extension RecordReader {
    mutating func writeCall(of source: String) -> WriteCall? {
        guard let method = self.string(atMost: 16).flatMap(WriteMethod.init(rawValue:)),
            let key = self.optionalString(), let body = self.text(atMost: ClusterCall.maxBody),
            let type = self.optionalString(), let ifMatch = self.optionalString(),
            let ifNoneMatch = self.optionalString(), let idempotencyKey = self.optionalString(),
            let flags = self.number(UInt8.self), flags < 8,
            let count = self.number(UInt32.self), count <= WriteCall.maxFields
        else { return nil }
        var request = WriteRequest(method, source: source, key: key, body: Array(body))
        request.contentType = type
        request.ifMatch = ifMatch
        request.ifNoneMatch = ifNoneMatch
        request.idempotencyKey = idempotencyKey
        request.isMinimal = flags & 1 != 0
        request.isDryRun = flags & 2 != 0
        for _ in 0..<count {
            guard let name = self.string(atMost: WriteCall.maxText), let value = self.string(atMost: WriteCall.maxText)
            else { return nil }
            request.fields.append(SourceConfiguration.Field(name: name, value: value))
        }
        guard let kind = self.string(atMost: 64).flatMap(Principal.Kind.init(rawValue:)),
            let issuer = self.string(atMost: WriteCall.maxText), let id = self.string(atMost: WriteCall.maxText)
        else { return nil }
        let caller = Principal.Account(kind: kind, issuer: issuer, id: id)
        return WriteCall(request: request, caller: caller, mayRead: flags & 4 != 0)
    }

    mutating func writeAnswer() -> WriteAnswer? {
        guard let status = self.number(UInt32.self), (200...599).contains(status), let etag = self.optionalString(),
            let cursor = self.optionalString(), let location = self.optionalString(), let value = self.optionalJSON(),
            let guardNote = self.optionalString(), let preference = self.optionalString(),
            let flag = self.number(UInt8.self), flag <= 1
        else { return nil }
        var answer = WriteAnswer(status: Int(status))
        answer.etag = etag
        answer.location = location
        answer.value = value
        answer.guardNote = guardNote
        answer.preference = preference
        if let cursor {
            guard let cursor = Cursor(cursor) else { return nil }
            answer.cursor = cursor
        }
        guard flag == 1 else { return answer }
        guard let problem = self.writeProblem() else { return nil }
        answer.problem = problem
        return answer
    }

    private mutating func writeProblem() -> WriteProblem? {
        guard let status = self.number(UInt32.self), (200...599).contains(status),
            let code = self.string(atMost: 256), let detail = self.string(atMost: WriteCall.maxText),
            let retryAfter = self.number(Int64.self), let methods = self.number(UInt8.self)
        else { return nil }
        var problem = WriteProblem(Int(status), code, detail)
        problem.retryAfter = retryAfter < 0 ? nil : Int(min(retryAfter, WriteCall.maxRetryAfter))
        for _ in 0..<methods {
            guard let method = self.string(atMost: 16).flatMap(WriteMethod.init(rawValue:)) else { return nil }
            problem.allowed.append(method)
        }
        guard let members = self.number(UInt8.self) else { return nil }
        for _ in 0..<members {
            guard let name = self.string(atMost: 256), let text = self.text(atMost: ClusterCall.maxBody),
                let json = try? Document(parsing: Array(text), limits: .widest)
            else { return nil }
            problem.add(name, json: json.text)
        }
        return problem
    }

    /// Text that goes to a client as it is. The outer `nil` is for bytes that are no such field, or no JSON.
    private mutating func optionalJSON() -> [UInt8]?? {
        guard let text = self.optionalText(atMost: ClusterCall.maxBody) else { return nil }
        guard let text else { return .some(nil) }
        return (try? Document(parsing: text, limits: .widest)).map { .some($0.text) }
    }

    /// The outer `nil` is for bytes that are no such field.
    private mutating func optionalString() -> String?? {
        guard let text = self.optionalText(atMost: WriteCall.maxText) else { return nil }
        guard let text else { return .some(nil) }
        return String(validating: text, as: UTF8.self).map { .some($0) }
    }
}

extension WriteAnswer {
    /// What the node answers that sent a write to its owner. What was not sent, or not taken, was not done; what was sent and
    /// not answered may have been, and is not sent again: the upstream could be written twice.
    package init(_ result: Result<ClusterReply, StreamFailure>, of owner: String) {
        switch result {
        case .success(.wrote(let answer)):
            self = answer
        case .success(.notOwner):
            self.init(.notOwner("\(owner) does not own the source any more; nothing was written."))
        case .success(.failed(_, let message)):
            self.init(.notOwner("\(owner), which owns the source, did not take the write: \(message)."))
        case .success(.done), .success(.polled), .success(.pushed), .success(.webhook), .success(.tried),
            .success(.settled), .success(.subscription):
            self.init(.unknown("\(owner), which owns the source, gave an answer to something else."))
        case .failure(let failure) where failure.reason == .unsent || failure.reason == .noResponder:
            self.init(.notOwner("\(owner), which owns the source, cannot be reached: \(failure.message)."))
        case .failure(let failure):
            self.init(.unknown("\(owner), which owns the source, did not answer: \(failure.message)."))
        }
    }
}
