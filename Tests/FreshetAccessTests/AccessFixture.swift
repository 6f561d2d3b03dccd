import Foundation
import FreshetCore

@testable import FreshetAccess

/// An authenticator with one issuer, a fake transport and a clock that a test moves.
struct AccessFixture {
    let clock = TestClock()
    let transport: FakeTransport
    var issuer: TestIssuer
    let authenticator: Authenticator
    static let url = "https://id.example.com/jwks"

    init(
        _ issuer: TestIssuer = TestIssuer("a"),
        ticketKey: TicketKey = .random(),
        _ change: (inout AccessConfiguration) -> Void = { _ in }
    ) throws {
        self.issuer = issuer
        self.transport = FakeTransport(issuer.keySet)
        var configuration = Self.configuration
        change(&configuration)
        self.authenticator = try Authenticator(
            configuration,
            ticketKey: ticketKey,
            fetch: self.transport.fetch,
            clock: { [clock] in clock.now }
        )
    }

    static var configuration: AccessConfiguration {
        AccessConfiguration(
            anonymous: Grants(read: pattern("open-*")),
            issuers: [
                TokenIssuer(
                    issuer: TestIssuer.name,
                    audience: TestIssuer.audience,
                    algorithms: [.es256],
                    keys: .url(Self.url)
                )
            ]
        )
    }

    func bearer(_ secret: Secret) async -> Result<Principal, CredentialProblem> {
        await self.authenticator.authenticate(Credentials(.bearer(secret)))
    }

    /// The reason of a refusal; `nil` where the token is good.
    func refusal(_ secret: Secret) async -> CredentialProblem.Reason? {
        switch await self.bearer(secret) {
        case .success: nil
        case .failure(let problem): problem.reason
        }
    }

    func claims(subject: String = "alice", more: String = "") -> String {
        TestIssuer.claims(self.clock, subject: subject, more: more)
    }
}

/// A pattern from a selector's text.
func pattern(_ text: String) -> SourcePattern {
    SourceSelector(text).map { SourcePattern($0) } ?? .none
}

/// A secret that is strong enough.
func strongSecret(_ number: Int = 0) -> Secret {
    Secret("Zk3vQ9xWm2Lr7Tn5Yb8Hc1\(number)")
}

/// A folder that ends with the test.
final class TemporaryFolder {
    let url: URL

    init() throws {
        self.url = FileManager.default.temporaryDirectory.appending(path: "freshet-access-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.url, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(at: self.url)
    }

    func path(_ name: String) -> String { self.url.appending(path: name).path }

    func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: self.url.appending(path: name))
    }
}
