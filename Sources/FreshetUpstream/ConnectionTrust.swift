// Whether an answer over a connection that was used before can be taken for ours. HTTP/1 answers bear no number: where
// an upstream answers a request twice, the second answer may arrive while a later request is under way. How long after
// it is unknowable that the real one follows. So what is new is believed only where it is the first answer of its
// connection, until the upstream has shown that it sends nothing that was not asked for (FAULTS F09).

import FreshetCore

/// Forms of answers. An upstream, or the proxy in front of it, that sends something after an answer usually does so after
/// one form only, such as a 304.
struct AnswerForms: OptionSet, Hashable, Sendable {
    var rawValue: UInt8

    static let length = AnswerForms(rawValue: 1)
    static let chunked = AnswerForms(rawValue: 2)
    static let notModified = AnswerForms(rawValue: 4)
    static let redirect = AnswerForms(rawValue: 8)
    static let clientError = AnswerForms(rawValue: 16)
    static let serverError = AnswerForms(rawValue: 32)
    static let all = AnswerForms(rawValue: 63)

    init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// The one form of an answer.
    init(of head: ResponseHead) {
        switch head.status {
        case 304: self = .notModified
        case 300..<400: self = .redirect
        case 400..<500: self = .clientError
        case 500...: self = .serverError
        case _: self = head.isChunked ? .chunked : .length
        }
    }
}

/// What the silence of an upstream's connections has shown so far.
package struct ConnectionTrust {
    /// Answers of one form that nothing followed, until answers after that form are trusted. A ``longRest`` counts as
    /// ``longRestWeight`` of them.
    package static let minAnswers = 32
    /// The least time from the first answer of a form until answers after it are trusted.
    static let minTime = Duration.seconds(2)
    /// Most second answers come within this time, so that one long silence says more than many short ones.
    static let longRest = Duration.seconds(2)
    static let longRestWeight = 8

    private struct Record {
        var since: MonotonicTime?
        var answers = 0
    }

    private let minAnswers: Int
    private var trusted: AnswerForms
    private var records = [Record](repeating: Record(), count: AnswerForms.all.rawValue.nonzeroBitCount)

    /// `minAnswers`: 0 trusts from the start.
    init(minAnswers: Int = Self.minAnswers) {
        self.minAnswers = minAnswers
        self.trusted = minAnswers == 0 ? .all : []
    }

    /// Whether an answer over a connection that carried answers of these forms before is ours.
    func covers(_ forms: AnswerForms) -> Bool { forms.isSubset(of: self.trusted) }

    /// Nothing followed the answers of a connection, the last of which came at `time`.
    mutating func wasSilent(after forms: AnswerForms, since time: MonotonicTime, now: MonotonicTime) {
        guard !self.covers(forms) else { return }
        for index in self.records.indices where forms.rawValue >> index & 1 == 1 {
            let since = self.records[index].since ?? time
            self.records[index].since = since
            self.records[index].answers += now - time >= Self.longRest ? Self.longRestWeight : 1
            if self.records[index].answers >= self.minAnswers, now - since >= Self.minTime {
                self.trusted.insert(AnswerForms(rawValue: 1 << UInt8(index)))
            }
        }
    }

    /// The upstream sent what was not asked for, or may have done so.
    mutating func wasShaken() {
        self = ConnectionTrust(minAnswers: self.minAnswers)
    }
}
