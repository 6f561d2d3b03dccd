// One poll as values: what is asked, what came back, why nothing did. Carried out by FreshetPolling.

package import HTTPFields
import JSON

/// The validators of the last good response (RFC 9110 §8.8), byte-exact.
package struct Validators: Hashable, Sendable {
    /// With its quotes and its `W/`, if any.
    package var etag: [UInt8]?
    package var lastModified: [UInt8]?
    /// The URL whose answer they came with, where a redirect led to it; `nil` for the source's own. They mean nothing
    /// anywhere else (RFC 9110 §8.8.3: a tag is unique among the representations of one resource).
    package var url: String?

    package init(etag: [UInt8]? = nil, lastModified: [UInt8]? = nil, url: String? = nil) {
        self.etag = etag
        self.lastModified = lastModified
        self.url = url
    }

    /// The longest tag or date that is sent back. Servers commonly take 8 KiB of request fields, credentials included, and
    /// refuse the whole request beyond that.
    package static let maxBytes = 2 << 10

    package var isEmpty: Bool { self.etag == nil && self.lastModified == nil }

    /// What of them goes into a request for `url`, given as in ``url``: all or nothing.
    package func applying(to url: String?) -> Validators { self.url == url ? self : Validators() }
}

/// One conditional GET. What does not change between polls (URL, fields, limits) stands in ``SourceConfiguration``.
package struct PollRequest: Hashable, Sendable {
    /// Sent as `If-None-Match`, or as `If-Modified-Since` where there is no tag, with the request for the URL that they
    /// belong to; empty for an unconditional poll.
    package var validators: Validators

    package init(validators: Validators) {
        self.validators = validators
    }
}

/// A complete response: the transfer ended as its framing said, and the content coding was undone and checked.
package struct ExchangeResponse: Sendable {
    package var status: Int
    package var fields: [HeaderField]
    /// The decoded body.
    package var body: [UInt8]
    /// Bytes received for the body, before decoding.
    package var wireBytes: Int
    /// The body ended with the connection, and not where a length or a last chunk said (RFC 9112 §6.3, case 8).
    package var isCloseDelimited: Bool
    /// Where the answer came from, where a redirect led there; `nil` for the source's own URL.
    package var url: String?
    /// It confirms the present value, although the request as a whole had no condition: every page did.
    var isConfirmation = false

    package init(
        status: Int,
        fields: [HeaderField],
        body: [UInt8],
        wireBytes: Int = 0,
        isCloseDelimited: Bool = false,
        url: String? = nil
    ) {
        self.status = status
        self.fields = fields
        self.body = body
        self.wireBytes = wireBytes
        self.isCloseDelimited = isCloseDelimited
        self.url = url
    }

    /// Tells bodies apart, in this process. Made anew each time.
    package var bodyHash: UInt64 { processHash(of: self.body) }

    /// The value of the last field of this name, in lower case.
    package func value(of name: String) -> [UInt8]? {
        self.fields.last { $0.name.elementsEqual(name.utf8) }?.value
    }

    /// The validators, byte-exact; a field that is empty, or longer than ``Validators/maxBytes``, counts as absent.
    package var validators: Validators {
        Validators(
            etag: self.validator("etag"),
            lastModified: self.validator("last-modified"),
            url: self.url
        )
    }

    private func validator(_ name: String) -> [UInt8]? {
        self.value(of: name).flatMap { $0.isEmpty || $0.count > Validators.maxBytes ? nil : $0 }
    }
}

/// Why a poll produced no value. Never carries a body or a secret.
package struct UpstreamError: Error, Hashable, Sendable {
    /// What scripts and metrics tell failures apart by (`last_error.kind`, label `kind`).
    package enum Kind: String, CaseIterable, Sendable {
        /// The name did not resolve.
        case dns
        /// No connection: refused, unreachable, or not within the connect time-out.
        case connect
        /// No TLS session, for another reason than those below.
        case tls
        /// The upstream's certificate has no trusted issuer, or its key is not the pinned one.
        case tlsUntrusted = "tls_untrusted"
        /// The upstream's certificate has run out, or has not begun.
        case tlsExpired = "tls_expired"
        /// The upstream's certificate is for another host.
        case tlsHost = "tls_host"
        /// The upstream speaks no version of TLS that is safe: 1.2 or later.
        case tlsVersion = "tls_version"
        /// No complete response within the source's `timeout`, or too slow a drip.
        case timeout
        /// The connection broke inside a response.
        case transport
        /// Length or chunk framing contradicts itself or the body.
        case framing
        /// More header bytes or fields than allowed.
        case headers
        /// A body larger than `max_body_bytes`, on the wire or decoded.
        case tooLarge = "too_large"
        /// The content coding is broken, cut, or not one that was asked for.
        case decode
        /// Not UTF-8.
        case encoding
        /// Not what its format asks for: JSON, lines of JSON, a table, XML.
        case malformed
        case emptyBody = "empty_body"
        case contentType = "content_type"
        /// A value in several pages changed while they were read.
        case torn
        /// The body is well-formed but not what `expect` asks for.
        case unexpected
        /// The value violates the source's `schema`.
        case schema
        case auth
        case notFound = "not_found"
        /// The upstream asked to be left alone: 429, or 403 or 503 with `Retry-After` or a used-up rate limit.
        case throttled
        /// Any other status that is not 200 or 304.
        case status
        case redirect
        /// An answer that HTTP does not allow, such as a 304 to an unconditional request.
        case `protocol`
        /// The address or scheme is not allowed.
        case policy
        /// The gateway itself could not carry out the poll: out of descriptors or memory.
        case `internal`
    }

    package var kind: Kind
    /// One sentence for a person: what happened, at which limit or offset, and the fix where there is one.
    package var message: String

    /// Secrets in URLs of the message are left out.
    package init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = URLRedaction.redacted(message)
    }
}

/// How a poll ended, for metrics and logs.
package enum PollOutcome: Hashable, Sendable {
    /// 304.
    case notModified
    /// 200 with a value equal to the last one.
    case unchanged
    case changed
    /// The answer could not be used, and the upstream is asked again at once: it was overtaken by a push, or a
    /// condition was refused.
    case superseded
    case failed(UpstreamError.Kind)

    /// The label `outcome` of `freshet_polls_total`.
    package var label: String {
        switch self {
        case .notModified: "not_modified"
        case .unchanged: "unchanged"
        case .changed: "changed"
        case .superseded: "superseded"
        case .failed(let kind): kind.rawValue
        }
    }
}
