// The tokens of `streamdata.tokens_file`, and the signatures made with their keys (CONTRACT §14).

import Crypto
import Foundation
package import FreshetCore

/// The application tokens that may have addresses polled. A value without the tokens themselves; any thread.
package struct StreamdataTokens: Hashable, Sendable {
    /// What is wrong with a line of the file. The line is not in it.
    package struct Problem: Error, Hashable, Sendable {
        /// From 1.
        package var line: Int
        package var what: String

        package init(line: Int, what: String) {
            self.line = line
            self.what = what
        }
    }

    private struct Entry: Hashable, Sendable {
        let hash: SecretHash
        /// `nil` where URLs need not be signed.
        let key: SigningPair?
    }

    /// What the SDK calls the private key: the base64 of a public half and a secret one.
    private struct SigningPair: Hashable, Sendable {
        let beacon: [UInt8]
        let secret: Secret

        private static let halfBytes = 36

        init?(_ text: Substring) {
            guard let bytes = Data(base64Encoded: String(text)), bytes.count == 2 * Self.halfBytes else { return nil }
            self.beacon = Array(bytes.prefix(Self.halfBytes))
            self.secret = Secret(Array(bytes.suffix(Self.halfBytes)))
        }
    }

    private let entries: [SecretHash: Entry]
    /// The keys that seal what is asked for with the tokens; see ``seal(_:)``.
    let sealing: [Fingerprint: Secret]
    /// The first line with a token of less than ``safeTokenBytes``.
    package let guessableLine: Int?

    /// A shorter token can be guessed: it is taken, and worth a warning.
    package static let safeTokenBytes = 16
    /// The most tokens.
    package static let maxTokens = 100_000
    /// How long a signed URL is good: `EventSource` asks for the same one whenever it reconnects.
    package static let signatureLifetime = Duration.seconds(86_400)
    /// How far a stamp may be in the future.
    package static let signatureSkew = Duration.seconds(300)

    /// Reads the file: a line is a token and, after a blank, its signing key. Empty lines and those that begin with `#` say
    /// nothing.
    package init(_ content: [UInt8]) throws(Problem) {
        var entries: [SecretHash: Entry] = [:]
        var sealing: [Fingerprint: Secret] = [:]
        var number = 0
        var guessable: Int?
        let lines = content.split(separator: 0x0A, omittingEmptySubsequences: false)
        for line in lines {
            number += 1
            guard let text = String(validating: line, as: UTF8.self) else {
                throw Problem(line: number, what: "the line is not UTF-8")
            }
            let words = text.split(whereSeparator: { " \t\r".contains($0) })
            guard let token = words.first, !token.hasPrefix("#") else { continue }
            guard words.count <= 2 else { throw Problem(line: number, what: "more than a token and a key") }
            if token.utf8.count < Self.safeTokenBytes { guessable = guessable ?? number }
            var key: SigningPair?
            if words.count == 2 {
                key = SigningPair(words[1])
                guard key != nil else {
                    throw Problem(line: number, what: "the key is not the base64 of 72 bytes")
                }
            }
            let hash = SecretHash(of: Array(token.utf8))
            guard entries[hash] == nil else { throw Problem(line: number, what: "the token stands in an earlier line") }
            guard entries.count < Self.maxTokens else {
                throw Problem(line: number, what: "more than \(Self.maxTokens) tokens")
            }
            entries[hash] = Entry(hash: hash, key: key)
            sealing[hash.fingerprint] = Self.sealingKey(of: Array(token.utf8))
        }
        self.entries = entries
        self.sealing = sealing
        self.guessableLine = guessable
    }

    package var isEmpty: Bool { self.entries.isEmpty }

    /// The hash of the token of a request, where the token is known and the request is signed if the token has a key.
    ///
    /// - Throws: ``StreamdataProblem`` of kind `unauthorized`.
    package func caller(of request: StreamdataRequest, now: WallTime) throws(StreamdataProblem) -> Fingerprint {
        guard let entry = self.entries[SecretHash(of: Array(request.token.utf8))] else {
            throw StreamdataProblem(.unauthorized, "The token is unknown.")
        }
        guard let key = entry.key else { return entry.hash.fingerprint }
        guard let signature = request.signature else {
            throw StreamdataProblem(.unauthorized, "URLs of this token have to be signed.")
        }
        try Self.verify(signature, by: key, now: now)
        return entry.hash.fingerprint
    }

    /// A hash of other bytes.
    package static func fingerprint(of bytes: [UInt8]) -> Fingerprint { SecretHash(of: bytes).fingerprint }

    private static func verify(
        _ signature: StreamdataRequest.Signature,
        by key: SigningPair,
        now: WallTime
    ) throws(StreamdataProblem) {
        let message = Array("GET\n\(signature.stamp)\n".utf8) + signature.url + [0x0A]
        let code = HMAC<SHA512>.authenticationCode(for: message, using: SymmetricKey(data: key.secret.bytes))
        // Compared as text: what is sent is not decoded, since several texts decode to the same bytes.
        let expected = Data(key.beacon + Array(Data(code).base64EncodedString().utf8)).base64EncodedString()
        guard equalInConstantTime(Array(expected.utf8), Array(signature.text.utf8)) else {
            throw StreamdataProblem(.unauthorized, "The signature is not one of this URL and token.")
        }
        guard signature.stamp.utf8.count <= 15, let stamp = Int64(signature.stamp), stamp >= 0 else {
            throw StreamdataProblem(.unauthorized, "The stamp of the signature is not a time.")
        }
        let age = now.milliseconds - stamp
        guard age <= Self.signatureLifetime.milliseconds, age >= -Self.signatureSkew.milliseconds else {
            throw StreamdataProblem(.unauthorized, "The signature is too old, or from the future.")
        }
    }
}
