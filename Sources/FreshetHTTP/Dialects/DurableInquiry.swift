// What a client of the Durable Streams protocol asks for (CONTRACT §14; Durable Streams §5.6 to §5.8).

import FreshetCore

/// A part of the durable stream of one source that may be read.
struct DurableInquiry: Sendable {
    enum Start: Hashable, Sendable {
        /// `-1`, or no offset: the oldest value that is kept, and what came after it.
        case beginning
        /// `now`: what comes from here on.
        case tail
        case after(Cursor)
    }

    enum Live: String, CaseIterable, Sendable {
        case longPoll = "long-poll"
        case eventStream = "sse"
    }

    var source: SourceID
    /// Keep the source, where it is an instance.
    var holds: [SourceHold]
    var mode: StreamMode
    var start: Start
    /// `nil` for what there is, at once.
    var live: Live?
    /// The number that the client repeats; `nil` where it has none.
    var known: UInt64?

    /// Messages of one answer.
    static let maxMessages = 1000
    /// Bytes of one answer, but for a single message that is larger.
    static let maxBytes = 4 << 20
    /// Bytes of one part of an event stream, but for a single message that is larger.
    static let maxPartBytes = 256 << 10

    private static let modes: [StreamMode] = [.patch, .merge, .snapshot]

    /// - Throws: 404 for an unknown source, 400 for parameters that are none.
    init(_ context: GatewayContext, hub: Hub) throws(Problem) {
        let query = context.request.query
        self.live = try Self.live(query)
        self.start = try Self.start(query, isRequired: self.live != nil)
        self.mode = try StreamRequest.mode(query)
        guard Self.modes.contains(self.mode) else {
            let list = Self.modes.map(\.rawValue).joined(separator: ", ")
            throw .badParameter("mode", "The mode of a durable stream is one of \(list).")
        }
        self.known = query["cursor"].flatMap(DurableCursor.number)
        let name = context.segment("source").utf8
        let client = context.request.client
        (self.source, self.holds) = try SourceSelection.openOne(name, in: hub, for: context.principal, from: client)
    }

    private static func live(_ query: QueryString) throws(Problem) -> Live? {
        guard let text = query["live"] else { return nil }
        guard let live = Live(rawValue: text) else {
            let list = Live.allCases.map(\.rawValue).joined(separator: " or ")
            throw .badParameter("live", "Write live=\(list), or omit it.")
        }
        return live
    }

    private static func start(_ query: QueryString, isRequired: Bool) throws(Problem) -> Start {
        let offsets = query.values(of: "offset")
        guard offsets.count < 2, let text = offsets.first else {
            guard offsets.isEmpty, !isRequired else {
                throw .badParameter("offset", "Give one offset; -1 is the beginning and now the end.")
            }
            return .beginning
        }
        switch text {
        case "-1": return .beginning
        case "now": return .tail
        case _:
            guard let offset = DurableOffset(text) else {
                throw .badParameter("offset", "Use the value of Stream-Next-Offset, -1 or now.")
            }
            return .after(offset.cursor)
        }
    }

    /// The same as a part of the log. `maxBytes`: see ``ChangeInquiry/maxBytes``.
    func changes(maxBytes: Int) -> ChangeInquiry {
        ChangeInquiry(
            sources: [self.source],
            holds: self.holds,
            mode: self.mode,
            view: .whole,
            envelope: .plain,
            limit: Self.maxMessages,
            position: .earliest,
            isDescending: false,
            before: nil,
            isJSONLines: false,
            maxBytes: maxBytes
        )
    }
}

/// Messages of a durable stream, and where they end.
struct DurablePage: Sendable {
    /// Their JSON texts, as lines of which the data is meant.
    let messages: [EventLine]
    /// Where the next page begins, in the log.
    let cursor: Cursor
    /// Where it begins, as clients are told.
    let next: DurableOffset
    /// Nothing newer existed when the page was made.
    let isUpToDate: Bool

    /// - Parameters:
    ///   - page: of the log.
    ///   - from: where the client was; `nil` at the beginning.
    ///   - version: the value of the source, looked up after the page.
    init(_ page: ChangePage, after from: Cursor?, version: SourceVersion?) {
        self.messages = page.events
        self.cursor = page.cursor
        let last = version?.cursor.sequence
        self.isUpToDate = (last ?? 0) <= page.cursor.sequence
        if page.events.isEmpty, let from {
            self.next = DurableOffset(from)
        } else if self.isUpToDate, let last {
            // Not the head of the log: with the changes of other sources nothing of this stream moves.
            self.next = DurableOffset(Cursor(epoch: page.cursor.epoch, sequence: last))
        } else {
            self.next = DurableOffset(page.sent ?? page.cursor)
        }
    }

    /// A JSON array of the messages.
    func append(to body: inout AnswerBody) {
        body.append("[")
        for (index, message) in self.messages.enumerated() {
            if index > 0 { body.append(",") }
            for piece in message.data { body.append(piece) }
        }
        body.append("]")
    }

    /// The messages as events (Durable Streams §5.8): one `data`, where there are any, and one `control`. `number`: the
    /// cursor of the protocol.
    func events(number: UInt64) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(self.messages.reduce(160) { $0 + $1.count })
        if !self.messages.isEmpty {
            text.append(contentsOf: "event: data\ndata: [".utf8)
            for (index, message) in self.messages.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                for piece in message.data { text.append(contentsOf: piece) }
            }
            text.append(contentsOf: "]\n\n".utf8)
        }
        let end = self.isUpToDate ? #","upToDate":true"# : ""
        text.append(
            contentsOf: """
                event: control
                data: {"streamNextOffset":"\(self.next)","streamCursor":"\(number)"\(end)}


                """.utf8
        )
        return text
    }
}
