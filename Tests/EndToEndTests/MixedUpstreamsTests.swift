import EventStream
import Foundation
import FreshetTesting
import JSON
import Testing

/// Five upstreams as people have them, each with secrets of its own. Every secret holds the word canary.
private final class MixedUpstreams: Sendable {
    struct State: Sendable {
        /// What each source's value says of itself now.
        var versions: [String: Int] = [:]
        var bearer = "canary-bearer-1"
        var grants = 0
        var grantedAt: ContinuousClock.Instant?
        var refusals = 0
        var graphQLAnswers = 0
    }

    static let names = ["github", "oauth", "graphql", "feed", "report"]

    let upstream: ScriptedUpstream
    /// Nobody sent requests here.
    let elsewhere: ScriptedUpstream
    let state = Watched(State())

    init() throws {
        self.upstream = try ScriptedUpstream()
        self.elsewhere = try ScriptedUpstream()
        self.elsewhere.on("*", respond: .json("[]"))
        self.upstream.on("/issues") { [self] in [.respond(self.issues($0))] }
        self.upstream.on("/token") { [self] in [.respond(self.token($0))] }
        self.upstream.on("/orders") { [self] in [.respond(self.orders($0))] }
        self.upstream.on("/graphql") { [self] in [.respond(self.graphQL($0))] }
        self.upstream.on("/feed") { [self] in [.respond(self.feed($0))] }
        self.upstream.on("/report.csv") { [self] in [.respond(self.report($0))] }
        self.upstream.on("/lure") { [self] _ in
            [.respond(.json(#"{"items":[1],"next":"\#(self.elsewhere.url("/items"))"}"#))]
        }
    }

    func advance(_ name: String) { self.state.update { $0.versions[name, default: 0] += 1 } }

    /// Stands in the value of this version and in no other.
    static func mark(_ name: String, _ version: Int) -> String { "mark-\(name)-\(version)-" }

    private func mark(_ name: String) -> String { Self.mark(name, self.state.value.versions[name, default: 0]) }

    private func conditional(_ request: UpstreamRequest, _ answer: UpstreamResponse) -> UpstreamResponse {
        let tag = "\"\(answer.body.reduce(UInt64(5381)) { $0 &* 33 &+ UInt64($1) })\""
        var answer = answer
        answer.headers.append("ETag", tag)
        return request.headers["If-None-Match"] == tag ? .status(304, headers: answer.headers) : answer
    }

    /// Pages by Link with ETags, a rate limit, X-Poll-Interval, and a token that rotates.
    private func issues(_ request: UpstreamRequest) -> UpstreamResponse {
        guard request.headers["Authorization"] == "Bearer \(self.state.value.bearer)" else {
            self.state.update { $0.refusals += 1 }
            return .json(#"{"message":"Bad credentials"}"#, status: 401)
        }
        let number = request.query.flatMap { Int($0.suffix(1)) } ?? 1
        var headers: HeaderFields = [
            "X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4999", "X-RateLimit-Reset": "4102444800",
            "X-Poll-Interval": "1", "Cache-Control": "private, max-age=0",
        ]
        if number < 4 {
            headers.append("Link", "<\(self.upstream.url("/issues?page=\(number + 1)"))>; rel=\"next\"")
        }
        let title = number == 3 ? self.mark("github") : "old"
        let items = (0..<5).map { #"{"id":\#(number * 10 + $0),"title":"\#(title)"}"# }
        return self.conditional(request, .json("[\(items.joined(separator: ","))]", headers: headers))
    }

    private func token(_ request: UpstreamRequest) -> UpstreamResponse {
        guard String(decoding: request.body, as: UTF8.self).contains("client_secret=canary-secret") else {
            return .json(#"{"error":"invalid_client"}"#, status: 401)
        }
        let number = self.state.update { state -> Int in
            state.grants += 1
            state.grantedAt = .now
            return state.grants
        }
        return .json(#"{"access_token":"canary-token-\#(number)","token_type":"Bearer","expires_in":3}"#)
    }

    private func orders(_ request: UpstreamRequest) -> UpstreamResponse {
        let state = self.state.value
        let isValid =
            request.headers["Authorization"] == "Bearer canary-token-\(state.grants)"
            || request.headers["Authorization"] == "Bearer canary-token-\(state.grants - 1)"
        guard isValid, let since = state.grantedAt, ContinuousClock.now - since < .seconds(3) else {
            return .status(401)
        }
        return .json(#"{"value":[{"id":1,"note":"\#(self.mark("oauth"))"}]}"#)
    }

    /// Every third answer is an error with a status of 200.
    private func graphQL(_ request: UpstreamRequest) -> UpstreamResponse {
        guard request.headers["X-Api-Key"] == "canary-key", request.method == "POST" else { return .status(403) }
        let count = self.state.update { state -> Int in
            state.graphQLAnswers += 1
            return state.graphQLAnswers
        }
        if count % 3 == 0 { return .json(#"{"data":null,"errors":[{"message":"canary-echo of the query"}]}"#) }
        return .json(#"{"data":{"users":[{"id":"a","name":"\#(self.mark("graphql"))"}]}}"#)
    }

    private func feed(_ request: UpstreamRequest) -> UpstreamResponse {
        guard request.query == "token=canary-query" else { return .status(403) }
        let item = "<item><guid>1</guid><title>\(self.mark("feed"))</title></item>"
        let text = "<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>t</title>\(item)</channel></rss>"
        return self.conditional(
            request,
            UpstreamResponse(headers: ["Content-Type": "application/rss+xml"], body: Array(text.utf8))
        )
    }

    private func report(_ request: UpstreamRequest) -> UpstreamResponse {
        // ada:canary-password
        guard request.headers["Authorization"] == "Basic YWRhOmNhbmFyeS1wYXNzd29yZA==" else { return .status(401) }
        let text = "id,name\n1,\(self.mark("report"))\n2,b\n"
        return UpstreamResponse(headers: ["Content-Type": "text/csv"], body: Array(text.utf8))
    }
}

@Suite("What people really poll, together", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct MixedUpstreamsTests {
    private static let isLong = ProcessInfo.processInfo.environment["FRESHET_EXHAUSTIVE"] != nil

    private func configuration(_ world: MixedUpstreams, secrets: TemporaryFolder) throws -> String {
        try secrets.write("canary-bearer-1\n", to: "bearer")
        try secrets.write("canary-secret\n", to: "client")
        try secrets.write("canary-key\n", to: "key")
        try secrets.write("canary-query\n", to: "query")
        try secrets.write("canary-password\n", to: "password")
        func url(_ path: String) -> String { world.upstream.url(path) }
        return """
            defaults: { interval: 100ms }
            sources:
              github:
                url: "\(url("/issues"))"
                auth: { bearer_file: "\(secrets.path("bearer"))" }
                paginate: { style: auto }
              oauth:
                url: "\(url("/orders"))"
                auth:
                  oauth2:
                    token_url: "\(url("/token"))"
                    client_id: freshet
                    client_secret_file: "\(secrets.path("client"))"
                    style: post
              graphql:
                url: "\(url("/graphql"))"
                auth: { api_key: { name: X-Api-Key, value_file: "\(secrets.path("key"))" } }
                graphql: { query: "query($n: Int) { users(first: $n) { id name } }", variables: { n: 10, k: canary-variable } }
              feed:
                url: "\(url("/feed"))"
                auth: { api_key: { name: token, in: query, value_file: "\(secrets.path("query"))" } }
              report:
                url: "\(url("/report.csv"))"
                auth: { basic: { username: ada, password_file: "\(secrets.path("password"))" } }
              lured:
                url: "\(url("/lure"))"
                auth: { api_key: { name: X-Api-Key, value: canary-lure } }
                redirects: any
                paginate: { style: next }
            """
    }

    @Test("every change once, and no secret anywhere")
    func together() async throws {
        let world = try MixedUpstreams()
        let secrets = try TemporaryFolder()
        let folder = try TemporaryFolder()
        let file = try folder.write(
            "listen: 127.0.0.1:0\n" + self.configuration(world, secrets: secrets),
            to: "freshet.yaml"
        )
        let process = try FreshetProcess(["serve", "--config", file, "--log-level", "trace"])
        let client = try await process.client()
        for name in MixedUpstreams.names {
            let reply = try await client.get("/v1/values/\(name)?wait=20s", headers: ["If-None-Match": "\"none\""])
            try #require(reply.status == 200, "\(name): \(reply.text) \(process.errors)")
        }
        let names = MixedUpstreams.names.joined(separator: ",")
        let stream = try EventStreamClient(try await process.endpoint(), path: "/v1/streams/\(names)?mode=snapshot")
        var text = ""
        let seen = { (name: String, version: Int) in text.contains(MixedUpstreams.mark(name, version)) }
        func takeUntil(_ version: Int) async throws {
            while !MixedUpstreams.names.allSatisfy({ seen($0, version) }) {
                let event = try #require(try await stream.next(), "the stream ended")
                guard event.type == "snapshot" else { continue }
                text += event.text + "\n"
            }
        }
        try await takeUntil(0)
        let start = ContinuousClock.now
        let duration = Duration.seconds(Self.isLong ? 60 : 7)
        var rounds = 0
        while ContinuousClock.now - start < duration {
            rounds += 1
            if rounds % 2 == 0 {
                let token = "canary-bearer-\(rounds)"
                try secrets.write(token + "\n", to: "bearer")
                world.state.update { $0.bearer = token }
            }
            for name in MixedUpstreams.names { world.advance(name) }
            try await takeUntil(rounds)
        }
        // Each snapshot brought one version of one source, each version came, and each in its turn.
        for name in MixedUpstreams.names {
            let versions = text.split(separator: "\n").compactMap { line in
                (0...rounds).first { line.contains(MixedUpstreams.mark(name, $0)) }
            }
            #expect(versions == Array(0...rounds), "\(name)")
        }
        #expect(rounds >= 3)
        let state = world.state.value
        // Tokens are renewed by the clock, and a machine that is busy takes longer.
        let overrun = max(1, (ContinuousClock.now - start) / duration)
        let most = Int((overrun * (Self.isLong ? 25 : 5)).rounded(.up))
        #expect(state.grants >= (Self.isLong ? 19 : 2) && state.grants <= most, "\(state.grants) of at most \(most)")
        #expect(world.elsewhere.requests.isEmpty, "a next page took a source to another origin")
        #expect(world.upstream.failures.isEmpty)

        var answers = [text]
        for name in MixedUpstreams.names + ["lured"] {
            for path in ["/v1/values/\(name)", "/v1/sources/\(name)", "/v1/changes/\(name)"] {
                answers.append(try await client.get(path).text)
            }
        }
        for path in ["/v1/sources", "/metrics", "/readyz?verbose", "/", "/v1/openapi.json"] {
            answers.append(try await client.get(path).text)
        }
        // Tokens are renewed meanwhile, and counted a moment after they were granted.
        let deadline = ContinuousClock.now + .patience
        var metrics = ""
        repeat {
            try #require(ContinuousClock.now < deadline, "\(world.state.value.grants) grants: \(metrics)")
            metrics = try await client.get("/metrics").text
        } while !metrics.contains("freshet_token_requests_total \(world.state.value.grants)\n")
        await stream.close()
        #expect(try await process.terminate() == .exited(0))
        let show = try FreshetProcess(["config", "show", "--config", file])
        #expect(try await show.exitStatus() == .exited(0), "\(show.errors)")
        answers += [process.errors, process.output, show.output, show.errors]
        for answer in answers { #expect(!answer.contains("canary"), "\(answer.prefix(4000))") }
        #expect(show.output.contains("paginate") && show.output.contains("token_url"))
    }
}
