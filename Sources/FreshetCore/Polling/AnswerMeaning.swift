// What a complete answer means to a poll: by its status and by what was asked, before anything is read of its body.

/// The kinds of answers.
enum AnswerMeaning: Hashable {
    /// It has a body that is the value.
    case representation
    /// The value is what it was.
    case unchanged
    /// There is no value, and the source shows that (`on_404: tombstone`).
    case missing
    /// 304, although nothing was asked that could be answered so.
    case unasked
    /// The request was refused, perhaps for its condition (RFC 9110 §13.1.2 wants 304, some servers answer 412).
    case refusedCondition
    /// Anything else: a failure.
    case refusal

    /// `sent`: the condition under which the answer came; empty for none.
    init(_ response: ExchangeResponse, to sent: Validators, configuration: SourceConfiguration) {
        switch response.status {
        case 200, 203: self = .representation
        case 204 where configuration.allowEmpty: self = .representation
        case 304: self = sent.isEmpty && !response.isConfirmation ? .unasked : .unchanged
        case 412 where sent.areStated(by: response.validators): self = .unchanged
        // 413 and 431, or nginx's 494: the condition may be what makes the request too large (A19).
        case 400, 412, 413, 431, 494:
            self = sent.isEmpty ? .refusal : .refusedCondition
        case 404 where configuration.onMissing == .tombstone, 410 where configuration.onMissing == .tombstone:
            self = .missing
        case _: self = .refusal
        }
    }

    /// The answer speaks of the value as it was when the upstream made it.
    var isAboutValue: Bool {
        switch self {
        case .representation, .unchanged, .missing: true
        case .unasked, .refusedCondition, .refusal: false
        }
    }
}

extension Validators {
    /// Whether an answer names the very validator that was sent: the tag, or the date where no tag was sent.
    fileprivate func areStated(by answer: Validators) -> Bool {
        if let etag = self.etag { return answer.etag.map { $0.weaklyEquals(etag) } ?? false }
        return self.lastModified != nil && self.lastModified == answer.lastModified
    }
}

extension [UInt8] {
    /// Weak comparison of entity tags (RFC 9110 §8.8.3.2).
    func weaklyEquals(_ other: [UInt8]) -> Bool {
        func opaque(_ tag: [UInt8]) -> ArraySlice<UInt8> { tag.starts(with: "W/".utf8) ? tag.dropFirst(2) : tag[...] }
        return opaque(self) == opaque(other)
    }
}

// MARK: - Refusals

extension UpstreamError {
    /// What a status means that is neither a value nor a confirmation.
    ///
    /// A 403 is about credentials unless the answer speaks of a rate limit or asks to wait, as GitHub's does.
    init(status: Int, _ answer: ResponseFreshness) {
        switch status {
        case 429,
            403 where answer.asksToBeLeftAlone,
            503 where answer.asksToBeLeftAlone:
            let why = answer.isQuotaUsedUp ? ": its rate limit is used up" : " and requested a pause"
            self.init(
                .throttled,
                "the upstream answered \(status)\(answer.asksToBeLeftAlone ? why : " Too Many Requests")"
            )
        case 401, 403: self.init(.auth, "the upstream answered \(status): check the source's credentials")
        case 404, 410: self.init(.notFound, "the upstream answered \(status): there is nothing at this URL")
        case 300..<400: self.init(.redirect, "the upstream redirects (\(status)) to a location that is not followed")
        case 204: self.init(.status, "the upstream answered 204 No Content; `allow_empty: true` accepts it as null")
        case 206: self.init(.status, "the upstream answered 206 Partial Content, although no range was requested")
        case _: self.init(.status, "the upstream answered \(status)")
        }
    }
}

extension ResponseFreshness {
    /// The answer says how long to wait, or that the quota is used up.
    var asksToBeLeftAlone: Bool { self.retryAfter != nil || self.isQuotaUsedUp }
}

extension HostGate.Outcome {
    /// What an answer says about its host. `longestQuotaWait`: for how long a used-up quota stops the host at most;
    /// `Retry-After`, where the answer has it, counts as it is.
    package init(status: Int, _ answer: ResponseFreshness, longestQuotaWait: Duration) {
        let wait = answer.retryAfter ?? answer.quotaResetsIn.map { min($0, longestQuotaWait) }
        switch status {
        case 429,
            403 where answer.asksToBeLeftAlone:
            self = .throttled(retryAfter: wait?.inSeconds)
        case 503 where wait != nil: self = .unavailable(retryAfter: wait?.inSeconds ?? 0)
        case 500...: self = .failed
        case _: self = .answered
        }
    }

    /// What a poll without a complete answer says about the host.
    package init(_ kind: UpstreamError.Kind) {
        switch kind {
        case .dns, .connect, .tls, .tlsUntrusted, .tlsExpired, .tlsHost, .tlsVersion, .timeout, .transport:
            self = .failed
        case .framing, .headers, .tooLarge, .decode, .encoding, .malformed, .emptyBody, .contentType, .torn,
            .unexpected, .schema, .auth, .notFound, .throttled, .status, .redirect, .protocol, .policy, .internal:
            self = .answered
        }
    }
}
