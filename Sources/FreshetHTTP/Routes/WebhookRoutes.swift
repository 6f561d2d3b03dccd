// `/v1/admin/webhooks`: where endpoints stand, and what people do with them.

import FreshetCore
import JSON

struct WebhookRoutes: Sendable {
    let gateway: Gateway

    func add(to routes: inout RouteTable) {
        routes.on(.get, "/v1/admin/webhooks", for: .administrator, isCrossOrigin: false) { _ in await self.list() }
        self.action("pause", in: &routes) { control, name in try Self.answer(try await control.pause(name)) }
        self.action("resume", in: &routes) { control, name in try Self.answer(try await control.resume(name)) }
        self.action("test", in: &routes) { control, name in
            guard let report = try await control.test(name) else { throw Self.unknown }
            var json = JSONWriter()
            Self.write(report, to: &json)
            return .json(json.text)
        }
    }

    private func action(
        _ name: String,
        in routes: inout RouteTable,
        _ body: @escaping @Sendable (any WebhookControl, String) async throws -> Answer
    ) {
        routes.on(.post, "/v1/admin/webhooks/:name/\(name)", for: .administrator, isCrossOrigin: false) { context in
            let name = String(context.segment("name"))
            guard let control = self.gateway.webhooks, SourceName.isValid(name) else { throw Self.unknown }
            do {
                return try await body(control, name)
            } catch let error as UpstreamError {
                throw Problem(503, "no_owner", error.message)
            }
        }
    }

    private static let unknown = Problem(404, "unknown_webhook", "There is no such webhook.")

    private func list() async -> Answer {
        let reports = await self.gateway.webhooks?.reports() ?? []
        var json = JSONWriter()
        json.object { json in
            json.name("webhooks")
            json.array { json in
                for report in reports { Self.write(report, to: &json) }
            }
        }
        return .json(json.text)
    }

    private static func answer(_ report: WebhookReport?) throws -> Answer {
        guard let report else { throw self.unknown }
        var json = JSONWriter()
        self.write(report, to: &json)
        return .json(json.text)
    }

    private static func write(_ report: WebhookReport, to json: inout JSONWriter) {
        let (configuration, standing) = (report.configuration, report.standing)
        json.object { json in
            json.member("name", configuration.name)
            json.member("url", URLRedaction.redacted(configuration.url))
            json.name("sources")
            json.array { json in
                for term in configuration.sources.terms { json.string(term.description) }
            }
            json.member("mode", configuration.mode.rawValue)
            json.member("envelope", configuration.envelope.rawValue)
            json.member("order", configuration.order.rawValue)
            if let owner = report.owner { json.member("owner", owner) }
            json.member("state", standing.text)
            json.member("state_since", standing.since.description)
            json.member("cursor", standing.cursor.description)
            json.member("lag", standing.lag)
            json.member("in_flight", standing.inFlight)
            json.member("refused", standing.refused)
            json.member("delivered_ahead", standing.ahead)
            json.member("delivered", standing.delivered)
            json.member("gaps", standing.gaps)
            json.member("next_try_at", optional: standing.nextRetry?.description)
            json.name("tries")
            json.array { json in
                for attempt in standing.tries { self.write(attempt, to: &json) }
            }
        }
    }

    private static func write(_ report: WebhookTryReport, to json: inout JSONWriter) {
        json.object { json in
            json.member("at", report.at.description)
            json.member("id", report.id)
            json.member("cursor", report.cursor.description)
            json.member("try", report.number)
            json.member("outcome", report.outcome.verdict.rawValue)
            json.name("status")
            if let status = report.outcome.status { json.number(status) } else { json.null() }
            json.member("error", optional: report.outcome.error)
            json.member("duration_ms", report.took.milliseconds)
        }
    }
}
