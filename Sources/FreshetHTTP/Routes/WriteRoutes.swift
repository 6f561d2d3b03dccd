// PUT, PATCH, DELETE and POST on values and items: writes that go through to the upstream (CONTRACT §6).

import FreshetCore
import JSON
import NIOCore

/// Hands writes to the ``Writer``, and its answers back.
struct WriteRoutes: Sendable {
    let gateway: Gateway

    func add(to routes: inout RouteTable) {
        for (method, write) in [(Route.Method.put, WriteMethod.put), (.patch, .patch), (.delete, .delete)] {
            for path in ["/v1/values/:source", "/v1/items/:source/:key"] {
                self.on(method, path, write, in: &routes)
            }
        }
        self.on(.post, "/v1/values/:source", .post, in: &routes)
    }

    private func on(_ method: Route.Method, _ path: String, _ write: WriteMethod, in routes: inout RouteTable) {
        routes.on(method, path, for: .caller, bodyLimit: .upload, isForwarded: true) { try await self.write(write, $0) }
    }

    private func write(_ method: WriteMethod, _ context: GatewayContext) async throws -> Answer {
        let head = context.request.head
        guard self.gateway.crossOrigin.mayWrite(head) else { throw Problem.crossOrigin }
        let answer = try await self.gateway.write(
            self.request(method, context),
            for: context.principal,
            from: context.request.client,
            on: context.request.eventLoop
        )
        if let problem = answer.problem { return Problem(problem, reading: self.isReadable).answer(with: answer) }
        return self.answer(answer)
    }

    /// What the path answers to beside writes.
    private var isReadable: [String] { Route.Method.get.names + ["OPTIONS"] }

    private func request(_ method: WriteMethod, _ context: GatewayContext) -> WriteRequest {
        let head = context.request.head
        let key = context.parameters["key"].map { PercentCoding.decoded($0.utf8, plusIsSpace: false) }
        var request = WriteRequest(
            method,
            source: PercentCoding.decoded(context.segment("source").utf8, plusIsSpace: false),
            key: key,
            body: Array(context.request.body.readableBytesView)
        )
        request.contentType = head.value(of: "content-type")
        request.ifMatch = head.value(of: "if-match")
        request.ifNoneMatch = head.value(of: "if-none-match")
        request.idempotencyKey = head.value(of: "idempotency-key")
        let preferences = Self.preferences(head)
        request.isMinimal = preferences.contains("return=minimal")
        request.isDryRun = preferences.contains("dry-run")
        request.fields = self.forwardable(head, from: context.principal)
        return request
    }

    /// The preferences of `Prefer` (RFC 7240), their parameters left out.
    private static func preferences(_ head: RequestHead) -> [String] {
        (head.value(of: "prefer") ?? "").split(separator: ",").map { preference in
            preference.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" && $0 != "\"" }.lowercased()
        }
    }

    /// What proves a caller to the gateway is nobody else's business: only callers who prove nothing here may have such
    /// fields sent on.
    private func forwardable(_ head: RequestHead, from principal: Principal) -> [SourceConfiguration.Field] {
        let secrets: Set<String> =
            principal.kind == .anonymous
            ? ["x-api-key"] : ["authorization", "cookie", "proxy-authorization", "x-api-key"]
        return head.fields.filter { !secrets.contains($0.name) }
            .map { SourceConfiguration.Field(name: $0.name, value: $0.value) }
    }

    private func answer(_ write: WriteAnswer) -> Answer {
        var answer = Answer(write.status)
        if let value = write.value {
            answer = Answer(write.status, body: value, type: "application/json")
        }
        answer.set("Cache-Control", "no-store")
        answer.addFields(of: write)
        return answer
    }
}

extension Answer {
    fileprivate mutating func addFields(of write: WriteAnswer) {
        let fields = [
            ("ETag", write.etag), ("Freshet-Cursor", write.cursor?.description), ("Location", write.location),
            ("Freshet-Guard", write.guardNote), ("Preference-Applied", write.preference),
        ]
        for (name, value) in fields {
            if let value { self.set(name, value) }
        }
    }
}

extension Problem {
    /// The refusal of a write; `reading`: what the path answers to beside writes.
    init(_ problem: WriteProblem, reading: [String] = []) {
        self.init(problem.status, problem.code, problem.detail)
        if problem.code == Problem.credentialRequired.code { self = .credentialRequired }
        if problem.status == 405 {
            let list = (reading + problem.allowed.map(\.rawValue)).joined(separator: ", ")
            self.fields.append(AnswerField("Allow", list))
        }
        if problem.status == 415 {
            let types = "application/merge-patch+json, application/json-patch+json"
            self.fields.append(AnswerField("Accept-Patch", types))
        }
        if let seconds = problem.retryAfter { self.fields.append(AnswerField("Retry-After", "\(seconds)")) }
        self.members = problem.members.map { Member(name: $0.name, json: $0.json) }
    }

    fileprivate func answer(with write: WriteAnswer) -> Answer {
        var answer = self.answer
        answer.addFields(of: write)
        return answer
    }
}
