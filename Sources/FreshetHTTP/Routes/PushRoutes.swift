// `/v1/push`: subscriptions of Web Push (CONTRACT §12).

import FreshetCore
import FreshetStreaming
import JSON
import NIOCore
import System

/// Takes, lists and ends subscriptions.
struct PushRoutes: Sendable {
    let gateway: Gateway

    /// The most subscriptions in one list.
    static let maxListed = 1000

    func add(to routes: inout RouteTable) {
        routes.on(.get, "/v1/push/key", for: .caller) { context in
            let desk = try self.desk(context)
            var json = JSONWriter()
            json.object { $0.member("key", desk.publicKey) }
            return .json(json.text)
        }
        routes.on(.post, "/v1/push/subscriptions", for: .caller, bodyLimit: .short) { try await self.subscribe($0) }
        routes.on(.get, "/v1/push/subscriptions", for: .caller) { try await self.list($0) }
        routes.on(.delete, "/v1/push/subscriptions/:id", for: .caller) { try await self.unsubscribe($0) }
    }

    /// - Throws: 401 for who may read nothing, 404 where nothing is pushed.
    private func desk(_ context: GatewayContext) throws(Problem) -> any PushDesk {
        let caller = context.principal
        guard caller.kind != .anonymous || caller.grants.read != .none else { throw .credentialRequired }
        guard let desk = self.gateway.push else { throw .noPush }
        return desk
    }

    /// A page can lend its visitor's cookie, certificate or network to any request; who sets a field means it
    /// (FAULTS S4). Without this, a page from anywhere could have a private gateway push to an endpoint of its own.
    private func checkIntent(_ context: GatewayContext) throws(Problem) {
        let head = context.request.head
        let isMeant = head.value(of: "authorization") != nil || head.value(of: "x-api-key") != nil
        guard isMeant || self.gateway.crossOrigin.mayPublish(head) else { throw .crossOrigin }
    }

    private func subscribe(_ context: GatewayContext) async throws -> Answer {
        let desk = try self.desk(context)
        try self.checkIntent(context)
        let body = Array(context.request.body.readableBytesView)
        var request = try PushBody.read(body)
        let opened = try SourceSelection.open(
            request.sources.utf8,
            in: self.gateway.hub,
            for: context.principal,
            from: context.request.client
        )
        // The first value of an instance is where the subscription begins, and not a change.
        try await context.settle(opened.holds, of: self.gateway)
        request.holds = opened.holds
        let network = context.request.client.countedNetwork?.readClient
        switch await desk.subscribe(request, for: context.principal, from: network) {
        case .failure(let refusal): throw Problem(refusal)
        case .success(let report):
            var json = JSONWriter()
            Self.write(report, to: &json)
            var answer = Answer.json(json.text, status: 201)
            answer.set("Location", "/v1/push/subscriptions/\(report.id)")
            return answer
        }
    }

    private func list(_ context: GatewayContext) async throws(Problem) -> Answer {
        let desk = try self.desk(context)
        let query = context.request.query
        let (id, after) = (try Self.id("id", in: query), try Self.id("after", in: query))
        let reports = await desk.reports(for: context.principal, id: id, after: after, limit: Self.maxListed + 1)
        var json = JSONWriter()
        json.object { json in
            json.name("subscriptions")
            json.array { json in
                for report in reports.prefix(Self.maxListed) { Self.write(report, to: &json) }
            }
            if reports.count > Self.maxListed { json.member("next", reports[Self.maxListed - 1].id.description) }
        }
        return .json(json.text)
    }

    private static func id(_ name: String, in query: QueryString) throws(Problem) -> PushID? {
        guard let text = query[name] else { return nil }
        guard let id = PushID(text) else { throw .badParameter(name, "Write the id of a subscription.") }
        return id
    }

    private func unsubscribe(_ context: GatewayContext) async throws(Problem) -> Answer {
        let desk = try self.desk(context)
        try self.checkIntent(context)
        var isEnded = false
        if let id = PushID(context.segment("id")) {
            do throws(PushRefusal) {
                isEnded = try await desk.unsubscribe(id, by: context.principal)
            } catch {
                throw Problem(error)
            }
        }
        guard isEnded else {
            throw Problem(404, "unknown_subscription", "There is no such subscription of this caller.")
        }
        return Answer(204)
    }

    private static func write(_ report: PushReport, to json: inout JSONWriter) {
        json.object { json in
            json.member("id", report.id.description)
            json.member("host", report.host)
            json.member("sources", report.sources)
            if let pointer = report.pointer { json.member("pointer", pointer.description) }
            json.member("subject", report.subject)
            json.member("created_at", report.createdAt.description)
            json.member("expires_at", report.expiresAt.description)
            json.member("state", report.state.rawValue)
            json.member("key", report.hasPresentKey ? "present" : "former")
            json.member("waiting", report.waiting)
            json.member("last_delivered_at", optional: report.lastDeliveredAt?.description)
            json.member("last_failure", optional: report.lastFailure)
        }
    }
}

/// The body of `POST /v1/push/subscriptions`.
private enum PushBody {
    static func read(_ body: [UInt8]) throws(Problem) -> PushRequest {
        guard let root = (try? Document(parsing: body))?.root, let subscription = root["subscription"],
            let endpoint = subscription["endpoint"]?.string, let p256dh = subscription["keys"]?["p256dh"]?.string,
            let auth = subscription["keys"]?["auth"]?.string, let sources = root["sources"]?.string
        else {
            let form = #"{"subscription": subscription.toJSON(), "sources": "a,b"}"#
            throw self.bad("The body is JSON in the form of \(form).")
        }
        guard sources.utf8.count <= Defaults.Push.maxSourcesBytes, SourceSelector(sources) != nil else {
            throw .unknownSource()
        }
        var request = PushRequest(endpoint: endpoint, p256dh: p256dh, auth: auth, sources: sources)
        if let text = root["pointer"], !text.isNull {
            guard let text = text.string, text.utf8.count <= Defaults.Push.maxPointerBytes, let pointer = Pointer(text)
            else {
                let limit = Defaults.Push.maxPointerBytes
                throw self.bad("pointer is a JSON Pointer (RFC 6901) of at most \(limit) bytes.")
            }
            request.pointer = pointer.isEmpty ? nil : pointer
        }
        if let ttl = root["ttl"] {
            guard let seconds = ttl.int, (0...Defaults.Push.maxTTL).contains(seconds) else {
                throw self.bad("ttl is a number of seconds from 0 to \(Defaults.Push.maxTTL).")
            }
            request.ttl = seconds
        }
        if let urgency = root["urgency"] {
            guard let known = urgency.string.flatMap(PushUrgency.init(rawValue:)) else {
                let names = PushUrgency.allCases.map(\.rawValue).joined(separator: ", ")
                throw self.bad("urgency is one of \(names).")
            }
            request.urgency = known
        }
        if let end = subscription["expirationTime"], !end.isNull {
            guard let milliseconds = end.double.flatMap({ Int64(exactly: $0.rounded()) }) else {
                throw self.bad("subscription.expirationTime is null, or milliseconds since 1970.")
            }
            request.expiresAt = WallTime(milliseconds: milliseconds)
        }
        return request
    }

    private static func bad(_ detail: String) -> Problem { Problem(400, "bad_subscription", detail) }
}

extension Problem {
    static let noPush = Problem(
        404,
        "no_push",
        "This gateway pushes nothing: its configuration has no section push."
    )

    init(_ refusal: PushRefusal) {
        let seconds = Int64.random(in: 5...60)
        switch refusal {
        case .endpoint(let what): self.init(400, "bad_subscription", "subscription.endpoint: \(what).")
        case .keys(let what): self.init(400, "bad_subscription", "subscription: \(what).")
        case .expired: self.init(400, "bad_subscription", "The subscription has expired; subscribe again.")
        case .taken:
            let detail =
                "Another caller has subscribed this endpoint with other keys; call pushManager.subscribe again."
            self.init(409, "endpoint_taken", detail)
        case .full:
            self = .busy("too_many_push_subscriptions", "There are push.max_subscriptions.", retryAfter: seconds)
        case .host:
            let detail = "There are push.max_subscriptions_per_host for the host of this endpoint."
            self = .busy("too_many_push_subscriptions_of_host", detail, retryAfter: seconds)
        case .caller:
            let detail = "This caller has push.max_subscriptions_per_caller subscriptions; delete some."
            self = .overRate("too_many_push_subscriptions_of_caller", detail, retryAfter: seconds)
        case .patterns:
            let detail =
                "Subscriptions name as many different patterns and pointers as they may; name sources one by one."
            self = .busy("too_many_push_patterns", detail, retryAfter: seconds)
        case .unavailable(let detail): self = .busy("no_owner", detail, retryAfter: 1)
        }
    }
}
