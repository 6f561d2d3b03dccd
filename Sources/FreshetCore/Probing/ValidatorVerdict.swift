// What an upstream's validators are worth, judged by a few requests that were made to find out.

import JSON

/// What conditional requests brought.
package enum ValidatorVerdict: Hashable, Sendable {
    /// The answers have neither an `ETag` nor `Last-Modified`.
    case absent
    /// A conditional request was answered with 304, and no 304 was wrong. `isWeak`: the tag has `W/`, or there is a date
    /// alone, so that no write can be guarded by it.
    case works(isDate: Bool, isWeak: Bool)
    /// The whole value came for the very tag that was given out. `helpsIdentity`: not so without a content coding.
    case useless(helpsIdentity: Bool)
    /// The tag changes although the bytes do not.
    case unstable
    /// One validator stood for two values, or 304 was said for a value that another had replaced.
    case lies
    /// Conditional requests were answered with this status.
    case refused(Int)
    /// The value changed before each condition could be tried.
    case unknown
}

extension ValidatorVerdict {
    /// Judges these answers, in the order in which they came. `value` gives the value of an answer's body, without what is
    /// noise, as a hash; `nil` where it cannot be read.
    init(_ answers: [ProbedAnswer], value: (ExchangeResponse) -> UInt64?) {
        var tally = Tally()
        for answer in answers {
            guard let response = answer.response else { continue }
            tally.take(response, answer.question, value: value(response))
        }
        self = tally.verdict
    }

    private struct Tally {
        /// The value that each validator came with.
        private var values: [Validators: UInt64] = [:]
        private var last: (validators: Validators, body: [UInt8], value: UInt64)?
        private var confirmations = 0
        private var whole = 0
        private var identityConfirmations = 0
        private var isUnstable = false
        private var lies = false
        private var refusal: Int?

        mutating func take(_ response: ExchangeResponse, _ question: ProbedAnswer.Question, value: UInt64?) {
            let sent = question.condition
            switch response.status {
            case 304 where !sent.isEmpty:
                if question.isIdentity {
                    self.identityConfirmations += 1
                } else if let last = self.last, let meant = self.values[Self.key(sent)], meant != last.value {
                    self.lies = true
                } else {
                    self.confirmations += 1
                }
            case 200, 203:
                guard let value else { return }
                self.valueReceived(response, question, value)
            default:
                if !sent.isEmpty { self.refusal = response.status }
            }
        }

        private mutating func valueReceived(
            _ response: ExchangeResponse,
            _ question: ProbedAnswer.Question,
            _ value: UInt64
        ) {
            let validators = response.validators
            if !question.condition.isEmpty, !question.isIdentity,
                self.values[Self.key(question.condition)] == value
            {
                self.whole += 1
            }
            guard !question.isIdentity else { return }
            if let etag = validators.etag, let last = self.last, let before = last.validators.etag,
                last.body == response.body, !Self.isSameButCoding(etag, before)
            {
                self.isUnstable = true
            }
            let key = Self.key(validators)
            // A weak tag may stand for values that mean the same (RFC 9110 §8.8.1).
            let isWeak = validators.etag?.starts(with: "W/".utf8) ?? false
            if !key.isEmpty, !isWeak, let earlier = self.values[key], earlier != value { self.lies = true }
            if !key.isEmpty { self.values[key] = value }
            self.last = (validators, response.body, value)
        }

        var verdict: ValidatorVerdict {
            guard let last = self.last else { return .unknown }
            if last.validators.isEmpty { return .absent }
            if self.lies { return .lies }
            if let refusal = self.refusal { return .refused(refusal) }
            if self.isUnstable { return .unstable }
            if self.whole > 0, self.confirmations == 0 {
                return .useless(helpsIdentity: self.identityConfirmations > 0)
            }
            guard self.confirmations > 0 else { return .unknown }
            let etag = last.validators.etag
            return .works(isDate: etag == nil, isWeak: etag.map { $0.starts(with: "W/".utf8) } ?? true)
        }

        /// The tag, else the date: what a request sends.
        private static func key(_ validators: Validators) -> Validators {
            guard let etag = validators.etag else { return Validators(lastModified: validators.lastModified) }
            return Validators(etag: etag)
        }

        /// Whether two tags differ at most in what a proxy adds when it compresses.
        private static func isSameButCoding(_ one: [UInt8], _ other: [UInt8]) -> Bool {
            ValidatorTrust.opaque(one) == ValidatorTrust.opaque(other)
        }
    }
}
