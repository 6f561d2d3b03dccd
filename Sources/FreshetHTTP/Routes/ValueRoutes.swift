// `GET /v1/values/{source}`: the current value, for caches and for clients that cannot hold a stream.

import FreshetCore
import HTTPFields
import JSON
import NIOCore

struct ValueRoutes: Sendable {
    let gateway: Gateway

    func add(to routes: inout RouteTable) {
        routes.on(.get, "/v1/values/:source", for: .caller) { try await self.value($0) }
        // The slashes of an instance's name.
        routes.on(.get, "/v1/values/*source", for: .caller) { try await self.value($0) }
        routes.on(.get, "/v1/items/:source/:key", for: .caller) { try await self.item($0) }
    }

    private func value(_ context: GatewayContext) async throws -> Answer {
        let name = context.segment("source").utf8
        let hub = self.gateway.hub
        let client = context.request.client
        let (source, holds) = try SourceSelection.openOne(name, in: hub, for: context.principal, from: client)
        let view = try ViewQuery.viewOfValue(context.request.query, of: source, in: hub)
        if context.request.query["wait"] == nil { try await context.settle(holds, of: self.gateway) }
        if let at = context.request.query["at"] { return try await self.past(source, in: view, at: at, context) }
        let whole = hub.version(of: source)
        let version = whole?.viewed(by: view)
        var isNew = true
        if let deadline = try context.waitDeadline(upTo: self.gateway.settings.maxWait) {
            let awaited = context.request.awaited
            let present = if let awaited { awaited.known } else { version?.cursor }
            let known = try self.known(to: context, present: present)
            let isPresent = known.holds(version, awaited: view.isWhole ? nil : awaited)
            if isPresent, NIODeadline.now() < deadline {
                throw AwaitedChange(
                    sources: [source],
                    after: whole?.cursor.sequence ?? 0,
                    deadline: deadline,
                    known: present,
                    holds: holds,
                    tag: version?.etag
                )
            }
            // Who named nothing that it has gets the value in any case.
            isNew = known == .present(present) || !isPresent
        }
        guard let report = self.gateway.hub.report(of: source) else { throw Problem.unknownSource() }
        guard whole != nil else { throw self.absence(report) }
        guard let version else { throw Self.nothingThere }
        return self.answer(context.request.head, version: version, status: report.status, isNew: isNew)
    }

    static let nothingThere = Problem(404, "nothing_at_pointer", "The value has nothing at this pointer.")

    /// What the client said that it has: a tag, a cursor, or, as it says nothing or `latest`, what there is now.
    private func known(to context: GatewayContext, present: Cursor?) throws(Problem) -> KnownValue {
        if let tags = context.request.head.value(of: "if-none-match") { return .tagged(tags) }
        switch context.request.query["since"] {
        case nil, "latest": return .present(present)
        case let text?:
            guard let cursor = Cursor(text) else {
                throw .badParameter("since", "Write a cursor, as Freshet-Cursor gave it, or latest.")
            }
            return .upTo(cursor)
        }
    }

    private func answer(
        _ head: RequestHead,
        version: SourceVersion,
        status: SourceStatus,
        isNew: Bool
    ) -> Answer {
        let now = WallClock.now
        let modified = self.lastModified(version, now: now)
        var answer = Answer(200)
        answer.fields = [
            AnswerField("ETag", version.etag),
            AnswerField("Last-Modified", modified.text),
            AnswerField("Age", "\(self.age(version, status: status, now: now))"),
            AnswerField("Cache-Control", self.cacheControl(version, status: status)),
            AnswerField("Freshet-Cursor", version.cursor.description),
            AnswerField("Freshet-State", status.state.rawValue),
            AnswerField("X-Content-Type-Options", "nosniff"),
        ]
        if !isNew || self.isNotModified(head, version: version, modified: modified, now: now) {
            answer.status = 304
        } else {
            answer.fields.append(AnswerField("Content-Type", "application/json"))
            answer.body = AnswerBody(version.document.text)
        }
        return answer
    }

    /// RFC 9110 §13.2.2: `If-Modified-Since` counts only where there is no `If-None-Match`.
    private func isNotModified(_ head: RequestHead, version: SourceVersion, modified: HTTPDate, now: WallTime) -> Bool {
        if let tags = head.value(of: "if-none-match") { return Precondition.matches(tags, etag: version.etag) }
        guard let date = head.value(of: "if-modified-since") else { return false }
        return Precondition.isUnmodified(since: date, lastModified: modified, now: now)
    }

    /// What the upstream said, where that is a date; else when the gateway had the value. Never in the future
    /// (RFC 9110 §8.8.2.1).
    private func lastModified(_ version: SourceVersion, now: WallTime) -> HTTPDate {
        let wallNow = Int(clamping: now.seconds)
        let stated = version.validators.lastModified.flatMap { HTTPDate($0, wallNow: wallNow) }
        return HTTPDate(unixSeconds: min((stated ?? version.at.httpDate).unixSeconds, wallNow))
    }

    /// Seconds since the upstream last confirmed the value (RFC 9111 §5.1).
    private func age(_ version: SourceVersion, status: SourceStatus, now: WallTime) -> Int64 {
        let confirmed = max(status.lastSuccessAt ?? version.at, version.at)
        return max(0, now.seconds - confirmed.seconds)
    }

    /// What the upstream's last answer allows, of whose lifetime a cache takes `Age` off (RFC 9111 §4.2); without one
    /// every use has to ask, which the tag makes cheap.
    func cacheControl(_ version: SourceVersion, status: SourceStatus) -> String {
        var policy = status.caching ?? CachePolicy()
        if status.caching == nil { policy.freshFor = version.freshness }
        return policy.cacheControl
    }

    /// 503 for a source that has not had one good response.
    func absence(_ report: SourceReport) -> Problem {
        let now = WallClock.now
        let wait = (report.status.nextPollAt?.seconds ?? now.seconds) - now.seconds
        var problem = Problem.busy(
            "no_value_yet",
            "The source has no value yet.",
            retryAfter: min(max(wait, 1), 60)
        )
        problem.members.append(Problem.Member(name: "state", text: report.status.state.rawValue))
        if let reported = report.status.lastError {
            problem.members.append(Problem.Member(name: "kind", text: reported.error.kind.rawValue))
        }
        return problem
    }
}

/// What a client that waits already has.
private enum KnownValue: Equatable {
    /// The values with these tags, as `If-None-Match` has them.
    case tagged(String)
    /// All up to this cursor.
    case upTo(Cursor)
    /// The value that there was when it asked, if any.
    case present(Cursor?)

    /// Whether the client has this value. No value is known to everybody.
    ///
    /// `awaited`: what a client waits for that has a part of a value, which may stay while the value changes.
    func holds(_ version: SourceVersion?, awaited: AwaitedChange? = nil) -> Bool {
        switch self {
        case .upTo, .present:
            if let awaited { return version?.etag == awaited.tag }
        case .tagged: break
        }
        guard let version else { return true }
        switch self {
        case .tagged(let tags): return Precondition.matches(tags, etag: version.etag)
        case .upTo(let cursor):
            return cursor.epoch == version.cursor.epoch && version.cursor.sequence <= cursor.sequence
        case .present(let cursor): return version.cursor == cursor
        }
    }
}
