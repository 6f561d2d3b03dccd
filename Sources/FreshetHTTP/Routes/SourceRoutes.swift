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
        .json(SourceRow.text(report))
    }
}

/// One source as `/v1/sources` tells of it.
enum SourceRow {
    static func text(_ report: SourceReport) -> [UInt8] {
        var json = JSONWriter()
        self.write(report, to: &json)
        return json.text
    }

    private static func write(_ report: SourceReport, to json: inout JSONWriter) {
        let status = report.status
        json.object { json in
            json.member("name", report.name)
            json.member("state", status.state.rawValue)
            json.member("state_since", status.stateSince.description)
            self.write(status.lastError, to: &json)
            json.member("interval", optional: status.isPolled ? status.interval.text : nil)
            json.member("interval_reason", status.intervalReason)
            json.member("next_poll_at", optional: status.nextPollAt?.description)
            json.member("last_success_at", optional: status.lastSuccessAt?.description)
            json.name("validator")
            json.object { json in
                json.member("etag", optional: status.validators.etag.map { String(decoding: $0, as: UTF8.self) })
                let date = status.validators.lastModified.map { String(decoding: $0, as: UTF8.self) }
                json.member("last_modified", optional: date)
                json.member("checks", status.validatorChecks)
                json.member("caught_at", optional: status.validatorCaughtAt?.description)
            }
            self.write(status.collection, to: &json)
            self.write(status.warnings, to: &json)
            json.member("polls", status.polls)
            json.member("not_modified", status.notModified)
            json.member("unchanged", status.unchanged)
            json.member("changes", status.changes)
            json.member("failures", status.failures)
            json.member("consecutive_failures", status.failuresInARow)
            json.member("flaps", status.flaps)
            json.member("bytes", status.bytes)
            json.member("subscribers", report.subscribers)
            json.member("cursor", optional: report.version?.cursor.description)
            json.member("value_bytes", report.version?.document.text.count ?? 0)
        }
    }

    /// The collection with its key, and who named it; `null` if there is none.
    private static func write(_ collection: SourceCollection?, to json: inout JSONWriter) {
        json.name("collection")
        guard let collection else {
            json.null()
            return
        }
        json.object { json in
            json.member("items", collection.rule.items.description)
            json.member("key", optional: collection.rule.key?.description)
            json.member("origin", collection.isGuessed ? "guessed" : "configured")
        }
    }

    private static func write(_ warnings: [SourceWarning], to json: inout JSONWriter) {
        json.name("warnings")
        json.array { json in
            for warning in warnings {
                json.object { json in
                    json.member("kind", warning.kind.rawValue)
                    json.member("message", warning.message)
                }
            }
        }
    }

    private static func write(_ reported: ReportedError?, to json: inout JSONWriter) {
        json.name("last_error")
        guard let reported else {
            json.null()
            return
        }
        json.object { json in
            json.member("kind", reported.error.kind.rawValue)
            json.member("message", reported.error.message)
            json.member("at", reported.at.description)
        }
    }
}

extension JSONWriter {
    /// A string member, `null` if absent.
    mutating func member(_ name: String, optional text: String?) {
        self.name(name)
        if let text { self.string(text) } else { self.null() }
    }
}
