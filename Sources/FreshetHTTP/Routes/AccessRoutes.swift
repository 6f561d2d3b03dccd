// `GET /v1/me`, `POST /v1/tickets` and `POST /v1/sources/{source}/value`: what callers do with their credential.

import FreshetAccess
import FreshetCore
import JSON
import NIOCore

struct AccessRoutes: Sendable {
    let gateway: Gateway

    func add(to routes: inout RouteTable) {
        routes.on(.get, "/v1/me", for: .caller) { Self.answer(about: $0.principal) }
        routes.on(.post, "/v1/tickets", for: .caller, bodyLimit: .short) { try self.issueTicket($0) }
        routes.on(.post, "/v1/sources/:source/value", for: .caller, bodyLimit: .upload) { try await self.publish($0) }
    }

    private static func answer(about principal: Principal) -> Answer {
        var json = JSONWriter()
        json.object { json in
            json.member("id", principal.id)
            json.member("kind", principal.kind.rawValue)
            self.write(principal.grants.read, "read", to: &json)
            self.write(principal.grants.write, "write", to: &json)
            self.write(principal.grants.publish, "publish", to: &json)
            json.member("admin", principal.grants.admin)
            json.member("expires_at", optional: principal.validUntil?.description)
            json.name("parameters")
            json.object { json in
                for (name, value) in principal.grants.parameters.sorted(by: { $0.key < $1.key }) {
                    json.member(name, value)
                }
            }
        }
        return .json(json.text)
    }

    private static func write(_ pattern: SourcePattern, _ name: String, to json: inout JSONWriter) {
        json.name(name)
        json.array { json in
            for term in pattern.terms { json.string(term.description) }
        }
    }

    /// A ticket for sources that the caller may read now. Callers without a credential need none.
    private func issueTicket(_ context: GatewayContext) throws(Problem) -> Answer {
        guard let authenticator = self.gateway.access.authenticator else {
            throw Problem(404, "no_tickets", "Without auth nobody needs a ticket: open the stream without one.")
        }
        guard context.principal.kind != .anonymous else { throw .credentialRequired }
        let body = Array(context.request.body.readableBytesView)
        guard let document = try? Document(parsing: body), let sources = document.root["sources"]?.string else {
            let detail = #"The body is JSON that names the sources of the stream, such as {"sources":"a,b"}."#
            throw Problem(400, "bad_body", detail)
        }
        // What is read here is what the ticket holds: of a name nothing is encoded but the values of parameters.
        guard SourceSelector(sources) != nil else { throw .unknownSource() }
        try SourceSelection.check(sources.utf8, in: self.gateway.hub, for: context.principal)
        let ticket: Ticket
        do throws(TicketProblem) {
            ticket = try authenticator.issueTicket(for: context.principal, sources: sources)
        } catch {
            throw Problem(error)
        }
        var json = JSONWriter()
        json.object { json in
            json.member("ticket", ticket.text)
            json.member("expires_at", ticket.expiresAt.description)
        }
        return .json(json.text)
    }

    private func publish(_ context: GatewayContext) async throws -> Answer {
        let head = context.request.head
        // A cookie, a certificate and the rights of everybody are lent to any page that asks; who sets a field means it
        // (FAULTS S4).
        let isMeant = head.value(of: "authorization") != nil || head.value(of: "x-api-key") != nil
        guard isMeant || self.gateway.crossOrigin.mayPublish(head) else { throw Problem.crossOrigin }
        let name = context.segment("source").utf8
        let source = try SourceSelection.one(name, in: self.gateway.hub, for: context.principal, \.publish)
        return try await AdminRoutes.push(source, context, self.gateway)
    }
}

extension Problem {
    init(_ problem: TicketProblem) {
        switch problem {
        case .tooMany:
            let detail = "As many tickets wait to be used as may; open their streams, or wait until they expire."
            let field = AnswerField("Retry-After", "\(Int64.random(in: 1...10))")
            self.init(429, "too_many_tickets", detail, fields: [field])
        case .tooLong:
            let detail = "A ticket for these sources is longer than \(TicketLimits.maxBytes) bytes; name them with *."
            self.init(400, "ticket_too_long", detail)
        }
    }
}
