// `GET /v1/values/{source}?at=CURSOR`: the value as it was when the log stood there.

import FreshetCore

extension ValueRoutes {
    /// `text` is a cursor, or a time as `since` takes it.
    func past(_ source: SourceID, in view: View, at text: String, _ context: GatewayContext) async throws(Problem)
        -> Answer
    {
        guard context.request.query["wait"] == nil else {
            throw .badParameter("wait", "A past value does not change; omit wait, or at.")
        }
        try self.gateway.callers.checkReplay(by: context.principal)
        if let cursor = Cursor(text) {
            return try await self.past(source, in: view, at: cursor, isFixed: true, context)
        }
        guard let time = WallTime(text, before: WallClock.now) else {
            throw .badParameter("at", "Write a cursor, a duration back from now such as 10m, or a time of RFC 3339.")
        }
        let position: StreamPosition
        do throws(ReadRefusal) {
            position = try await self.gateway.hub.locate(
                .time(time),
                of: [source],
                needs: .position,
                for: context.request.readClient
            )
        } catch {
            throw .unread(error)
        }
        // Anything else: what came after the time is not kept, so neither is the value.
        guard case .after(let cursor) = position else { throw self.absence(.gone(.evicted)) }
        return try await self.past(source, in: view, at: cursor, isFixed: false, context)
    }

    /// `isFixed`: the same request will always be about this value.
    private func past(
        _ source: SourceID,
        in view: View,
        at cursor: Cursor,
        isFixed: Bool,
        _ context: GatewayContext
    ) async throws(Problem) -> Answer {
        let answer: PastAnswer
        do throws(ReadRefusal) {
            answer = try await self.gateway.hub.value(of: source, at: cursor, for: context.request.readClient)
        } catch {
            throw .unread(error)
        }
        guard case .value(var value) = answer else { throw self.absence(answer) }
        if !view.isWhole {
            guard let text = self.gateway.hub.text(of: value, of: source, in: view) else { throw Self.nothingThere }
            value.text = text
        }
        let tag = "\"\(value.cursor)\""
        var answered = Answer(200)
        answered.fields = [
            // Weak where the text was rebuilt: equal as JSON, but not byte for byte (RFC 9110 §8.8.3).
            AnswerField("ETag", value.isVerbatim ? tag : "W/\(tag)"),
            AnswerField("Last-Modified", value.at.httpDate.text),
            AnswerField("Cache-Control", isFixed ? "max-age=\(Self.immutableSeconds), immutable" : "no-cache"),
            AnswerField("Freshet-Cursor", value.cursor.description),
            AnswerField("X-Content-Type-Options", "nosniff"),
        ]
        let tags = context.request.head.value(of: "if-none-match")
        if let tags, Precondition.matches(tags, etag: tag) {
            answered.status = 304
        } else {
            answered.fields.append(AnswerField("Content-Type", "application/json"))
            answered.body = AnswerBody(value.text)
        }
        self.gateway.callers.replayed(answered.body.count, to: context.principal)
        return answered
    }

    /// A year: no cursor ever names two values.
    private static let immutableSeconds = 31_536_000

    private func absence(_ answer: PastAnswer) -> Problem {
        switch answer {
        case .value, .none:
            return Problem(404, "no_value_then", "The source had no value yet at this position.")
        case .gone(.future):
            return Problem(404, "cursor_in_future", "The cursor is ahead of the log.")
        case .gone(let reason):
            var problem = Problem(410, "value_not_kept", "The value at this position is no longer kept.")
            problem.members.append(Problem.Member(name: "reason", text: reason.rawValue))
            return problem
        case .unreadable:
            return .busy("log_unreadable", "The log cannot be read now.", retryAfter: 5)
        }
    }
}
