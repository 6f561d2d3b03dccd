// One connection to an upstream and what is known about it. HTTP/1 answers have no number: whatever arrives first after
// a request counts as its answer, so a connection must be silent before the next request uses it (FAULTS F09).

import CCurl
import CLinux
import FreshetCore
import Glibc

/// A connection, or the attempt to open one, in a connection cache of its own.
///
/// libcurl 7.88 does not look at a connection before it uses it again, and it picks among the connections of a cache by
/// itself. With one connection in each cache, ``ConnectionPool`` picks. Confined to the poll thread.
final class KeptConnection {
    /// What a look at a connection finds that should have nothing to say.
    enum Condition: Hashable {
        case silent
        /// Bytes that no request asked for. `isResponse`: they begin like a response, other than a 408, which servers
        /// send when an idle connection times out.
        case bytes(isResponse: Bool)
        /// The upstream closed the connection, or it broke.
        case ended
    }

    let origin: Origin
    /// libcurl's cache, for CURLOPT_SHARE.
    let cache: UnsafeMutableRawPointer
    /// Carries many requests at the same time (HTTP/2), each with an answer that bears its number.
    var isMultiplexed = false
    /// Transfers that use it.
    var users = 0
    /// Closed as soon as no transfer uses it.
    var isSpent = false
    /// When the last transfer ended.
    var restingSince = MonotonicTime(nanoseconds: 0)
    /// What arrived while an answer was held (see ``ConnectionPool/doubtEnds(sentAt:now:)``).
    var disturbance: Condition?
    /// The forms of the answers that came over it.
    var forms: AnswerForms = []
    /// Sources that took an answer over it that was not the first: it may have been the answer to another request.
    private(set) var suspects: [ExchangeID] = []
    /// An answer over it was not believed. No request uses it again, but it stays open for a while: if another answer
    /// comes, the upstream answers twice.
    var isSetAside = false
    /// OpenSSL's session, while the connection is open; `nil` without TLS.
    private var session: UnsafeMutableRawPointer?
    private var sockets: [Int32] = []

    /// Beyond so many ``suspects`` the connection is closed.
    private static let maxSuspects = 128
    private static let responseStart = Array("HTTP/".utf8)
    private static let timeoutStatus = Array(" 408".utf8)

    /// - Throws: ``UpstreamError`` of kind `internal` where libcurl has no memory.
    init(origin: Origin) throws(UpstreamError) {
        guard let cache = ccurl_connection_cache() else { throw UpstreamError(.internal, "no memory for a connection") }
        self.origin = origin
        self.cache = cache
    }

    /// The socket of the connection; `nil` before it is opened and after it was closed, and while several are tried.
    var socket: Int32? { self.sockets.count == 1 ? self.sockets.first : nil }

    /// Nothing can be known about the connection: a TLS library other than OpenSSL.
    var isOpaque: Bool { self.origin.scheme == "https" && self.session == nil }

    /// Closes the connection. No handle may use the cache any more, and the object is of no use afterwards.
    func close() {
        curl_share_cleanup(self.cache)
    }

    func opened(_ socket: Int32) {
        self.sockets.append(socket)
        self.forms = []
    }

    func closes(_ socket: Int32) {
        self.sockets.removeAll { $0 == socket }
        self.session = nil
    }

    /// A request is about to be sent over the connection, in a callback of `easy`.
    func requestBegins(_ easy: UnsafeMutableRawPointer) {
        guard self.origin.scheme == "https", let session = ccurl_tls_session(easy) else { return }
        self.session = session
        self.isMultiplexed = ccurl_tls_speaks_http2(session) == 1
    }

    /// A source takes a change from an answer that was not the first of the connection.
    func brought(_ exchange: ExchangeID) {
        guard !self.suspects.contains(exchange) else { return }
        self.suspects.append(exchange)
        if self.suspects.count >= Self.maxSuspects { self.isSpent = true }
    }

    /// Looks whether anything arrived, and leaves it where it is.
    func condition() -> Condition {
        guard let socket = self.socket, !self.isOpaque else { return .ended }
        return withUnsafeTemporaryAllocation(byteCount: 16, alignment: 1) { buffer in
            var count = clinux_peek(socket, buffer.baseAddress, buffer.count)
            if let session = self.session {
                let pending = ccurl_tls_has_pending(session)
                guard count != -Int(EAGAIN) || pending != 0 else { return .silent }
                count = Int(ccurl_tls_peek(session, buffer.baseAddress, Int32(buffer.count)))
                // A part of a record is a beginning of bytes too.
                if count == 0 { return ccurl_tls_has_pending(session) == 0 ? .silent : .bytes(isResponse: false) }
                if count < 0 { return .ended }
            }
            if count == -Int(EAGAIN) { return .silent }
            return count > 0 ? .bytes(isResponse: Self.isResponse(buffer[..<count])) : .ended
        }
    }

    /// The peer has not acknowledged the whole request, so it cannot have answered it.
    var hasUnacknowledgedBytes: Bool {
        guard let socket = self.socket else { return false }
        return clinux_socket_outq(socket) > 0
    }

    private static func isResponse(_ bytes: Slice<UnsafeMutableRawBufferPointer>) -> Bool {
        // `HTTP/1.1 408`
        bytes.starts(with: self.responseStart) && !bytes.dropFirst(8).starts(with: self.timeoutStatus)
    }
}
