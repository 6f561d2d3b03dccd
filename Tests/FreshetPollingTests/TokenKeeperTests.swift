import FreshetCore
import FreshetTesting
import Synchronization
import Testing

@testable import FreshetPolling

/// An API that takes the tokens of its own endpoint, and counts.
final class TokenAPI: Sendable {
    struct State: Sendable {
        var granted = 0
        var isDown = false
        /// The numbers of the tokens that are taken.
        var valid: Set<Int> = []
        var refused = 0
        var times: [ContinuousClock.Instant] = []
    }

    let upstream: ScriptedUpstream
    let state = Watched(State())

    /// `life`: what grants say, in seconds.
    init(life: Double, at upstream: ScriptedUpstream) {
        self.upstream = upstream
        let state = self.state
        upstream.on("/token") { _ in
            let number = state.update { state -> Int? in
                state.times.append(.now)
                guard !state.isDown else { return nil }
                state.granted += 1
                state.valid = [state.granted - 1, state.granted]
                return state.granted
            }
            guard let number else { return [.respond(.status(503))] }
            return [
                .respond(
                    .json(#"{"access_token":"canary-\#(number)","token_type":"Bearer","expires_in":\#(life)}"#)
                )
            ]
        }
        upstream.on("*") { request in
            let token = (request.headers["Authorization"] ?? "").split(separator: "-").last.flatMap { Int($0) } ?? 0
            let isValid = state.update { state in
                let isValid = state.valid.contains(token)
                state.refused += isValid ? 0 : 1
                return isValid
            }
            return [.respond(isValid ? .json("[\"\(request.path)\"]") : .status(401))]
        }
    }

    var credential: OAuth2 {
        var oauth2 = OAuth2(tokenURL: self.upstream.url("/token"), clientID: "client id", clientSecret: "canary&secret")
        oauth2.scopes = ["a", "b"]
        return oauth2
    }
}

@Suite("Tokens of OAuth 2, through the poller")
struct TokenKeeperTests {
    private func sources(
        _ count: Int,
        _ fixture: PollingFixture,
        _ api: TokenAPI,
        interval: Duration
    ) throws -> [SourceID] {
        try (0..<count).map { index in
            try fixture.add("s\(index)", path: "/s\(index)") {
                $0.oauth2 = api.credential
                $0.interval = .fixed(interval)
            }
        }
    }

    @Test("a hundred sources with one credential, through ten expiries: a request for each token, and no poll without")
    func expiries() async throws {
        let fixture = try PollingFixture()
        let api = TokenAPI(life: 1, at: fixture.upstream)
        let ids = try self.sources(100, fixture, api, interval: .milliseconds(200))
        // The first token and ten that took an ended one's place.
        _ = await api.state.wait(timeout: .patience) { $0.granted >= 11 ? true : nil }
        let state = api.state.value
        #expect(state.times.count == state.granted, "no request but those that were granted")
        #expect(state.granted == 11)
        #expect(state.refused == 0)
        for (earlier, later) in zip(state.times, state.times.dropFirst()) {
            #expect(later - earlier >= .milliseconds(500), "none is replaced before half of its life")
        }
        for (index, id) in ids.enumerated() { #expect(fixture.value(of: id) == "[\"/s\(index)\"]") }
        #expect(fixture.failures.value.isEmpty)
    }

    @Test("an endpoint that is down is asked by one, less and less often, and all sources go on when it is back")
    func down() async throws {
        let fixture = try PollingFixture()
        let api = TokenAPI(life: 3600, at: fixture.upstream)
        api.state.update { $0.isDown = true }
        let ids = try self.sources(100, fixture, api, interval: .milliseconds(100))
        _ = await api.state.wait(timeout: .patience) { $0.times.count >= 3 ? true : nil }
        #expect(fixture.upstream.requests.allSatisfy { $0.path == "/token" }, "nobody polls without a token")
        let times = api.state.value.times
        for (earlier, later) in zip(times, times.dropFirst()) { #expect(later - earlier >= .seconds(1)) }
        #expect(fixture.failures.value.allSatisfy { $0.kind == .throttled && !$0.message.contains("canary") })
        #expect(fixture.failures.value.count >= 100, "every source says why it has no value")
        api.state.update { $0.isDown = false }
        for id in ids { #expect(await fixture.waitForStatus(of: id) { $0.state == .ok }) }
        #expect(api.state.value.granted == 1)
    }

    @Test("a token that is refused is replaced once, and not again until one is accepted")
    func refused() async throws {
        let fixture = try PollingFixture()
        let api = TokenAPI(life: 3600, at: fixture.upstream)
        let id = try self.sources(1, fixture, api, interval: .seconds(3600))[0]
        #expect(await fixture.poll(id) == .changed)
        api.state.update { $0.valid = [] }
        #expect(await fixture.poll(id) == .failed(.auth))
        _ = await api.state.wait(timeout: .patience) { $0.granted >= 2 ? true : nil }
        // The new token is polled with at once.
        #expect(await fixture.waitForStatus(of: id) { $0.state == .ok })
        // Now the resource refuses whatever token it is.
        fixture.upstream.on("/s0", respond: .status(401))
        for _ in 0..<3 { #expect(await fixture.poll(id) == .failed(.auth)) }
        _ = await api.state.wait(timeout: .patience) { $0.granted >= 3 ? true : nil }
        for _ in 0..<3 { #expect(await fixture.poll(id) == .failed(.auth)) }
        #expect(api.state.value.granted == 3)
    }

    @Test("the request for a token (RFC 6749 §4.4.2), in both styles", arguments: OAuth2.Style.allCases)
    func request(style: OAuth2.Style) async throws {
        let fixture = try PollingFixture()
        let api = TokenAPI(life: 3600, at: fixture.upstream)
        let id = try fixture.add("a", path: "/a") {
            $0.oauth2 = api.credential
            $0.oauth2?.style = style
            $0.oauth2?.audience = "https://api/"
        }
        #expect(await fixture.poll(id) == .changed)
        let request = try #require(fixture.upstream.requests(to: "/token").first)
        let body = String(decoding: request.body, as: UTF8.self)
        let common = "grant_type=client_credentials&scope=a%20b&audience=https%3A%2F%2Fapi%2F"
        #expect(request.method == "POST")
        #expect(request.headers["Content-Type"] == "application/x-www-form-urlencoded")
        switch style {
        case .basic:
            #expect(body == common)
            // client%20id:canary%26secret
            #expect(request.headers["Authorization"] == "Basic Y2xpZW50JTIwaWQ6Y2FuYXJ5JTI2c2VjcmV0")
        case .post:
            #expect(body == common + "&client_id=client%20id&client_secret=canary%26secret")
            #expect(request.headers["Authorization"] == nil)
        }
    }

    @Test("neither token nor secret leaves for another origin: redirects of the endpoint are no grants")
    func redirected() async throws {
        let fixture = try PollingFixture()
        let other = try ScriptedUpstream()
        other.on("*", respond: .json(#"{"access_token":"stolen","expires_in":60}"#))
        fixture.upstream.on("/token", respond: .status(307, headers: ["Location": other.url("/token")]))
        let id = try fixture.add("a", path: "/a") {
            $0.oauth2 = OAuth2(tokenURL: fixture.upstream.url("/token"), clientID: "c", clientSecret: "canary")
        }
        #expect(await fixture.poll(id) == .failed(.status))
        #expect(other.requests.isEmpty)
        #expect(fixture.failures.value.allSatisfy { !$0.message.contains("canary") })
    }

    @Test("S19: a token does not follow a redirect")
    func tokenStays() async throws {
        let fixture = try PollingFixture()
        let api = TokenAPI(life: 3600, at: fixture.upstream)
        let other = try ScriptedUpstream()
        other.on("*", respond: .json("[1]"))
        fixture.upstream.on("/moved", respond: .status(302, headers: ["Location": other.url("/x")]))
        let id = try fixture.add("a", path: "/moved") {
            $0.oauth2 = api.credential
            $0.redirects = .origins([other.url("")])
        }
        #expect(await fixture.poll(id) == .changed)
        #expect(fixture.upstream.requests(to: "/moved").first?.headers["Authorization"]?.hasPrefix("Bearer ") == true)
        #expect(other.requests.first?.headers["Authorization"] == nil)
    }
}
