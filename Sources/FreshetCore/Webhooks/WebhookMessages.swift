// What the decisions about an endpoint are made of: limits, messages, figures.

package import JSON

/// What bounds one endpoint.
package struct WebhookLimits: Hashable, Sendable {
    /// Events that are delivered ahead of one that is not.
    package var ahead = Defaults.Webhooks.ahead
    /// Bytes of the messages that wait in memory, but for one that is larger.
    package var heldBytes = Defaults.Webhooks.heldBytes
    /// Events of one reading of the log.
    package var eventsPerReading = 64
    /// Last tries that are listed.
    package var tries = Defaults.Webhooks.tries

    package init() {}
}

/// One try to deliver one message.
package struct WebhookTry: Hashable, Sendable {
    package var sequence: UInt64
    package var cursor: Cursor
    /// `webhook-id`: the same on every try.
    package var id: String
    /// The same on every try.
    package var body: [UInt8]
    /// Counts the tries of the message from 1.
    package var number: Int

    package init(sequence: UInt64, cursor: Cursor, id: String, body: [UInt8], number: Int = 1) {
        self.sequence = sequence
        self.cursor = cursor
        self.id = id
        self.body = body
        self.number = number
    }
}

/// A try that has ended, for administrators.
package struct WebhookTryReport: Hashable, Sendable {
    /// When it ended.
    package var at: WallTime
    package var id: String
    package var cursor: Cursor
    /// Counts the tries of the message from 1.
    package var number: Int
    package var outcome: WebhookOutcome
    package var took: Duration

    package init(_ message: WebhookTry, _ outcome: WebhookOutcome, took: Duration, at wall: WallTime) {
        self.init(
            at: wall,
            id: message.id,
            cursor: message.cursor,
            number: message.number,
            outcome: outcome,
            took: took
        )
    }

    package init(at: WallTime, id: String, cursor: Cursor, number: Int, outcome: WebhookOutcome, took: Duration) {
        self.at = at
        self.id = id
        self.cursor = cursor
        self.number = number
        self.outcome = outcome
        self.took = took
    }
}

/// What an endpoint came to since the start of the process.
package struct WebhookFigures: Hashable, Sendable {
    package var tries: [WebhookOutcome.Verdict: UInt64] = [:]
    /// Tries that were not the first of their message.
    package var retries: UInt64 = 0
    /// Gaps that the endpoint had to be told of.
    package var gaps: UInt64 = 0

    package init() {}
}

/// What takes the place of events that the log no longer holds.
package struct WebhookGap: Hashable, Sendable {
    package var reason: GapReason
    /// Where the endpoint goes on.
    package var cursor: Cursor
    /// The message.
    package var body: [UInt8]

    /// The most values that the message points to.
    static let maxLinks = 100

    init(_ reason: GapReason, at cursor: Cursor, body: [UInt8]) {
        self.reason = reason
        self.cursor = cursor
        self.body = body
    }

    /// With a message to this webhook that points to the values of these sources, in their order; the first ``maxLinks`` of
    /// them.
    package init(_ reason: GapReason, at cursor: Cursor, sources: [String], of webhook: WebhookConfiguration) {
        let body = webhook.message("gap", id: cursor.description) { json in
            json.object { json in
                json.member("reason", reason.rawValue)
                json.name("values")
                json.array { json in
                    for name in sources.prefix(Self.maxLinks) {
                        json.string("/v1/values/\(name.split(separator: "/").joined(separator: "%2F"))")
                    }
                }
            }
        }
        self.init(reason, at: cursor, body: body)
    }
}

extension WebhookConfiguration {
    /// A message that is no change of a source, such as a gap: in the form of the others. Its `data` is what `write` writes.
    package func message(_ event: String, id: String?, _ write: (inout JSONWriter) -> Void) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            switch self.envelope {
            case .plain:
                if let id { json.member("id", id) }
                json.member("event", event)
            case .cloudEvents:
                json.member("specversion", "1.0")
                json.member("id", id ?? event)
                json.member("source", "/v1/admin/webhooks/\(self.name)")
                json.member("type", "freshet.\(event)")
                json.member("datacontenttype", "application/json")
            }
            json.name("data")
            write(&json)
        }
        return json.text
    }
}
