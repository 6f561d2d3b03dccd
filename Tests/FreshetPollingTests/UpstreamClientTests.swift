import FreshetCore
import FreshetTesting
import Testing

@testable import FreshetUpstream

@Suite("Single requests to upstreams")
struct UpstreamClientTests {
    private let upstream: ScriptedUpstream
    private let client: UpstreamClient

    init() throws {
        self.upstream = try ScriptedUpstream()
        self.client = try UpstreamClient()
    }

    private func send(
        _ request: ExchangeRequest,
        _ path: String,
        _ configuration: ExchangeConfiguration = ExchangeConfiguration()
    ) async throws(UpstreamError) -> ExchangeResponse {
        try await self.client.send(request, to: UpstreamURL(self.upstream.url(path)), configuration)
    }

    @Test(
        "a request arrives with its method and body, and without what libcurl would add",
        arguments: [
            (ExchangeRequest.Method.post, #"{"a":1}"#), (.put, "x"), (.patch, "{}"), (.delete, ""), (.delete, "why"),
            (.post, ""), (.get, ""), (.put, String(repeating: "0", count: 200_000)),
        ]
    )
    func methods(method: ExchangeRequest.Method, body: String) async throws {
        self.upstream.on(
            "/",
            respond: UpstreamResponse(status: 201, headers: ["Content-Type": "text/plain"], body: Array("made".utf8))
        )
        let headers = [SourceConfiguration.Field(name: "Content-Type", value: "application/json")]
        let answer = try await self.send(
            ExchangeRequest(method, body: Array(body.utf8)),
            "/",
            ExchangeConfiguration(headers: body.isEmpty ? [] : headers)
        )
        #expect(answer.status == 201)
        #expect(String(decoding: answer.body, as: UTF8.self) == "made")
        let request = try #require(self.upstream.requests.first)
        #expect(request.method == method.rawValue)
        #expect(String(decoding: request.body, as: UTF8.self) == body)
        #expect(request.headers["Expect"] == nil)
        #expect(request.headers["Content-Type"] == (body.isEmpty ? nil : "application/json"))
    }

    @Test("every status is an answer, and a redirect is not followed unless it is asked for")
    func statuses() async throws {
        self.upstream.on("/moved", respond: .status(302, headers: ["Location": "/secret"]))
        self.upstream.on("/secret", respond: .json("[1]"))
        for status in [200, 304, 401, 404, 500, 503] {
            self.upstream.on("/\(status)", respond: .status(status))
            #expect(try await self.send(ExchangeRequest(), "/\(status)").status == status)
        }
        #expect(try await self.send(ExchangeRequest(), "/moved").status == 302)
        #expect(self.upstream.requests(to: "/secret").isEmpty)
        let following = ExchangeConfiguration(redirects: .sameOrigin)
        #expect(try await self.send(ExchangeRequest(), "/moved", following).status == 200)
        #expect(try await self.send(ExchangeRequest(.post, body: [0x31]), "/moved", following).status == 302)
    }

    @Test("what changes something is sent once, whatever becomes of its connection")
    func unsafeRequestsAreNotRepeated() async throws {
        self.upstream.on("/get", respond: .json("[1]"))
        self.upstream.on("/post") { _ in [.close] }
        // A connection that was used before lies ready.
        #expect(try await self.send(ExchangeRequest(), "/get").status == 200)
        await #expect(throws: UpstreamError.self) { try await self.send(ExchangeRequest(.post, body: [0x31]), "/post") }
        #expect(self.upstream.requests(to: "/post").count == 1)
        #expect(self.upstream.requests(to: "/post").first?.numberOnConnection == 1)
    }

    @Test("a body that is too large, a time that is over and a task that was cancelled end it")
    func ends() async throws {
        self.upstream.on("/big", respond: .json("[\(String(repeating: "1,", count: 50_000))1]"))
        self.upstream.on("/stall") { _ in [.stall] }
        let small = ExchangeConfiguration(maxBodyBytes: 1000)
        await #expect(throws: UpstreamError.self) { try await self.send(ExchangeRequest(), "/big", small) }
        let short = ExchangeConfiguration(timeout: .milliseconds(100))
        await #expect(throws: UpstreamError.self) { try await self.send(ExchangeRequest(), "/stall", short) }
        let task = Task { try await self.send(ExchangeRequest(), "/stall") }
        #expect(await self.upstream.waitForRequests(count: 3))
        task.cancel()
        await #expect(throws: UpstreamError.self) { try await task.value }
    }

    @Test("a private address is refused where addresses have to be public")
    func addresses() async throws {
        self.upstream.on("/", respond: .json("[1]"))
        do {
            _ = try await self.send(ExchangeRequest(), "/", ExchangeConfiguration(denyPrivate: true))
            Issue.record("it was sent")
        } catch {
            #expect(error.kind == .policy)
        }
        #expect(self.upstream.requests.isEmpty)
    }

    @Test("more requests than may be under way are refused at once")
    func bound() async throws {
        let client = try UpstreamClient(maxUnderWay: 2)
        self.upstream.on("/stall") { _ in [.stall] }
        let url = try UpstreamURL(self.upstream.url("/stall"))
        let tasks = (0..<2).map { _ in Task { try await client.send(ExchangeRequest(), to: url) } }
        #expect(await self.upstream.waitForRequests(count: 2))
        await #expect(throws: UpstreamError.self) { try await client.send(ExchangeRequest(), to: url) }
        #expect(self.upstream.requests.count == 2)
        for task in tasks { task.cancel() }
    }
}
