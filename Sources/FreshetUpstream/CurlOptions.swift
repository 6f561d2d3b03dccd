// Every option of libcurl that an exchange sets, in one place, so that what is allowed can be read at a glance.

import CCurl
import FreshetCore
import HTTPFields

/// The options of one easy handle. A borrowed view: it owns nothing.
struct CurlOptions {
    /// Longest wait for a connection, TLS included, where the source's `timeout` is longer.
    static let maxConnectTime = Duration.seconds(10)
    /// A body slower than this over ``slowDuration`` is given up: it holds a connection for next to nothing.
    static let slowBytesPerSecond = 16
    static let slowDuration = Duration.seconds(20)
    /// Nor kept unused longer than this, since most servers close earlier.
    static let maxConnectionIdle = Duration.seconds(118)

    /// CURLHEADER_SEPARATE and CURLAUTH_BASIC, which are macros that Swift does not read.
    private static let separateFields = 1
    private static let basicAuthentication = 1

    let easy: UnsafeMutableRawPointer

    /// What no configuration may change.
    ///
    /// `maxConnectionAge`: how long a connection is kept, in whole seconds and at least one.
    func applyPolicy(userAgent: String, maxConnectionAge: Duration) throws(UpstreamError) {
        try self.set(CURLOPT_PROTOCOLS_STR, "http,https")
        try self.set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https")
        // Redirects are followed by hand, as ``RedirectRule`` says.
        try self.set(CURLOPT_FOLLOWLOCATION, 0)
        try self.set(CURLOPT_UNRESTRICTED_AUTH, 0)
        try self.set(CURLOPT_NETRC, 0)
        // Empty is "none, whatever the environment says".
        try self.set(CURLOPT_PROXY, "")
        try self.set(CURLOPT_HTTP09_ALLOWED, 0)
        // Both codings are undone here, where a cut body is noticed.
        try self.set(CURLOPT_HTTP_CONTENT_DECODING, 0)
        try self.set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS)
        try self.set(CURLOPT_SSL_VERIFYPEER, 1)
        try self.set(CURLOPT_SSL_VERIFYHOST, 2)
        try self.set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
        try self.set(CURLOPT_NOSIGNAL, 1)
        // A transfer that ends while its name is being resolved must not wait for the resolver's thread (F17).
        try self.set(CURLOPT_QUICK_EXIT, 1)
        try self.set(CURLOPT_TCP_KEEPALIVE, 1)
        try self.set(CURLOPT_MAXLIFETIME_CONN, Int(max(1, maxConnectionAge.components.seconds)))
        try self.set(CURLOPT_MAXAGE_CONN, Int(Self.maxConnectionIdle.components.seconds))
        try self.set(CURLOPT_USERAGENT, userAgent)
    }

    /// How long a source with this `timeout` waits for a connection.
    static func connectTime(timeout: Duration) -> Duration { min(timeout, self.maxConnectTime) }

    /// What comes from the configuration.
    func applyLimits(of configuration: ExchangeConfiguration) throws(UpstreamError) {
        try self.set(CURLOPT_CONNECTTIMEOUT_MS, Self.connectTime(timeout: configuration.timeout).curlMilliseconds)
        try self.check(
            ccurl_set_offset(self.easy, CURLOPT_MAXFILESIZE_LARGE, Int64(clamping: configuration.maxBodyBytes))
        )
        try self.applyTLS(of: configuration.tls)
        if configuration.readsCertificate { try self.set(CURLOPT_CERTINFO, 1) }
        try self.apply(configuration.route)
    }

    private func applyTLS(of tls: SourceConfiguration.TLS) throws(UpstreamError) {
        if let file = tls.caFile {
            try self.set(CURLOPT_CAINFO, file)
            // Without this, the system's own certificates would be trusted beside those of the file.
            try self.check(ccurl_set_string(self.easy, CURLOPT_CAPATH, nil))
        }
        if let key = tls.pinnedKey { try self.set(CURLOPT_PINNEDPUBLICKEY, key) }
        if let own = tls.clientCertificate {
            try self.set(CURLOPT_SSLCERT, own.certificate)
            try self.set(CURLOPT_SSLKEY, own.key)
        }
        guard tls.isInsecure else { return }
        try self.set(CURLOPT_SSL_VERIFYPEER, 0)
        try self.set(CURLOPT_SSL_VERIFYHOST, 0)
    }

    private func apply(_ route: SourceConfiguration.Route) throws(UpstreamError) {
        switch route {
        case .direct: break
        case .unixSocket(let path): try self.set(CURLOPT_UNIX_SOCKET_PATH, path)
        case .proxy(let proxy):
            try self.set(CURLOPT_PROXY, proxy.url)
            // No exception by the environment.
            try self.set(CURLOPT_NOPROXY, "")
            // CONNECT, whatever the scheme: the proxy sees where requests go, and is told no secret of theirs.
            try self.set(CURLOPT_HTTPPROXYTUNNEL, 1)
            try self.set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
            try self.set(CURLOPT_HEADEROPT, Self.separateFields)
            guard let username = proxy.username else { return }
            try self.set(CURLOPT_PROXYAUTH, Self.basicAuthentication)
            try self.set(CURLOPT_PROXYUSERNAME, username)
            try self.set(CURLOPT_PROXYPASSWORD, proxy.password ?? "")
        }
    }

    /// What the next requests do. libcurl copies the body.
    func setMethod(_ method: ExchangeRequest.Method, body: [UInt8]) throws(UpstreamError) {
        let hasBody = !body.isEmpty || method == .post
        // Back to a request without a body, whatever the one before was.
        try self.set(CURLOPT_HTTPGET, 1)
        try self.check(ccurl_set_string(self.easy, CURLOPT_CUSTOMREQUEST, method == .get ? nil : method.rawValue))
        guard hasBody else { return }
        try self.check(ccurl_set_offset(self.easy, CURLOPT_POSTFIELDSIZE_LARGE, Int64(body.count)))
        let code = body.withUnsafeBytes { bytes in
            // An address is needed also where there is nothing behind it.
            var none: UInt8 = 0
            return withUnsafeMutableBytes(of: &none) { empty in
                ccurl_set_pointer(
                    self.easy,
                    CURLOPT_COPYPOSTFIELDS,
                    UnsafeMutableRawPointer(mutating: bytes.baseAddress) ?? empty.baseAddress
                )
            }
        }
        try self.check(code)
    }

    /// Prepares for one request of an exchange.
    func beginHop(timeLeft: Duration, onFreshConnection fresh: Bool) throws(UpstreamError) {
        try self.set(CURLOPT_TIMEOUT_MS, timeLeft.curlMilliseconds)
        try self.set(CURLOPT_FRESH_CONNECT, fresh ? 1 : 0)
        try self.set(CURLOPT_FORBID_REUSE, 0)
        try self.set(CURLOPT_VERBOSE, 0)
        try self.set(CURLOPT_LOW_SPEED_LIMIT, 0)
    }

    /// Called when the head of a response is complete: a server may think as long as `timeout` allows, but once it
    /// sends a body, it has to send it.
    func bodyBegins() {
        ccurl_set_long(self.easy, CURLOPT_LOW_SPEED_LIMIT, Self.slowBytesPerSecond)
        ccurl_set_long(self.easy, CURLOPT_LOW_SPEED_TIME, Int(Self.slowDuration.components.seconds))
    }

    /// Turns libcurl's trace on until the next hop. It costs, and is therefore off until the head of a response is
    /// complete; it alone shows the framing of a body, and what follows the end of an answer.
    func trace() {
        ccurl_set_long(self.easy, CURLOPT_VERBOSE, 1)
    }

    /// Closes the connection when the transfer ends.
    func forbidReuse() {
        ccurl_set_long(self.easy, CURLOPT_FORBID_REUSE, 1)
    }

    /// Lets the next transfer use the connection in this cache, or open one in it; with `nil` the handle lets go of it.
    func setCache(_ cache: UnsafeMutableRawPointer?) {
        ccurl_set_pointer(self.easy, CURLOPT_SHARE, cache)
    }

    /// Gives libcurl the request fields, which it reads while a transfer runs; the caller keeps them.
    func setFields(_ list: UnsafeMutablePointer<curl_slist>?) throws(UpstreamError) {
        try self.check(ccurl_set_list(self.easy, CURLOPT_HTTPHEADER, list))
    }

    func set(_ option: CURLoption, _ value: Int) throws(UpstreamError) {
        try self.check(ccurl_set_long(self.easy, option, value))
    }

    func set(_ option: CURLoption, _ value: String) throws(UpstreamError) {
        try self.check(ccurl_set_string(self.easy, option, value))
    }

    func set(_ option: CURLoption, pointer: UnsafeMutableRawPointer) throws(UpstreamError) {
        try self.check(ccurl_set_pointer(self.easy, option, pointer))
    }

    /// An option that protects must not fail silently, for want of memory or because this libcurl lacks it.
    func check(_ code: CURLcode) throws(UpstreamError) {
        guard code == CURLE_OK else {
            throw UpstreamError(.internal, "libcurl refused an option: \(String(cString: curl_easy_strerror(code)))")
        }
    }

    /// Zero where libcurl does not know.
    func long(_ info: CURLINFO) -> Int {
        var value = 0
        return ccurl_get_long(self.easy, info, &value) == CURLE_OK ? value : 0
    }

    /// The address of the last connection's other end.
    var peer: NetworkAddress? {
        var text: UnsafePointer<CChar>?
        guard ccurl_get_text(self.easy, CURLINFO_PRIMARY_IP, &text) == CURLE_OK else { return nil }
        return NetworkAddress(text: text)
    }

    /// When the certificate that the last connection was opened with expires.
    var certificateEnd: WallTime? {
        guard let text = ccurl_certificate_end(self.easy).map({ String(cString: $0) }) else { return nil }
        // `Nov 30 12:00:00 2026 GMT`, the day padded with a blank: the form of asctime without the name of the day.
        let parts = text.split(separator: " ")
        guard parts.count >= 4 else { return nil }
        let day = parts[1].utf8.count == 1 ? " \(parts[1])" : "\(parts[1])"
        let date = HTTPDate("Mon \(parts[0]) \(day) \(parts[2]) \(parts[3])".utf8, wallNow: 0)
        return date.map { WallTime(milliseconds: Int64($0.unixSeconds) * 1000) }
    }

    /// Zero where libcurl does not know.
    func offset(_ info: CURLINFO) -> Int64 {
        var value: Int64 = 0
        return ccurl_get_offset(self.easy, info, &value) == CURLE_OK ? value : 0
    }
}

extension Duration {
    /// Whole milliseconds for libcurl, rounded up and at least 1, since 0 would mean "no limit".
    fileprivate var curlMilliseconds: Int {
        let nanoseconds = self.clampedNanoseconds
        return Int(min(max(1, nanoseconds / 1_000_000 + (nanoseconds % 1_000_000 > 0 ? 1 : 0)), Int64(Int32.max)))
    }
}
