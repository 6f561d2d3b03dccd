import JSON
import Testing

@testable import FreshetCore

@Suite("Findings")
struct FindingTests {
    typealias Reply = ProbeWorld.Reply
    private static let now = WallTime(milliseconds: 1_800_000_000_000)

    private func source(_ interval: Duration = .seconds(10)) -> SourceConfiguration {
        var source = SourceConfiguration(name: "rates", url: "https://api.example.com/rates")
        source.interval = .fixed(interval)
        return source
    }

    private func found(_ probe: SourceProbe) -> [String: String] {
        let findings = SourceFindings.all(probe, now: Self.now)
        return Dictionary(uniqueKeysWithValues: findings.map { ($0.kind.rawValue, $0.line ?? "") })
    }

    @Test("a healthy source has none, whether its value changes or not", arguments: [true, false])
    func healthy(changes: Bool) {
        let probe = ProbeWorld.probe(self.source(), changes: changes) { version, question in
            var reply = ProbeWorld.honest(version, question)
            reply.fields += [
                ("cache-control", "max-age=5"), ("x-ratelimit-remaining", "4999"), ("x-ratelimit-reset", "3600"),
            ]
            return reply
        }
        #expect(self.found(probe) == [:])
        #expect(SourceFacts.text(probe)?.contains("304 by ETag") == true)
    }

    @Test(
        "an interval that is too short",
        arguments: [
            (10, [("cache-control", "max-age=60")], ["interval_short": "interval: 1m"]),
            (60, [("cache-control", "max-age=60")], [:]),
            (10, [("cache-control", "no-cache, max-age=60")], [:]),
            (10, [("x-poll-interval", "15")], ["interval_short": "interval: 15s"]),
            (10, [("ratelimit-remaining", "100"), ("ratelimit-reset", "3600")], ["rate_limit": "interval: 36s"]),
            (36, [("ratelimit-remaining", "100"), ("ratelimit-reset", "3600")], [:]),
            (10, [("ratelimit", "\"default\";r=50;t=3000")], ["rate_limit": "interval: 1m"]),
        ] as [(Int, [(String, String)], [String: String])]
    )
    func pace(interval: Int, fields: [(String, String)], expected: [String: String]) {
        let probe = ProbeWorld.probe(self.source(.seconds(interval))) { version, question in
            var reply = ProbeWorld.honest(version, question)
            reply.fields += fields
            return reply
        }
        #expect(self.found(probe) == expected)
    }

    @Test("what is deliberate is no finding: respect_cache: false, and members that are ignored")
    func deliberate() {
        var source = self.source()
        source.respectCache = .none
        source.ignore = ["/at"].compactMap { PointerPattern($0) }
        let probe = ProbeWorld.probe(source) { version, question in
            var reply = ProbeWorld.honest(version, question, body: #"{"at":"2027-01-15T08:00:0\#(version)Z"}"#)
            reply.fields.append(("cache-control", "max-age=60"))
            return reply
        }
        #expect(self.found(probe) == [:])
    }

    @Test("validators and noise, with the line")
    func validators() {
        let useless = ProbeWorld.probe(self.source(), changes: false) { _, question in
            let tag = question.isIdentity ? "\"a\"" : "\"a-gzip\""
            let isSame = question.isIdentity && question.condition.etag?.elementsEqual(tag.utf8) == true
            return Reply(status: isSame ? 304 : 200, fields: [("etag", tag)], body: "[1]")
        }
        #expect(self.found(useless) == ["etag_useless": "accept_encoding: identity"])
        let lying = ProbeWorld.probe(self.source()) { version, question in
            let isAsked = question.condition.etag != nil
            return Reply(status: isAsked ? 304 : 200, fields: [("etag", "\"a\"")], body: "{\"value\":\(version)}")
        }
        #expect(self.found(lying) == ["validator_lies": "verify_every: 1"])
        let noisy = ProbeWorld.probe(self.source()) { version, question in
            ProbeWorld.honest(version, question, body: #"{"at":"2027-01-15T08:00:0\#(version)Z"}"#)
        }
        #expect(self.found(noisy) == ["volatile": #"ignore: ["/at"]"#])
    }

    @Test("a tag that cannot guard writes")
    func guarding() {
        var source = self.source()
        source.write = WritePolicy()
        let probe = ProbeWorld.probe(source, changes: false) { _, question in
            Reply(status: question.condition.isEmpty ? 200 : 304, fields: [("etag", "W/\"a\"")], body: "[1]")
        }
        #expect(self.found(probe) == ["weak_guard": "write: { guard: compare }"])
    }

    @Test("a source without a value says why and what helps")
    func failing() {
        let probe = ProbeWorld.probe(self.source()) { _, _ in Reply(status: 401) }
        #expect(self.found(probe) == ["failing": #"auth: { bearer_file: "secrets/rates" }"#])
    }

    @Test("a certificate that expires within two weeks", arguments: [(13, true), (15, false), (-1, true)])
    func certificate(days: Int, isFound: Bool) {
        var world = ProbeWorld()
        world.run(rounds: 2, changes: false) { ProbeWorld.honest($0, $1) }
        var answers = world.answers
        let end = WallTime(milliseconds: Self.now.milliseconds + Int64(days) * 86_400_000)
        answers[0].trace = ExchangeTrace(certificateEnd: end)
        let probe = SourceProbe(self.source(), answers: answers)
        #expect(self.found(probe).keys.contains("certificate_expires") == isFound)
    }

    @Test("the host: more streams than files, a short queue, a cache that fills the memory")
    func host() {
        let fine = HostReading(
            openFiles: 65_536,
            possibleSubscribers: 60_000,
            wantedSubscribers: 50_000,
            backlog: 4096,
            memory: 1 << 30,
            cacheBytes: 64 << 20
        )
        #expect(HostFindings.all(fine).isEmpty)
        var poor = fine
        (poor.wantedSubscribers, poor.backlog, poor.cacheBytes) = (70_000, 128, 1 << 30)
        let findings = HostFindings.all(poor)
        #expect(findings.map(\.kind) == [.openFiles, .backlog, .memory])
        #expect(findings.map(\.line) == ["max_subscribers: 60000", "net.core.somaxconn = 4096", "max_bytes: 256MiB"])
    }

    @Test("between the gateway and its clients")
    func through() {
        var reading = ThroughReading(
            url: "https://live",
            failure: nil,
            stream: .began,
            origins: [],
            server: "nginx/1.22"
        )
        reading.origins = [.init(origin: "https://app", allowed: "https://app", isConfigured: true)]
        #expect(ThroughFindings.all(reading).isEmpty)
        reading.stream = .headOnly(.seconds(5))
        reading.origins = [.init(origin: "https://app", allowed: nil, isConfigured: false)]
        let findings = ThroughFindings.all(reading)
        #expect(findings.map(\.kind) == [.buffering, .cors])
        #expect(findings.map(\.line) == ["proxy_buffering off;", #"cors: { origins: ["https://app"] }"#])
    }
}
