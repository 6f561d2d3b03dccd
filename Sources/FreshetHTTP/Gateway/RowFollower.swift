// `GET /v1/sources` as an event stream: what one follower is sent.

import FreshetAccess
import FreshetCore
import JSON
import Synchronization

/// What follows the head of an answer, for as long as it lasts.
protocol AnswerParts: Sendable {
    /// The next bytes, once there are some; `nil` at the end. Called again once those have left; one call at a time.
    func next() async -> [UInt8]?
    /// The client has gone, or everything was sent. Once.
    func end()
}

/// Sends the rows that changed, from where its client stood. A client that reads slowly gets the newest row of each source
/// and none of those between.
final class RowFollower: AnswerParts {
    private struct State: Sendable {
        var revision: UInt64
        /// What the client may read, as of the last rows.
        var pattern: SourcePattern?
        /// The head of the stream was sent.
        var hasBegun = false
        var isOver = false
        var quietSince = ContinuousClock.now
    }

    private let book: RowBook
    private let principal: Principal
    /// The caller as it stands now; throws where its credential has ended.
    private let present: @Sendable (Principal) throws(Problem) -> Principal
    /// Whether an instance of a template may be among the rows.
    private let permits: @Sendable (String) -> Bool
    private let heartbeat: Duration
    private let isResumed: Bool
    private let state: Mutex<State>

    /// The most bytes of rows in one part.
    private static let partBytes = 128 << 10

    /// `lastEventID`: what an earlier stream of this client ended with. `present`: see ``present``. `heartbeat`: after how
    /// long a quiet stream shows that it lives.
    init(
        book: RowBook,
        principal: Principal,
        lastEventID: String?,
        heartbeat: Duration,
        permits: @escaping @Sendable (String) -> Bool,
        present: @escaping @Sendable (Principal) throws(Problem) -> Principal
    ) {
        self.book = book
        self.principal = principal
        self.present = present
        self.permits = permits
        self.heartbeat = heartbeat
        let known = lastEventID.flatMap { Self.revision(of: $0, in: book) }
        self.isResumed = known != nil
        self.state = Mutex(State(revision: known ?? 0))
    }

    deinit {
        self.book.leave()
    }

    /// - Returns: `nil` for an id from which nothing can go on: another process's, or one that is too old.
    private static func revision(of id: String, in book: RowBook) -> UInt64? {
        let parts = id.split(separator: "-")
        guard parts.count == 2, UInt64(parts[0], radix: 36) == book.epoch, let revision = UInt64(parts[1]),
            book.continues(from: revision)
        else { return nil }
        return revision
    }

    func next() async -> [UInt8]? {
        let isFirst = self.state.withLock { state in
            defer { state.hasBegun = true }
            return !state.hasBegun
        }
        if isFirst { await self.book.recentLook() }
        var text: [UInt8] = []
        while !self.state.withLock({ $0.isOver }) {
            guard !self.book.isClosed else { return self.bye(.drain) }
            let pattern: SourcePattern
            do throws(Problem) {
                pattern = try self.present(self.principal).grants.read
            } catch {
                return self.bye(self.principal.isExpired(at: WallClock.now) ? .expired : .revoked)
            }
            if isFirst, text.isEmpty { text = self.hello(of: self.book.count(within: pattern)) }
            let (from, before) = self.state.withLock { state in
                defer { state.pattern = pattern }
                return (state.revision, state.pattern)
            }
            if let before, before != pattern { self.append(changesFrom: before, to: pattern, upTo: from, to: &text) }
            let (changed, revision) = self.book.rows(after: from, within: pattern, maxBytes: Self.partBytes)
            let rows = changed.filter { self.isShown($0) }
            for row in rows { self.append(row, isLast: row.revision == rows.last?.revision, to: &text) }
            let isQuiet = self.state.withLock { state in
                state.revision = revision
                if !text.isEmpty { state.quietSince = .now }
                return ContinuousClock.now - state.quietSince >= self.heartbeat
            }
            if !text.isEmpty { return text }
            if isQuiet {
                self.state.withLock { $0.quietSince = .now }
                return Array(":\n\n".utf8)
            }
            await self.book.nextLook()
        }
        return nil
    }

    func end() {
        self.state.withLock { $0.isOver = true }
    }

    private func hello(of count: Int) -> [UInt8] {
        let seconds = self.heartbeat.milliseconds / 1000
        let retry = Int64.random(in: 1500...2500)
        return Array(
            """
            retry: \(retry)

            event: hello
            data: {"resumed":\(self.isResumed),"sources":\(count),"heartbeat":\(max(1, seconds))}


            """.utf8
        )
    }

    /// Ends the stream after telling why.
    private func bye(_ reason: CloseReason) -> [UInt8] {
        self.end()
        return Array("event: bye\ndata: {\"reason\":\"\(reason.rawValue)\"}\n\n".utf8)
    }

    /// Rows that the client may no longer read, as removed ones, and rows that it may read only now.
    private func append(
        changesFrom before: SourcePattern,
        to pattern: SourcePattern,
        upTo revision: UInt64,
        to text: inout [UInt8]
    ) {
        let known = self.book.rows(after: 0, within: before, maxBytes: .max).rows
        for row in known where !pattern.matches(row.name) && self.isShown(row) {
            self.append(RowBook.Row(name: row.name, text: nil, revision: row.revision), isLast: false, to: &text)
        }
        let present = self.book.rows(after: 0, within: pattern, maxBytes: .max).rows
        for row in present
        where !before.matches(row.name) && row.revision <= revision && row.text != nil && self.isShown(row) {
            self.append(row, isLast: false, to: &text)
        }
    }

    private func isShown(_ row: RowBook.Row) -> Bool {
        !InstanceName.isInstance(row.name) || self.permits(row.name)
    }

    private func append(_ row: RowBook.Row, isLast: Bool, to text: inout [UInt8]) {
        // Of rows that leave together only the last has an id: cut off before, the client is sent all of them again.
        if isLast {
            text.append(contentsOf: "id: \(String(self.book.epoch, radix: 36))-\(row.revision)\n".utf8)
        }
        if let row = row.text {
            text.append(contentsOf: "event: row\ndata: ".utf8)
            text.append(contentsOf: row)
        } else {
            text.append(contentsOf: "event: removed\ndata: ".utf8)
            var json = JSONWriter()
            json.object { $0.member("name", row.name) }
            text.append(contentsOf: json.text)
        }
        text.append(contentsOf: [0x0A, 0x0A])
    }
}
