import Crypto
import Foundation
import FreshetCore
import Testing

@testable import FreshetAccess

@Suite("Keys of an issuer")
struct IssuerKeyTests {
    @Test("10,000 tokens with 10,000 unknown kids, at once and one after the other, cost one request in 30 s (S7)")
    func flood() async throws {
        let fixture = try AccessFixture()
        let claims = fixture.claims()
        fixture.transport.hold()
        let reasons = await withTaskGroup(of: CredentialProblem.Reason?.self) { group in
            for number in 0..<5000 {
                group.addTask {
                    guard let token = try? fixture.issuer.token(claims, header: #"{"alg":"ES256","kid":"u\#(number)"}"#)
                    else { return nil }
                    return await fixture.refusal(token)
                }
            }
            // The first one has asked by then; the others wait for its answer or come later.
            while fixture.transport.requests.isEmpty { await Task.yield() }
            fixture.transport.release()
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(reasons.allSatisfy { $0 == .key } && reasons.count == 5000)
        for number in 5000..<10_000 {
            let token = try fixture.issuer.token(claims, header: #"{"alg":"ES256","kid":"u\#(number)"}"#)
            #expect(await fixture.refusal(token) == .key)
        }
        #expect(fixture.transport.requests.count == 1)
        #expect(await fixture.refusal(try fixture.issuer.token(claims)) == nil)
        fixture.clock.advance(by: .seconds(30))
        let late = try fixture.issuer.token(fixture.claims(), header: #"{"alg":"ES256","kid":"late"}"#)
        #expect(await fixture.refusal(late) == .key)
        #expect(await fixture.refusal(late) == .key)
        #expect(fixture.transport.requests.count == 2)
        #expect(fixture.authenticator.snapshot.refusals[.key] == 10_002)
    }

    @Test("the request goes to the configured URL, with bounds")
    func request() async throws {
        let fixture = try AccessFixture()
        #expect(await fixture.refusal(try fixture.issuer.token(fixture.claims())) == nil)
        let expected = KeyRequest(url: AccessFixture.url, maxBytes: 512 << 10, timeout: .seconds(10))
        #expect(fixture.transport.requests == [expected])
    }

    @Test("a new key is found after its first token, and a withdrawn one ends with the next refresh")
    func rotation() async throws {
        var fixture = try AccessFixture(TestIssuer("old"))
        let old = try fixture.issuer.token(fixture.claims(), keyID: "old")
        let principal = try await fixture.bearer(old).get()
        let revision = fixture.authenticator.revision
        fixture.issuer.keys.append(("new", P256.Signing.PrivateKey()))
        fixture.transport.answer(200, fixture.issuer.keySet)
        let new = try fixture.issuer.token(fixture.claims(), keyID: "new")
        // Not before 30 s after the first request.
        #expect(await fixture.refusal(new) == .key)
        fixture.clock.advance(by: .seconds(30))
        #expect(await fixture.refusal(new) == nil)
        #expect(fixture.authenticator.revision > revision)
        #expect(await fixture.refusal(old) == nil)
        fixture.issuer.keys.removeFirst()
        fixture.transport.answer(200, fixture.issuer.keySet)
        fixture.clock.advance(by: .seconds(600))
        #expect(fixture.authenticator.standing(of: principal) == .valid(principal))
        await fixture.authenticator.maintain()
        #expect(fixture.authenticator.standing(of: principal) == .revoked)
        #expect(await fixture.refusal(old) == .key)
        #expect(await fixture.refusal(new) == nil)
    }

    @Test("while the issuer is down its keys are kept, and after a day they are not")
    func outage() async throws {
        let fixture = try AccessFixture()
        let claims = #"{"iss":"\#(TestIssuer.name)","aud":"freshet","exp":\#(fixture.clock.seconds + 999_999)}"#
        #expect(await fixture.refusal(try fixture.issuer.token(claims)) == nil)
        for (status, body) in [
            (500, []), (200, Array("{}".utf8)), (200, [UInt8](repeating: 0x20, count: 10 << 20)), (302, []),
        ] {
            fixture.transport.answer(status, body)
            fixture.clock.advance(by: .seconds(600))
            await fixture.authenticator.maintain()
            #expect(await fixture.refusal(try fixture.issuer.token(claims)) == nil)
            let other = try fixture.issuer.token(claims, header: #"{"alg":"ES256","kid":"b"}"#)
            #expect(await fixture.refusal(other) == .unavailable)
        }
        fixture.transport.fail()
        fixture.clock.advance(by: .seconds(600))
        await fixture.authenticator.maintain()
        let status = try #require(fixture.authenticator.snapshot.issuers.first)
        #expect(status.attempts == 6 && status.failures == 5 && status.keys == 1)
        #expect(status.failure == "connection refused")
        fixture.clock.advance(by: .seconds(86_400 - 5 * 600 - 1))
        #expect(await fixture.refusal(try fixture.issuer.token(claims)) == nil)
        fixture.clock.advance(by: .seconds(1))
        #expect(await fixture.refusal(try fixture.issuer.token(claims)) == .unavailable)
        fixture.transport.answer(200, fixture.issuer.keySet)
        fixture.clock.advance(by: .seconds(30))
        #expect(await fixture.refusal(try fixture.issuer.token(claims)) == nil)
    }

    @Test("an issuer that never answered makes its tokens unavailable, not wrong, and is asked every 30 s")
    func neverThere() async throws {
        let fixture = try AccessFixture()
        fixture.transport.fail()
        for _ in 0..<3 { #expect(await fixture.refusal(try fixture.issuer.token(fixture.claims())) == .unavailable) }
        #expect(fixture.transport.requests.count == 1)
        fixture.clock.advance(by: .seconds(29))
        await fixture.authenticator.maintain()
        #expect(fixture.transport.requests.count == 1)
        fixture.transport.answer(200, fixture.issuer.keySet)
        fixture.clock.advance(by: .seconds(1))
        #expect(await fixture.refusal(try fixture.issuer.token(fixture.claims())) == nil)
    }

    @Test("a token of the past asks no issuer for its key")
    func expiredAsksNobody() async throws {
        let fixture = try AccessFixture()
        let claims = #"{"iss":"\#(TestIssuer.name)","aud":"freshet","exp":\#(fixture.clock.seconds)}"#
        #expect(await fixture.refusal(try fixture.issuer.token(claims)) == .expired)
        #expect(fixture.transport.requests.isEmpty)
    }

    @Test("the keys of two issuers are never pooled")
    func issuers() async throws {
        let (one, other) = (TestIssuer("k"), TestIssuer("k"))
        let clock = TestClock()
        let sets = ["https://one.example/": one.keySet, "https://other.example/": other.keySet]
        let configuration = AccessConfiguration(
            issuers: sets.keys.sorted().map {
                TokenIssuer(issuer: $0, audience: "freshet", algorithms: [.es256], keys: .url($0))
            }
        )
        let authenticator = try Authenticator(
            configuration,
            ticketKey: .random(),
            fetch: { KeyResponse(status: 200, body: sets[$0.url] ?? []) },
            clock: { clock.now }
        )
        for (name, issuer) in [("https://one.example/", one), ("https://other.example/", other)] {
            for (signer, isGood) in [(one, name.contains("one")), (other, name.contains("other"))] {
                let token = try signer.token(#"{"iss":"\#(name)","aud":"freshet","exp":\#(clock.seconds + 9)}"#)
                let result = await authenticator.authenticate(Credentials(.bearer(token)))
                #expect(result.map(\.issuer) == (isGood ? .success(name) : .failure(CredentialProblem(.signature))))
            }
            #expect(issuer.keys.count == 1)
        }
    }

    @Test("a set's unusable keys are skipped, each for its reason, and the others are used")
    func skipped() throws {
        let good = P256.Signing.PrivateKey().publicKey
        let point = good.rawRepresentation
        let (x, y) = (text(point.prefix(32)), text(point.suffix(32)))
        let cases: [(String, JSONWebKey.Unusable?)] = [
            (TestIssuer.jwk(good, id: "a"), nil), (TestIssuer.jwk(good, id: "a", more: ""), nil), ("1", .malformed),
            ("{}", .malformed), (#"{"kty":"EC"}"#, .malformed), (#"{"kty":"XX"}"#, .unsupported),
            (TestIssuer.jwk(good, id: "a", more: #","use":"enc""#), .otherUse),
            (TestIssuer.jwk(good, id: "a", more: #","key_ops":["sign"]"#), .otherUse),
            (TestIssuer.jwk(good, id: "a", more: #","key_ops":["verify","verify"]"#), .malformed),
            (TestIssuer.jwk(good, id: "a", more: #","key_ops":"verify""#), .malformed),
            (TestIssuer.jwk(good, id: "a", more: #","key_ops":["verify"]"#), nil),
            (TestIssuer.jwk(good, id: "a", more: #","alg":"ES384""#), .unsupported),
            (TestIssuer.jwk(good, id: "a", more: #","alg":"none""#), .unsupported),
            (TestIssuer.jwk(good, id: "a", more: #","alg":"HS256""#), .unsupported),
            (TestIssuer.jwk(good, id: "a", more: #","d":"AAAA""#), .isPrivate),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"\#(x)"}"#, .weak),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"\#(y)="}"#, .malformed),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"AAAA"}"#, .weak),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"AAAA\#(y)"}"#, .malformed),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":""}"#, .malformed),
            (#"{"kty":"EC","crv":"secp256k1","x":"\#(x)","y":"\#(y)"}"#, .unsupported),
            (#"{"kty":"OKP","crv":"X25519","x":"\#(x)"}"#, .unsupported),
            (#"{"kty":"RSA","n":"\#(x)","e":"AQAB"}"#, .weak), (#"{"kty":"oct","k":"AAAA"}"#, .weak),
            (#"{"kty":"oct","k":"\#(text(Array("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKo".utf8)))"}"#, .weak),
        ]
        for (jwk, reason) in cases {
            let set = try #require(KeySet(Array(#"{"keys":[\#(jwk)]}"#.utf8)))
            #expect(set.skipped.first?.reason == reason && set.keys.count == (reason == nil ? 1 : 0), "\(jwk)")
        }
        let all = cases.map(\.0).joined(separator: ",")
        #expect(KeySet(Array(#"{"keys":[\#(all)]}"#.utf8))?.keys.count == cases.filter { $0.1 == nil }.count)
        let many = [String](repeating: cases[0].0, count: 150).joined(separator: ",")
        let set = try #require(KeySet(Array(#"{"keys":[\#(many)]}"#.utf8)))
        #expect(set.keys.count == KeySet.maxKeys && set.skipped == [KeySet.Skipped(index: 100, reason: .tooMany)])
        for text in ["", "[]", "{}", #"{"keys":{}}"#, #"{"keys":[],"keys":[]}"#, #"{"keys":[]}x"#] {
            #expect(KeySet(Array(text.utf8)) == nil, "\(text)")
        }
    }

    @Test("of two keys with one kid neither is used; the same key twice is one")
    func ambiguous() async throws {
        let (one, other) = (P256.Signing.PrivateKey().publicKey, P256.Signing.PrivateKey().publicKey)
        func keys(_ keys: P256.Signing.PublicKey...) async throws -> VerificationKeys {
            let jwks = keys.map { TestIssuer.jwk($0, id: "a") }.joined(separator: ",")
            let set = try #require(KeySet(Array(#"{"keys":[\#(jwks)]}"#.utf8)))
            return await VerificationKeys(set, algorithms: [.es256])
        }
        let (id, none) = (Array("a".utf8), [UInt8]?.none)
        let same = try await keys(one, one)
        #expect(same.key(id, .es256) != nil && same.key(none, .es256) != nil && same.skipped.isEmpty)
        for two in [try await keys(one, other), try await keys(one, other, one)] {
            #expect(two.key(id, .es256) == nil && two.key(none, .es256) == nil && two.fingerprints.isEmpty)
            #expect(two.skipped.contains { $0.reason == .ambiguous })
        }
    }
}
