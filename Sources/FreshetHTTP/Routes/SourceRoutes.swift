// `GET /v1/sources`: what is polled, how it goes, and who listens.

import FreshetCore
import HTTPFields
import JSON

struct SourceRoutes: Sendable {
    let gateway: Gateway
    private let listing: SharedText<SourceListing>

    init(gateway: Gateway) {
        self.gateway = gateway
        self.listing = SharedText(lifetime: gateway.settings.sharedTextLifetime) { [hub = gateway.hub] in
            SourceListing(hub: hub)
        }
    }

    func add(to routes: inout RouteTable) {
        let access: Route.Access = self.gateway.settings.keepsOperationsPrivate ? .administrator : .caller
        routes.on(.get, "/v1/sources", for: access) { try await self.list($0) }
        let one: Route.Handler = { context in
            let name = context.segment("source").utf8
            let source = try SourceSelection.one(name, in: self.gateway.hub, for: context.principal)
            guard let report = self.gateway.hub.report(of: source) else { throw Problem.unknownSource() }
            return Self.answer(report)
        }
        routes.on(.get, "/v1/sources/:source", for: access, one)
        // The slashes of an instance's name.
        routes.on(.get, "/v1/sources/*source", for: access, one)
    }

    private func list(_ context: GatewayContext) async throws -> Answer {
        let accept = context.request.head.value(of: "accept")
        guard MediaRange.best(of: [.json, .eventStream], accept: accept) != .eventStream else {
            return try self.follow(context)
        }
        let query = context.request.query
        let limit = try Self.limit(query)
        let after = try Self.after(query)
        let grant = context.principal.grants.read
        if context.principal.kind == .anonymous, grant == .none { throw Problem.credentialRequired }
        let (hub, principal) = (self.gateway.hub, context.principal)
        let (text, next) = await self.listing.value().page(after: after, limit: limit, within: grant) { instance in
            principal.grants.admin || hub.permits(instance, to: principal)
        }
        var answer = Answer.json(text)
        if let next {
            answer.set("Link", "</v1/sources?limit=\(limit)&after=\(next.index)>; rel=\"next\"")
        }
        return answer
    }

    /// The rows as an event stream: all of them, and from then on those that change.
    private func follow(_ context: GatewayContext) throws(Problem) -> Answer {
        let principal = context.principal
        if principal.kind == .anonymous, principal.grants.read == .none { throw Problem.credentialRequired }
        let gateway = self.gateway
        guard gateway.rows.enter() else {
            throw .busy(
                "too_many_row_streams",
                "As many streams of /v1/sources are open as may be; poll the list, or come later.",
                retryAfter: Int64.random(in: 1...10)
            )
        }
        var answer = Answer(200)
        answer.fields = [
            AnswerField("Content-Type", MediaType.eventStream.rawValue),
            AnswerField("Cache-Control", "no-store"),
            AnswerField("X-Accel-Buffering", "no"),
            AnswerField("X-Content-Type-Options", "nosniff"),
            AnswerField("Vary", "Accept"),
        ]
        answer.parts = RowFollower(
            book: gateway.rows,
            principal: principal,
            lastEventID: context.request.head.value(of: "last-event-id"),
            heartbeat: gateway.settings.rowHeartbeat,
            permits: { principal.grants.admin || gateway.hub.permits($0, to: principal) }
        ) { principal throws(Problem) in try gateway.access.present(principal) }
        return answer
    }

    private static func limit(_ query: QueryString) throws(Problem) -> Int {
        guard let text = query["limit"] else { return SourceListing.maxLimit }
        guard let limit = Self.number(text), (1...SourceListing.maxLimit).contains(limit) else {
            throw .badParameter("limit", "The limit is a number from 1 to \(SourceListing.maxLimit).")
        }
        return limit
    }

    private static func after(_ query: QueryString) throws(Problem) -> SourceID? {
        guard let text = query["after"], !text.isEmpty else { return nil }
        guard let index = Self.number(text) else {
            throw .badParameter("after", "Use the value of next from the previous page.")
        }
        return SourceID(index: index)
    }

    private static func number(_ text: String) -> Int? {
        text.utf8.count <= 9 && text.utf8.allSatisfy(\.isDigit) ? Int(text) : nil
    }

    /// One source as JSON.
    static func answer(_ report: SourceReport) -> Answer {
        .json(SourceRow.text(report, at: WallClock.now, isDetailed: true))
    }
}
