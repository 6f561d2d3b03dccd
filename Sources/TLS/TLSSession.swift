// One session of a server: bytes in, bytes out, and no socket.

import CTLS

/// Why a session ends.
package struct TLSFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// A closed list, for metrics.
    package enum Kind: String, CaseIterable, Sendable {
        /// The client speaks HTTP without TLS.
        case plaintext
        /// No version in common: TLS 1.2 and 1.3 are spoken.
        case version
        case cipher
        /// The client offers application protocols, and none of ours.
        case alpn
        /// The client's certificate is missing, or no authority of ours signed it.
        case untrusted
        /// The client says that it is not content, such as with our certificate.
        case alert
        /// More KeyUpdates, or tries to renegotiate, than are taken.
        case flood
        /// What came is not TLS.
        case malformed
    }

    package var kind: Kind
    /// What OpenSSL calls it.
    package var text: String

    package var description: String { "\(self.kind.rawValue): \(self.text)" }
}

/// Where a session stands.
package enum TLSState: Hashable, Sendable {
    /// Hands are shaken.
    case handshaking
    case open
    /// The client has said close_notify; it may still be written to.
    case closed
    case failed(TLSFailure)
}

/// A session. It belongs to whoever holds it: one thread at a time, and another after it was handed over.
///
/// What it seals is added to the workspace that the call names. The owner sends that in its order, all of it.
// A handover passes it through a lock from the thread that used it last to the one that uses it next.
package final class TLSSession: @unchecked Sendable {
    let pointer: OpaquePointer
    private var failure: TLSFailure?

    /// - Returns: `nil` for want of memory, or where the context has no certificate.
    package init?(_ context: TLSContext) {
        guard let pointer = ctls_session_new(context.pointer) else { return nil }
        self.pointer = pointer
    }

    deinit {
        ctls_session_free(self.pointer)
    }

    /// Takes what arrived, and calls `body` with each piece of plaintext. All of `bytes` is used when it returns: the
    /// beginning of a record stays in the session.
    package func receive(
        _ bytes: UnsafeRawBufferPointer,
        with workspace: TLSWorkspace,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) -> TLSState {
        if let failure { return .failed(failure) }
        ctls_session_feed(self.pointer, bytes.baseAddress, bytes.count)
        defer { ctls_session_feed(self.pointer, nil, 0) }
        let room = workspace.plaintext
        while true {
            var count = 0
            let result = ctls_session_read(self.pointer, &workspace.output, room.baseAddress, room.count, &count)
            switch result {
            case CTLS_OK.rawValue: body(UnsafeRawBufferPointer(rebasing: room[..<min(count, room.count)]))
            case CTLS_WANTS_MORE.rawValue: return self.isOpen ? .open : .handshaking
            case CTLS_CLOSED.rawValue: return .closed
            case _: return .failed(self.fail(result))
            }
        }
    }

    /// Seals all of `bytes`.
    ///
    /// - Returns: `false` where the session cannot: it has failed, or hands are not shaken.
    package func seal(_ bytes: UnsafeRawBufferPointer, with workspace: TLSWorkspace) -> Bool {
        guard self.failure == nil, self.isOpen else { return false }
        let before = workspace.output.count
        let result = ctls_session_write(self.pointer, &workspace.output, bytes.baseAddress, bytes.count)
        guard result != CTLS_OK.rawValue else { return true }
        _ = self.fail(result)
        // The connection is closed without it, and the next to use the workspace is another.
        workspace.output.count = before
        return false
    }

    /// Says close_notify, once; nothing may be sealed after it.
    package func close(with workspace: TLSWorkspace) {
        guard self.failure == nil else { return }
        ctls_session_close(self.pointer, &workspace.output)
    }

    private func fail(_ result: Int32) -> TLSFailure {
        let kind: TLSFailure.Kind =
            switch result {
            case CTLS_PLAINTEXT.rawValue: .plaintext
            case CTLS_VERSION.rawValue: .version
            case CTLS_CIPHER.rawValue: .cipher
            case CTLS_ALPN.rawValue: .alpn
            case CTLS_UNTRUSTED.rawValue: .untrusted
            case CTLS_ALERT.rawValue: .alert
            case CTLS_FLOOD.rawValue: .flood
            case _: .malformed
            }
        let failure = TLSFailure(kind: kind, text: String(cString: ctls_session_text(self.pointer)))
        self.failure = failure
        return failure
    }
}

extension TLSSession {
    var hasFailed: Bool { self.failure != nil }

    /// Whether every client has to present a certificate.
    var demandsCertificate: Bool { ctls_session_demands(self.pointer) != 0 }

    /// Its keys are elsewhere.
    func endDetached() {
        self.failure = TLSFailure(kind: .malformed, text: "detached")
    }

    /// Whether hands are shaken.
    package var isOpen: Bool { ctls_session_is_open(self.pointer) != 0 }

    /// Whether the client chose HTTP/2.
    package var isHTTP2: Bool { ctls_session_protocol(self.pointer) == CTLS_HTTP2 }

    /// Whether it is TLS 1.3, and not 1.2.
    package var isTLS13: Bool { ctls_session_version(self.pointer) == 0x0304 }

    /// The subject of the client's certificate, which one of the authorities signed, as RFC 4514 writes it: `CN=backend`.
    /// `nil` where none was demanded, or where the subject is empty or longer than 1,024 bytes.
    package var clientSubject: String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1025) { text in
            text.initialize(repeating: 0)
            guard let start = text.baseAddress else { return nil }
            let count = Int(ctls_session_subject(self.pointer, start, text.count))
            guard count > 0, count < text.count else { return nil }
            return String(cString: start)
        }
    }
}
