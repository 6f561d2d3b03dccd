// What sessions are made of: certificates with their keys, and who may present one of their own.

import CTLS

/// A certificate with its chain, leaf first, and its key, both in PEM (RFC 7468).
package struct TLSIdentity: Sendable {
    package var chain: [UInt8]
    package var key: [UInt8]

    package init(chain: [UInt8], key: [UInt8]) {
        self.chain = chain
        self.key = key
    }
}

/// Why a context cannot be made.
package struct TLSContextError: Error, Hashable {
    package enum Part: Hashable, Sendable {
        /// Of the identity with this number.
        case chain(Int)
        case key(Int)
        case clientAuthorities
        case context
    }

    /// Where the mistake is.
    package var part: Part
    /// What is wrong, as the second half of a sentence about the file.
    package var what: String
    package var fix: String
}

/// Certificates, chosen by the name that a client asks for, and the rules of sessions: TLS 1.2 and 1.3, ciphers that are
/// authenticated and keys that are ephemeral, `h2` and `http/1.1`, no renegotiation, no tickets and no early data.
///
/// Any thread may make sessions of it; a session keeps what it needs.
// The one pointer is to an object that is set up in `init` and counts its references atomically.
package final class TLSContext: @unchecked Sendable {
    let pointer: OpaquePointer
    /// When each certificate ends, in seconds since 1970, in the order in which they were given.
    package let expiries: [Int64]

    /// Application protocols that clients may choose.
    package struct Protocols: OptionSet, Sendable {
        package let rawValue: Int32

        package init(rawValue: Int32) { self.rawValue = rawValue }

        package static let http1 = Protocols(rawValue: CTLS_HTTP1)
        package static let http2 = Protocols(rawValue: CTLS_HTTP2)
    }

    /// `identities`: the first is for clients that name no host, or another. `clientAuthorities`, in PEM: every client has
    /// to present a certificate that one of them signed. `recordsPerKey`: see RFC 8446 §5.5; `nil` for the bound of AES-GCM.
    /// `detaches`: whether sessions can be detached, for which their secrets are kept beside OpenSSL until they end.
    ///
    /// - Throws: What cannot be used, and why.
    package init(
        _ identities: [TLSIdentity],
        clientAuthorities: [UInt8]? = nil,
        protocols: Protocols = [.http1, .http2],
        recordsPerKey: UInt64? = nil,
        detaches: Bool = false
    ) throws(TLSContextError) {
        guard let pointer = ctls_context_new(protocols.rawValue) else {
            throw TLSContextError(part: .context, what: "no memory", fix: "give it more")
        }
        self.pointer = pointer
        ctls_context_set_detaches(pointer, detaches ? 1 : 0)
        do throws(TLSContextError) {
            for (number, identity) in identities.enumerated() {
                try Self.add(identity, number, to: pointer)
            }
            if let clientAuthorities { try Self.demand(clientAuthorities, of: pointer) }
        } catch {
            // All is set, so that `deinit` runs and frees the pointer.
            self.expiries = []
            throw error
        }
        if let recordsPerKey { ctls_context_set_records_per_key(pointer, recordsPerKey) }
        self.expiries = identities.indices.map { ctls_context_expiry(pointer, $0) }
    }

    deinit {
        ctls_context_free(self.pointer)
    }

    private static func add(
        _ identity: TLSIdentity,
        _ number: Int,
        to context: OpaquePointer
    ) throws(TLSContextError) {
        let (result, text) = self.withText { text, capacity in
            identity.chain.withUnsafeBytes { chain in
                identity.key.withUnsafeBytes { key in
                    ctls_context_add(
                        context,
                        chain.baseAddress,
                        chain.count,
                        key.baseAddress,
                        key.count,
                        text,
                        capacity
                    )
                }
            }
        }
        switch result {
        case CTLS_OK.rawValue: return
        case CTLS_NO_CERTIFICATE.rawValue:
            throw TLSContextError(part: .chain(number), what: "holds no certificate: \(text)", fix: self.pem)
        case CTLS_NO_KEY.rawValue:
            throw TLSContextError(part: .key(number), what: "holds no private key: \(text)", fix: self.pem)
        case CTLS_ENCRYPTED_KEY.rawValue:
            let fix = "decrypt it, such as with `openssl pkey`"
            throw TLSContextError(part: .key(number), what: "is encrypted", fix: fix)
        case CTLS_MISMATCH.rawValue:
            let fix = "name the key that the certificate was issued for"
            throw TLSContextError(part: .key(number), what: "is not the key of the certificate", fix: fix)
        case _:
            throw TLSContextError(part: .chain(number), what: "cannot be used: \(text)", fix: "use another")
        }
    }

    private static func demand(_ authorities: [UInt8], of context: OpaquePointer) throws(TLSContextError) {
        let (result, text) = self.withText { text, capacity in
            authorities.withUnsafeBytes { ctls_context_demand(context, $0.baseAddress, $0.count, text, capacity) }
        }
        guard result != CTLS_OK.rawValue else { return }
        throw TLSContextError(part: .clientAuthorities, what: "holds no certificate: \(text)", fix: self.pem)
    }

    private static let pem = "name a file in PEM"

    private static func withText(_ body: (UnsafeMutablePointer<CChar>, Int) -> Int32) -> (Int32, String) {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { text in
            text.initialize(repeating: 0)
            guard let start = text.baseAddress else { return (CTLS_FAILED.rawValue, "") }
            let result = body(start, text.count)
            return (result, String(cString: start))
        }
    }
}
