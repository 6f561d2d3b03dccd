import FreshetCore
import FreshetTesting
import JSON
import Synchronization
import Testing

@testable import FreshetHTTP

/// Takes every subscription, and remembers the last.
final class PushDeskStub: PushDesk {
    struct State: Sendable {
        var request: PushRequest?
        var refusal: PushRefusal?
        var reports: [PushReport] = []
        var ended: [PushID] = []
    }

    let state = Mutex(State())
    let publicKey = "BKey"

    static func body(sources: String, more: String = "") -> [UInt8] {
        let keys = #"{"p256dh":"p","auth":"a"}"#
        return Array(
            #"{"subscription":{"endpoint":"https://push.example/1","keys":\#(keys)},"sources":"\#(sources)"\#(more)}"#
                .utf8
        )
    }

    static func report(_ id: PushID, _ request: PushRequest? = nil) -> PushReport {
        let subscription = PushSubscription(
            id: id,
            endpoint: "https://push.example/1",
            host: "https://push.example:443",
            publicKey: [],
            secret: [],
            sources: request?.sources ?? "rates",
            pointer: request?.pointer,
            owner: .anonymous(.open),
            createdAt: WallTime(milliseconds: 0),
            expiresAt: WallTime(milliseconds: 1000),
            serverKey: "",
            since: Cursor(epoch: GatewayFixture.epoch, sequence: 0)
        )
        return PushReport(subscription, hasPresentKey: true)
    }

    func subscribe(
        _ request: PushRequest,
        for caller: Principal,
        from network: ReadClient?
    ) async -> Result<PushReport, PushRefusal> {
        var generator = SystemRandomNumberGenerator()
        let id = PushID.random(using: &generator)
        return self.state.withLock { state in
            state.request = request
            if let refusal = state.refusal { return .failure(refusal) }
            return .success(Self.report(id, request))
        }
    }

    func reports(for caller: Principal, id: PushID?, after: PushID?, limit: Int) -> [PushReport] {
        let reports = self.state.withLock { $0.reports }.filter { report in
            (id == nil || report.id == id) && (after.map { $0 < report.id } ?? true)
        }
        return Array(reports.prefix(limit))
    }

    func unsubscribe(_ id: PushID, by caller: Principal) -> Bool {
        self.state.withLock { state in
            state.ended.append(id)
            return true
        }
    }
}

extension HTTPTests {
    @Suite("The routes of Web Push", .overHTTP2)
    struct PushRouteTests {
        private func withDesk(_ body: (GatewayFixture, PushDeskStub) async throws -> Void) async throws {
            let desk = PushDeskStub()
            try await withGateway(push: desk) { gateway in
                try gateway.publish("{}", of: try gateway.source("rates"))
                try await body(gateway, desk)
            }
        }

        private func post(_ body: [UInt8], to gateway: GatewayFixture) async throws -> HTTPReply {
            let body = String(decoding: body, as: UTF8.self)
            return try await gateway.send("POST", "/v1/push/subscriptions", body: body)
        }

        @Test("all members of a request reach the desk, and defaults where there are none")
        func members() async throws {
            try await self.withDesk { gateway, desk in
                let plain = try await self.post(PushDeskStub.body(sources: "rates"), to: gateway)
                #expect(plain.status == 201)
                let first = try #require(desk.state.withLock { $0.request })
                #expect(first.ttl == Defaults.Push.ttl && first.urgency == .normal && first.pointer == nil)
                #expect(first.expiresAt == nil && first.sources == "rates" && first.p256dh == "p" && first.auth == "a")
                let more = #","pointer":"/a","ttl":60,"urgency":"low""#
                #expect(try await self.post(PushDeskStub.body(sources: "*", more: more), to: gateway).status == 201)
                let second = try #require(desk.state.withLock { $0.request })
                #expect(second.ttl == 60 && second.urgency == .low && second.pointer == Pointer("/a"))
            }
        }

        @Test(
            "what is no subscription is refused before it comes to the desk",
            arguments: [
                "", "[]", "{}", #"{"subscription":{},"sources":"rates"}"#, #"{"sources":"rates"}"#,
                #"{"subscription":"https://push.example/1","sources":"rates"}"#,
            ]
        )
        func malformed(body: String) async throws {
            try await self.withDesk { gateway, desk in
                let reply = try await self.post(Array(body.utf8), to: gateway)
                #expect(reply.status == 400)
                #expect(try code(reply) == "bad_subscription")
                #expect(desk.state.withLock { $0.request } == nil)
            }
        }

        @Test(
            "members that cannot be are refused",
            arguments: [
                #","pointer":"a""#, #","pointer":1"#, #","ttl":-1"#, #","ttl":2419201"#, #","ttl":"1""#,
                #","urgency":"soon""#,
                #","urgency":1"#,
            ]
        )
        func members(more: String) async throws {
            try await self.withDesk { gateway, desk in
                let reply = try await self.post(PushDeskStub.body(sources: "rates", more: more), to: gateway)
                #expect(reply.status == 400)
                #expect(desk.state.withLock { $0.request } == nil)
            }
        }

        @Test(
            "each refusal has its status and code",
            arguments: [
                (PushRefusal.endpoint("x"), 400, "bad_subscription"), (.keys("x"), 400, "bad_subscription"),
                (.expired, 400, "bad_subscription"), (.taken, 409, "endpoint_taken"),
                (.full, 503, "too_many_push_subscriptions"), (.host, 503, "too_many_push_subscriptions_of_host"),
                (.caller, 429, "too_many_push_subscriptions_of_caller"), (.patterns, 503, "too_many_push_patterns"),
            ]
        )
        func refusals(refusal: PushRefusal, status: Int, name: String) async throws {
            try await self.withDesk { gateway, desk in
                desk.state.withLock { $0.refusal = refusal }
                let reply = try await self.post(PushDeskStub.body(sources: "rates"), to: gateway)
                #expect(reply.status == status)
                #expect(try code(reply) == name)
                #expect((reply.headers["Retry-After"] != nil) == (status == 429 || status == 503))
            }
        }

        @Test("a list goes on after its last id")
        func pages() async throws {
            try await self.withDesk { gateway, desk in
                var generator = SystemRandomNumberGenerator()
                let ids = (0...PushRoutes.maxListed).map { _ in PushID.random(using: &generator) }.sorted()
                desk.state.withLock { $0.reports = ids.map { PushDeskStub.report($0) } }
                let first = try await gateway.get("/v1/push/subscriptions")
                let next = try text(first, "/next")
                #expect(next == ids[PushRoutes.maxListed - 1].description)
                let second = try json(try await gateway.get("/v1/push/subscriptions?after=\(next)"), "/subscriptions")
                #expect(second.count == 1 && second[0]?["id"]?.string == ids.last?.description)
                #expect(second[0]?["key"]?.string == "present" && second[0]?["state"]?.string == "active")
            }
        }
    }
}
