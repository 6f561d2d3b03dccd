// `GET /v1/items/{source}/{key}`: one item of a keyed collection, with a tag of its own.

import FreshetCore
import HTTPFields
import JSON
import NIOCore

extension ValueRoutes {
    /// An item as it is at one moment.
    private struct Item {
        var text: [UInt8]
        /// A cursor at which it had this text.
        var cursor: Cursor

        var etag: String { "\"\(self.cursor)\"" }
    }

    func item(_ context: GatewayContext) async throws -> Answer {
        let (source, instances) = try SourceSelection.openOne(
            context.segment("source").utf8,
            in: self.gateway.hub,
            for: context.principal,
            from: context.request.client
        )
        if context.request.query["wait"] == nil { try await context.settle(instances, of: self.gateway) }
        let key = PercentCoding.decoded(context.segment("key").utf8, plusIsSpace: false)
        guard WritePolicy.isKey(key) else { throw Problem.unknownItem }
        guard let report = self.gateway.hub.report(of: source) else { throw Problem.unknownSource() }
        let version = report.version
        let item = try self.find(key, in: report)
        var isNew = true
        if let deadline = try context.waitDeadline(upTo: self.gateway.settings.maxWait) {
            let awaited = context.request.awaited
            let present = if let awaited { awaited.known } else { item?.cursor }
            let holds = try self.isKnown(item, to: context, present: present)
            if holds, NIODeadline.now() < deadline {
                throw AwaitedChange(
                    sources: [source],
                    after: version?.cursor.sequence ?? 0,
                    deadline: deadline,
                    known: present,
                    holds: instances
                )
            }
            // Who named nothing that it has gets the item in any case.
            let namesOne =
                context.request.head.value(of: "if-none-match") != nil || context.request.query["since"] != nil
            isNew = !holds || !namesOne
        }
        guard let version else { throw self.absence(report) }
        guard let item else { throw Problem.unknownItem }
        return self.answer(context.request.head, item, of: version, report.status, isNew: isNew)
    }

    /// `nil` where there is no such item, or no value yet.
    private func find(_ key: String, in report: SourceReport) throws(Problem) -> Item? {
        guard let version = report.version else { return nil }
        guard let rule = report.status.collection?.rule else { throw .noCollection }
        switch version.document.item(key, in: rule) {
        case .missing: return nil
        case .noCollection: throw .noCollection
        case .ambiguous: throw .ambiguousKey
        case .found(let value, _):
            let cursor = self.gateway.hub.itemTags.cursor(of: key, value.text, in: report.id, at: version.cursor)
            return Item(text: Array(value.text), cursor: cursor)
        }
    }

    /// Whether a client that waits has this item already, or, as it, has none.
    private func isKnown(_ item: Item?, to context: GatewayContext, present: Cursor?) throws(Problem) -> Bool {
        guard let item else { return true }
        if let tags = context.request.head.value(of: "if-none-match") {
            return Precondition.matches(tags, etag: item.etag)
        }
        switch context.request.query["since"] {
        case nil, "latest": return item.cursor == present
        case let text?:
            guard let cursor = Cursor(text) else {
                throw .badParameter("since", "Write a cursor, as Freshet-Cursor gave it, or latest.")
            }
            return cursor.epoch == item.cursor.epoch && item.cursor.sequence <= cursor.sequence
        }
    }

    private func answer(
        _ head: RequestHead,
        _ item: Item,
        of version: SourceVersion,
        _ status: SourceStatus,
        isNew: Bool
    ) -> Answer {
        var answer = Answer(200)
        answer.fields = [
            AnswerField("ETag", item.etag),
            AnswerField("Cache-Control", self.cacheControl(version, status: status)),
            AnswerField("Freshet-Cursor", version.cursor.description),
            AnswerField("Freshet-State", status.state.rawValue),
            AnswerField("X-Content-Type-Options", "nosniff"),
        ]
        let tags = head.value(of: "if-none-match")
        if !isNew || tags.map({ Precondition.matches($0, etag: item.etag) }) ?? false {
            answer.status = 304
        } else {
            answer.fields.append(AnswerField("Content-Type", "application/json"))
            answer.body = AnswerBody(item.text)
        }
        return answer
    }
}

extension Problem {
    static let unknownItem = Problem(404, "unknown_item", "The collection has no item with this key.")

    static let noCollection = Problem(
        404,
        "no_collection",
        "The value has no collection of items with a key; set items and key of the source."
    )

    static let ambiguousKey = Problem(422, "ambiguous_key", "More than one item of the collection has this key.")
}
