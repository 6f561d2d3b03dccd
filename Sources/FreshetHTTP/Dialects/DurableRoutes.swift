// `GET /v1/durable/{source}`: the read side of the Durable Streams protocol (CONTRACT §14).

import FreshetCore
import FreshetStreaming
import NIOCore

/// Answers readers of the protocol: its messages are the data of the events, its offsets are cursors in a form that sorts.
struct DurableRoutes: Sendable {
    let gateway: Gateway

    /// How long a long poll waits; clients give up after half a minute.
    static let patience = Duration.seconds(20)
    /// Pages that are complete never change; a cache may keep them a while (Durable Streams §10.1). They may be for one
    /// caller alone.
    private static let keepsPages = "private, max-age=60, stale-while-revalidate=300"

    func add(to routes: inout RouteTable) {
        routes.on(.get, "/v1/durable/*source", for: .caller) { try await self.read($0) }
    }

    private func read(_ context: GatewayContext) async throws -> Answer {
        let inquiry = try DurableInquiry(context, hub: self.gateway.hub)
        guard context.request.head.method != "HEAD" else { return self.head(of: inquiry) }
        if context.request.awaited == nil {
            try self.gateway.callers.checkReplay(by: context.principal)
            try await context.settle(inquiry.holds, of: self.gateway)
        }
        switch inquiry.live {
        case nil: return try await self.catchUp(inquiry, context)
        case .longPoll: return try await self.longPoll(inquiry, context)
        case .eventStream: return try await self.stream(inquiry, context)
        }
    }

    /// The end of the stream, and nothing of it (Durable Streams §5.5).
    private func head(of inquiry: DurableInquiry) -> Answer {
        var answer = self.answer(200, next: self.tail(of: inquiry.source))
        answer.set("Cache-Control", "no-store")
        answer.isStream = true
        return answer
    }

    /// The position after the last message.
    private func tail(of source: SourceID) -> DurableOffset {
        // Read first: a value that comes meanwhile comes after it.
        let head = self.gateway.hub.cursor
        let last = self.gateway.hub.version(of: source)?.cursor.sequence
        return DurableOffset(Cursor(epoch: head.epoch, sequence: min(last ?? head.sequence, head.sequence)))
    }

    // MARK: What there is

    private func catchUp(_ inquiry: DurableInquiry, _ context: GatewayContext) async throws -> Answer {
        guard inquiry.start != .tail else {
            var answer = self.answer(200, next: self.tail(of: inquiry.source), isUpToDate: true)
            answer.body.append("[]")
            answer.set("Cache-Control", "no-store")
            return answer
        }
        let reading = self.reading(inquiry, context, maxBytes: DurableInquiry.maxBytes)
        let (page, from) = try await self.page(inquiry, reading, context)
        let state = page.isUpToDate ? "" : ":p"
        let tag = "\"\(from.map { DurableOffset($0).description } ?? "-1"):\(page.next)\(state)\""
        var answer = self.answer(200, next: page.next, isUpToDate: page.isUpToDate)
        answer.set("ETag", tag)
        answer.set("Cache-Control", page.isUpToDate ? "private, no-cache" : Self.keepsPages)
        answer.set("Stream-Cursor", "\(self.number(after: inquiry.known))")
        let tags = context.request.head.value(of: "if-none-match")
        if let tags, Precondition.matches(tags, etag: tag) {
            answer.status = 304
            return answer
        }
        page.append(to: &answer.body)
        self.gateway.callers.replayed(answer.body.count, to: context.principal)
        return answer
    }

    // MARK: What comes

    private func longPoll(_ inquiry: DurableInquiry, _ context: GatewayContext) async throws -> Answer {
        let patience = min(Self.patience, self.gateway.settings.maxWait)
        let deadline = context.request.awaited?.deadline ?? .now() + .nanoseconds(patience.clampedNanoseconds)
        let reading = self.reading(inquiry, context, maxBytes: DurableInquiry.maxBytes)
        let (page, from) = try await self.page(inquiry, reading, context)
        guard page.messages.isEmpty else {
            var answer = self.answer(200, next: page.next, isUpToDate: page.isUpToDate)
            answer.set("Stream-Cursor", "\(self.number(after: inquiry.known))")
            answer.set("ETag", "\"\(from.map { DurableOffset($0).description } ?? "-1"):\(page.next)\"")
            // What answers a wait is for the one who waited.
            answer.set("Cache-Control", "no-store")
            page.append(to: &answer.body)
            self.gateway.callers.replayed(answer.body.count, to: context.principal)
            return answer
        }
        guard NIODeadline.now() >= deadline else {
            throw AwaitedChange(
                sources: [inquiry.source],
                after: page.cursor.sequence,
                deadline: deadline,
                known: page.cursor,
                holds: inquiry.holds
            )
        }
        var answer = self.answer(204, next: page.next, isUpToDate: true)
        answer.set("Stream-Cursor", "\(self.number(after: inquiry.known))")
        answer.set("Cache-Control", "no-store")
        return answer
    }

    private func stream(_ inquiry: DurableInquiry, _ context: GatewayContext) async throws -> Answer {
        var hasher = Hasher()
        hasher.combine("durable")
        hasher.combine(inquiry.source)
        let ticket = try self.gateway.admit(
            context.principal,
            sourceSet: hasher.finalize(),
            from: context.request.client
        )
        let reading = self.reading(inquiry, context, maxBytes: DurableInquiry.maxPartBytes)
        let (page, _) = try await self.page(inquiry, reading, context)
        var answer = Answer(200)
        answer.fields = [
            AnswerField("Content-Type", MediaType.eventStream.rawValue),
            AnswerField("Cache-Control", "no-store"),
            AnswerField("X-Accel-Buffering", "no"),
            AnswerField("X-Content-Type-Options", "nosniff"),
        ]
        answer.parts = DurableFollower(
            inquiry,
            beginning: page,
            reading: reading,
            ticket: ticket,
            context,
            of: self.gateway
        )
        return answer
    }

    // MARK: Parts of answers

    private func reading(_ inquiry: DurableInquiry, _ context: GatewayContext, maxBytes: Int) -> ChangeReading {
        ChangeReading(
            hub: self.gateway.hub,
            inquiry: inquiry.changes(maxBytes: maxBytes),
            client: context.request.readClient
        )
    }

    /// The page that was asked for, and where it begins; `nil` at the beginning.
    ///
    /// - Throws: 410 where the offset is before what is kept, or of a log that was lost; 503 where the log cannot be read now.
    private func page(
        _ inquiry: DurableInquiry,
        _ reading: ChangeReading,
        _ context: GatewayContext
    ) async throws(Problem) -> (page: DurablePage, from: Cursor?) {
        let waited = context.request.awaited?.known
        let page: ChangePage
        var from: Cursor?
        do throws(ReadRefusal) {
            switch inquiry.start {
            case .beginning:
                page = if let waited { try await reading.next(after: waited) } else { try await reading.first() }
            case .tail:
                let start = self.tail(of: inquiry.source).cursor
                from = waited ?? start
                page = try await reading.next(after: waited ?? start)
            case .after(let cursor):
                from = cursor
                page = try await reading.next(after: waited ?? cursor)
            }
        } catch {
            throw .unread(error)
        }
        // At the beginning the value of now stands for what is gone.
        if page.gap != nil, inquiry.start != .beginning { throw .offsetGone }
        return (DurablePage(page, after: from, version: self.gateway.hub.version(of: inquiry.source)), from)
    }

    private func number(after known: UInt64?) -> UInt64 {
        var random = SystemRandomNumberGenerator()
        return DurableCursor.next(at: WallClock.now, after: known, using: &random)
    }

    private func answer(_ status: Int, next: DurableOffset, isUpToDate: Bool = false) -> Answer {
        var answer = Answer(status)
        answer.fields = [
            AnswerField("Content-Type", MediaType.json.rawValue),
            AnswerField("Stream-Next-Offset", next.description),
            AnswerField("X-Content-Type-Options", "nosniff"),
        ]
        if isUpToDate { answer.fields.append(AnswerField("Stream-Up-To-Date", "true")) }
        return answer
    }
}

extension Problem {
    /// Durable Streams §5.6: the reader begins again at -1.
    static let offsetGone = Problem(
        410,
        "offset_gone",
        "Messages after this offset are no longer kept, or the log was begun again; read on from offset -1."
    )
}
