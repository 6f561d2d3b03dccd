import Foundation
import FreshetCore
import Testing

@testable import FreshetAccess

@Suite("Credentials")
struct CredentialsTests {
    private static let one = strongSecret(1)
    private static let two = strongSecret(2)

    private func fixture() throws -> AccessFixture {
        try AccessFixture { configuration in
            configuration.keys = [
                APIKey(id: "one", secret: Self.one, grants: Grants()),
                APIKey(id: "two", secret: Self.two, grants: Grants()),
            ]
            configuration.certificates = [
                CertificateHolder(subject: "CN=backend", grants: Grants(read: pattern("*")))
            ]
        }
    }

    private func result(_ all: Credentials.Credential...) throws -> Result<String, CredentialProblem>? {
        var credentials = Credentials()
        for credential in all { credentials.present(credential) }
        return try self.fixture().authenticator.authenticateNow(credentials)?.map(\.id)
    }

    @Test("two credentials are refused, the same one twice as well")
    func several() throws {
        let several = Result<String, CredentialProblem>.failure(CredentialProblem(.several))
        #expect(try self.result(.bearer(Self.one), .apiKey(Self.one)) == several)
        #expect(try self.result(.bearer(Self.one), .bearer(Self.one)) == several)
        #expect(try self.result(.ticket(Self.one), .queryToken(Self.two)) == several)
        #expect(try self.result(.cookie(Self.one), .cookie(Self.one)) == several)
        #expect(try self.result(.apiKey(Self.one), .cookie(Self.two), .cookie(Self.two)) == several)
    }

    @Test("what the client chose comes before its cookie, and its cookie before its certificate")
    func precedence() throws {
        let certificate = Credentials.Credential.certificate(subject: "CN=backend")
        #expect(try self.result(certificate, .cookie(Self.one), .apiKey(Self.two)) == .success("two"))
        #expect(try self.result(certificate, .cookie(Self.one)) == .success("one"))
        #expect(try self.result(certificate) == .success("CN=backend"))
        // A wrong one is not passed over.
        #expect(try self.result(.cookie(Self.one), .apiKey(strongSecret(3))) == .failure(CredentialProblem(.unknown)))
    }

    @Test("without a credential a caller is anonymous, with what everybody may")
    func anonymous() throws {
        let principal = try #require(try self.fixture().authenticator.authenticateNow(Credentials())?.get())
        #expect(principal == .anonymous(Grants(read: pattern("open-*"))))
    }

    @Test("a certificate is known by its whole subject")
    func certificates() throws {
        for subject in ["cn=backend", "CN=backend,O=x", "CN=backen", ""] {
            #expect(try self.result(.certificate(subject: subject)) == .failure(CredentialProblem(.certificate)))
        }
    }

    @Test("a ticket opens streams, and is a credential nowhere else")
    func ticket() throws {
        #expect(try self.result(.ticket(Self.one)) == .failure(CredentialProblem(.ticket)))
    }
}
