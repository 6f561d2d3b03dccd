// One source as `/v1/sources` tells of it.

import FreshetCore
import JSON

enum SourceRow {
    /// A row as lists and streams have it; `isDetailed` adds the fields of the last poll's request and answer.
    static func text(_ report: SourceReport, at now: WallTime, isDetailed: Bool = false) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            self.writeCondition(report, to: &json)
            self.writePace(report.status, to: &json)
            self.writeChange(report, to: &json)
            self.writeFigures(report, at: now, to: &json)
            self.write(report.status.lastPoll, isDetailed: isDetailed, to: &json)
        }
        return json.text
    }

    private static func writeCondition(_ report: SourceReport, to json: inout JSONWriter) {
        let status = report.status
        json.member("name", report.name)
        json.member("url", optional: status.url.isEmpty ? nil : status.url)
        json.member("state", status.state.rawValue)
        json.member("state_since", status.stateSince.description)
        if let owner = report.owner { json.member("owner", owner) }
        self.write(status.lastError, to: &json)
        json.name("problem")
        if let problem = SourceProblem(status, subscribers: report.subscribers) {
            json.object { json in
                json.member("what", problem.what)
                json.member("why", problem.why)
                json.member("effect", problem.effect)
                json.member("fix", problem.fix)
            }
        } else {
            json.null()
        }
        self.write(status.warnings, to: &json)
    }

    private static func writePace(_ status: SourceStatus, to json: inout JSONWriter) {
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
    }

    private static func writeChange(_ report: SourceReport, to json: inout JSONWriter) {
        json.name("last_change")
        guard let version = report.version, let summary = version.summary else { return json.null() }
        json.object { json in
            json.member("at", version.at.description)
            json.member("cursor", version.cursor.description)
            json.member("added", summary.added)
            json.member("removed", summary.removed)
            json.member("updated", summary.updated)
            json.member("values", summary.values)
            json.name("sample")
            guard let sample = summary.sample else { return json.null() }
            json.object { json in
                json.member("item", raw: sample.item ?? Array("null".utf8))
                json.member("path", sample.path.description)
                if let old = sample.old { json.member("old", raw: old) }
                if let new = sample.new { json.member("new", raw: new) }
            }
        }
    }

    private static func writeFigures(_ report: SourceReport, at now: WallTime, to json: inout JSONWriter) {
        let status = report.status
        json.member("polls", status.polls)
        json.member("not_modified", status.notModified)
        json.member("unchanged", status.unchanged)
        json.member("changes", status.changes)
        json.member("failures", status.failures)
        json.member("consecutive_failures", status.failuresInARow)
        json.member("flaps", status.flaps)
        json.member("bytes", status.bytes)
        json.member("subscribers", report.subscribers)
        json.member("requests_saved", report.requestsSaved)
        json.member("cursor", optional: report.version?.cursor.description)
        json.member("value_bytes", report.version?.document.text.count ?? 0)
        for (name, counts) in [
            ("changes_per_hour", status.changesPerHour), ("failures_per_hour", status.failuresPerHour),
        ] {
            json.name(name)
            json.array { json in
                for count in counts.values(at: now) { json.number(count) }
            }
        }
    }

    private static func write(_ poll: PollRecord?, isDetailed: Bool, to json: inout JSONWriter) {
        json.name("last_poll")
        guard let poll else { return json.null() }
        json.object { json in
            json.member("at", poll.at.description)
            json.member("outcome", poll.outcome.label)
            json.name("status")
            if let status = poll.trace?.status { json.number(status) } else { json.null() }
            json.member("protocol", optional: poll.trace?.version)
            json.member("connection", optional: poll.trace.map { $0.isNewConnection ? "new" : "kept" })
            json.member("bytes", poll.bytes)
            json.name("timing_ms")
            guard let trace = poll.trace else { return json.null() }
            json.object { json in
                json.member("dns", trace.timing.dns.rounded(toDigits: 3))
                json.member("connect", trace.timing.connect.rounded(toDigits: 3))
                json.member("tls", trace.timing.tls.rounded(toDigits: 3))
                json.member("first_byte", trace.timing.firstByte.rounded(toDigits: 3))
                json.member("download", trace.timing.download.rounded(toDigits: 3))
            }
            guard isDetailed else { return }
            self.write(trace.request, "request_headers", to: &json)
            self.write(trace.response, "response_headers", to: &json)
        }
    }

    /// Pairs of name and value; the value of a field that may hold a secret is `null`.
    private static func write(_ fields: [ExchangeTrace.Field], _ name: String, to json: inout JSONWriter) {
        json.name(name)
        json.array { json in
            for field in fields {
                json.array { json in
                    json.string(field.name)
                    if let value = field.value { json.string(value) } else { json.null() }
                }
            }
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

extension Double {
    /// For a reader: the digits behind carry nothing.
    fileprivate func rounded(toDigits digits: Int) -> Double {
        let scale = (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
        return (self * scale).rounded() / scale
    }
}

extension JSONWriter {
    /// A string member, `null` if absent.
    mutating func member(_ name: String, optional text: String?) {
        self.name(name)
        if let text { self.string(text) } else { self.null() }
    }
}
