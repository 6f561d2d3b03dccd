// What a client asks for with `GET /v1/streams/{sources}`, and the head of the answer.

import Compression
import FreshetCore
import System

/// A stream that may be opened.
struct StreamRequest: Sendable {
    /// Who asks. The stream ends with its credential.
    var principal: Principal
    var sources: [SourceID]
    /// What named them, as far as the caller may read: sources that come later and are named by it join the stream.
    var pattern: SourcePattern
    var format: StreamFormat
    var view: View
    var position: StreamPosition
    /// The ticket that opens it; `nil` where the credential came with the request.
    var claim: TicketClaim?
    /// Keeps the instances among the sources until the stream reads them.
    var holds: [SourceHold]
    /// What its events are compressed in; `nil` for none.
    var coding: ContentCoding?
    /// Whether a request with another `Accept-Encoding` could be given another answer.
    var variesInCoding = false

    /// The parameter of the path that names the sources.
    static let parameter = "sources"

    static func addRoute(to routes: inout RouteTable) {
        let route = Route(method: .get, bodyLimit: .dropped, access: .caller, isCrossOrigin: true, action: .stream)
        routes.add(route, at: "/v1/streams/*\(self.parameter)")
    }

    /// Reads and checks a request whose path names the sources `names`. A malformed cursor is not an error: the stream says
    /// so itself.
    init(
        _ head: RequestHead,
        names: some Collection<UInt8>,
        hub: Hub,
        principal: Principal,
        from client: PeerAddress,
        claim: TicketClaim? = nil
    ) throws(Problem) {
        self.principal = principal
        self.claim = claim
        let query = QueryString(head.query)
        let opened = try SourceSelection.open(names, in: hub, for: principal, from: client)
        (self.sources, self.pattern, self.holds) = (opened.sources, opened.pattern, opened.holds)
        self.position = Self.position(head, query: query)
        // Tickets are for EventSource, which takes nothing else.
        let offered: [MediaType] = claim == nil ? [.eventStream, .jsonLines] : [.eventStream]
        guard let type = MediaRange.best(of: offered, accept: head.value(of: "accept")) else {
            let list = offered.map(\.rawValue).joined(separator: " and ")
            throw Problem(406, "not_acceptable", "A stream comes as \(list).")
        }
        let form: StreamWire.Form =
            type == .jsonLines ? .jsonLines : claim == nil ? .eventStream : .markedEventStream
        self.format = StreamFormat(
            mode: try Self.mode(query),
            wire: StreamWire(form, try Self.envelope(query))
        )
        self.view = try ViewQuery.view(query, mode: self.format.mode, of: self.sources, in: hub)
    }

    /// `mode`, by its name.
    static func mode(_ query: QueryString) throws(Problem) -> StreamMode {
        guard let text = query["mode"], !text.isEmpty else { return .patch }
        guard let mode = StreamMode(rawValue: text) else {
            let list = StreamMode.allCases.map(\.rawValue).joined(separator: ", ")
            throw .badParameter("mode", "The mode is one of \(list).")
        }
        return mode
    }

    /// `envelope`, by its name; none where it is absent or empty.
    static func envelope(_ query: QueryString) throws(Problem) -> StreamEnvelope {
        guard let text = query["envelope"], !text.isEmpty else { return .plain }
        guard let envelope = StreamEnvelope(rawValue: text) else {
            let list = StreamEnvelope.allCases.map(\.rawValue).joined(separator: ", ")
            throw .badParameter("envelope", "The envelope is one of \(list).")
        }
        return envelope
    }

    /// The `Last-Event-ID` field wins, then its stand-ins for clients that cannot set it, then `since`. Empty ones
    /// count as absent. The suffix of a ticket's stream says nothing of the position.
    static func position(_ head: RequestHead, query: QueryString) -> StreamPosition {
        let aliases = ["lastEventId", "last_event_id", "evs_last_event_id"]
        let ids = [head.value(of: "last-event-id")] + aliases.map { query[$0] }
        let since = query["since"].map { String(EventID($0).cursor) } ?? ""
        let beginning = StreamPosition(since: since, now: WallClock.now)
        guard let id = ids.compactMap({ $0 }).first(where: { !$0.isEmpty }) else { return beginning }
        guard let cursor = Cursor(EventID(id).cursor) else { return .malformed }
        // Sequence 0 is of a stream that was cut off before its snapshots: it begins as it did the first time. One that
        // asked for none has missed nothing up to here, and must not miss what came since.
        return cursor.sequence == 0 && beginning != .latest ? beginning : .after(cursor)
    }
}

extension StreamRequest {
    /// The hash of what streams share that ask for the same sources in the same format.
    var sourceSet: Int {
        var hasher = Hasher()
        hasher.combine(self.pattern)
        hasher.combine(self.format)
        hasher.combine(self.coding)
        return hasher.finalize()
    }

    /// The fields of the answer, without those that say how it is framed.
    var answer: Answer {
        let type = self.format.wire.form == .jsonLines ? MediaType.jsonLines : .eventStream
        var answer = Answer(200)
        answer.fields = [
            AnswerField("Content-Type", type.rawValue),
            AnswerField("Cache-Control", "no-store"),
            // Tells nginx and its kin to pass each event on at once.
            AnswerField("X-Accel-Buffering", "no"),
            AnswerField("X-Content-Type-Options", "nosniff"),
            AnswerField("Vary", self.variesInCoding ? "Accept, Accept-Encoding" : "Accept"),
        ]
        if let coding { answer.fields.append(AnswerField("Content-Encoding", coding.rawValue)) }
        return answer
    }
}
