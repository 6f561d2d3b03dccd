// What libcurl's result codes mean for a poll.

import CCurl
import FreshetCore

/// Translates results of libcurl into errors that a person can act upon.
enum CurlFailure {
    /// How far a transfer had come.
    enum Stage {
        case resolving, connecting, securing, responding

        init(easy: UnsafeMutableRawPointer, handshakeBegan: Bool, requestWasSent: Bool) {
            if requestWasSent {
                self = .responding
            } else if handshakeBegan {
                self = .securing
            } else {
                self = CurlOptions(easy: easy).offset(CURLINFO_NAMELOOKUP_TIME_T) == 0 ? .resolving : .connecting
            }
        }
    }

    /// Translates a code that is not CURLE_OK. `detail` is libcurl's own words, which name hosts, ports and sizes but
    /// never fields or bodies.
    ///
    /// `verification` is OpenSSL's result of checking the certificate, 0 where that went well.
    static func error(
        for code: CURLcode,
        stage: Stage,
        detail: String,
        timeout: Duration,
        verification: Int
    ) -> UpstreamError {
        switch code {
        case CURLE_OPERATION_TIMEDOUT:
            self.timeoutError(stage: stage, detail: detail, timeout: timeout)
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY:
            UpstreamError(.dns, "the host name did not resolve: \(detail)")
        case CURLE_COULDNT_CONNECT, CURLE_INTERFACE_FAILED:
            UpstreamError(.connect, "no connection: \(detail)")
        case CURLE_PEER_FAILED_VERIFICATION:
            UpstreamError(self.kind(ofVerification: verification), "TLS failed: \(detail)")
        case CURLE_SSL_ISSUER_ERROR, CURLE_SSL_PINNEDPUBKEYNOTMATCH:
            UpstreamError(.tlsUntrusted, "TLS failed: \(detail)")
        case CURLE_SSL_CONNECT_ERROR where self.namesVersion(detail):
            UpstreamError(.tlsVersion, "TLS failed: the upstream speaks no TLS 1.2 or later: \(detail)")
        case CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_SSL_CACERT_BADFILE,
            CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_CLIENTCERT, CURLE_SSL_CRL_BADFILE, CURLE_SSL_ENGINE_NOTFOUND,
            CURLE_USE_SSL_FAILED:
            UpstreamError(.tls, "TLS failed: \(detail)")
        case CURLE_PARTIAL_FILE:
            UpstreamError(.transport, "the connection ended before the body was complete: \(detail)")
        case CURLE_GOT_NOTHING:
            UpstreamError(.transport, "the connection ended without a response")
        case CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_HTTP2, CURLE_HTTP2_STREAM, CURLE_READ_ERROR:
            UpstreamError(.transport, "the connection broke: \(detail)")
        case CURLE_WEIRD_SERVER_REPLY, CURLE_UNSUPPORTED_PROTOCOL, CURLE_HTTP_RETURNED_ERROR:
            UpstreamError(.protocol, "this is not a response of HTTP/1 or HTTP/2: \(detail)")
        case CURLE_BAD_CONTENT_ENCODING:
            UpstreamError(.decode, "the body's coding is broken: \(detail)")
        case CURLE_FILESIZE_EXCEEDED:
            UpstreamError(.tooLarge, "the announced body is larger than max_body_bytes")
        case CURLE_URL_MALFORMAT:
            UpstreamError(.policy, "the URL is not one that can be polled")
        case CURLE_OUT_OF_MEMORY where stage == .responding, self.tooLarge:
            // What libcurl 7 answers to a header line of more than 100 KiB; later ones have a code for it.
            UpstreamError(.headers, "a header line is longer than libcurl takes")
        case CURLE_OUT_OF_MEMORY, CURLE_FAILED_INIT, CURLE_NO_CONNECTION_AVAILABLE:
            UpstreamError(.internal, "the gateway could not carry out the poll: \(detail)")
        case _:
            UpstreamError(.transport, "the transfer failed (libcurl \(code.rawValue)): \(detail)")
        }
    }

    /// X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED. libcurl compares names itself, and before it asks
    /// for OpenSSL's result, for which it then has X509_V_ERR_UNSPECIFIED.
    private static func kind(ofVerification result: Int) -> UpstreamError.Kind {
        switch result {
        case 0, 1: .tlsHost
        case 9, 10: .tlsExpired
        case _: .tlsUntrusted
        }
    }

    /// OpenSSL has no code for it that libcurl would pass on.
    private static func namesVersion(_ detail: String) -> Bool {
        ["unsupported protocol", "protocol version", "no protocols available"].contains { detail.contains($0) }
    }

    /// CURLE_TOO_LARGE, which came with libcurl 8.6.
    private static let tooLarge = CURLcode(rawValue: 100)

    private static func timeoutError(stage: Stage, detail: String, timeout: Duration) -> UpstreamError {
        switch stage {
        case .resolving: UpstreamError(.dns, "the host name did not resolve in time: \(detail)")
        case .connecting: UpstreamError(.connect, "no connection in time: \(detail)")
        case .securing: UpstreamError(.tls, "no TLS session in time: \(detail)")
        case .responding: UpstreamError(.timeout, "no complete response within \(timeout), or a drip: \(detail)")
        }
    }
}
