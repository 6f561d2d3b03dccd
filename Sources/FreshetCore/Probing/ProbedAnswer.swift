// One request to an upstream that is looked at, and what came of it.

/// A request of `init` or `doctor` with its answer.
package struct ProbedAnswer: Sendable {
    /// What was asked.
    package struct Question: Hashable, Sendable {
        /// Empty for a request without a condition.
        package var condition: Validators
        /// No content coding was asked for.
        package var isIdentity: Bool

        package init(condition: Validators = Validators(), isIdentity: Bool = false) {
            self.condition = condition
            self.isIdentity = isIdentity
        }
    }

    package var question: Question
    /// When the answer was complete.
    package var at: WallTime
    package var result: Result<ExchangeResponse, UpstreamError>
    /// What the request took; `nil` where none was made.
    package var trace: ExchangeTrace?

    package init(
        question: Question,
        at: WallTime,
        result: Result<ExchangeResponse, UpstreamError>,
        trace: ExchangeTrace? = nil
    ) {
        self.question = question
        self.at = at
        self.result = result
        self.trace = trace
    }

    /// The answer, if there was one.
    var response: ExchangeResponse? { try? self.result.get() }

    /// The answer, if it brought a value.
    var representation: ExchangeResponse? {
        guard let response = self.response, response.status == 200 || response.status == 203 else { return nil }
        return response
    }

    /// Asking again would be against the upstream's wish, or of no use.
    var endsProbe: Bool {
        guard let response = self.response else { return true }
        let isCondition = !self.question.condition.isEmpty && [400, 412, 413, 431, 494].contains(response.status)
        return ![200, 203, 304].contains(response.status) && !isCondition
    }
}

/// Which requests are made to learn about an upstream, and in which order.
///
/// Each round asks for the value without a condition. Between the rounds the upstream may change; a condition is asked with
/// at once, which shows whether it is honoured, and again after a change, which shows whether a 304 is true.
package struct ProbePlan: Sendable {
    package enum Step: Hashable, Sendable {
        case ask(ProbedAnswer.Question)
        /// Wait until the upstream may have changed.
        case pause
        case done
    }

    private enum Stage {
        /// Next: `.value`, or `.done` after the last round.
        case round(Int)
        /// A value is to be asked for. `earlier`: what the last round's had.
        case value(Int, earlier: Validators)
        /// A 304 was given a moment ago for what has changed since, as it seems: next: `.condition`.
        case verify(Int, earlier: Validators)
        /// Next: `.round`, or `.identity` where the condition was of no use.
        case condition(Int)
        /// Whether another content coding helps.
        case identity(Int)
        /// With the tag of that answer.
        case identityCondition(Int)
        case done
    }

    private let rounds: Int
    private let isConditional: Bool
    private var stage = Stage.round(0)
    private var hasTriedIdentity = false
    private var asked = 0

    /// The most requests of one probe.
    package static let maxRequests = 40

    /// - Parameters:
    ///   - rounds: How often the value is asked for, with a pause between.
    ///   - isConditional: Whether conditions make sense: a GET of one page.
    package init(rounds: Int, isConditional: Bool) {
        self.rounds = max(1, rounds)
        self.isConditional = isConditional
    }

    /// What is next, after these answers to the steps before.
    package mutating func next(after answers: [ProbedAnswer]) -> Step {
        if let last = answers.last, last.endsProbe { return .done }
        guard self.asked < Self.maxRequests else { return .done }
        while true {
            switch self.stage {
            case .round(let number):
                guard number < self.rounds else {
                    self.stage = .done
                    continue
                }
                self.stage = .value(number, earlier: Validators())
                if number > 0 { return .pause }
            case .value(let number, let earlier):
                let known = Self.validators(of: answers)
                if number > 0, self.isConditional, earlier.isEmpty, !known.isEmpty {
                    self.stage = .value(number, earlier: known)
                    return self.ask(known)
                }
                self.stage = earlier.isEmpty ? .condition(number) : .verify(number, earlier: earlier)
                return self.ask(Validators())
            case .verify(let number, let earlier):
                self.stage = .condition(number)
                let isNotModified = answers.dropLast().last?.response?.status == 304
                if isNotModified, Self.isNews(answers) { return self.ask(earlier) }
            case .condition(let number):
                let known = Self.validators(of: answers)
                self.stage = .identity(number)
                guard self.isConditional, !known.isEmpty else { continue }
                return self.ask(known)
            case .identity(let number):
                self.stage = .round(number + 1)
                guard !self.hasTriedIdentity, let last = answers.last, !last.question.condition.isEmpty,
                    last.representation != nil, last.question.condition.etag != nil
                else { continue }
                self.hasTriedIdentity = true
                self.stage = .identityCondition(number)
                return self.ask(Validators(), isIdentity: true)
            case .identityCondition(let number):
                self.stage = .round(number + 1)
                guard let known = answers.last?.representation?.validators, known.etag != nil else { continue }
                return self.ask(Validators(etag: known.etag, url: known.url), isIdentity: true)
            case .done:
                return .done
            }
        }
    }

    private mutating func ask(_ condition: Validators, isIdentity: Bool = false) -> Step {
        self.asked += 1
        return .ask(ProbedAnswer.Question(condition: condition, isIdentity: isIdentity))
    }

    /// What the gateway would send next: the tag, or the date where there is none.
    private static func validators(of answers: [ProbedAnswer]) -> Validators {
        let last = answers.last { $0.representation != nil && !$0.question.isIdentity }
        guard let validators = last?.representation?.validators else { return Validators() }
        guard validators.etag != nil else { return validators }
        return Validators(etag: validators.etag, url: validators.url)
    }

    /// Whether the last value differs from the one before it.
    private static func isNews(_ answers: [ProbedAnswer]) -> Bool {
        let bodies = answers.compactMap { $0.question.isIdentity ? nil : $0.representation?.body }
        return bodies.count > 1 && bodies[bodies.count - 1] != bodies[bodies.count - 2]
    }
}
