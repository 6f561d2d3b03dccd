// One source's side of libcurl: the easy handle that is kept between polls, and what the poll under way has received.

import CCurl
import FreshetCore

/// The polls of one source, one at a time. Confined to the poll thread; libcurl calls back on the same thread.
final class CurlTransfer {
    /// Redirects that one poll follows.
    static let maxRedirects = 3
    /// Body bytes of a response that will not be used (an error page, a redirect) which are read so that the
    /// connection can be used again; beyond that it is closed.
    static let maxDiscardedBytes = 256 << 10

    let source: SourceID
    let easy: UnsafeMutableRawPointer
    let url: UpstreamURL
    private(set) var configuration: SourceConfiguration

    /// Request fields as libcurl wants them, and the validators that they were made for.
    private var requestFields: UnsafeMutablePointer<curl_slist>?
    private var sentValidators: Validators?
    /// Of the poll under way, to be sent to the URL that they belong to.
    private var validators = Validators()
    private let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
    private let scratch: UnsafeMutableBufferPointer<UInt8>
    let reactor: Reactor
    private let acceptedByDefault: [String]

    /// The handle is in the multi handle. Kept by ``CurlTransport``.
    var isRunning = false

    // The poll under way.
    private var deadline = MonotonicTime.distantFuture
    private var hop: UpstreamURL
    private var redirects = 0
    private var isRetry = false
    private var policy: HopPolicy
    /// Connections opened for the poll under way.
    private(set) var connects = 0
    // The response under way.
    private var head = ResponseHead()
    private var body: BodyCollector?
    private var audit: FramingAudit?
    private var discardedBytes = 0
    private var handshakeBegan = false
    private var requestWasSent = false
    private var failure: PollError?
    /// Set where the address policy refused an address.
    private var refusedAddress: String?

    /// `scratch` is room for decoding, shared by all transfers of the thread; it must outlive this one. `reactor` must
    /// outlive the multi handle, whose connections outlive the transfer that opened them.
    ///
    /// - Throws: ``PollError`` of kind `internal` where libcurl has no memory or lacks an option.
    init(
        source: SourceID,
        url: UpstreamURL,
        configuration: SourceConfiguration,
        transport: CurlTransport.Configuration,
        reactor: Reactor,
        scratch: UnsafeMutableBufferPointer<UInt8>
    ) throws(PollError) {
        guard let easy = curl_easy_init() else { throw PollError(.internal, "no memory for a transfer") }
        self.source = source
        self.easy = easy
        self.url = url
        self.hop = url
        self.configuration = configuration
        self.policy = HopPolicy(deniesPrivate: configuration.denyPrivate)
        self.scratch = scratch
        self.reactor = reactor
        self.acceptedByDefault = Self.defaultFields(besides: configuration)
        self.errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        let options = CurlOptions(easy: easy)
        try options.applyPolicy(userAgent: transport.userAgent, maxConnectionAge: transport.maxConnectionAge)
        try options.applyCallbacks(of: self, errorText: self.errorText)
        try options.applyLimits(of: configuration)
        try options.set(CURLOPT_URL, url.text)
        // Polls that begin together wait until the first handshake has shown whether one HTTP/2 connection carries them
        // all. Without TLS only the first answer would show it, for which nobody can wait.
        if url.origin.scheme == "https" { try options.set(CURLOPT_PIPEWAIT, 1) }
    }

    deinit {
        curl_easy_cleanup(self.easy)
        curl_slist_free_all(self.requestFields)
        self.errorText.deallocate()
    }

    private static func defaultFields(besides configuration: SourceConfiguration) -> [String] {
        let configured = Set(configuration.headers.map { $0.name.lowercased() })
        var fields: [String] = []
        if !configured.contains("accept") { fields.append("Accept: application/json, */*;q=0.1") }
        if !configured.contains("accept-encoding") {
            fields.append("Accept-Encoding: \(Self.codings(configuration.acceptEncoding))")
        }
        return fields
    }

    /// Only what can be undone here is asked for.
    private static func codings(_ wanted: SourceConfiguration.AcceptEncoding) -> String {
        switch wanted {
        case .identity: "identity"
        case .gzip: "gzip"
        case .any:
            "gzip" + (Unpacker.canDecode(.brotli) ? ", br" : "") + (Unpacker.canDecode(.zstd) ? ", zstd" : "")
        }
    }
}

// MARK: the life of a poll

extension CurlTransfer {
    /// What is to be done with a transfer that has ended.
    enum Next {
        /// Run the handle again: a redirect, or the one retry on a fresh connection.
        case runAgain
        case done(Result<PollResponse, PollError>)
    }

    /// Prepares the handle for a poll; the caller then gives it to the multi handle.
    func prepare(_ request: PollRequest, now: MonotonicTime) throws(PollError) {
        self.deadline = now + self.configuration.timeout
        self.redirects = 0
        self.isRetry = false
        self.policy = HopPolicy(deniesPrivate: self.configuration.denyPrivate)
        self.connects = 0
        let options = CurlOptions(easy: self.easy)
        if self.hop != self.url {
            self.hop = self.url
            try options.set(CURLOPT_URL, self.url.text)
        }
        self.validators = request.validators
        try self.prepareHop(options, now: now)
    }

    /// Sends these fields from the next poll on. The one under way goes on with those it began with.
    func renew(_ headers: [SourceConfiguration.Field]) {
        self.configuration.headers = headers
        self.sentValidators = nil
    }

    /// Decides what the end of the transfer means. The handle is out of the multi handle by now.
    func ended(_ code: CURLcode, now: MonotonicTime) -> Next {
        self.connects += CurlOptions(easy: self.easy).long(CURLINFO_NUM_CONNECTS)
        if self.shouldRetry(after: code) {
            self.isRetry = true
            return self.runAgain(now: now)
        }
        do {
            let response = try self.response(code)
            guard let location = self.redirectTarget(of: response) else { return self.done(.success(response)) }
            try self.follow(location)
            return self.runAgain(now: now)
        } catch {
            return self.done(.failure(error))
        }
    }

    /// Where redirects have led; `nil` at the source's own URL.
    private var redirectedURL: String? { self.hop == self.url ? nil : self.hop.text }

    private func done(_ result: Result<PollResponse, PollError>) -> Next {
        self.forgetResponse()
        return .done(result)
    }

    private func runAgain(now: MonotonicTime) -> Next {
        do {
            try self.prepareHop(CurlOptions(easy: self.easy), now: now)
            return .runAgain
        } catch {
            return self.done(.failure(error))
        }
    }

    private func prepareHop(_ options: borrowing CurlOptions, now: MonotonicTime) throws(PollError) {
        self.forgetResponse()
        let validators = self.validators.applying(to: self.redirectedURL)
        if self.sentValidators != validators { try self.makeRequestFields(validators) }
        let left = self.deadline - now
        guard left > .zero else {
            throw PollError(.timeout, "no complete response within \(self.configuration.timeout)")
        }
        try options.beginHop(timeLeft: left, onFreshConnection: self.isRetry)
    }

    private func forgetResponse() {
        self.head = ResponseHead()
        self.body = nil
        self.audit = nil
        self.discardedBytes = 0
        self.handshakeBegan = false
        self.requestWasSent = false
        self.failure = nil
        self.refusedAddress = nil
        self.errorText.pointee = 0
    }

    /// An upstream may close an idle connection at the moment it is used again, which is nobody's fault (F18).
    /// libcurl retries most of these itself.
    private func shouldRetry(after code: CURLcode) -> Bool {
        guard !self.isRetry, self.failure == nil, !self.head.hasBegun else { return false }
        switch code {
        case CURLE_GOT_NOTHING, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_HTTP2, CURLE_HTTP2_STREAM:
            return CurlOptions(easy: self.easy).long(CURLINFO_NUM_CONNECTS) == 0
        case _:
            return false
        }
    }

    private func redirectTarget(of response: PollResponse) -> [UInt8]? {
        switch response.status {
        case 301, 302, 303, 307, 308: response.value(of: "location")
        case _: nil
        }
    }

    private func follow(_ location: [UInt8]) throws(PollError) {
        self.redirects += 1
        guard self.redirects <= Self.maxRedirects else {
            throw PollError(.redirect, "more than \(Self.maxRedirects) redirects")
        }
        self.policy.redirected(by: CurlOptions(easy: self.easy).peer)
        self.hop = try self.hop.redirected(to: location)
        try CurlOptions(easy: self.easy).set(CURLOPT_URL, self.hop.text)
    }
}

// MARK: what the transfer brought

extension CurlTransfer {
    private func response(_ code: CURLcode) throws(PollError) -> PollResponse {
        if let failure = self.failure { throw failure }
        // Another status says all there is to say, however its body ended.
        if self.head.isComplete, !self.head.hasRepresentation { return self.bodylessResponse() }
        if let violation = self.audit?.violation { throw violation }
        guard code == CURLE_OK else { throw self.error(for: code) }
        guard self.head.isComplete else { throw PollError(.protocol, "the response has no complete head") }
        guard let collector = self.body.take() else { return self.bodylessResponse() }
        let wireBytes = collector.wireBytes
        return PollResponse(
            status: self.head.status,
            fields: self.head.fields,
            body: try collector.finished(),
            wireBytes: wireBytes,
            isCloseDelimited: self.head.framing == .close,
            url: self.redirectedURL
        )
    }

    private func bodylessResponse() -> PollResponse {
        PollResponse(
            status: self.head.status,
            fields: self.head.fields,
            body: [],
            wireBytes: self.discardedBytes,
            url: self.redirectedURL
        )
    }

    private func error(for code: CURLcode) -> PollError {
        if let reason = self.refusedAddress, !self.requestWasSent {
            return PollError(.policy, "the host resolves to \(reason), which \(self.policy.rule)")
        }
        let stage = CurlFailure.Stage(
            easy: self.easy,
            handshakeBegan: self.handshakeBegan,
            requestWasSent: self.requestWasSent
        )
        let detail = String(cString: self.errorText)
        return CurlFailure.error(
            for: code,
            stage: stage,
            detail: detail,
            timeout: self.configuration.timeout,
            verification: CurlOptions(easy: self.easy).long(CURLINFO_SSL_VERIFYRESULT)
        )
    }

    private func makeRequestFields(_ validators: Validators) throws(PollError) {
        var lines = self.configuration.headers.map { field in
            // libcurl removes a field that is written `Name:`; one with an empty value is written `Name;`.
            Array((field.value.isEmpty ? "\(field.name);" : "\(field.name): \(field.value)").utf8)
        }
        lines += self.acceptedByDefault.map { Array($0.utf8) }
        if let etag = validators.etag { lines.append(Array("If-None-Match: ".utf8) + etag) }
        if let date = validators.lastModified { lines.append(Array("If-Modified-Since: ".utf8) + date) }
        var list: UnsafeMutablePointer<curl_slist>?
        for line in lines {
            let text = line.map { CChar(bitPattern: $0) }
            // A line with a control character could end the field, or the request (S15).
            guard !line.contains(where: { ($0 < 0x20 && $0 != 0x09) || $0 == 0x7F }),
                let longer = curl_slist_append(list, text + [0])
            else {
                curl_slist_free_all(list)
                throw PollError(.internal, "a request field holds a control character, or there is no memory")
            }
            list = longer
        }
        try CurlOptions(easy: self.easy).setFields(list)
        curl_slist_free_all(self.requestFields)
        self.requestFields = list
        self.sentValidators = validators
    }
}

// MARK: what libcurl calls back

extension CurlTransfer {
    /// False ends the transfer.
    func headLineReceived(_ line: UnsafeBufferPointer<UInt8>) -> Bool {
        guard self.failure == nil else { return false }
        do {
            if try self.head.lineReceived(line.span) == .complete { try self.headCompleted() }
            return true
        } catch {
            self.failure = error
            return false
        }
    }

    private func headCompleted() throws(PollError) {
        let framing = self.head.framing
        guard self.head.hasRepresentation else { return }
        self.body = try BodyCollector(
            coding: self.head.contentCoding,
            maxBytes: self.configuration.maxBodyBytes,
            expectedBytes: self.head.contentLength
        )
        switch framing {
        case .empty, .stream, .close: self.audit = nil
        case .length, .chunked:
            self.audit = FramingAudit(framing, closesConnection: self.head.closesConnection)
        }
        CurlOptions(easy: self.easy).bodyBegins(isAudited: self.audit != nil)
    }

    /// False ends the transfer.
    func bodyReceived(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard self.failure == nil else { return false }
        guard self.body != nil else {
            self.discardedBytes += bytes.count
            return self.discardedBytes <= Self.maxDiscardedBytes
        }
        if let violation = self.audit?.violation {
            self.failure = violation
            return false
        }
        do {
            try self.body?.received(bytes, scratch: self.scratch)
            return true
        } catch {
            self.failure = error
            return false
        }
    }

    /// The body as it stands on the wire, before libcurl undoes its framing.
    func wireReceived(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard self.audit != nil, self.audit?.violation == nil else { return }
        self.audit?.received(bytes.span)
        // What follows on this connection cannot be trusted to begin where libcurl thinks.
        if self.audit?.violation != nil { CurlOptions(easy: self.easy).forbidReuse() }
    }

    /// Whether a connection to this address may be opened, or used once more.
    func allows(_ address: @autoclosure () -> NetworkAddress?) -> Bool {
        guard self.policy.isRestrictive, let reason = self.policy.reasonToRefuse(address()) else { return true }
        self.refusedAddress = reason
        return false
    }

    func handshakeBegins() {
        self.handshakeBegan = true
    }

    func requestBegins() {
        self.requestWasSent = true
    }
}
