// From a request to its answer: the steps that every path has in common.

import Logging

/// What comes of a request.
enum RouteResponse: Sendable {
    case answer(Answer)
    /// There is nothing to answer yet.
    case wait(AwaitedChange)
}

/// Answers everything but streams. Any thread.
struct Responder: Sendable {
    let gateway: Gateway
    let routes: RouteTable

    init(gateway: Gateway) {
        self.gateway = gateway
        var routes = RouteTable()
        ValueRoutes(gateway: gateway).add(to: &routes)
        ChangeRoutes(gateway: gateway).add(to: &routes)
        SourceRoutes(gateway: gateway).add(to: &routes)
        AdminRoutes(gateway: gateway).add(to: &routes)
        OperationRoutes(gateway: gateway).add(to: &routes)
        PageRoutes().add(to: &routes)
        self.routes = routes
    }

    /// Why a request is refused before its body is read; `nil` where it may go on.
    func refusal(of head: RequestHead, by listener: IncomingRequest.Listener) -> Problem? {
        if let refusal = self.gateway.access.hostRefusal(of: head, by: listener) { return refusal }
        guard head.framing != .none, let route = self.routes.match(head.path)?.endpoint.route(for: head.method) else {
            return nil
        }
        return self.gateway.access.refusal(of: head, by: listener, to: route.access)
    }

    /// How many bytes of body a request may have.
    func bodyLimit(_ head: RequestHead) -> Int {
        guard head.framing != .none, let route = self.routes.match(head.path)?.endpoint.route(for: head.method) else {
            return Self.droppedBodyBytes
        }
        switch route.bodyLimit {
        case .dropped: return Self.droppedBodyBytes
        case .upload: return self.gateway.settings.maxBodyBytes
        }
    }

    /// The most bytes of a body that no route takes.
    static let droppedBodyBytes = 64 << 10

    func respond(to request: IncomingRequest) async -> RouteResponse {
        let head = request.head
        guard head.path != "*" else {
            return .answer(Answer(204, fields: [AnswerField("Allow", "GET, HEAD, POST, DELETE, OPTIONS")]))
        }
        guard let match = self.routes.match(head.path) else {
            return .answer(self.allow(head, Problem.noSuchRoute.answer))
        }
        guard head.method != "OPTIONS" else { return .answer(self.options(head, at: match.endpoint)) }
        do {
            let answer = try await self.answer(request, match)
            return .answer(match.endpoint.isCrossOrigin ? self.allow(head, answer) : answer)
        } catch {
            return .wait(error)
        }
    }

    /// - Throws: what a route awaits that has nothing to answer yet.
    private func answer(_ request: IncomingRequest, _ match: RouteTable.Match) async throws(AwaitedChange) -> Answer {
        guard let route = match.endpoint.route(for: request.head.method) else {
            return Problem.methodNotAllowed(match.endpoint.methods).answer
        }
        if let refusal = self.gateway.access.refusal(of: request.head, by: request.listener, to: route.access) {
            return refusal.answer
        }
        do {
            return try await route.handler(GatewayContext(request: request, parameters: match.parameters))
        } catch let change as AwaitedChange {
            throw change
        } catch let problem as Problem {
            return problem.answer
        } catch {
            let metadata: Logger.Metadata = ["error": "\(error)", "method": "\(request.head.method)"]
            self.gateway.logger.error("request failed", metadata: metadata)
            return Problem.internalError.answer
        }
    }

    private func options(_ head: RequestHead, at endpoint: RouteTable.Endpoint) -> Answer {
        guard endpoint.isCrossOrigin else {
            return Answer(204, fields: [AnswerField("Allow", endpoint.methods.joined(separator: ", "))])
        }
        return self.options(head, methods: endpoint.methods)
    }

    /// The answer to OPTIONS: what the path can do, and to which pages.
    func options(_ head: RequestHead, methods: [String]) -> Answer {
        var answer = Answer(204, fields: [AnswerField("Allow", methods.joined(separator: ", "))])
        self.gateway.crossOrigin.allow(head, in: &answer)
        self.gateway.crossOrigin.allowPreflight(head, methods: methods, in: &answer)
        return answer
    }

    /// Adds the CORS fields.
    func allow(_ head: RequestHead, _ answer: Answer) -> Answer {
        var answer = answer
        self.gateway.crossOrigin.allow(head, in: &answer)
        return answer
    }
}
