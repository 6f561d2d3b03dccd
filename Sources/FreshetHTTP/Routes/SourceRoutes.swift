// `GET /v1/sources`: what is polled, how it goes, and who listens.

import FreshetCore
import JSON

struct SourceRoutes: Sendable {
    let gateway: Gateway

    func add(to routes: inout RouteTable) {
        let access: Route.Access = self.gateway.settings.keepsOperationsPrivate ? .administrator : .anyone
        routes.on(.get, "/v1/sources", access: access) { _ in self.list() }
        routes.on(.get, "/v1/sources/:source", access: access) { context in
            let source = try SourceSelection.one(context.segment("source").utf8, in: self.gateway.hub)
            guard let report = self.gateway.hub.report(of: source) else { throw Problem.unknownSource() }
            return Self.answer(report)
        }
    }

    private func list() -> Answer {
        // Read first: who continues from it may see a change again in the list, and misses none.
        let cursor = self.gateway.hub.cursor
        var json = JSONWriter()
        json.object { json in
            json.name("sources")
            json.array { json in
                for report in self.gateway.hub.sources() {
                    Self.write(report, to: &json)
                }
            }
            json.member("cursor", cursor.description)
        }
        return .json(json.text)
    }

    /// One source as JSON.
    static func answer(_ report: SourceReport) -> Answer {
        var json = JSONWriter()
        self.write(report, to: &json)
        return .json(json.text)
    }

    private static func write(_ report: SourceReport, to json: inout JSONWriter) {
        let status = report.status
        json.object { json in
            json.member("name", report.name)
            json.member("state", status.state.rawValue)
            json.member("state_since", status.stateSince.description)
            self.write(status.lastError, to: &json)
            json.member("interval", status.interval.text)
            json.member("interval_reason", status.intervalReason)
            json.member("next_poll_at", optional: status.nextPollAt?.description)
            json.member("last_success_at", optional: status.lastSuccessAt?.description)
            json.name("validator")
            json.object { json in
                json.member("etag", optional: status.validators.etag.map { String(decoding: $0, as: UTF8.self) })
                let date = status.validators.lastModified.map { String(decoding: $0, as: UTF8.self) }
                json.member("last_modified", optional: date)
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

    /// The collection whose items are told apart, by whose word; `null` where there is none.
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
    /// A string member, `null` where there is none.
    mutating func member(_ name: String, optional text: String?) {
        self.name(name)
        if let text { self.string(text) } else { self.null() }
    }
}
