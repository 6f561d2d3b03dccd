// What a client asks for with `GET /v1/streams/{sources}`, and the head of the answer.

import FreshetCore

/// A stream that may be opened.
struct StreamRequest: Hashable, Sendable {
    var sources: [SourceID]
    /// What named them; sources that come later and are named by it join the stream.
    var selector: SourceSelector?
    var format: StreamFormat
    var position: StreamPosition

    static let pathPrefix = "/v1/streams/"
    static let methods = ["GET", "HEAD", "OPTIONS"]

    /// Reads and checks a request whose path begins with ``pathPrefix``. A cursor that is none is no error: the
    /// stream says so itself.
    init(_ head: RequestHead, hub: Hub) throws(Problem) {
        let names = head.path.utf8.dropFirst(Self.pathPrefix.utf8.count)
        let query = QueryString(head.query)
        (self.sources, self.selector) = try SourceSelection.resolve(names, in: hub)
        self.position = Self.position(head, query: query)
        let offered: [MediaType] = [.eventStream, .jsonLines]
        guard let type = MediaRange.best(of: offered, accept: head.value(of: "accept")) else {
            let list = offered.map(\.rawValue).joined(separator: " and ")
            throw Problem(406, "not_acceptable", "A stream comes as \(list).")
        }
        self.format = StreamFormat(
            mode: try Self.mode(query),
            wire: type == .jsonLines ? .jsonLines : .eventStream
        )
        for name in ["pointer", "envelope"] where query[name] != nil {
            throw Problem(501, "not_supported", "The parameter \(name) is not supported by this version.")
        }
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

    /// The `Last-Event-ID` field wins, then its stand-ins for clients that cannot set it, then `since`. Empty ones
    /// count as absent.
    private static func position(_ head: RequestHead, query: QueryString) -> StreamPosition {
        let aliases = ["lastEventId", "last_event_id", "evs_last_event_id"]
        let ids = [head.value(of: "last-event-id")] + aliases.map { query[$0] }
        if let id = ids.compactMap({ $0 }).first(where: { !$0.isEmpty }) {
            return Cursor(id).map(StreamPosition.after) ?? .malformed
        }
        return StreamPosition(since: query["since"] ?? "", now: WallClock.now)
    }
}

extension StreamRequest {
    /// The hash of what streams share that ask for the same sources in the same format.
    var sourceSet: Int {
        var hasher = Hasher()
        if let selector { hasher.combine(SourcePattern(selector)) } else { hasher.combine(self.sources) }
        hasher.combine(self.format)
        return hasher.finalize()
    }

    /// The fields of the answer, without those that say how it is framed.
    var answer: Answer {
        let type = self.format.wire == .jsonLines ? MediaType.jsonLines : .eventStream
        var answer = Answer(200)
        answer.fields = [
            AnswerField("Content-Type", type.rawValue),
            AnswerField("Cache-Control", "no-store"),
            // Tells nginx and its kin to pass each event on at once.
            AnswerField("X-Accel-Buffering", "no"),
            AnswerField("X-Content-Type-Options", "nosniff"),
            AnswerField("Vary", "Accept"),
        ]
        return answer
    }
}

/// The part of a path that names sources.
enum SourceSelection {
    /// The sources that a list of names stands for, ascending, and the list.
    ///
    /// - Throws: 404 where a name is no source's, or none fits; 400 for too many names.
    static func resolve(
        _ path: some Collection<UInt8>,
        in hub: Hub
    ) throws(Problem) -> (sources: [SourceID], selector: SourceSelector) {
        let text = PercentCoding.decoded(path, plusIsSpace: false)
        guard text.utf8.lazy.filter({ $0 == UInt8(ascii: ",") }).count < SourceSelector.maxTerms else {
            throw Problem(400, "too_many_sources", "A request names at most \(SourceSelector.maxTerms) sources.")
        }
        guard let selector = SourceSelector(text) else { throw .unknownSource() }
        switch hub.resolve(selector) {
        case .failure(let unknown): throw .unknownSource(unknown.name)
        case .success(let sources) where sources.isEmpty: throw .unknownSource()
        case .success(let sources): return (sources, selector)
        }
    }

    /// The one source of this name.
    static func one(_ path: some Collection<UInt8>, in hub: Hub) throws(Problem) -> SourceID {
        let name = PercentCoding.decoded(path, plusIsSpace: false)
        guard SourceName.isValid(name), let source = hub.source(named: name) else {
            throw .unknownSource(SourceName.isValid(name) ? name : nil)
        }
        return source
    }
}
