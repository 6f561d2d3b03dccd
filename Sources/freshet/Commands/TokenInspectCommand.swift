// `freshet token inspect`: what a token or a key file says, and what a configuration makes of it. Shows no secret.

import ArgumentParser
import Foundation
import FreshetAccess
import FreshetConfiguration
import FreshetCore
import JSON

struct TokenInspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show what a token or a key file says, and what it may do under a configuration.",
        discussion: """
            Shows claims and times of a token, and kind and algorithms of a key file; never a secret or a signature. With \
            --config it says whether a gateway with this configuration would accept it, and which sources it opens; the \
            exit code is 1 where it would not. What is given as an argument shows in the list of processes: name a file, or \
            write - for standard input.

            Examples:
              freshet token new … | freshet token inspect --config freshet.yaml -
              freshet token inspect secrets/mobile --config freshet.yaml
              freshet token inspect --jwks issuer.pem > jwks.json
            """
    )

    @Argument(help: "A file that holds a token or a key, - for standard input, or the token itself.")
    var credential: String

    @OptionGroup var configuration: ConfigurationOptions

    @Flag(help: "Ask the issuer for its keys where the configuration names a jwks_url.")
    var online = false

    @Flag(help: "Print the public part of a key as a JSON Web Key Set, as jwks_file takes it.")
    var jwks = false

    @Option(help: "The kid of the key in that set; by default its thumbprint (RFC 7638).")
    var kid: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        do {
            let content = try self.content()
            let secret = Secret(fileContent: content)
            if self.jwks { return Terminal.print(try self.keySet(content)) }
            var report = CredentialReport()
            if let token = try? ReadToken(secret) {
                report.describe(token)
            } else {
                report.describe(try Self.keyFile(content))
            }
            let isAccepted = try await self.judge(secret, in: &report)
            Terminal.print(self.json ? report.json : report.text(now: WallTime.now))
            if !isAccepted { throw ExitCode(1) }
        } catch let failure as StartFailure {
            try failure.exit()
        }
    }

    /// The bytes of the file, of standard input, or of the argument where it is a token.
    private func content() throws -> [UInt8] {
        if self.credential == "-" {
            let data = try FileHandle.standardInput.read(upToCount: KeyFile.maxBytes + 1) ?? Data()
            guard data.count <= KeyFile.maxBytes else { throw StartFailure("standard input: no token is so long") }
            return Array(data)
        }
        if !FileManager.default.fileExists(atPath: self.credential) {
            let argument = Array(self.credential.utf8)
            if (try? ReadToken(Secret(argument))) != nil { return argument }
            // It may be a secret all the same, so it is not repeated.
            throw StartFailure(
                "The argument is neither a file nor a token; name a file, or write - for standard input."
            )
        }
        do throws(ConfigurationFiles.Failure) {
            return try ConfigurationFiles.system.read(self.credential, KeyFile.maxBytes, true)
        } catch {
            throw StartFailure("\(self.credential) \(error.what); \(error.fix)")
        }
    }

    private static func keyFile(_ content: [UInt8]) throws -> KeyFile {
        do throws(KeyFile.Problem) {
            return try KeyFile(content)
        } catch {
            throw StartFailure("This is no token, and no key: \(error)")
        }
    }

    private func keySet(_ content: [UInt8]) throws -> String {
        let key: PublicKey?
        switch try Self.keyFile(content) {
        case .signing(let signer): key = signer.publicKey
        case .verifying(let verifier): key = verifier
        case .keySet, .secret: key = nil
        }
        guard let key else { throw StartFailure("A key set is made of a private or a public key in PEM.") }
        return #"{"keys":[\#(String(decoding: key.webKey(keyID: self.kid), as: UTF8.self))]}"#
    }

    /// Says what the configuration makes of it.
    ///
    /// - Returns: `false` where it is a credential that a gateway would refuse.
    private func judge(_ secret: Secret, in report: inout CredentialReport) async throws -> Bool {
        guard self.configuration.path != nil, report.kind.isCredential else { return true }
        let configuration = try self.configuration.load().configuration
        guard let auth = configuration.auth else {
            report.verdict = .noAuth
            return true
        }
        let authenticator =
            self.online
            ? try AccessControl(auth).authenticator
            : try AccessControl.offline(auth)
        switch await authenticator.authenticate(Credentials(.bearer(secret))) {
        case .success(let principal):
            report.verdict = .accepted(principal, sources: configuration.sources.map(\.name))
            return true
        case .failure(let problem) where problem.reason == .unavailable && !self.online:
            report.verdict = .unknown("the keys of its issuer are elsewhere; --online asks for them")
            return true
        case .failure(let problem):
            report.verdict = .refused(problem)
            return false
        }
    }
}
