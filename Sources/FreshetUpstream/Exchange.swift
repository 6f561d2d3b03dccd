// One request to an upstream as values: where it goes, what it may take, what it sends.

package import FreshetCore

/// Tells the exchanges of one transport apart. Whoever makes a transport gives them out.
package struct ExchangeID: Hashable, Sendable {
    package var rawValue: Int

    package init(rawValue: Int) {
        self.rawValue = rawValue
    }
}

/// What does not change between the exchanges with one URL.
package struct ExchangeConfiguration: Hashable, Sendable {
    /// Request fields, as (name, value). Checked for control characters when they are sent.
    package var headers: [SourceConfiguration.Field]
    /// From the start to the last byte of the answer, redirects included. The default is 30 s.
    package var timeout: Duration
    /// Of the body of the answer, on the wire and decoded. The default is 8 MiB.
    package var maxBodyBytes: Int
    /// Content codings that are asked for. The default is all that can be undone.
    package var acceptEncoding: SourceConfiguration.AcceptEncoding
    /// Refuse loopback, private and link-local addresses for the URL itself too. The default is false.
    package var denyPrivate: Bool
    /// Which redirects are followed; `nil`, the default, follows none: then they are answers. Of requests that change
    /// something none is followed in any case, and a query's body goes along (307, 308) within its origin alone.
    package var redirects: SourceConfiguration.Redirects?
    /// Take the heads of devices: see ``SourceConfiguration/lenientHTTP``. The default is false.
    package var lenientHTTP: Bool
    package var tls: SourceConfiguration.TLS
    /// Parameters that are added to URLs of the configured origin, and to no other: secrets.
    package var query: [SourceConfiguration.Field]
    package var route: SourceConfiguration.Route
    /// The bodies of all answers are taken, whatever their status. The default is true. Of a poll only 200 and 203 bring a
    /// value, and another status says all there is to say, however its body ends.
    package var takesEveryBody: Bool
    /// Keep the date until which the upstream's certificate holds: ``ExchangeTrace/certificateEnd``. The default is false.
    package var readsCertificate = false
    /// No body is taken: the status says it all, however the answer ends behind its head. The default is false.
    package var takesNoBody = false
    /// Keep what each request took and what was said: ``ExchangeTrace``. The default is true.
    package var keepsTrace = true

    package init(
        headers: [SourceConfiguration.Field] = [],
        timeout: Duration = .seconds(30),
        maxBodyBytes: Int = 8 << 20,
        acceptEncoding: SourceConfiguration.AcceptEncoding = .any,
        denyPrivate: Bool = false,
        redirects: SourceConfiguration.Redirects? = nil,
        lenientHTTP: Bool = false,
        tls: SourceConfiguration.TLS = SourceConfiguration.TLS(),
        query: [SourceConfiguration.Field] = [],
        route: SourceConfiguration.Route = .direct,
        takesEveryBody: Bool = true
    ) {
        self.headers = headers
        self.timeout = timeout
        self.maxBodyBytes = maxBodyBytes
        self.acceptEncoding = acceptEncoding
        self.denyPrivate = denyPrivate
        self.redirects = redirects
        self.lenientHTTP = lenientHTTP
        self.tls = tls
        self.query = query
        self.route = route
        self.takesEveryBody = takesEveryBody
    }

    /// That of the polls of a source.
    package init(_ source: SourceConfiguration) {
        self.init(
            headers: source.headers,
            timeout: source.timeout,
            maxBodyBytes: source.maxBodyBytes,
            acceptEncoding: source.acceptEncoding,
            denyPrivate: source.denyPrivate,
            redirects: source.redirects,
            lenientHTTP: source.lenientHTTP,
            tls: source.tls,
            query: source.query,
            route: source.route,
            takesEveryBody: false
        )
    }
}

/// What one exchange sends beside the URL and the configured fields.
package struct ExchangeRequest: Hashable, Sendable {
    /// A method of RFC 9110 §9, or PATCH (RFC 5789).
    package enum Method: String, Hashable, Sendable {
        case get = "GET"
        case post = "POST"
        case put = "PUT"
        case patch = "PATCH"
        case delete = "DELETE"

        /// It changes nothing, so that it may be asked again (RFC 9110 §9.2.1).
        package var isSafe: Bool { self == .get }
    }

    package var method: Method
    /// Empty for none. Its media type is among the configured fields.
    package var body: [UInt8]
    /// Sent as `If-None-Match`, or as `If-Modified-Since` where there is no tag, with the request for the URL that they
    /// belong to; empty for an unconditional request.
    package var validators: Validators
    /// It changes nothing, whatever its method says: polls by POST.
    package var isQuery: Bool
    /// Where the request goes, where that is not the URL of the exchange: a page. ``ExchangeConfiguration/redirects`` says
    /// which origins it may have, as if the URL of the exchange had redirected there.
    package var page: UpstreamURL?
    /// Request fields of this request alone, sent after those of the exchange. They are no part of what tells credentials
    /// apart: nothing in them may open anything.
    package var fields: [SourceConfiguration.Field] = []
    /// An answer over a connection that was used before is held for a moment, since it may be the late answer to an earlier
    /// request. The default is true. Without it, and with connections that are trusted from the start
    /// (``CurlTransport/Configuration/minSilentAnswers``), an answer is believed as any HTTP client believes it.
    package var holdsAnswer = true

    package init(
        _ method: Method = .get,
        body: [UInt8] = [],
        validators: Validators = Validators(),
        isQuery: Bool = false,
        page: UpstreamURL? = nil
    ) {
        self.method = method
        self.body = body
        self.validators = validators
        self.isQuery = isQuery
        self.page = page
    }

    /// That of a poll of a source.
    package init(_ poll: PollRequest, of source: SourceConfiguration, page: UpstreamURL? = nil) {
        self.init(
            source.method == .post ? .post : .get,
            body: source.body,
            validators: poll.validators,
            isQuery: true,
            page: page
        )
    }

    /// Asking twice does no harm, and the answer may be believed late.
    var isRepeatable: Bool { self.isQuery || self.method.isSafe && self.body.isEmpty }
}
