// From a request to its answer: the steps that every path has in common.

import HTTPTypes
import Hummingbird
import Logging

/// Answers everything but streams. Any thread.
struct Responder: Sendable {
    let gateway: Gateway
    let paths: PathTable
    private let router: RouterResponder<GatewayContext>

    init(gateway: Gateway) {
        self.gateway = gateway
        var routes = RouteTable()
        ValueRoutes(gateway: gateway).add(to: &routes)
        ChangeRoutes(gateway: gateway).add(to: &routes)
        SourceRoutes(gateway: gateway).add(to: &routes)
        AdminRoutes(gateway: gateway).add(to: &routes)
        OperationRoutes(gateway: gateway).add(to: &routes)
        PageRoutes().add(to: &routes)
        self.paths = routes.paths
        self.router = routes.router.buildResponder()
    }

    /// How many bytes of body a request to this path may have.
    func bodyLimit(_ head: RequestHead) -> Int {
        head.method == "POST" && head.path.hasPrefix(AdminRoutes.prefix) && head.path.hasSuffix(AdminRoutes.valueSuffix)
            ? self.gateway.settings.maxBodyBytes : Self.droppedBodyBytes
    }

    /// Of a body that nobody asked for.
    static let droppedBodyBytes = 64 << 10

    func respond(to request: IncomingRequest) async -> Answer {
        let head = request.head
        guard head.path != "*" else {
            return Answer(204, fields: [AnswerField("Allow", "GET, HEAD, POST, DELETE, OPTIONS")])
        }
        guard let methods = self.paths.methods(at: head.path) else {
            return self.allow(head, Problem.noSuchRoute.answer)
        }
        guard head.method != "OPTIONS" else { return self.options(head, methods: methods) }
        guard methods.contains(head.method) else {
            return self.allow(head, Problem.methodNotAllowed(methods).answer)
        }
        do {
            return self.allow(head, try await Answer(self.route(request)))
        } catch let problem as Problem {
            return self.allow(head, problem.answer)
        } catch {
            self.gateway.logger.error("request failed", metadata: ["error": "\(error)", "method": "\(head.method)"])
            return self.allow(head, Problem.internalError.answer)
        }
    }

    /// Hands the request to Hummingbird. HEAD is GET whose body the connection leaves out.
    private func route(_ request: IncomingRequest) async throws -> Response {
        let head = request.head
        guard let method = HTTPRequest.Method(head.method == "HEAD" ? "GET" : head.method) else {
            throw Problem.malformed("The method is not a token.")
        }
        var fields = HTTPFields()
        for field in head.fields {
            guard let name = HTTPField.Name(field.name) else { continue }
            fields.append(HTTPField(name: name, value: field.value))
        }
        let target = head.query.isEmpty ? head.path : "\(head.path)?\(head.query)"
        let line = HTTPRequest(
            method: method,
            scheme: "http",
            authority: head.authority,
            path: target,
            headerFields: fields
        )
        let source = GatewayContext.Source(logger: self.gateway.logger, request: request)
        return try await self.router.respond(
            to: Request(head: line, body: RequestBody(buffer: request.body)),
            context: GatewayContext(source: source)
        )
    }

    /// The answer to OPTIONS: what the path can do, and to which pages.
    func options(_ head: RequestHead, methods: [String]) -> Answer {
        var answer = Answer(204, fields: [AnswerField("Allow", methods.joined(separator: ", "))])
        guard !head.path.hasPrefix(AdminRoutes.prefix) else { return answer }
        self.gateway.crossOrigin.allow(head, in: &answer)
        self.gateway.crossOrigin.allowPreflight(head, methods: methods, in: &answer)
        return answer
    }

    /// Adds the CORS fields, to everything but the administration.
    func allow(_ head: RequestHead, _ answer: Answer) -> Answer {
        guard !head.path.hasPrefix(AdminRoutes.prefix) else { return answer }
        var answer = answer
        self.gateway.crossOrigin.allow(head, in: &answer)
        return answer
    }
}
