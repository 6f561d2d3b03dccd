import FreshetCore
import FreshetTesting
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("R01: how connections come to be trusted")
struct ConnectionTrustTests {
    private var trust = ConnectionTrust()

    private static func time(_ milliseconds: Int64) -> MonotonicTime {
        MonotonicTime(nanoseconds: milliseconds * 1_000_000)
    }

    /// Answers every so many milliseconds from `start` on, each followed by silence until the next.
    private mutating func silent(_ count: Int, of forms: AnswerForms, every step: Int64, from start: Int64 = 0) {
        for index in 0..<Int64(count) {
            let end = start + (index + 1) * step
            self.trust.wasSilent(after: forms, since: Self.time(end - step), now: Self.time(end))
        }
    }

    @Test("by many answers over some time, or by a few long silences")
    mutating func silence() {
        self.silent(31, of: .length, every: 100)
        #expect(!self.trust.covers(.length))
        self.silent(1, of: .length, every: 100, from: 3100)
        #expect(self.trust.covers(.length))
        self.silent(3, of: .chunked, every: 2000)
        #expect(!self.trust.covers(.chunked))
        self.silent(1, of: .chunked, every: 2000, from: 6000)
        #expect(self.trust.covers([.length, .chunked]))
    }

    @Test("not by many answers at once")
    mutating func haste() {
        self.silent(1000, of: .length, every: 1)
        #expect(!self.trust.covers(.length))
        self.silent(1, of: .length, every: 1, from: 2000)
        #expect(self.trust.covers(.length))
    }

    @Test("after each form of answer by itself, and anew after a doubt")
    mutating func forms() {
        self.silent(40, of: .length, every: 100)
        for form in [AnswerForms.chunked, .notModified, .redirect, .clientError, .serverError] {
            #expect(!self.trust.covers(form))
            #expect(!self.trust.covers([form, .length]))
        }
        self.silent(40, of: [.length, .notModified], every: 100)
        #expect(self.trust.covers([.length, .notModified]))
        self.trust.wasShaken()
        #expect(!self.trust.covers(.length))
        #expect(self.trust.covers([]), "a connection without answers")
    }
}

@Suite("R01: a change that came over a used connection is asked for again")
struct DisbeliefTests {
    private static let stray =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"v\":666}"
    private static let strays = [
        Self.stray,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"v\":666}\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nETag: \"9\"\r\n\r\n{\"v\":1}",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{]",
        "HTTP/1.1 302 Found\r\nLocation: /666\r\nContent-Length: 0\r\n\r\n",
    ]
    private static let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"v\":1}",
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nETag: \"1\"\r\n\r\n{\"v\":1}",
    ]

    @Test("however long the real answer takes, which then shows what the upstream does", arguments: Self.strays, 0...1)
    func late(stray: String, answer: Int) async throws {
        let fixture = try PollingFixture { $0.minSilentAnswers = 32 }
        defer { fixture.poller.stop() }
        let gate = try Gate()
        let real = Self.answers[answer]
        let second = answer == 0 ? real : "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n"
        fixture.upstream.script(
            connection: 1,
            [
                .expect { _ in true }, .send(real), .expect { _ in true }, .send(stray), .hold(gate), .send(second),
                .stall,
            ]
        )
        fixture.upstream.on("/666", respond: .json("{\"v\":666}"))
        fixture.upstream.on("/") { [.send($0.headers["If-None-Match"] == nil ? real : second)] }
        let id = try fixture.add()
        let outcome = answer == 0 ? PollOutcome.unchanged : .notModified
        #expect(await fixture.poll(id) == .changed)
        #expect(await fixture.poll(id) == outcome)
        #expect(fixture.upstream.connectionCount == 2)
        gate.open()
        while fixture.poller.metrics.unsolicited == 0 { await Task.yield() }
        for _ in 0..<3 { #expect(await fixture.poll(id) == outcome) }
        #expect(fixture.upstream.connectionCount == 5, "one for each request from then on")
        #expect(fixture.value(of: id) == "{\"v\":1}")
        #expect(fixture.status(of: id)?.failures == 0)
        #expect(fixture.events == 1)
        #expect(fixture.failures.value.isEmpty)
    }

    @Test("and brings no value to a source that never had one")
    func missing() async throws {
        let fixture = try PollingFixture { $0.minSilentAnswers = 32 }
        defer { fixture.poller.stop() }
        let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"
        fixture.upstream.script(
            connection: 1,
            [.expect { _ in true }, .send(missing), .expect { _ in true }, .send(Self.stray), .stall]
        )
        fixture.upstream.on("/") { _ in [.send(missing)] }
        let id = try fixture.add()
        for _ in 0..<3 { #expect(await fixture.poll(id) == .failed(.notFound)) }
        #expect(fixture.value(of: id) == nil)
        #expect(fixture.events == 0)
    }

    @Test("but a failure only waits for a second answer", arguments: [true, false])
    func failure(isLate: Bool) async throws {
        let fixture = try PollingFixture { $0.minSilentAnswers = 32 }
        defer { fixture.poller.stop() }
        let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        let end: [UpstreamStep] = isLate ? [.delay(.milliseconds(30)), .send(Self.answers[0])] : []
        fixture.upstream.script(
            connection: 1,
            [.expect { _ in true }, .send(Self.answers[0]), .expect { _ in true }, .send(missing)] + end + [.stall]
        )
        fixture.upstream.on("/") { _ in [.send(Self.answers[0])] }
        let id = try fixture.add()
        #expect(await fixture.poll(id) == .changed)
        #expect(await fixture.poll(id) == (isLate ? .unchanged : .failed(.notFound)))
        #expect(fixture.upstream.requests.count == (isLate ? 3 : 2))
    }

    @Test("with the whole time that a poll may take")
    func timeout() async throws {
        let fixture = try PollingFixture { $0.minSilentAnswers = 32 }
        defer { fixture.poller.stop() }
        fixture.upstream.on("/") { request in
            [
                .delay(.milliseconds(request.number == 1 ? 0 : 1600)),
                .respond(.json("{\"v\":\(min(request.number, 2))}")),
            ]
        }
        // Less than what both answers take, and far more than one does.
        let id = try fixture.add { $0.timeout = .seconds(3) }
        #expect(await fixture.poll(id) == .changed)
        #expect(await fixture.poll(id) == .changed)
        #expect(fixture.upstream.requests.count == 3)
    }

    @Test("but what says nothing new is taken, and polls that bring changes again and again begin with a fresh one")
    func cost() async throws {
        let fixture = try PollingFixture { $0.minSilentAnswers = 32 }
        defer { fixture.poller.stop() }
        fixture.upstream.on("/same", respond: .json("[1]"))
        fixture.upstream.on("/other") { [.respond(.json("[\($0.number)]"))] }
        let same = try fixture.add("same", path: "/same")
        for _ in 0..<10 { _ = await fixture.poll(same) }
        #expect(fixture.upstream.requests.count == 10)
        #expect(fixture.upstream.connectionCount == 1)
        let other = try fixture.add("other", path: "/other")
        for _ in 0..<10 { #expect(await fixture.poll(other) == .changed) }
        #expect(fixture.upstream.requests(to: "/other").count == 11, "only the second change was asked for twice")
    }
}
