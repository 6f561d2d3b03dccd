import Crypto
import CryptoExtras
import Foundation
import FreshetCore
import JSON
import Testing

@testable import FreshetAccess

@Suite("Making tokens")
struct TokenMakingTests {
    /// A key file of each kind, and the algorithms that it signs with.
    private static func files() throws -> [(name: String, content: String, algorithms: [TokenAlgorithm])] {
        let rsa: [TokenAlgorithm] = [.rs256, .ps256, .rs384, .rs512, .ps384, .ps512]
        return [
            ("P-256", P256.Signing.PrivateKey().pemRepresentation, [.es256]),
            ("P-384", P384.Signing.PrivateKey().pemRepresentation, [.es384]),
            ("P-521", P521.Signing.PrivateKey().pemRepresentation, [.es512]),
            ("Ed25519", Curve25519.Signing.PrivateKey().pemRepresentation, [.edDSA]),
            ("RSA, 2048 bits", try _RSA.Signing.PrivateKey(keySize: .bits2048).pemRepresentation, rsa),
        ]
    }

    private static func token(_ clock: TestClock, grants: Grants, subject: String = "u42") -> NewToken {
        NewToken(
            issuer: TestIssuer.name,
            audience: TestIssuer.audience,
            subject: subject,
            tokenID: "t1",
            issuedAt: clock.now,
            expiresAt: WallTime(milliseconds: (clock.seconds + 60) * 1000),
            grants: grants
        )
    }

    @Test("a private key of each kind signs with each of its algorithms, and the gateway takes it by the public part")
    func privateKeys() async throws {
        let folder = try TemporaryFolder()
        let grants = Grants(
            read: pattern("a,b*"),
            write: pattern("a"),
            publish: pattern("c"),
            admin: true,
            parameters: ["id": "42 \"ü\""]
        )
        for (name, content, algorithms) in try Self.files() {
            guard case .signing(let key) = try KeyFile(Array(content.utf8)) else {
                Issue.record("\(name) is no private key")
                continue
            }
            #expect(key.algorithms == algorithms)
            let publicKey = try #require(key.publicKey)
            #expect(publicKey.name == name)
            try folder.write(#"{"keys":[\#(String(decoding: publicKey.webKey(), as: UTF8.self))]}"#, to: "jwks.json")
            let fixture = try AccessFixture { configuration in
                configuration.issuers[0].algorithms = Set(algorithms)
                configuration.issuers[0].keys = .file(folder.path("jwks.json"))
            }
            for algorithm in algorithms {
                for keyID in [nil, publicKey.thumbprint] {
                    let token = try await Self.token(fixture.clock, grants: grants)
                        .signed(by: key, with: algorithm, keyID: keyID)
                    let principal = try await fixture.bearer(Secret(token)).get()
                    #expect(principal.grants == grants && principal.id == "u42" && principal.tokenID == "t1")
                    #expect(principal.validUntil == WallTime(milliseconds: (fixture.clock.seconds + 60) * 1000))
                }
                let other = try await Self.token(fixture.clock, grants: grants).signed(
                    by: key,
                    with: algorithm,
                    keyID: "x"
                )
                #expect(await fixture.refusal(Secret(other)) == .key)
            }
        }
    }

    @Test("a shared secret signs with each HS… that it is long enough for", arguments: [31, 32, 47, 48, 63, 64])
    func sharedSecrets(length: Int) async throws {
        let text = String((0..<length).map { Character(Unicode.Scalar(UInt8(ascii: "a") + UInt8($0 % 26))) })
        let key = SigningKey(Secret(text))
        let expected = [TokenAlgorithm.hs256, .hs384, .hs512].filter { length >= $0.minSecretBytes }
        #expect(key?.algorithms ?? [] == expected)
        guard let key else { return }
        for algorithm in expected {
            let fixture = try AccessFixture { configuration in
                configuration.issuers[0].algorithms = [algorithm]
                configuration.issuers[0].keys = .secret(Secret(text))
            }
            let token = try await Self.token(fixture.clock, grants: Grants(read: pattern("a"))).signed(
                by: key,
                with: algorithm
            )
            #expect(await fixture.refusal(Secret(token)) == nil)
        }
        #expect(key.publicKey == nil)
    }

    @Test("what no gateway would take is not signed")
    func refusals() async throws {
        let clock = TestClock()
        guard case .signing(let key) = try KeyFile(Array(P256.Signing.PrivateKey().pemRepresentation.utf8)) else {
            return
        }
        func reason(_ token: NewToken, _ algorithm: TokenAlgorithm = .es256) async -> CredentialProblem.Reason? {
            do throws(CredentialProblem) {
                _ = try await token.signed(by: key, with: algorithm)
                return nil
            } catch {
                return error.reason
            }
        }
        let grants = Grants(read: pattern("a"))
        #expect(await reason(Self.token(clock, grants: grants)) == nil)
        #expect(await reason(Self.token(clock, grants: grants), .es384) == .algorithm)
        #expect(await reason(Self.token(clock, grants: grants, subject: String(repeating: "s", count: 256))) == .claims)
        var past = Self.token(clock, grants: grants)
        past.expiresAt = past.issuedAt
        #expect(await reason(past) == .expired)
        let many = SourcePattern((0..<1000).map { .exact("source-number-\($0)") })
        #expect(await reason(Self.token(clock, grants: Grants(read: many))) == .tooLong)
    }

    @Test("the thumbprint is that of RFC 7638 §3.1")
    func thumbprint() throws {
        let modulus =
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
            + "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajr"
            + "n1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
        let set = #"{"keys":[{"kty":"RSA","n":"\#(modulus)","e":"AQAB","alg":"RS256","kid":"2011-04-29"}]}"#
        guard case .keySet(let entries) = try KeyFile(Array(set.utf8)), case .usable(let key)? = entries.first else {
            Issue.record("no key set")
            return
        }
        #expect(key.thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")
        #expect(key.keyID == "2011-04-29")
        #expect(key.name == "RSA, 2048 bits")
    }

    @Test("a key file of another kind is that kind, or says why it is none")
    func kinds() throws {
        let publicKey = P256.Signing.PrivateKey().publicKey
        guard case .verifying(let key) = try KeyFile(Array(publicKey.pemRepresentation.utf8)) else {
            Issue.record("no public key")
            return
        }
        #expect(key.algorithms == [.es256])
        let set = #"{"keys":[\#(TestIssuer.jwk(publicKey, id: "a")),{"kty":"EC"},{"kty":"oct","k":"AAAA"}]}"#
        guard case .keySet(let entries) = try KeyFile(Array(set.utf8)) else {
            Issue.record("no key set")
            return
        }
        #expect(entries.count == 3)
        guard case .secret = try KeyFile(Array("abc\n".utf8)) else {
            Issue.record("no secret")
            return
        }
        for bad in ["", " \n", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "-----BEGIN"] {
            #expect(throws: KeyFile.Problem.self) { try KeyFile(Array(bad.utf8)) }
        }
    }

    @Test("a token is read without its signature; what is none is refused")
    func reading() async throws {
        let fixture = try AccessFixture()
        let secret = try fixture.issuer.token(fixture.claims(more: #","nbf":1.5"#))
        let token = try ReadToken(secret)
        #expect(token.claims.root["sub"]?.string == "alice")
        #expect(token.header.root["alg"]?.string == "ES256")
        #expect(token.time("nbf") == WallTime(milliseconds: 1500))
        #expect(token.time("iat") == nil)
        #expect(!String(reflecting: token).contains(String(decoding: secret.bytes.suffix(40), as: UTF8.self)))
        for text in ["", "a.b", "a.b.c", "e30.e30.e30", String(repeating: "a", count: 9000)] {
            #expect(throws: CredentialProblem.self) { try ReadToken(Secret(text)) }
        }
    }

    @Test("a parameter bound to a claim has the value that the credential proves, and none without one")
    func claims() {
        let grants = Grants(parameters: ["id": "42", "sub": "forged"])
        let caller = Principal(kind: .jwt, id: "u42", grants: grants)
        #expect(caller.claim("id") == "42")
        #expect(caller.claim("sub") == "u42")
        #expect(caller.claim("other") == nil)
        #expect(Principal(kind: .jwt, id: "", grants: grants).claim("sub") == nil)
        #expect(Principal.anonymous(Grants()).claim("sub") == nil)
    }
}
