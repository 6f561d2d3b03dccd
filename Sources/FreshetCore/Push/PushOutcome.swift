// What the answer of a push service means (RFC 8030 §5 and §7.3).

package import HTTPFields

/// How a send ended.
package enum PushOutcome: Hashable, Sendable {
    /// The push service has taken the message.
    case delivered
    /// 404 or 410: the subscription is no more.
    case gone
    /// 413: the message is longer than this service takes.
    case tooLarge
    /// 429, with the wait that was asked for.
    case throttled(Duration?)
    /// Another answer that a second try would not change: redirects, 400, 401, 403.
    case refused(Int)
    /// 5xx, with the wait that was asked for.
    case unavailable(Int, Duration?)
    /// No answer, and why: the raw value of an ``UpstreamError/Kind``.
    case failed(String)
    /// The host of the endpoint has an address that no endpoint may have.
    case forbidden
    /// The owner may not read the source: the message is dropped.
    case withheld

    /// The label `outcome` of `freshet_push_messages_total`.
    package var label: String {
        switch self {
        case .delivered: "delivered"
        case .gone: "gone"
        case .tooLarge: "too_large"
        case .throttled: "throttled"
        case .refused: "refused"
        case .unavailable: "unavailable"
        case .failed: "failed"
        case .forbidden: "forbidden"
        case .withheld: "withheld"
        }
    }

    /// Every ``label``.
    package static let labels = [
        "delivered", "gone", "too_large", "throttled", "refused", "unavailable", "failed", "forbidden",
        "withheld",
    ]

    /// The meaning of an answer. `wallNow` is in seconds since 1970, for waits that are given as a date.
    package init(status: Int, fields: [HeaderField], wallNow: Int) {
        let wait = fields.first { FieldValue.matches($0.name, "retry-after") }
            .flatMap { RequestedWait.seconds($0.value[...], wallNow: wallNow) }
            .map { Duration.seconds($0) }
        switch status {
        case 200..<300: self = .delivered
        case 404, 410: self = .gone
        case 413: self = .tooLarge
        case 429: self = .throttled(wait)
        case 500...: self = .unavailable(status, wait)
        case _: self = .refused(status)
        }
    }

    /// What a list says of it; `nil` for what is no failure.
    var failure: String? {
        switch self {
        case .delivered, .withheld: nil
        case .gone: "the push service says that the subscription is gone"
        case .tooLarge: "413: the push service refuses messages of this length"
        case .throttled: "429: the push service asks to wait"
        case .refused(let status): "\(status): the push service refuses the message"
        case .unavailable(let status, _): "\(status): the push service cannot take it now"
        case .failed(let kind): "no answer: \(kind)"
        case .forbidden: "the endpoint's host has no public address, and push.allow does not list it"
        }
    }
}
