// What tells an answer from the one before it. An answer that says nothing new needs no proof that it is ours.

import FreshetCore

/// The last answer that a source took from one hop of its polls.
struct AnswerMark {
    private let status: Int
    private let hash: Int
    /// It says something that the answer before it did not.
    let isNew: Bool
    /// It replaced another one, as the next answer probably does too.
    let isReplacement: Bool

    /// `last`: the answer before it. `isConditional`: the request had a validator.
    init(_ response: ExchangeResponse, after last: AnswerMark?, isConditional: Bool) {
        if response.status == 304, isConditional, let last, last.status == 200 {
            self.init(status: 200, hash: last.hash, after: last)
            return
        }
        var hasher = Hasher()
        hasher.combine(response.status)
        for name in ["etag", "last-modified", "location"] { hasher.combine(response.value(of: name)) }
        // This is the poll thread, which a large body must not hold: the hasher itself is slower.
        hasher.combine(response.bodyHash)
        // A 304 without an earlier answer confirms a value that another process took.
        self.init(status: response.status == 304 ? 200 : response.status, hash: hasher.finalize(), after: last)
    }

    private init(status: Int, hash: Int, after last: AnswerMark?) {
        self.status = status
        self.hash = hash
        self.isNew = last.map { $0.status != status || $0.hash != hash } ?? true
        self.isReplacement = last != nil && self.isNew
    }

    /// It brings no value.
    var isError: Bool { self.status >= 400 }

    /// Whether both say the same.
    func isEqual(to other: AnswerMark) -> Bool { self.status == other.status && self.hash == other.hash }
}

/// What came over a connection that was used before, while a second answer may follow.
struct HeldAnswer {
    var result: Result<ExchangeResponse, UpstreamError>
    /// `nil` for a failure.
    var mark: AnswerMark?
    var endedAt: MonotonicTime
    var doubtEnds: MonotonicTime
}

extension Result<ExchangeResponse, UpstreamError> {
    /// Whether a failure may be that of an answer which was not ours.
    var mayBeOfAnotherAnswer: Bool {
        guard case .failure(let error) = self else { return false }
        switch error.kind {
        case .timeout, .policy, .internal: return false
        case _: return true
        }
    }
}
