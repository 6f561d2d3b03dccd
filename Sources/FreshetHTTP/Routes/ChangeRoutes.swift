// `GET /v1/changes/{sources}`: the change log as JSON, for clients that come back from time to time.

import FreshetCore
import JSON
import NIOCore

struct ChangeRoutes: Sendable {
    let gateway: Gateway

    func add(to routes: inout RouteTable) {
        routes.on(.get, "/v1/changes/:sources") { try await self.changes($0) }
    }

    private func changes(_ context: GatewayContext) async throws -> Answer {
        let inquiry = try ChangeInquiry(context, hub: self.gateway.hub)
        let deadline = try context.waitDeadline(upTo: self.gateway.settings.maxWait)
        let reading = ChangeReading(hub: self.gateway.hub, inquiry: inquiry)
        var page = await reading.first()
        while let deadline, page.events.isEmpty, page.gap == nil, NIODeadline.now() < deadline, !Task.isCancelled {
            let from = page.cursor
            await ChangeWait.change(
                of: inquiry.sources,
                after: from.sequence,
                in: self.gateway.hub,
                until: deadline,
                on: context.request.eventLoop
            )
            page = await reading.next(after: from)
            guard page.cursor != from else { break }
        }
        return inquiry.isJSONLines ? self.lines(page) : self.document(page)
    }

    private func document(_ page: ChangePage) -> Answer {
        var text = Array(#"{"events":["#.utf8)
        for (index, event) in page.events.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            text.append(contentsOf: event)
        }
        text.append(contentsOf: #"],"cursor":"\#(page.cursor)","gap":\#(page.gap != nil)"#.utf8)
        if let before = page.before {
            text.append(contentsOf: #","before":"\#(before)""#.utf8)
        }
        if let reason = page.gap {
            text.append(contentsOf: #","reason":"\#(reason.rawValue)""#.utf8)
        }
        text.append(UInt8(ascii: "}"))
        return self.labelled(Answer.json(text), page)
    }

    private func lines(_ page: ChangePage) -> Answer {
        var text: [UInt8] = []
        if let reason = page.gap {
            let frame = ControlFrame.gap(reason, wire: .jsonLines)
            text.append(contentsOf: frame.bytes[frame.payload])
        }
        for event in page.events {
            text.append(contentsOf: event)
            text.append(0x0A)
        }
        if page.needsCheckpoint {
            let frame = ControlFrame.checkpoint(page.cursor, before: page.before, wire: .jsonLines)
            text.append(contentsOf: frame.bytes[frame.payload])
        }
        var answer = Answer(200, body: text, type: MediaType.jsonLines.rawValue)
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
