import Crypto
import CryptoExtras
import Foundation
import FreshetCore
import JWTKit
import Testing

@testable import FreshetAccess

@Suite("Tokens")
struct TokenTests {
    @Test("a token that says what it must is its subject's, with the grants of its claim, until exp")
    func good() async throws {
        let fixture = try AccessFixture()
        let grants =
            #","jti":"t1","freshet":{"read":["orders","rates-*"],"write":["orders"],"publish":["news"],"admin":true,"parameters":{"id":"42"},"later":1}"#
        let principal = try await fixture.bearer(fixture.issuer.token(fixture.claims(more: grants))).get()
        #expect(principal.kind == .jwt && principal.id == "alice" && principal.issuer == TestIssuer.name)
        #expect(principal.tokenID == "t1")
        #expect(principal.validUntil == WallTime(milliseconds: (fixture.clock.seconds + 3600) * 1000))
        #expect(principal.grants.read == pattern("orders,rates-*") && principal.grants.write == pattern("orders"))
        #expect(principal.grants.publish == pattern("news") && principal.grants.admin)
        #expect(principal.grants.parameters == ["id": "42"])
    }

    @Test("a token without the claim freshet may do nothing")
    func noGrants() async throws {
        let fixture = try AccessFixture()
        let principal = try await fixture.bearer(fixture.issuer.token(fixture.claims())).get()
        #expect(principal.grants == Grants())
    }

    @Test(
        "claims that are missing, doubled or of the wrong type are refused",
        arguments: [
            (#""aud":"freshet","exp":EXP"#, .issuer),
            (#""iss":"https://other.example","aud":"freshet","exp":EXP"#, .issuer),
            (#""iss":["https://id.example.com"],"aud":"freshet","exp":EXP"#, .issuer),
            (#""iss":"https://id.example.com","exp":EXP"#, .audience),
            (#""iss":"https://id.example.com","aud":"other","exp":EXP"#, .audience),
            (#""iss":"https://id.example.com","aud":"Freshet","exp":EXP"#, .audience),
            (#""iss":"https://id.example.com","aud":["other"],"exp":EXP"#, .audience),
            (#""iss":"https://id.example.com","aud":["freshet",1],"exp":EXP"#, .audience),
            (#""iss":"https://id.example.com","aud":{"freshet":1},"exp":EXP"#, .audience),
            (#""iss":"https://id.example.com","aud":"freshet""#, .claims),
            (#""iss":"https://id.example.com","aud":"freshet","exp":"EXP""#, .claims),
            (#""iss":"https://id.example.com","aud":"freshet","exp":null"#, .claims),
            (#""iss":"https://id.example.com","aud":"freshet","exp":1e300"#, .claims),
            (#""iss":"https://id.example.com","aud":"freshet","exp":EXP,"nbf":"0""#, .claims),
            (#""iss":"https://id.example.com","aud":"freshet","exp":EXP,"iat":true"#, .claims),
            (#""iss":"https://id.example.com","aud":"freshet","exp":EXP,"sub":7"#, .claims),
            (#""iss":"https://id.example.com","aud":"freshet","exp":EXP,"jti":7"#, .claims),
            (#""iss":"https://id.example.com","aud":"freshet","exp":1,"exp":EXP"#, .malformed),
            (#""iss":"https://id.example.com","aud":"freshet","exp":EXP,"x":{"a":1,"\u0061":2}"#, .malformed),
            (#""iss":"https://id.example.com","aud":"freshet","exp":EXP,"freshet":{"read":"orders"}"#, .grants),
            (#""iss":"https://id.example.com","aud":"freshet","exp":EXP,"freshet":{"read":["a,b"]}"#, .grants),
            (#""iss":"https://id.example.com","aud":"freshet","exp":EXP,"freshet":{"read":["A"]}"#, .grants),
            (#""iss":"https://id.example.com","aud":"freshet","exp":EXP,"freshet":{"read":[1]}"#, .grants),
            (#""iss":"https://id.example.com","aud":"freshet","exp":EXP,"freshet":{"admin":"true"}"#, .grants),
            (#""iss":"https://id.example.com","aud":"freshet","exp":EXP,"freshet":{"parameters":{"id":42}}"#, .grants),
            (#""iss":"https://id.example.com","aud":"freshet","exp":EXP,"freshet":[]"#, .grants),
        ] as [(String, CredentialProblem.Reason)]
    )
    func claims(text: String, reason: CredentialProblem.Reason) async throws {
        let fixture = try AccessFixture()
        let claims = "{\(text.replacingOccurrences(of: "EXP", with: "\(fixture.clock.seconds + 60)"))}"
        #expect(await fixture.refusal(try fixture.issuer.token(claims)) == reason)
    }

    @Test(
        "a header that asks for something else is refused",
        arguments: [
            (#"{"alg":"none","kid":"a"}"#, .algorithm), (#"{"alg":"None","kid":"a"}"#, .algorithm),
            (#"{"alg":"nOnE","kid":"a"}"#, .algorithm), (#"{"alg":"NONE","kid":"a"}"#, .algorithm),
            (#"{"alg":"","kid":"a"}"#, .algorithm), (#"{"alg":"es256","kid":"a"}"#, .algorithm),
            (#"{"alg":"ES256K","kid":"a"}"#, .algorithm), (#"{"alg":"HS256","kid":"a"}"#, .algorithm),
            (#"{"alg":"RS256","kid":"a"}"#, .algorithm), (#"{"kid":"a"}"#, .malformed),
            (#"{"alg":["ES256"],"kid":"a"}"#, .malformed), (#"{"alg":"ES256","kid":7}"#, .malformed),
            (#"{"alg":"none","alg":"ES256","kid":"a"}"#, .malformed),
            (#"{"alg":"ES256","kid":"a","crit":[]}"#, .critical),
            (#"{"alg":"ES256","kid":"a","crit":["exp"]}"#, .critical),
            (#"{"alg":"ES256","kid":"a","b64":true}"#, .critical),
            (#"{"alg":"ES256","kid":"a","typ":"JWE"}"#, .type), (#"{"alg":"ES256","kid":"a","typ":1}"#, .type),
            (#"{"alg":"ES256","kid":"a","typ":"dpop+jwt"}"#, .type), (#"{"alg":"ES256","kid":"b"}"#, .key),
            (#"{"alg":"ES256","kid":"A"}"#, .key), (#"[{"alg":"ES256"}]"#, .malformed), ("{}", .malformed),
            ("", .malformed), (#"{"alg":"ES256","kid":"a"} "#, nil),
            (#"{"alg":"ES256","kid":"a","typ":"AT+JWT"}"#, nil),
            (#"{"alg":"ES256","kid":"a","typ":"application/at+jwt"}"#, nil), (#"{"alg":"ES256"}"#, nil),
            (#"{"alg":"ES256","kid":"a","jku":"http://evil.example/","jwk":{},"x5u":"x"}"#, nil),
        ] as [(String, CredentialProblem.Reason?)]
    )
    func headers(header: String, reason: CredentialProblem.Reason?) async throws {
        let fixture = try AccessFixture()
        #expect(await fixture.refusal(try fixture.issuer.token(fixture.claims(), header: header)) == reason)
    }

    @Test("at exp a token is dead, without leeway; nbf and iat have sixty seconds")
    func times() async throws {
        let fixture = try AccessFixture()
        let now = fixture.clock.seconds
        func refusal(exp: Int64, more: String = "") async throws -> CredentialProblem.Reason? {
            let claims = #"{"iss":"\#(TestIssuer.name)","aud":"freshet","exp":\#(exp)\#(more)}"#
            return await fixture.refusal(try fixture.issuer.token(claims))
        }
        #expect(try await refusal(exp: now) == .expired)
        #expect(try await refusal(exp: now - 1) == .expired)
        #expect(try await refusal(exp: now + 1) == nil)
        #expect(try await refusal(exp: now + 99, more: #","nbf":\#(now + 60)"#) == nil)
        #expect(try await refusal(exp: now + 99, more: #","nbf":\#(now + 61)"#) == .notYetValid)
        #expect(try await refusal(exp: now + 99, more: #","iat":\#(now + 60).5"#) == .notYetValid)
        #expect(try await refusal(exp: now + 99, more: #","iat":\#(now)"#) == nil)
    }

    @Test("aud may be an array, and iss is compared byte for byte")
    func arrays() async throws {
        let fixture = try AccessFixture()
        let end = fixture.clock.seconds + 9
        let good = #"{"iss":"https:\/\/id.example.com","aud":["x","freshet"],"exp":\#(end)}"#
        #expect(await fixture.refusal(try fixture.issuer.token(good)) == nil)
        let bad = #"{"iss":"https://id.example.com/","aud":"freshet","exp":\#(end)}"#
        #expect(await fixture.refusal(try fixture.issuer.token(bad)) == .issuer)
    }

    @Test("what is no token is refused, however long it is")
    func noToken() async throws {
        let fixture = try AccessFixture()
        let good = String(decoding: try fixture.issuer.token(fixture.claims()).bytes, as: UTF8.self)
        let parts = good.split(separator: ".").map(String.init)
        let cases: [(String, CredentialProblem.Reason)] = [
            ("", .unknown), (".", .unknown), ("..", .malformed), ("a.b", .unknown), ("\(good).", .unknown),
            ("\(good)=", .malformed), ("\(good) ", .malformed), ("\(parts[0]).\(parts[1]).", .signature),
            ("\(parts[0]).\(parts[1]).AAAA", .signature), ("\(parts[0]).\(parts[1])\n.\(parts[2])", .malformed),
            (String(repeating: "a", count: 1 << 20), .tooLong), (good + String(repeating: "A", count: 9000), .tooLong),
            ("\(parts[1]).\(parts[0]).\(parts[2])", .malformed),
        ]
        for (token, reason) in cases {
            #expect(await fixture.refusal(Secret(token)) == reason, "\(token.prefix(80))")
        }
        #expect(await fixture.refusal(Secret(good)) == nil)
        // Each changed character of the signature, whatever its bits are.
        for offset in 0..<parts[2].utf8.count {
            var bytes = Array(good.utf8)
            let position = bytes.count - 1 - offset
            bytes[position] = bytes[position] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            let reason = await fixture.refusal(Secret(bytes))
            #expect(reason == .signature || reason == .malformed, "character \(position)")
        }
    }

    @Test("JWTKit's trap: an unknown kid is not verified with the first key that was added")
    func unknownKeyID() async throws {
        let issuer = TestIssuer("first", "second")
        let token = try issuer.token(
            TestIssuer.claims(TestClock()),
            keyID: "first",
            header: #"{"alg":"ES256","kid":"of nobody"}"#
        )
        let fixture = try AccessFixture(issuer)
        #expect(await fixture.refusal(token) == .key)
        // The collection of JWTKit takes it.
        let collection = JWTKeyCollection()
        for (id, key) in issuer.keys {
            await collection.add(ecdsa: try ES256PublicKey(backing: key.publicKey), kid: JWKIdentifier(string: id))
        }
        _ = try await collection.verify(token.bytes, as: AnyClaims.self)
    }

    @Test("JWTKit's trap: of a key without alg the configuration chooses the algorithm, not the token")
    func algorithmOfToken() async throws {
        // PS256 is not configured, and the token asks for it.
        let rsa = try JWTKit.Insecure.RSA.PrivateKey(backing: _RSA.Signing.PrivateKey(keySize: .bits2048))
        let parts = try rsa.publicKey.getKeyPrimitives()
        let jwk = #"{"kty":"RSA","kid":"r","n":"\#(text(parts.modulus))","e":"\#(text(parts.publicExponent))"}"#
        let set = Array(#"{"keys":[\#(jwk)]}"#.utf8)
        let fixture = try AccessFixture { $0.issuers[0].algorithms = [.rs256] }
        fixture.transport.answer(200, set)
        for (isPSS, reason) in [(true, CredentialProblem.Reason.algorithm), (false, nil)] {
            let signer = JWTKeyCollection()
            if isPSS {
                await signer.add(pss: rsa, digestAlgorithm: .sha256)
            } else {
                await signer.add(rsa: rsa, digestAlgorithm: .sha256)
            }
            let header = isPSS ? #"{"alg":"PS256","kid":"r"}"# : #"{"alg":"RS256","kid":"r"}"#
            let signed = "\(text(header.utf8)).\(text(fixture.claims().utf8))"
            let signature = try await signer.getKey().sign(Array(signed.utf8))
            let token = Secret("\(signed).\(text(signature))")
            #expect(await fixture.refusal(token) == reason)
            // The collection of JWTKit takes both: it makes the signer that the token names.
            let collection = try await JWTKeyCollection().add(jwksJSON: String(decoding: set, as: UTF8.self))
            _ = try await collection.verify(token.bytes, as: AnyClaims.self)
        }
    }

    @Test("an HMAC with the public key as its secret is refused")
    func confusion() async throws {
        let fixture = try AccessFixture()
        let pem = fixture.issuer.keys[0].key.publicKey.pemRepresentation
        let header = #"{"alg":"HS256","kid":"a"}"#
        let signed = "\(text(header.utf8)).\(text(fixture.claims().utf8))"
        let code = HMAC<SHA256>.authenticationCode(for: Array(signed.utf8), using: SymmetricKey(data: Array(pem.utf8)))
        #expect(await fixture.refusal(Secret("\(signed).\(text(Array(code)))")) == .algorithm)
    }

    @Test("a shared secret answers to every kid and to none")
    func sharedSecret() async throws {
        let secret = Secret("0123456789abcdef0123456789ABCDEFx")
        let fixture = try AccessFixture { configuration in
            configuration.issuers[0].algorithms = [.hs256]
            configuration.issuers[0].keys = .secret(secret)
        }
        for header in [#"{"alg":"HS256"}"#, #"{"alg":"HS256","kid":"x"}"#] {
            let signed = "\(text(header.utf8)).\(text(fixture.claims().utf8))"
            let key = SymmetricKey(data: secret.bytes)
            let code = HMAC<SHA256>.authenticationCode(for: Array(signed.utf8), using: key)
            #expect(await fixture.refusal(Secret("\(signed).\(text(Array(code)))")) == nil)
            #expect(await fixture.refusal(Secret("\(signed).\(text(Array(code).reversed()))")) == .signature)
        }
        #expect(fixture.transport.requests.isEmpty)
    }

}

/// Claims that JWTKit takes as they are.
private struct AnyClaims: JWTPayload {
    func verify(using algorithm: some JWTAlgorithm) async throws {}
}
