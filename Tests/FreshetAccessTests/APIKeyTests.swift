import Base64
import Foundation
import FreshetCore
import System
import Testing

@testable import FreshetAccess

@Suite("API keys")
struct APIKeyTests {
    private func fixture(_ keys: [APIKey]) throws -> AccessFixture {
        try AccessFixture { $0.keys = keys }
    }

    @Test("a key is its id, with its grants, as Bearer, X-API-Key, query token and cookie")
    func good() async throws {
        let grants = Grants(read: pattern("orders"), admin: true)
        let fixture = try self.fixture([APIKey(id: "mobile", secret: strongSecret(), grants: grants)])
        let secret = strongSecret()
        for credential in [
            Credentials.Credential.bearer(secret), .apiKey(secret), .queryToken(secret), .cookie(secret),
        ] {
            let principal = try #require(try fixture.authenticator.authenticateNow(Credentials(credential))?.get())
            #expect(principal.kind == .key && principal.id == "mobile" && principal.grants == grants)
            #expect(principal.tokenID == nil && principal.validUntil == nil)
        }
        #expect(fixture.authenticator.snapshot.keysAccepted == 4)
    }

    @Test("anything but the whole key is unknown")
    func wrong() async throws {
        let fixture = try self.fixture([APIKey(id: "a", secret: strongSecret(), grants: Grants())])
        let bytes = strongSecret().bytes
        for wrong: [UInt8] in [[], Array(bytes.dropLast()), bytes + [0x41], bytes + [0x20], bytes.reversed()] {
            for credential in [Credentials.Credential.bearer(Secret(wrong)), .apiKey(Secret(wrong))] {
                let result = fixture.authenticator.authenticateNow(Credentials(credential))
                #expect(result == .failure(CredentialProblem(.unknown)))
            }
        }
        let long = Secret([UInt8](repeating: 0x41, count: TokenLimits.maxBytes + 1))
        #expect(
            fixture.authenticator.authenticateNow(Credentials(.apiKey(long))) == .failure(CredentialProblem(.tooLong))
        )
    }

    @Test("two secrets of one id are one caller, each in its own time")
    func rotation() throws {
        let start = TestClock().now
        func after(_ seconds: Int64) -> WallTime { WallTime(milliseconds: start.milliseconds + seconds * 1000) }
        let fixture = try self.fixture([
            APIKey(id: "mobile", secret: strongSecret(1), grants: Grants(), notAfter: after(100)),
            APIKey(id: "mobile", secret: strongSecret(2), grants: Grants(), notBefore: after(50)),
        ])
        func result(_ number: Int) -> Result<Principal.Account, CredentialProblem>? {
            fixture.authenticator.authenticateNow(Credentials(.apiKey(strongSecret(number))))?.map(\.account)
        }
        let account = Principal(kind: .key, id: "mobile", grants: Grants()).account
        #expect(result(1) == .success(account) && result(2) == .failure(CredentialProblem(.notYetValid)))
        fixture.clock.advance(by: .seconds(50))
        #expect(result(1) == .success(account) && result(2) == .success(account))
        fixture.clock.advance(by: .seconds(50))
        #expect(result(1) == .failure(CredentialProblem(.expired)) && result(2) == .success(account))
    }

    @Test("white space at the end of a secret file is no part of the key")
    func trailingWhiteSpace() {
        #expect(Secret(fileContent: Array("abc \t\r\n\n".utf8)).bytes == Array("abc".utf8))
        #expect(Secret(fileContent: Array(" \n".utf8)).bytes.isEmpty)
        #expect(Secret(fileContent: Array(" a b".utf8)).bytes == Array(" a b".utf8))
    }

    @Test(
        "a key is refused at load where its text cannot hold 128 bits",
        arguments: [
            ("abcdefghijklmnopqrstu", false), ("Zk3vQ9xWm2Lr7Tn5Yb8Hc", false), ("Zk3vQ9xWm2Lr7Tn5Yb8Hc1", true),
            ("0123456789abcdef0123456789abcde", false), ("5f2a9c0de17b483690ab1c2d3e4f5061", true),
            ("382916405738291640573829164057382916405", false), ("382916405728194650372918465029173846502", true),
            ("38291640572819465037291846502917384650", false), (String(repeating: "a", count: 64), false),
            (String(repeating: "abcdefgh", count: 8), false), (String(repeating: "abcdeabcde", count: 9), false),
            ("password-password-password-password-", false), ("", false),
        ]
    )
    func strength(text: String, isStrong: Bool) throws {
        let configuration = AccessConfiguration(keys: [APIKey(id: "a", secret: Secret(text), grants: Grants())])
        #expect(configuration.problems().isEmpty == isStrong, "\(SecretStrength.upperBound(Secret(text)))")
    }

    @Test("random keys of each shape are strong enough")
    func randomKeys() {
        var generator = SplitMix64(seed: 1)
        for (alphabet, length) in [("0123456789abcdef", 32), ("0123456789", 39)] {
            let characters = Array(alphabet.utf8)
            var weak = 0
            for _ in 0..<5000 {
                let bytes = (0..<length).map { _ in characters.randomElement(using: &generator) ?? 0 }
                if SecretStrength.upperBound(Secret(bytes)) < SecretStrength.minimumBits { weak += 1 }
            }
            #expect(weak == 0)
        }
        for _ in 0..<5000 {
            let bytes = (0..<17).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            #expect(SecretStrength.upperBound(Secret(Base64URL.encode(bytes))) >= SecretStrength.minimumBits)
        }
    }

    @Test("each mistake of the configuration is reported with its path, and no secret is in it")
    func problems() throws {
        let now = TestClock().now
        let secret = strongSecret()
        let weak = Secret("hunter2hunter2")
        let configuration = AccessConfiguration(
            keys: [
                APIKey(id: "a", secret: secret, grants: Grants()),
                APIKey(id: "", secret: secret, grants: Grants()),
                APIKey(id: "b", secret: weak, grants: Grants(), notBefore: now, notAfter: now),
                APIKey(id: "c", secret: Secret("Zk3vQ9xWm2 Lr7Tn5Yb8Hc1"), grants: Grants()),
            ],
            issuers: [
                TokenIssuer(issuer: "i", audience: "", algorithms: [], keys: .url("http://id.example.com/")),
                TokenIssuer(issuer: "i", audience: "a", algorithms: [.hs256, .es256], keys: .file("f")),
                TokenIssuer(issuer: "j", audience: "a", algorithms: [.hs256], keys: .url("https://id.example.com/")),
                TokenIssuer(issuer: "k", audience: "a", algorithms: [.es256], keys: .secret(secret)),
                TokenIssuer(issuer: "l", audience: "a", algorithms: [.hs512], keys: .secret(secret)),
                TokenIssuer(
                    issuer: "m",
                    audience: "a",
                    algorithms: [.hs256],
                    keys: .secret(Secret("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"))
                ),
            ],
            certificates: [
                CertificateHolder(subject: "CN=a", grants: Grants()),
                CertificateHolder(subject: "CN=a", grants: Grants()),
            ],
            ticketTTL: .zero
        )
        let problems = configuration.problems()
        #expect(
            problems.map(\.path) == [
                "auth.keys[1].secret_file", "auth.keys[1].id", "auth.keys[2].secret_file", "auth.keys[2].not_after",
                "auth.keys[3].secret_file", "auth.jwt[0].audience", "auth.jwt[0].algorithms", "auth.jwt[0].jwks_url",
                "auth.jwt[1].issuer", "auth.jwt[1].algorithms", "auth.jwt[2].algorithms", "auth.jwt[3].algorithms",
                "auth.jwt[4].secret_file", "auth.jwt[5].secret_file", "auth.certificates[1].subject", "auth.ticket_ttl",
            ]
        )
        let error = AccessProblems(problems: problems)
        for text in ["\(error)", String(reflecting: configuration.keys), "\(Credentials(.bearer(secret)))"] {
            #expect(!text.contains("hunter2") && !text.contains("Zk3vQ9x") && !text.contains("MFkwEw"))
        }
        var dumped = ""
        dump(configuration, to: &dumped)
        #expect(!dumped.contains("hunter2") && !dumped.contains("104, 117, 110"))
        #expect(throws: AccessProblems.self) {
            try Authenticator(
                configuration,
                ticketKey: .random(),
                fetch: { _ in KeyResponse(status: 404, body: []) },
                clock: { now }
            )
        }
    }

    @Test(
        "keys come by https, or by http from this machine",
        arguments: [
            ("https://id.example.com/jwks", true), ("HTTPS://id.example.com", true), ("http://127.0.0.1:8080/k", true),
            ("http://localhost/k", true), ("http://[::1]:80/k", true), ("http://127.8.9.1", true), ("https://", false),
            ("http://id.example.com/", false), ("http://localhost.evil.example/", false),
            ("http://127.0.0.1.evil/", false),
            ("http://localhost@evil.example/", false), ("http://[::2]/", false), ("http://127.1/", false),
            ("http://0x7f.0.0.1/", false), ("http://127.0.0.01/", false), ("http://localhost\\@evil/", false),
            ("ftp://localhost/", false), ("file:///etc/passwd", false), ("https://a b/", false), ("", false),
            ("http://[::1].evil.example/", false), ("http://127.0.0.1:80@evil.example/", false),
        ]
    )
    func urls(url: String, isAllowed: Bool) {
        #expect(KeySetURL.isAllowed(url) == isAllowed)
    }

    @Test("a wrong key takes as long whether it begins like a key or not (S21)")
    func timing() throws {
        // A busy machine makes one round look like a difference; a leak shows in each, and in the same direction.
        var rounds: [Double] = []
        for seed in UInt64(2)...5 {
            rounds.append(try self.difference(seed: seed))
            if abs(rounds[rounds.count - 1]) < 4.5 { return }
        }
        #expect(Set(rounds.map(\.sign)).count == 2, "t is \(rounds)")
    }

    /// Welch's t of the times that keys take which begin like a key, and which do not.
    private func difference(seed: UInt64) throws -> Double {
        var generator = SplitMix64(seed: seed)
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        func draw() -> [UInt8] { (0..<43).map { _ in alphabet[Int(generator.next() & 0x3F)] } }
        let keys = (0..<500).map { _ in draw() }
        let fixture = try self.fixture(
            keys.enumerated().map { APIKey(id: "\($0.offset)", secret: Secret($0.element), grants: Grants()) }
        )
        // Each text once: where a hash lies in the table must not decide, only how the text begins.
        let attempts = (0..<20_000).map { number -> (isNear: Bool, credentials: Credentials) in
            let isNear = generator.next() & 1 == 0
            // Both kinds are made alike, so that where their bytes lie in memory makes no difference either.
            var text = draw()
            let begin = (isNear ? keys[number % keys.count] : draw()).prefix(39)
            text.replaceSubrange(..<39, with: begin)
            return (isNear, Credentials(.apiKey(Secret(text))))
        }
        var samples: [[Double]] = [[], []]
        let clock = ContinuousClock()
        for attempt in attempts {
            var isUnknown = false
            let time = clock.measure {
                isUnknown =
                    fixture.authenticator.authenticateNow(attempt.credentials) == .failure(CredentialProblem(.unknown))
            }
            try #require(isUnknown)
            samples[attempt.isNear ? 0 : 1].append(time.inSeconds)
        }
        // What the scheduler does to the slowest tenth says nothing about the code.
        let kept = samples.map { $0.sorted().prefix($0.count * 9 / 10) }
        let means = kept.map { $0.reduce(0, +) / Double($0.count) }
        let variances = zip(kept, means).map { samples, mean in
            samples.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(samples.count - 1) / Double(samples.count)
        }
        return (means[0] - means[1]) / (variances[0] + variances[1]).squareRoot()
    }
}
