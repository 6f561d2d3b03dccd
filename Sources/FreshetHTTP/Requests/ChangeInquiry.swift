// What a client asks for with `GET /v1/changes/{sources}`.

import FreshetCore
import HTTPFields

/// A part of the log that may be read.
struct ChangeInquiry: Sendable {
    var sources: [SourceID]
    /// Keep the instances among the sources.
    var holds: [SourceHold]
    var mode: StreamMode
    var view: View
    var envelope: StreamEnvelope
    /// The most changes in one answer. Snapshots that open one come on top where they are more.
    var limit: Int
    /// Where to begin; backwards: where to stop.
    var position: StreamPosition
    /// The newest changes first.
    var isDescending: Bool
    /// Backwards: only changes before this one.
    var before: Cursor?
    var isJSONLines: Bool

    /// The most bytes of events in one answer, but for a single event that is larger. The default is 8 MiB.
    var maxBytes = 8 << 20

    static let defaultLimit = 100
    static let maxLimit = 1000
}

extension ChangeInquiry {
    /// - Throws: 404 for unknown sources, 406 for a form that there is not, 400 for parameters that are none.
    init(_ context: GatewayContext, hub: Hub) throws(Problem) {
        let query = context.request.query
        let names = context.segment("sources").utf8
        let client = context.request.client
        let opened = try SourceSelection.open(names, in: hub, for: context.principal, from: client)
        (self.sources, self.holds) = (opened.sources, opened.holds)
        let offered: [MediaType] = [.json, .jsonLines]
        guard let type = MediaRange.best(of: offered, accept: context.request.head.value(of: "accept")) else {
            let list = offered.map(\.rawValue).joined(separator: " and ")
            throw Problem(406, "not_acceptable", "The log comes as \(list).")
        }
        self.isJSONLines = type == .jsonLines
        self.mode = try StreamRequest.mode(query)
        self.view = try ViewQuery.view(query, mode: self.mode, of: self.sources, in: hub)
        self.envelope = try StreamRequest.envelope(query)
        self.limit = try Self.limit(query)
        let since = query["since"] ?? ""
        self.position = since.isEmpty ? .earliest : StreamPosition(since: since, now: WallClock.now)
        self.isDescending = try Self.isDescending(query)
        self.before = try Self.before(query)
        guard self.before == nil || self.isDescending else {
            throw .badParameter("before", "Only changes in descending order can be asked for with before.")
        }
    }

    private static func limit(_ query: QueryString) throws(Problem) -> Int {
        guard let text = query["limit"] else { return Self.defaultLimit }
        guard text.utf8.count <= 9, text.utf8.allSatisfy(\.isDigit), let number = Int(text),
            (1...Self.maxLimit).contains(number)
        else {
            throw .badParameter("limit", "The limit is a number from 1 to \(Self.maxLimit).")
        }
        return number
    }

    private static func isDescending(_ query: QueryString) throws(Problem) -> Bool {
        switch query["descending"] {
        case nil, "false", "0": return false
        case "", "true", "1": return true
        case _: throw .badParameter("descending", "Write descending, or descending=true or false.")
        }
    }

    private static func before(_ query: QueryString) throws(Problem) -> Cursor? {
        guard let text = query["before"], !text.isEmpty else { return nil }
        guard let cursor = Cursor(text) else { throw .badParameter("before", "Write a cursor.") }
        return cursor
    }
}
