// `freshet token new`: signs a JSON Web Token that the gateway accepts.

import ArgumentParser
import FreshetAccess
import FreshetConfiguration
import FreshetCore
import JSON

struct TokenNewCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new",
        abstract: "Sign a token with a private key or a shared secret, and print it.",
        discussion: """
            A private key in PEM signs ES256, ES384, ES512, EdDSA or RS256 and its kin; any other file is a secret that is \
            shared with the gateway, for HS256. With --config, issuer and audience are those of auth.jwt, and so is the \
            secret where the issuer has a secret_file.

            Examples:
              freshet token new --config freshet.yaml --subject u42 --read orders,rates-*
              openssl ecparam -name prime256v1 -genkey -noout -out issuer.pem
              freshet token new --key issuer.pem --issuer me --audience freshet --subject u42 --read '*' --ttl 15m
              freshet token inspect --jwks issuer.pem > jwks.json
            """
    )

    @Option(help: "The private key (PEM), or the file of the shared secret.")
    var key: String?

    @OptionGroup var configuration: ConfigurationOptions

    @Option(help: "Who vouches for the token: iss.")
    var issuer: String?

    @Option(help: "For whom it is: aud.")
    var audience: String?

    @Option(help: "Whom it is about: sub.")
    var subject: String?

    @Option(help: "How long it is valid.")
    var ttl = "1h"

    @Option(help: "Sources that may be read: names, beginnings with *, or '*'; separated by commas.")
    var read: [String] = []

    @Option(help: "Sources that may be written through.")
    var write: [String] = []

    @Option(help: "Sources whose value may be pushed.")
    var publish: [String] = []

    @Flag(help: "It may administer the gateway.")
    var admin = false

    @Option(help: "NAME=VALUE for sources whose parameter is bound to a claim; may be repeated.")
    var parameter: [String] = []

    @Option(help: "The signature algorithm; by default the usual one of the key.")
    var algorithm: String?

    @Option(help: "Which of the issuer's keys it is: kid.")
    var kid: String?

    @Option(help: "A name of this one token, by which it can be denied: jti.")
    var id: String?

    @Flag(help: "Print an object with the token, its claims and its end.")
    var json = false

    func run() async throws {
        do {
            let (token, text) = try await self.make()
            guard self.json else { return Terminal.print(text) }
            var json = JSONWriter()
            json.object { json in
                json.member("token", text)
                json.member("expires_at", token.expiresAt.description)
                json.member("claims", raw: token.claims)
            }
            Terminal.print(String(decoding: json.text, as: UTF8.self))
        } catch let failure as StartFailure {
            try failure.exit()
        }
    }

    private func make() async throws -> (NewToken, String) {
        let issuer = try self.configuredIssuer()
        let key = try self.signingKey(issuer)
        guard let name = self.issuer ?? issuer?.issuer, let audience = self.audience ?? issuer?.audience else {
            throw ValidationError("Name the issuer and the audience: --issuer and --audience, or --config.")
        }
        let ttl = try self.duration()
        let now = WallTime.now
        let token = NewToken(
            issuer: name,
            audience: audience,
            subject: self.subject,
            tokenID: self.id,
            issuedAt: WallTime(milliseconds: now.milliseconds / 1000 * 1000),
            expiresAt: WallTime(milliseconds: now.milliseconds + ttl.milliseconds),
            grants: try self.grants()
        )
        let algorithm = try self.chosen(of: key, issuer)
        do throws(CredentialProblem) {
            return (token, try await token.signed(by: key, with: algorithm, keyID: self.kid))
        } catch {
            throw StartFailure("No gateway would take this token: \(error)")
        }
    }

    /// The issuer of the configuration that the token is made for; `nil` without `--config`.
    private func configuredIssuer() throws -> TokenIssuer? {
        guard self.configuration.path != nil || self.key == nil else { return nil }
        let issuers = try self.configuration.load().configuration.auth?.access.issuers ?? []
        let fitting = issuers.filter { self.issuer == nil || $0.issuer == self.issuer }
        guard let first = fitting.first, fitting.count == 1 else {
            let names = issuers.map(\.issuer).joined(separator: ", ")
            throw StartFailure(
                fitting.isEmpty
                    ? "The configuration has no such issuer in auth.jwt; it has \(names.isEmpty ? "none" : names)."
                    : "The configuration has several issuers; name one with --issuer: \(names)."
            )
        }
        return first
    }

    private func signingKey(_ issuer: TokenIssuer?) throws -> SigningKey {
        if let path = self.key { return try Self.signingKey(in: path) }
        guard case .secret(let secret)? = issuer?.keys else {
            throw ValidationError(
                "Name the private key with --key: the configuration has public keys of this issuer only."
            )
        }
        guard let key = SigningKey(secret) else { throw StartFailure("The issuer's secret is too short to sign with.") }
        return key
    }

    private static func signingKey(in path: String) throws -> SigningKey {
        switch try KeyFile.read(path) {
        case .signing(let key): return key
        case .verifying, .keySet: throw StartFailure("\(path): a public key signs nothing; name the private key")
        case .secret(let secret):
            guard let key = SigningKey(secret) else {
                throw StartFailure(
                    "\(path): too short for HS256, which needs 32 bytes; make one with `freshet token key`"
                )
            }
            return key
        }
    }

    /// The algorithm that was asked for, or the first that both the key and the issuer's configuration allow.
    private func chosen(of key: SigningKey, _ issuer: TokenIssuer?) throws -> TokenAlgorithm {
        let possible = key.algorithms.filter { issuer?.algorithms.contains($0) ?? true }
        let names = possible.map(\.rawValue).joined(separator: ", ")
        guard let asked = self.algorithm else {
            if let first = possible.first { return first }
            let list = key.algorithms.map(\.rawValue).joined(separator: ", ")
            throw StartFailure("The key signs \(list), and the configuration accepts none of them from this issuer.")
        }
        guard let algorithm = TokenAlgorithm(rawValue: asked), possible.contains(algorithm) else {
            throw ValidationError("\(asked) does not fit the key; possible: \(names.isEmpty ? "none" : names).")
        }
        return algorithm
    }

    private func duration() throws -> Duration {
        let ttl: Duration
        do throws(QuantityError) {
            ttl = try DurationText.parse(self.ttl)
        } catch {
            throw ValidationError("--ttl: \(error.what); \(error.fix).")
        }
        guard ttl >= .seconds(1) else { throw ValidationError("--ttl: write 1s or more.") }
        return ttl
    }

    private func grants() throws -> Grants {
        Grants(
            read: try Self.pattern(self.read, "read"),
            write: try Self.pattern(self.write, "write"),
            publish: try Self.pattern(self.publish, "publish"),
            admin: self.admin,
            parameters: try Dictionary(self.parameter.map(Self.parameter)) { _, last in last }
        )
    }

    private static func pattern(_ texts: [String], _ name: String) throws -> SourcePattern {
        guard !texts.isEmpty else { return .none }
        guard let selector = SourceSelector(texts.joined(separator: ",")) else {
            throw ValidationError(
                "--\(name) takes names of sources, their beginnings with *, or '*', separated by commas."
            )
        }
        return SourcePattern(selector)
    }

    private static func parameter(_ text: String) throws -> (String, String) {
        guard let mark = text.firstIndex(of: "="), mark != text.startIndex else {
            throw ValidationError("--parameter takes NAME=VALUE.")
        }
        return (String(text[..<mark]), String(text[text.index(after: mark)...]))
    }
}

extension KeyFile {
    /// - Throws: ``StartFailure`` for a file that cannot be read or is no key.
    static func read(_ path: String) throws(StartFailure) -> KeyFile {
        let content: [UInt8]
        do throws(ConfigurationFiles.Failure) {
            content = try ConfigurationFiles.system.read(path, Self.maxBytes, true)
        } catch {
            throw StartFailure("\(path) \(error.what); \(error.fix)")
        }
        do throws(KeyFile.Problem) {
            return try KeyFile(content)
        } catch {
            throw StartFailure("\(path): \(error)")
        }
    }
}
