import Base64
import Crypto
import Foundation
import FreshetCore
import Testing

@testable import FreshetAccess

@Suite("Authenticator")
struct AuthenticatorTests {
    @Test("a token is verified once and then found, until it dies")
    func cache() async throws {
        let fixture = try AccessFixture()
        let token = try fixture.issuer.token(fixture.claims())
        let credentials = Credentials(.bearer(token))
        #expect(fixture.authenticator.authenticateNow(credentials) == nil)
        let principal = try await fixture.authenticator.authenticate(credentials).get()
        #expect(fixture.authenticator.authenticateNow(credentials) == .success(principal))
        var snapshot = fixture.authenticator.snapshot
        #expect(snapshot.tokenHits == 1 && snapshot.tokenMisses == 1 && snapshot.cachedTokens == 1)
        // Another signature of the same claims is another token.
        let twin = Credentials(.bearer(try fixture.issuer.token(fixture.claims())))
        #expect(fixture.authenticator.authenticateNow(twin) == nil)
        fixture.clock.advance(by: .seconds(3600))
        #expect(fixture.authenticator.authenticateNow(credentials) == .failure(CredentialProblem(.expired)))
        #expect(fixture.authenticator.authenticateNow(credentials) == nil)
        snapshot = fixture.authenticator.snapshot
        #expect(snapshot.cachedTokens == 0 && snapshot.refusals == [.expired: 1])
    }

    @Test("a cached token dies with the next configuration, deny list or key")
    func dropped() async throws {
        let folder = try TemporaryFolder()
        try folder.write("", to: "denied")
        var fixture = try AccessFixture { $0.denyFile = folder.path("denied") }
        let token = Credentials(.bearer(try fixture.issuer.token(fixture.claims())))
        func isCached() -> Bool { fixture.authenticator.authenticateNow(token) != nil }
        func verify() async -> CredentialProblem.Reason? {
            if case .failure(let problem) = await fixture.authenticator.authenticate(token) {
                problem.reason
            } else {
                nil
            }
        }
        #expect(await verify() == nil && isCached())
        try folder.write("alice", to: "denied")
        fixture.clock.advance(by: .seconds(1))
        var revision = fixture.authenticator.revision
        await fixture.authenticator.maintain()
        #expect(fixture.authenticator.revision > revision && !isCached())
        #expect(await verify() == .denied)
        #expect(!isCached())
        try folder.write("", to: "denied")
        fixture.clock.advance(by: .seconds(1))
        await fixture.authenticator.maintain()
        #expect(await verify() == nil && isCached())
        var configuration = AccessFixture.configuration
        configuration.issuers[0].audience = "another"
        revision = fixture.authenticator.revision
        try fixture.authenticator.update(configuration)
        #expect(fixture.authenticator.revision > revision && !isCached())
        #expect(await verify() == .audience)
        try fixture.authenticator.update(AccessFixture.configuration)
        #expect(await verify() == nil && isCached())
        fixture.issuer.keys = [("a", P256.Signing.PrivateKey())]
        fixture.transport.answer(200, fixture.issuer.keySet)
        fixture.clock.advance(by: .seconds(600))
        await fixture.authenticator.maintain()
        #expect(!isCached())
        #expect(await verify() == .signature)
    }

    @Test("the keys of an issuer that stays as it was outlive a reload")
    func reload() async throws {
        let fixture = try AccessFixture()
        #expect(await fixture.refusal(try fixture.issuer.token(fixture.claims())) == nil)
        try fixture.authenticator.update(AccessFixture.configuration)
        #expect(await fixture.refusal(try fixture.issuer.token(fixture.claims())) == nil)
        #expect(fixture.transport.requests.count == 1)
        var wrong = AccessFixture.configuration
        wrong.issuers[0].algorithms = []
        #expect(throws: AccessProblems.self) { try fixture.authenticator.update(wrong) }
        #expect(await fixture.refusal(try fixture.issuer.token(fixture.claims())) == nil)
    }

    @Test("the cache is bounded, and keeps what is asked for")
    func bounded() throws {
        var tokens = VerifiedTokens(maxCost: 100 * 712)
        func hash(_ number: Int) -> SecretHash { SecretHash(of: Array("\(number)".utf8)) }
        func found(_ number: Int) -> String? { tokens.principal(hash(number))?.id }
        for number in 0..<10_000 {
            tokens.insert(Principal(kind: .jwt, id: "\(number)", grants: Grants()), hash(number), tokenBytes: 100)
            #expect(tokens.count <= 100)
            #expect(found(0) == "0")
        }
        #expect(found(9999) == "9999" && found(5000) == nil)
        tokens.remove(hash(9999))
        #expect(found(9999) == nil)
    }

    @Test("a running stream's caller is told what it may now, or that it has ended")
    func standing() async throws {
        let (key, later) = (strongSecret(1), strongSecret(2))
        let start = TestClock().now
        let end = WallTime(milliseconds: start.milliseconds + 60_000)
        var configuration = AccessFixture.configuration
        configuration.keys = [APIKey(id: "k", secret: key, grants: Grants(read: pattern("a")), notAfter: end)]
        configuration.certificates = [CertificateHolder(subject: "CN=c", grants: Grants(read: pattern("b")))]
        let fixture = try AccessFixture { $0 = configuration }
        let authenticator = fixture.authenticator
        func now(_ credential: Credentials.Credential?) throws -> Principal {
            try #require(try authenticator.authenticateNow(credential.map(Credentials.init) ?? Credentials())?.get())
        }
        let holder = try now(.apiKey(key))
        let certificate = try now(.certificate(subject: "CN=c"))
        let anonymous = try now(nil)
        let token = try await fixture.bearer(fixture.issuer.token(fixture.claims())).get()
        for principal in [holder, certificate, anonymous, token, .administrator] {
            #expect(authenticator.standing(of: principal) == .valid(principal))
        }
        configuration.keys[0].grants = Grants(read: pattern("z"))
        configuration.certificates[0].grants = Grants(read: pattern("y"))
        configuration.anonymous = Grants(read: pattern("x"))
        try authenticator.update(configuration)
        for (principal, read) in [(holder, "z"), (certificate, "y"), (anonymous, "x")] {
            guard case .valid(let present) = authenticator.standing(of: principal) else {
                Issue.record("\(principal.kind) is not valid")
                continue
            }
            #expect(present.grants.read == pattern(read) && present.account == principal.account)
        }
        // The same id with another secret is not the key that the stream was opened with.
        configuration.keys[0].secret = later
        configuration.certificates = []
        configuration.issuers = []
        try authenticator.update(configuration)
        for principal in [holder, certificate, token] { #expect(authenticator.standing(of: principal) == .revoked) }
        fixture.clock.advance(by: .seconds(60))
        #expect(authenticator.standing(of: holder) == .expired)
    }

    @Test("a not_after that a reload brings forward ends a running stream")
    func shortened() throws {
        var configuration = AccessFixture.configuration
        configuration.keys = [APIKey(id: "k", secret: strongSecret(), grants: Grants())]
        let fixture = try AccessFixture { $0 = configuration }
        let principal = try #require(
            try fixture.authenticator.authenticateNow(Credentials(.apiKey(strongSecret())))?.get()
        )
        configuration.keys[0].notAfter = fixture.clock.now
        try fixture.authenticator.update(configuration)
        #expect(fixture.authenticator.standing(of: principal) == .expired)
    }

    @Test("base64url is read strictly: one text for each sequence of bytes")
    func base64url() {
        for bytes in [[], [0], [0, 1], [0, 1, 2], [255, 254, 253, 252], Array(0...255)] as [[UInt8]] {
            let encoded = Base64URL.encode(bytes)
            #expect(Base64URL.decode(encoded) == bytes)
            #expect(
                String(decoding: encoded, as: UTF8.self)
                    == Data(bytes).base64EncodedString()
                    .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
                    .replacingOccurrences(of: "=", with: "")
            )
        }
        for text in ["A", "AA==", "AB", "AAB", "AA A", "AA\n", "A+", "A/", "Aé", "AAAAA"] {
            #expect(Base64URL.decode(text.utf8) == nil, "\(text)")
        }
    }
}
