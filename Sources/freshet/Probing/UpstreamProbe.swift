// Asks an upstream a few times to learn about it, as `ProbePlan` says.

import FreshetConfiguration
import FreshetCore
import FreshetUpstream

/// Carries out probes. Any task may use it.
struct UpstreamProbe: Sendable {
    let client: UpstreamClient
    /// How often the value is asked for.
    var rounds = 4
    /// Between the rounds.
    var pause = Duration.seconds(2)
    /// Of a body, where that is more than the source takes.
    var maxBodyBytes = 0

    /// Sources that are probed at one time.
    private static let maxAtOnce = 8

    /// - Throws: ``StartFailure`` where requests are impossible.
    init() throws(StartFailure) {
        self.client = try Self.makeClient()
    }

    /// A client for single requests, each of which is made once: an answer over a connection that was used before is
    /// believed, where a poll would ask again (FAULTS F09). Nothing that is served depends on it.
    ///
    /// - Throws: ``StartFailure`` where requests are impossible.
    static func makeClient() throws(StartFailure) -> UpstreamClient {
        var configuration = CurlTransport.Configuration()
        configuration.minSilentAnswers = 0
        do throws(UpstreamError) {
            return try UpstreamClient(configuration: configuration)
        } catch {
            throw StartFailure("Requests are impossible: \(error.message)")
        }
    }

    /// Probes sources that have a URL and no parameters, several at a time.
    ///
    /// - Returns: One probe for each, in their order.
    func run(_ sources: [SourceConfiguration]) async -> [SourceProbe] {
        await withTaskGroup(of: (Int, SourceProbe).self) { group in
            var probes: [Int: SourceProbe] = [:]
            for (number, source) in sources.enumerated() {
                if number >= Self.maxAtOnce, let done = await group.next() { probes[done.0] = done.1 }
                group.addTask { (number, await self.run(source)) }
            }
            for await done in group { probes[done.0] = done.1 }
            return sources.indices.compactMap { probes[$0] }
        }
    }

    private func run(_ source: SourceConfiguration) async -> SourceProbe {
        var plan = ProbePlan(rounds: self.rounds, isConditional: source.method == .get && source.paginate == nil)
        var answers: [ProbedAnswer] = []
        loop: while true {
            switch plan.next(after: answers) {
            case .ask(let question): answers.append(await self.ask(question, of: source))
            case .pause: try? await Task.sleep(for: self.pause)
            case .done: break loop
            }
        }
        return SourceProbe(source, answers: answers)
    }

    private func ask(_ question: ProbedAnswer.Question, of source: SourceConfiguration) async -> ProbedAnswer {
        var configuration = ExchangeConfiguration(source)
        configuration.readsCertificate = true
        configuration.maxBodyBytes = max(configuration.maxBodyBytes, self.maxBodyBytes)
        if question.isIdentity { configuration.acceptEncoding = .identity }
        let request = ExchangeRequest(PollRequest(validators: question.condition), of: source)
        let url: UpstreamURL
        do throws(UpstreamError) {
            url = try UpstreamURL(source.url)
        } catch {
            return ProbedAnswer(question: question, at: WallTime.now, result: .failure(error))
        }
        let end = await self.client.carryOut(request, to: url, configuration)
        return ProbedAnswer(question: question, at: WallTime.now, result: end.result, trace: end.trace)
    }
}
