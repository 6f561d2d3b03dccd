import Testing

@testable import FreshetCore

@Suite("What is wrong with a source")
struct SourceProblemTests {
    private static func status(_ state: SourceState, _ kind: UpstreamError.Kind? = nil, failures: Int = 1)
        -> SourceStatus
    {
        let time = WallTime(milliseconds: 1_700_000_000_000)
        var status = SourceStatus(stateSince: time, interval: .seconds(10), intervalReason: "as configured")
        status.state = state
        status.url = "https://***@api.example.com:8443/orders?key=***"
        status.lastSuccessAt = time
        status.failuresInARow = kind == nil ? 0 : failures
        status.lastError = kind.map { ReportedError(error: UpstreamError($0, "the upstream said no"), at: time) }
        return status
    }

    @Test("a source that is well, new or paused has none", arguments: [SourceState.ok, .starting, .paused])
    func none(state: SourceState) {
        #expect(SourceProblem(Self.status(state, .auth), subscribers: 3) == nil)
    }

    @Test("every kind of failure has a cause and a fix of its own words", arguments: UpstreamError.Kind.allCases)
    func kinds(kind: UpstreamError.Kind) throws {
        let problem = try #require(SourceProblem(Self.status(.failing, kind, failures: 14), subscribers: 23))
        #expect(problem.what.contains("api.example.com:8443"))
        #expect(problem.why == "The upstream said no. The last 14 polls failed.")
        let effect = "23 subscribers keep the value of 2023-11-14T22:13:20.000Z and know the state of the source."
        #expect(problem.effect == effect)
        #expect(problem.fix.hasSuffix(".") && problem.fix.first?.isUppercase == true)
        #expect(!problem.what.contains("***"))
    }

    @Test("a value may be stale because polls fail, or because there are none")
    func stale() throws {
        let failing = try #require(SourceProblem(Self.status(.stale, .timeout), subscribers: 1))
        #expect(failing.why == "The upstream said no." && failing.fix.contains("timeout"))
        #expect(failing.effect.hasPrefix("1 subscriber will keep") && failing.effect.contains("stale"))
        let waiting = try #require(SourceProblem(Self.status(.stale), subscribers: 0))
        #expect(waiting.why == "As configured." && waiting.effect.hasPrefix("Nobody listens"))
    }

    @Test(
        "the host of a URL",
        arguments: [
            ("https://a.example/x", "a.example"), ("http://u:p@b.example:1/", "b.example:1"),
            ("https://c.example?x=1", "c.example"), ("", "the upstream"), ("unix", "the upstream"),
            ("https://", "the upstream"), ("https://{region}.example/", "{region}.example"),
        ]
    )
    func host(url: String, host: String) {
        #expect(SourceProblem.host(of: url) == host)
    }
}
