import CTLSTesting
import Glibc
import Synchronization

/// What a client of TLS asks for.
package struct TLSClientOptions: Hashable, Sendable {
    /// The host name that it asks for (SNI).
    package var name: String?
    /// Application protocols that it offers, in its order.
    package var protocols: [String] = []
    /// A certificate to trust, in PEM; `nil` trusts whatever comes.
    package var authority: String?
    package var identity: TestCertificate?
    /// TLS 1.3 alone, or 1.2 alone; `nil` leaves it to both sides.
    package var isTLS13: Bool?
    /// Cipher suites of TLS 1.3, as OpenSSL names them; `nil` for its own.
    package var suites: String?

    package init(
        name: String? = nil,
        protocols: [String] = [],
        authority: String? = nil,
        identity: TestCertificate? = nil,
        isTLS13: Bool? = nil,
        suites: String? = nil
    ) {
        self.suites = suites
        self.name = name
        self.protocols = protocols
        self.authority = authority
        self.identity = identity
        self.isTLS13 = isTLS13
    }
}

/// A certificate and its key, in PEM.
package struct TestCertificate: Hashable, Sendable {
    package var chain: String
    package var key: String

    /// Makes a key on P-256 and a certificate for a common name and alternative names, such as `DNS:a,IP:127.0.0.1`.
    ///
    /// `authority`: who signs it; by default it signs itself, and may sign others.
    package init(
        _ name: String,
        alternatives: String? = "DNS:localhost,IP:127.0.0.1",
        endingIn seconds: Int = 86_400,
        by authority: TestCertificate? = nil
    ) throws {
        var (chain, key): (UnsafeMutablePointer<CChar>?, UnsafeMutablePointer<CChar>?) = (nil, nil)
        let isMade = ctlstesting_certificate(
            name,
            alternatives,
            seconds,
            authority?.chain,
            authority?.key,
            &chain,
            &key
        )
        defer {
            free(chain)
            free(key)
        }
        guard isMade == 1, let chain, let key else { throw TestingError(.missing, "no certificate for \(name)") }
        self.chain = String(cString: chain)
        self.key = String(cString: key)
    }
}

/// A client's side of TLS over bytes. One thread at a time.
// Whoever uses it holds a lock around it, or is a test with one thread.
package final class TLSClientSession: @unchecked Sendable {
    private let pointer: OpaquePointer
    /// The server has said close_notify.
    package private(set) var hasHeardEnd = false

    package init(_ options: TLSClientOptions = TLSClientOptions()) throws {
        let protocols = options.protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        let pointer = Self.withText(options.name) { name in
            Self.withText(options.authority) { authority in
                Self.withText(options.identity?.chain) { chain in
                    Self.withText(options.identity?.key) { key in
                        Self.withText(options.suites) { suites in
                            protocols.withUnsafeBufferPointer { list -> OpaquePointer? in
                                var raw = ctlstesting_options()
                                raw.name = name
                                raw.authorities = authority
                                raw.certificate = chain
                                raw.key = key
                                raw.protocols = list.isEmpty ? nil : list.baseAddress
                                raw.protocols_count = list.count
                                raw.version = options.isTLS13.map { $0 ? 0x0304 : 0x0303 } ?? 0
                                raw.suites = suites
                                return ctlstesting_client_new(&raw)
                            }
                        }
                    }
                }
            }
        }
        guard let pointer else { throw TestingError(.missing, "no TLS client with these options") }
        self.pointer = pointer
    }

    deinit { ctlstesting_client_free(self.pointer) }

    private static func withText<Result>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> Result) -> Result {
        guard let text else { return body(nil) }
        return text.withCString(body)
    }

    /// Adds what the server sent.
    package func feed(_ bytes: [UInt8]) {
        ctlstesting_client_feed(self.pointer, bytes, bytes.count)
    }

    /// What is to be sent to the server.
    package func takeOutput() -> [UInt8] {
        var output: [UInt8] = []
        while true {
            let piece = [UInt8](unsafeUninitializedCapacity: 64 << 10) { buffer, count in
                count = ctlstesting_client_take(self.pointer, buffer.baseAddress, buffer.count)
            }
            if piece.isEmpty { return output }
            output += piece
        }
    }

    /// Shakes hands, and reads what there is. `isAtEnd`: the server has said close_notify.
    package func read() throws -> (bytes: [UInt8], isAtEnd: Bool) {
        var bytes: [UInt8] = []
        while true {
            var result: Int32 = 0
            bytes += [UInt8](unsafeUninitializedCapacity: 16 << 10) { buffer, count in
                result = ctlstesting_client_read(self.pointer, buffer.baseAddress, buffer.count)
                count = max(0, Int(result))
            }
            switch result {
            case 0:
                self.hasHeardEnd = true
                return (bytes, true)
            case -1: return (bytes, false)
            case 1...: continue
            case _: throw TestingError(.connectionEnded, "TLS: \(self.text)")
            }
        }
    }

    package func write(_ bytes: [UInt8]) throws {
        guard ctlstesting_client_write(self.pointer, bytes, bytes.count) == 1 else {
            throw TestingError(.connectionEnded, "TLS: \(self.text)")
        }
    }

    package func close() { ctlstesting_client_close(self.pointer) }

    /// Changes the key, and asks the server to change its own as well.
    package func updateKey(asksForOne: Bool) throws {
        guard ctlstesting_client_update_key(self.pointer, asksForOne ? 1 : 0) == 1 else {
            throw TestingError(.connectionEnded, "TLS: \(self.text)")
        }
    }

    package func renegotiate() throws {
        guard ctlstesting_client_renegotiate(self.pointer) == 1 else {
            throw TestingError(.connectionEnded, "TLS: \(self.text)")
        }
    }

    package var isOpen: Bool { ctlstesting_client_is_open(self.pointer) == 1 }
    package var isTLS13: Bool { ctlstesting_client_version(self.pointer) == 0x0304 }
    package var text: String { String(cString: ctlstesting_client_text(self.pointer)) }
    /// The application protocol that was agreed on.
    package var agreedProtocol: String { self.string(ctlstesting_client_protocol) }
    /// The common name of the server's certificate.
    package var serverName: String { self.string(ctlstesting_client_peer) }

    private func string(_ read: (OpaquePointer, UnsafeMutablePointer<CChar>, Int) -> Int) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            buffer.initialize(repeating: 0)
            guard let start = buffer.baseAddress, read(self.pointer, start, buffer.count) > 0 else { return "" }
            return String(cString: start)
        }
    }
}
