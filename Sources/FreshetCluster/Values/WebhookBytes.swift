// How an endpoint of `webhooks` stands, from the gateway that sends to it to one that is asked.

import FreshetCore

extension RecordWriter {
    mutating func put(_ standing: WebhookStanding) {
        self.put(standing.state.rawValue.utf8)
        self.put(UInt8(standing.isFailing ? 1 : 0))
        self.put(standing.since.milliseconds)
        self.put(standing.cursor.description.utf8)
        for number in [standing.lag, standing.delivered, standing.gaps] { self.put(number) }
        for number in [standing.inFlight, standing.refused, standing.ahead] { self.put(UInt32(clamping: number)) }
        self.put(UInt8(standing.nextRetry == nil ? 0 : 1))
        self.put(standing.nextRetry?.milliseconds ?? 0)
        let tries = standing.tries.suffix(RecordReader.maxTries)
        self.put(UInt8(clamping: tries.count))
        for report in tries { self.put(report) }
    }

    mutating func put(_ report: WebhookTryReport) {
        self.put(report.at.milliseconds)
        self.put(report.id.utf8)
        self.put(report.cursor.description.utf8)
        self.put(UInt32(clamping: report.number))
        self.put(report.outcome.verdict.rawValue.utf8)
        self.put(UInt16(clamping: report.outcome.status ?? 0))
        self.put(report.outcome.error.map { Array($0.utf8.prefix(RecordReader.maxError)) })
        self.put(report.took.milliseconds)
    }
}

extension RecordReader {
    fileprivate static let maxTries = 255
    fileprivate static let maxError = 16 << 10
    private static let maxID = 1024

    mutating func webhookStanding() -> WebhookStanding? {
        guard let state = self.string(atMost: 32).flatMap({ WebhookStateMachine.State(rawValue: $0) }),
            let isFailing = self.number(UInt8.self), let since = self.number(Int64.self), let cursor = self.cursor(),
            let lag = self.number(UInt64.self), let delivered = self.number(UInt64.self),
            let gaps = self.number(UInt64.self), let inFlight = self.number(UInt32.self),
            let refused = self.number(UInt32.self), let ahead = self.number(UInt32.self),
            let hasRetry = self.number(UInt8.self), let retry = self.number(Int64.self),
            let count = self.number(UInt8.self)
        else { return nil }
        var standing = WebhookStanding(state: state, since: WallTime(milliseconds: since), cursor: cursor)
        standing.isFailing = isFailing == 1
        standing.lag = lag
        standing.delivered = delivered
        standing.gaps = gaps
        standing.inFlight = Int(inFlight)
        standing.refused = Int(refused)
        standing.ahead = Int(ahead)
        standing.nextRetry = hasRetry == 1 ? WallTime(milliseconds: retry) : nil
        for _ in 0..<count {
            guard let report = self.webhookTry() else { return nil }
            standing.tries.append(report)
        }
        return standing
    }

    mutating func webhookTry() -> WebhookTryReport? {
        guard let at = self.number(Int64.self), let id = self.string(atMost: Self.maxID), let cursor = self.cursor(),
            let number = self.number(UInt32.self),
            let verdict = self.string(atMost: 32).flatMap({ WebhookOutcome.Verdict(rawValue: $0) }),
            let status = self.number(UInt16.self), let error = self.optionalText(atMost: Self.maxError),
            let took = self.number(Int64.self), took >= 0
        else { return nil }
        var outcome = WebhookOutcome(verdict)
        outcome.status = status == 0 ? nil : Int(status)
        outcome.error = error.map { String(decoding: $0, as: UTF8.self) }
        return WebhookTryReport(
            at: WallTime(milliseconds: at),
            id: id,
            cursor: cursor,
            number: Int(number),
            outcome: outcome,
            took: .milliseconds(took)
        )
    }

    private mutating func cursor() -> Cursor? {
        self.string(atMost: Cursor.maxTextBytes).flatMap { Cursor($0) }
    }
}
