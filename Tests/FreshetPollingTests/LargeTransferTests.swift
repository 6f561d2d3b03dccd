import FreshetCore
import FreshetTesting
import System
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("Large bodies arrive in turns")
struct LargeTransferTests {
    private let upstream: ScriptedUpstream

    init() throws {
        self.upstream = try ScriptedUpstream()
    }

    /// Many turns long, and no two pieces of it alike.
    private static let body: [UInt8] = (0..<400_000).flatMap { Array("\($0),\($0 % 7)\n".utf8) }

    /// What came of some requests that were under way at once, and how often the thread went on with all else meanwhile.
    private struct Run: Sendable {
        var results: [Result<ExchangeResponse, UpstreamError>] = []
        var turns = 0

        /// Whether all have the body. Not to be expanded by an expectation, which would print it.
        var isWhole: Bool { self.results.allSatisfy { $0.response?.body == LargeTransferTests.body } }
    }

    /// Polls all URLs at once on a thread of its own; `each` is called before every turn, with its number.
    private static func poll(
        _ urls: [String],
        maxBodyBytes: Int = 64 << 20,
        each: @escaping @Sendable (CurlTransport, Int) -> Void = { _, _ in }
    ) async throws -> Run {
        try await withCheckedThrowingContinuation { continuation in
            do {
                try SystemThread.detach(name: "transfers") {
                    continuation.resume(with: Result { try Self.run(urls, maxBodyBytes: maxBodyBytes, each) })
                }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    private static func run(
        _ urls: [String],
        maxBodyBytes: Int,
        _ each: (CurlTransport, Int) -> Void
    ) throws -> Run {
        var settings = CurlTransport.Configuration()
        settings.minSilentAnswers = 0
        let reactor = try Reactor(wakeUp: try WakeUp())
        let transport = try CurlTransport(reactor: reactor, configuration: settings)
        for (index, url) in urls.enumerated() {
            var configuration = SourceConfiguration(name: "large", url: url)
            configuration.timeout = .patience
            configuration.maxBodyBytes = maxBodyBytes
            let id = ExchangeID(rawValue: index)
            try transport.add(id, url: UpstreamURL(url), configuration: ExchangeConfiguration(configuration))
            transport.start(id, ExchangeRequest(PollRequest(validators: Validators()), of: configuration), now: .now)
        }
        var run = Run()
        var results: [Int: Result<ExchangeResponse, UpstreamError>] = [:]
        let start = ContinuousClock.now
        while results.count < urls.count, ContinuousClock.now - start < .patience {
            each(transport, run.turns)
            run.turns += 1
            for end in transport.takeCompletions(now: .now) { results[end.id.rawValue] = end.result }
            reactor.wait(
                until: results.count < urls.count ? min(transport.deadline, .now + .milliseconds(10)) : .now,
                now: .now,
                ready: { transport.socketReady($0, $1) },
                disturbed: { transport.socketDisturbed($0) }
            )
            if transport.deadline <= .now { transport.timerFired(now: .now) }
        }
        run.results = urls.indices.compactMap { results[$0] }
        return run
    }

    private func respond(
        _ path: String = "/",
        _ framing: UpstreamResponse.Framing = .contentLength,
        headers: HeaderFields = [:],
        body: [UInt8] = LargeTransferTests.body
    ) -> String {
        self.upstream.on(path, respond: UpstreamResponse(headers: headers, body: body, framing: framing))
        return self.upstream.url(path)
    }

    @Test("all else goes on many times before one is there, and it is whole")
    func turns() async throws {
        let run = try await Self.poll([self.respond()])
        #expect(run.isWhole)
        // What libcurl has read by the end of a turn it hands over in the next one: a buffer of 16 KiB.
        #expect(run.turns >= Self.body.count / (ReceiveTurn.bytes + 2 * (16 << 10)))
    }

    @Test(
        "several at once, of every framing, are whole",
        arguments: [
            UpstreamResponse.Framing.contentLength, .chunked(pieceBytes: 100_000), .chunked(pieceBytes: 1000), .close,
        ]
    )
    func whole(framing: UpstreamResponse.Framing) async throws {
        let urls = (0..<4).map { self.respond("/\($0)", framing) }
        let run = try await Self.poll(urls)
        #expect(run.isWhole && run.results.count == 4)
        for result in run.results { #expect(result.response?.wireBytes == Self.body.count) }
    }

    @Test("one that decodes to far more than is sent has turns by what it decodes to")
    func decoded() async throws {
        let sent = Gzip.member(Self.body)
        let run = try await Self.poll([self.respond(headers: ["Content-Encoding": "gzip"], body: sent)])
        #expect(run.isWhole)
        // A buffer of what is sent decodes to less than another turn.
        #expect(run.turns >= Self.body.count / (2 * ReceiveTurn.bytes))
        #expect(sent.count / ReceiveTurn.bytes < Self.body.count / (2 * ReceiveTurn.bytes))
    }

    @Test("one that turns out too large ends, though nothing more of it comes", arguments: [1, 1 << 20, 3 << 20])
    func tooLarge(limit: Int) async throws {
        let run = try await Self.poll([self.respond("/", .chunked(pieceBytes: 50_000))], maxBodyBytes: limit)
        #expect(run.results.first?.kind == .tooLarge)
    }

    @Test("one that is cut fails, after what came of it had its turns")
    func cut() async throws {
        let head = Array("HTTP/1.1 200 OK\r\nContent-Length: \(Self.body.count + 1)\r\n\r\n".utf8)
        self.upstream.on("/") { _ in [.send(head + Self.body), .close] }
        let run = try await Self.poll([self.upstream.url()])
        #expect(run.results.first?.kind == .transport)
    }

    @Test("a request that is given up while its body waits for a turn has no end")
    func removed() async throws {
        let urls = [self.respond("/a"), self.respond("/b")]
        let removed = Watched(false)
        let run = try await Self.poll(urls) { transport, turn in
            guard turn == 12 else { return }
            transport.remove(ExchangeID(rawValue: 0))
            transport.fail(ExchangeID(rawValue: 0), UpstreamError(.internal, "given up"))
            removed.update { $0 = true }
        }
        #expect(removed.value)
        #expect(run.results.first?.kind == .internal)
        #expect(run.results.last?.response?.body.count == Self.body.count)
    }
}
