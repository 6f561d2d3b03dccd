// Whether a write is sent again.

/// Decides what follows an attempt to write. Performs no I/O and reads no clock.
struct WriteStateMachine: Sendable {
    /// How an attempt ended.
    enum Outcome: Sendable {
        case answered(Answer)
        /// There is no answer.
        case broken(FreshetTransportError)
    }

    enum Action: Sendable {
        case done(Answer)
        /// Send it again, with the same key, after this wait.
        case retry(Duration)
        case fail(FreshetClientError)
    }

    private let method: FreshetClient.Request.Method
    private let maxAttempts: Int
    private var attempts = 0
    /// Whether an attempt may have had its effect.
    private var isUnsure = false

    private static let firstDelay = Duration.seconds(1)

    init(method: FreshetClient.Request.Method, maxAttempts: Int) {
        self.method = method
        self.maxAttempts = maxAttempts
    }

    /// An attempt ended. `chance` is between 0 and 1.
    mutating func ended(_ outcome: Outcome, maxDelay: Duration, chance: Double) -> Action {
        self.attempts += 1
        let error: FreshetClientError
        var requested = Duration.zero
        var mayRepeat = true
        switch outcome {
        case .answered(let answer):
            if (200..<300).contains(answer.status) { return .done(answer) }
            var refusal = FreshetClientError(status: answer.status, body: answer.body)
            let problem = refusal.problem
            switch problem?["outcome"]?.string {
            case "unknown": self.isUnsure = true
            // The upstream has it, whatever the gateway makes of the result.
            case "applied":
                refusal.code = .resultRefused
                return .fail(refusal)
            default: break
            }
            let isUnderWay = problem?["code"]?.string == "write_under_way"
            switch answer.status {
            case 408, 425, 429, 502, 503: break
            case 504: self.isUnsure = true
            case 409 where isUnderWay: break
            // The gateway has decided; what an earlier attempt did is in its answer.
            default: return .fail(refusal)
            }
            if let seconds = answer.field("retry-after").flatMap({ Int64($0) }) {
                requested = min(max(.seconds(seconds), .zero), StreamStateMachine.maxRequestedDelay)
            }
            error = refusal
        case .broken(let failure):
            if !failure.isUnsent { self.isUnsure = true }
            error = FreshetClientError(.unavailable, failure.description)
        }
        // See `create`.
        if self.method == .post, self.isUnsure { mayRepeat = false }
        guard mayRepeat, self.attempts < self.maxAttempts else {
            var error = error
            if self.isUnsure { error.code = .outcomeUnknown }
            return .fail(error)
        }
        let longest = min(Self.firstDelay * (1 << min(self.attempts - 1, 16)), maxDelay)
        return .retry(requested + longest * chance)
    }

    /// 128 random bits in hexadecimal.
    static func newKey() -> String {
        var generator = SystemRandomNumberGenerator()
        let digits = Array("0123456789abcdef")
        return String((0..<32).map { _ in digits[Int.random(in: 0..<16, using: &generator)] })
    }
}
