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

    @Test("requests over a line have each its own body and fields, over connections that stay, whatever fails between")
    func line() async throws {
        self.upstream.on("/in") { request in
            switch request.headers["X-Fault"] {
            case "reset": [.reset]
            case "500": [.respond(.status(500))]
            case _: [.respond(.status(204))]
            }
        }
        var configuration = ExchangeConfiguration(headers: [.init(name: "Content-Type", value: "text/plain")])
        configuration.takesNoBody = true
        configuration.keepsTrace = false
        let line = UpstreamLine(try UpstreamURL(self.upstream.url("/in")), configuration)
        var transport = CurlTransport.Configuration()
        transport.minSilentAnswers = 0
        let client = try UpstreamClient(configuration: transport)
        for number in 0..<60 {
            let fault = number % 20 == 7 ? "reset" : number % 20 == 13 ? "500" : "none"
            var request = ExchangeRequest(.post, body: Array("body \(number)".utf8), isQuery: true)
            request.holdsAnswer = false
            request.fields = [.init(name: "X-Number", value: "\(number)"), .init(name: "X-Fault", value: fault)]
            let end = await withCheckedContinuation { continuation in
                client.begin(request, over: line) { continuation.resume(returning: $0) }
            }
            switch fault {
            case "reset": #expect((try? end.result.get()) == nil && end.wasSent)
            case "500": #expect(try end.result.get().status == 500)
            case _: #expect(try end.result.get().status == 204 && end.trace == nil)
            }
        }
        // What was reset over a connection that was used before is asked again over a new one.
        let requests = self.upstream.requests
        var numbers: [Int] = []
        for request in requests {
            let values = request.headers.values("X-Number").compactMap { Int($0) }
            let number = try #require(values.count == 1 ? values.first : nil)
            #expect(String(decoding: request.body, as: UTF8.self) == "body \(number)")
            if numbers.last != number { numbers.append(number) }
        }
        #expect(numbers == Array(0..<60) && requests.count <= 63)
        #expect(self.upstream.connectionCount <= 10, "\(self.upstream.connectionCount) connections")
        #expect(requests.allSatisfy { $0.headers["Content-Type"] == "text/plain" && $0.headers["Expect"] == nil })
    }

    @Test("many requests over one line at a time are all answered")
    func wideLine() async throws {
        self.upstream.on("/in", respond: .status(204))
        let line = UpstreamLine(try UpstreamURL(self.upstream.url("/in")), ExchangeConfiguration())
        let statuses = await withTaskGroup(of: Int?.self) { group in
            for number in 0..<64 {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        let request = ExchangeRequest(.post, body: Array("\(number)".utf8), isQuery: true)
                        self.client.begin(request, over: line) { end in
                            continuation.resume(returning: try? end.result.get().status)
                        }
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(statuses.count == 64 && statuses.allSatisfy { $0 == 204 })
        let bodies = Set(self.upstream.requests.map { String(decoding: $0.body, as: UTF8.self) })
        #expect(bodies == Set((0..<64).map { "\($0)" }))
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
