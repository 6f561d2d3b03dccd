// `GET /v1/changes/{sources}`: the change log as JSON, for clients that come back from time to time.

import FreshetCore
import HTTPTypes
import JSON
import NIOCore

struct ChangeRoutes: Sendable {
    let gateway: Gateway

    static let defaultLimit = 100
    static let maxLimit = 1000
    /// The most bytes of events in one answer, but for a single event that is larger.
    static let maxBytes = 8 << 20

    func add(to routes: inout RouteTable) {
        routes.on(.get, "/v1/changes/:sources") { try await self.changes($0) }
    }

    /// What a request asks for.
    private struct Inquiry: Sendable {
        var sources: [SourceID]
        var format: StreamFormat
        var limit: Int
        var position: StreamPosition
        var isJSONLines: Bool
    }

    /// A part of the log: objects of JSON text, as the lines of a stream have them.
    private struct Page: Sendable {
        var events: [[UInt8]] = []
        var cursor: Cursor
        var gap: GapReason?

        /// The same events, to be continued after the last of them.
        func ending(at sequence: UInt64) -> Page {
            var page = self
            page.cursor.sequence = sequence
            return page
        }
    }

    private func changes(_ context: GatewayContext) async throws -> Answer {
        let inquiry = try self.inquiry(context)
        let deadline = try context.waitDeadline(upTo: self.gateway.settings.maxWait)
        var page = await self.page(inquiry, at: inquiry.position)
        while let deadline, page.events.isEmpty, page.gap == nil, NIODeadline.now() < deadline, !Task.isCancelled {
            let from = page.cursor
            await ChangeWait.change(
                of: inquiry.sources,
                after: from.sequence,
                in: self.gateway.hub,
                until: deadline,
                on: context.request.eventLoop
            )
            page = await self.page(inquiry, at: .after(from))
            guard page.cursor != from else { break }
        }
        return inquiry.isJSONLines ? self.lines(page) : self.document(page)
    }

    private func inquiry(_ context: GatewayContext) throws(Problem) -> Inquiry {
        let query = context.request.query
        let sources = try SourceSelection.resolve(context.segment("sources").utf8, in: self.gateway.hub)
        let offered: [MediaType] = [.json, .jsonLines]
        guard let type = MediaRange.best(of: offered, accept: context.request.head.value(of: "accept")) else {
            let list = offered.map(\.rawValue).joined(separator: " and ")
            throw Problem(406, "not_acceptable", "The log comes as \(list).")
        }
        var limit = Self.defaultLimit
        if let text = query["limit"] {
            guard text.utf8.count <= 9, text.utf8.allSatisfy(Octets.isDigit), let number = Int(text), number > 0 else {
                throw .badParameter("limit", "The limit is a number from 1 to \(Self.maxLimit).")
            }
            limit = min(number, Self.maxLimit)
        }
        let since = query["since"] ?? ""
        return Inquiry(
            sources: sources,
            format: StreamFormat(mode: try StreamRequest.mode(query), wire: .jsonLines),
            limit: limit,
            position: since.isEmpty ? .earliest : StreamPosition(since),
            isJSONLines: type == .jsonLines
        )
    }

    private func page(_ inquiry: Inquiry, at position: StreamPosition) async -> Page {
        let head = self.gateway.hub.cursor
        switch position {
        case .latest: return Page(cursor: head)
        case .earliest, .snapshot: return await self.page(inquiry, after: Cursor(epoch: head.epoch, sequence: 0))
        case .after(let cursor): return await self.page(inquiry, after: cursor)
        case .malformed: return self.rebuilt(inquiry, because: .malformed)
        }
    }

    private func page(_ inquiry: Inquiry, after cursor: Cursor) async -> Page {
        let reading = await self.gateway.hub.changes(
            of: inquiry.sources,
            after: cursor,
            mode: inquiry.format.mode,
            limit: inquiry.limit
        )
        switch reading {
        case .gap(let reason):
            return self.rebuilt(inquiry, because: reason)
        case .events(let events, let through, _):
            var page = Page(cursor: Cursor(epoch: cursor.epoch, sequence: through))
            var bytes = 0
            var last = cursor.sequence
            for event in events {
                // A value that is gone can only be told of as the values that hold now.
                guard let frame = event.frame(for: inquiry.format) else {
                    return page.events.isEmpty ? self.rebuilt(inquiry, because: .evicted) : page.ending(at: last)
                }
                bytes += frame.payload.count
                guard page.events.isEmpty || bytes <= Self.maxBytes else { return page.ending(at: last) }
                page.events.append(Self.object(of: frame))
                last = event.sequence
            }
            return page
        }
    }

    /// A snapshot of each source in place of what cannot be given any more; the cursor is that of the same moment.
    private func rebuilt(_ inquiry: Inquiry, because reason: GapReason) -> Page {
        let subscription = self.gateway.hub.subscribe(to: inquiry.sources, format: inquiry.format)
        defer { self.gateway.hub.unsubscribe(subscription) }
        let opening = self.gateway.hub.open(subscription, at: .snapshot)
        return Page(events: opening.snapshots.map(Self.object), cursor: opening.cursor, gap: reason)
    }

    /// The JSON object of a line, without its line feed.
    private static func object(of frame: Frame) -> [UInt8] {
        Array(frame.bytes[frame.payload].dropLast())
    }

    private func document(_ page: Page) -> Answer {
        var text = Array(#"{"events":["#.utf8)
        for (index, event) in page.events.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            text.append(contentsOf: event)
        }
        text.append(contentsOf: #"],"cursor":"\#(page.cursor)","gap":\#(page.gap != nil)"#.utf8)
        if let reason = page.gap {
            text.append(contentsOf: #","reason":"\#(reason.rawValue)""#.utf8)
        }
        text.append(UInt8(ascii: "}"))
        return self.labelled(Answer.json(text), page)
    }

    private func lines(_ page: Page) -> Answer {
        var text: [UInt8] = []
        if let reason = page.gap {
            let frame = ControlFrame.gap(reason, wire: .jsonLines)
            text.append(contentsOf: frame.bytes[frame.payload])
        }
        for event in page.events {
            text.append(contentsOf: event)
            text.append(0x0A)
        }
        var answer = Answer(200, body: text, type: MediaType.jsonLines.rawValue)
        answer.set("Cache-Control", "no-store")
        return self.labelled(answer, page)
    }

    private func labelled(_ answer: Answer, _ page: Page) -> Answer {
        var answer = answer
        answer.set("Freshet-Cursor", page.cursor.description)
        answer.vary(on: "Accept")
        return answer
    }
}
