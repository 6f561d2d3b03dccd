// `GET /v1/changes/{sources}`: the change log as JSON, for clients that come back from time to time.

import FreshetCore
import JSON
import NIOCore

struct ChangeRoutes: Sendable {
    let gateway: Gateway

    func add(to routes: inout RouteTable) {
        routes.on(.get, "/v1/changes/:sources", for: .caller) { try await self.changes($0) }
        // The slashes of an instance's name.
        routes.on(.get, "/v1/changes/*sources", for: .caller) { try await self.changes($0) }
    }

    private func changes(_ context: GatewayContext) async throws -> Answer {
        if context.request.awaited == nil { try self.gateway.callers.checkReplay(by: context.principal) }
        let inquiry = try ChangeInquiry(context, hub: self.gateway.hub)
        let deadline = try context.waitDeadline(upTo: self.gateway.settings.maxWait)
        if deadline == nil { try await context.settle(inquiry.holds, of: self.gateway) }
        let reading = ChangeReading(hub: self.gateway.hub, inquiry: inquiry, client: context.request.readClient)
        let from = context.request.awaited?.known
        let page = try await Self.read { () async throws(ReadRefusal) in
            if let from { try await reading.next(after: from) } else { try await reading.first() }
        }
        // One that was awaited and brings nothing will not bring anything later either.
        let isEmpty = inquiry.view.isWhole ? page.events.isEmpty : !page.isNews
        if let deadline, isEmpty, page.gap == nil, page.cursor != from, NIODeadline.now() < deadline {
            throw AwaitedChange(
                sources: inquiry.sources,
                after: page.cursor.sequence,
                deadline: deadline,
                known: page.cursor,
                holds: inquiry.holds
            )
        }
        let answer = inquiry.isJSONLines ? self.lines(page) : self.document(page)
        self.gateway.callers.replayed(answer.body.count, to: context.principal)
        return answer
    }

    private static func read(_ body: () async throws(ReadRefusal) -> ChangePage) async throws(Problem) -> ChangePage {
        do throws(ReadRefusal) {
            return try await body()
        } catch {
            throw .unread(error)
        }
    }

    private func document(_ page: ChangePage) -> Answer {
        var answer = Answer.json([])
        answer.body.append(#"{"events":["#)
        for (index, event) in page.events.enumerated() {
            if index > 0 { answer.body.append(",") }
            answer.body.append(event)
        }
        answer.body.append(#"],"cursor":"\#(page.cursor)","gap":\#(page.gap != nil)"#)
        if let before = page.before {
            answer.body.append(#","before":"\#(before)""#)
        }
        if let reason = page.gap {
            answer.body.append(#","reason":"\#(reason.rawValue)""#)
        }
        answer.body.append("}")
        return self.labelled(answer, page)
    }

    private func lines(_ page: ChangePage) -> Answer {
        var answer = Answer(200, body: [], type: MediaType.jsonLines.rawValue)
        if let reason = page.gap {
            let frame = ControlFrame.gap(reason, wire: .jsonLines)
            answer.body.append(frame.bytes[frame.payload])
        }
        for event in page.events {
            answer.body.append(event)
            answer.body.append("\n")
        }
        if page.needsCheckpoint {
            let frame = ControlFrame.checkpoint(page.cursor, before: page.before, wire: .jsonLines)
            answer.body.append(frame.bytes[frame.payload])
        }
        answer.set("Cache-Control", "no-store")
        return self.labelled(answer, page)
    }

    private func labelled(_ answer: Answer, _ page: ChangePage) -> Answer {
        var answer = answer
        answer.set("Freshet-Cursor", page.cursor.description)
        answer.vary(on: "Accept")
        return answer
    }
}
