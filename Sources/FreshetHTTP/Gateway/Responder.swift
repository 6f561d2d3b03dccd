// From a request to its answer: the steps that every path has in common.

import FreshetCore
import Logging

/// What comes of a request.
enum RouteResponse: Sendable {
    case answer(Answer)
    /// There is nothing to answer yet.
    case wait(AwaitedChange)
}

/// Finds the route of each request, and answers all but those that become streams. Any thread.
struct Responder: Sendable {
    let gateway: Gateway
    let routes: RouteTable

    init(gateway: Gateway) {
        self.gateway = gateway
        var routes = RouteTable()
        ValueRoutes(gateway: gateway).add(to: &routes)
        WriteRoutes(gateway: gateway).add(to: &routes)
        ChangeRoutes(gateway: gateway).add(to: &routes)
        StreamRequest.addRoute(to: &routes)
        SocketHandshake.addRoute(to: &routes)
        SourceRoutes(gateway: gateway).add(to: &routes)
        GatewayRoutes(gateway: gateway).add(to: &routes)
        AdminRoutes(gateway: gateway).add(to: &routes)
        OperationRoutes(gateway: gateway).add(to: &routes)
        AccessRoutes(gateway: gateway).add(to: &routes)
        HookRoutes(gateway: gateway).add(to: &routes)
        PushRoutes(gateway: gateway).add(to: &routes)
        SchemaRoutes(gateway: gateway).add(to: &routes)
        WebhookRoutes(gateway: gateway).add(to: &routes)
        DurableRoutes(gateway: gateway).add(to: &routes)
        StreamdataRoutes(gateway: gateway).add(to: &routes)
        PageRoutes(servesExample: gateway.settings.servesExample).add(to: &routes)
        self.routes = routes
    }

    /// Where a request leads, and who sent it.
    func plan(
        _ head: RequestHead,
        by listener: IncomingRequest.Listener,
        certificate: String? = nil
    ) -> RequestPlan {
        var plan = RequestPlan(head: head, match: self.routes.match(head.path), identity: .nobody)
        if let route = plan.route, route.access != .everybody {
            plan.identity = self.gateway.access.identity(
                of: head,
                by: listener,
                certificate: certificate,
                ignoresForeign: route.isForwarded
            )
            plan.identity = self.gateway.access.unclaimed(plan.identity, for: route)
        }
        return plan
    }

    /// Who sent a request, where its route is for them.
    ///
    /// - Throws: 401 or 403, and why.
    func principal(
        _ plan: RequestPlan,
        by listener: IncomingRequest.Listener,
        for route: Route
    ) throws(Problem) -> Principal {
        try self.gateway.access.principal(plan.identity, of: plan.head, by: listener, for: route.access)
    }

    /// Who asks for a stream of the sources that `names` names.
    ///
    /// - Throws: 401 or 403, and why.
    func streamCaller(
        _ plan: RequestPlan,
        names: some Collection<UInt8>,
        by listener: IncomingRequest.Listener,
        for route: Route
    ) throws(Problem) -> StreamOpener {
        if case .ticket(let ticket) = plan.identity {
            return try self.gateway.access.redeem(ticket, for: plan.head, names: names)
        }
        return .principal(try self.principal(plan, by: listener, for: route))
    }

    /// Why a request is refused before its body is read; `nil` where it may go on.
    func refusal(of plan: RequestPlan, by listener: IncomingRequest.Listener) -> Problem? {
        guard plan.head.framing != .none, let route = plan.route else { return nil }
        // The route of streams looks at tickets.
        if case .ticket = plan.identity, case .stream = route.action { return nil }
        do throws(Problem) {
            _ = try self.principal(plan, by: listener, for: route)
            return nil
        } catch let refusal {
            return refusal
        }
    }

    /// How many bytes of body a request may have.
    func bodyLimit(_ plan: RequestPlan) -> Int {
        switch plan.route?.bodyLimit {
        case nil, .dropped, .short: Self.shortBodyBytes
        case .upload: self.gateway.settings.maxBodyBytes
        case .hook: HookRoutes.maxBodyBytes
        }
    }

    /// The most bytes of a body that holds no value.
    static let shortBodyBytes = 64 << 10

    func respond(to request: IncomingRequest) async -> RouteResponse {
        let head = request.head
        guard head.path != "*" else {
            return .answer(Answer(204, fields: [AnswerField("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")]))
        }
        guard let match = request.plan.match else {
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
        guard let route = request.plan.route, case .answer(let handler) = route.action else {
            return Problem.methodNotAllowed(match.endpoint.methods).answer
        }
        do {
            let principal = try self.principal(request.plan, by: request.listener, for: route)
            return try await handler(
                GatewayContext(request: request, parameters: match.parameters, principal: principal)
            )
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
        let methods = endpoint.methods
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
