// `GET /v1/sources/{source}/schema`: what a source's values look like.

import FreshetCore
import JSON
import JSONSchema

struct SchemaRoutes: Sendable {
    let gateway: Gateway
    private let book = SchemaBook()

    init(gateway: Gateway) {
        self.gateway = gateway
    }

    func add(to routes: inout RouteTable) {
        routes.on(.get, "/v1/sources/:source/schema", for: .caller) { try await self.schema($0) }
    }

    private func schema(_ context: GatewayContext) async throws -> Answer {
        let name = context.segment("source").utf8
        let hub = self.gateway.hub
        let client = context.request.client
        let (source, holds) = try SourceSelection.openOne(name, in: hub, for: context.principal, from: client)
        try await context.settle(holds, of: self.gateway)
        guard let report = self.gateway.hub.report(of: source) else { throw Problem.unknownSource() }
        if let schema = report.status.schema {
            return Self.answer(schema.schema.document.text, origin: "configured")
        }
        guard let version = report.version else {
            throw Problem.busy("no_value_yet", "The source has had no value yet.", retryAfter: 10)
        }
        var changes: [ChangeEvent] = []
        let known = self.book.version(of: source)
        if known != version.cursor {
            changes = try await self.changes(of: source, after: known, for: context)
        }
        let text = self.book.schema(of: source, named: report.name, value: version, changes: changes)
        return Self.answer(text, origin: "inferred")
    }

    /// The changes that the shape does not have yet, the newest first.
    private func changes(
        of source: SourceID,
        after known: Cursor?,
        for context: GatewayContext
    ) async throws(Problem) -> [ChangeEvent] {
        do throws(ReadRefusal) {
            let past = try await self.gateway.hub.changes(
                of: [source],
                before: .max,
                mode: .patch,
                limit: SchemaBook.maxChanges,
                for: context.request.readClient
            )
            guard let known, known.epoch == self.gateway.hub.cursor.epoch else { return past.events }
            return past.events.filter { $0.sequence > known.sequence }
        } catch {
            throw .unread(error)
        }
    }

    private static func answer(_ schema: [UInt8], origin: String) -> Answer {
        var answer = Answer(200, body: schema, type: "application/schema+json")
        answer.set("Cache-Control", "no-cache")
        answer.set("Freshet-Schema", origin)
        return answer
    }
}
