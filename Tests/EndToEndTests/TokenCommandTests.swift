import Foundation
import FreshetTesting
import JSON
import Testing

/// `freshet token`, as a person uses it.
@Suite("The verb token", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct TokenCommandTests {
    private static let secret = "canary-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa"

    private static func run(_ arguments: String...) async throws -> (
        status: FreshetTesting.ExitStatus, output: String, errors: String
    ) {
        let process = try FreshetProcess(arguments)
        let status = try await process.exitStatus()
        return (status, process.output, process.errors)
    }

    /// A configuration with an issuer that shares a secret, and one with a key set.
    private static func configuration(in folder: TemporaryFolder, keySet: String = #"{"keys":[]}"#) throws -> String {
        try folder.write(self.secret + "\n", to: "shared")
        try folder.write(keySet, to: "jwks.json")
        return try folder.write(
            """
            listen: 127.0.0.1:0
            auth:
              keys: [{ id: mobile, secret_file: shared, read: [orders] }]
              jwt:
                - { issuer: ours, audience: freshet, algorithms: [HS256], secret_file: shared }
                - { issuer: theirs, audience: freshet, algorithms: [ES256, EdDSA, RS256], jwks_file: jwks.json }
            sources: { orders: { url: "http://127.0.0.1:1/" }, rates: {}, rates-old: {} }

            """,
            to: "freshet.yaml"
        )
    }

    @Test("a token by the configured secret opens what it says in the program, and inspect says the same")
    func shared() async throws {
        let folder = try TemporaryFolder()
        let file = try Self.configuration(in: folder)
        let made = try await Self.run(
            "token",
            "new",
            "--config",
            file,
            "--issuer",
            "ours",
            "--subject",
            "u42",
            "--read",
            "rates*",
            "--publish",
            "rates",
            "--ttl",
            "10m",
            "--parameter",
            "id=42",
            "--id",
            "one"
        )
        #expect(made.status == .exited(0), "\(made.errors)")
        let token = made.output.trimmingCharacters(in: .newlines)
        let gateway = try FreshetProcess(["serve", "--config", file])
        let client = HTTPTestClient(try await gateway.endpoint(), headers: ["Authorization": "Bearer \(token)"])
        let me = try Document(parsing: try await client.get("/v1/me").body).root
        #expect(me["id"]?.string == "u42" && me["kind"]?.string == "jwt")
        #expect(me["read"]?.elements.compactMap(\.string) == ["rates*"])
        #expect(me["parameters"]?["id"]?.string == "42")
        #expect(
            try await client.send(
                "POST",
                "/v1/sources/rates/value",
                headers: [:],
                body: Array("[1]".utf8),
                timeout: .patience
            ).status == 200
        )
        #expect(try await client.get("/v1/values/rates").text == "[1]")
        #expect(try await client.get("/v1/values/orders").status == 404)
        try await gateway.terminate()

        let path = try folder.write(token + "\n", to: "token")
        let shown = try await Self.run("token", "inspect", path, "--config", file)
        #expect(shown.status == .exited(0))
        for text in [
            "Accepted as jwt u42.", "rates* (2 of 3 sources: rates, rates-old)", "parameter   id=42",
            "alg         HS256",
        ] {
            #expect(shown.output.contains(text), "\(text): \(shown.output)")
        }
        let json = try await Self.run("token", "inspect", path, "--config", file, "--json")
        let report = try Document(parsing: Array(json.output.utf8)).root
        #expect(report["accepted"]?.bool == true)
        #expect(report["claims"]?["jti"]?.string == "one")
        #expect(report["sources"]?.count == 2)
        let signature = try #require(token.split(separator: ".").last)
        #expect(!(shown.output + json.output).contains(signature), "a signature makes a token")

        // The key of an API is a credential too, and a token of yesterday none any more.
        let key = try await Self.run("token", "inspect", folder.path("shared"), "--config", file)
        #expect(key.status == .exited(0))
        #expect(key.output.contains("Accepted as key mobile."))
        #expect(!(key.output + key.errors).contains("canary"))
        let other = try await Self.run(
            "token",
            "new",
            "--key",
            folder.path("shared"),
            "--issuer",
            "nobody",
            "--audience",
            "freshet"
        )
        let foreign = try folder.write(other.output, to: "foreign")
        let refused = try await Self.run("token", "inspect", foreign, "--config", file)
        #expect(refused.status == .exited(1))
        #expect(refused.output.contains("Refused: The token's issuer is not configured."))
    }

    @Test(
        "a private key of openssl signs, its key set comes from inspect, and the gateway accepts the token",
        arguments: [
            (["ecparam", "-name", "prime256v1", "-genkey", "-noout"], "ES256"),
            (["genpkey", "-algorithm", "ed25519"], "EdDSA"),
            (["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "RS256"),
        ]
    )
    func privateKey(arguments: [String], algorithm: String) async throws {
        let folder = try TemporaryFolder()
        let openssl = try FreshetProcess(arguments, binary: "/usr/bin/openssl")
        #expect(try await openssl.exitStatus() == .exited(0))
        let key = try folder.write(openssl.output, to: "issuer.pem")
        let set = try await Self.run("token", "inspect", "--jwks", key, "--kid", "k1")
        #expect(set.status == .exited(0), "\(set.errors)")
        let file = try Self.configuration(in: folder, keySet: set.output)
        let made = try await Self.run(
            "token",
            "new",
            "--key",
            key,
            "--config",
            file,
            "--issuer",
            "theirs",
            "--subject",
            "a",
            "--read",
            "*",
            "--kid",
            "k1"
        )
        #expect(made.status == .exited(0), "\(made.errors)")
        let path = try folder.write(made.output, to: "token")
        let shown = try await Self.run("token", "inspect", path, "--config", file, "--json")
        let report = try Document(parsing: Array(shown.output.utf8)).root
        #expect(report["header"]?["alg"]?.string == algorithm)
        #expect(report["accepted"]?.bool == true, "\(shown.output)")
        #expect(report["sources"]?.count == 3)
        let described = try await Self.run("token", "inspect", key)
        #expect(described.status == .exited(0) && described.output.hasPrefix("private key"))
        for line in openssl.output.split(separator: "\n") where !line.hasPrefix("-----") {
            #expect(!(set.output + described.output + shown.output).contains(line), "the private key is shown")
        }
    }

    @Test("what cannot be done is said, without the secret, and ends with 1, or with 64 for wrong usage")
    func refusals() async throws {
        let folder = try TemporaryFolder()
        let file = try Self.configuration(in: folder)
        try folder.write("canary-short", to: "short")
        let cases: [(arguments: [String], code: Int32, text: String)] = [
            (["new", "--key", folder.path("none"), "--issuer", "a", "--audience", "b"], 1, "does not exist"),
            (["new", "--key", folder.path("short"), "--issuer", "a", "--audience", "b"], 1, "too short for HS256"),
            (["new", "--key", folder.path("shared"), "--issuer", "a"], 64, "--audience"),
            (["new", "--config", file, "--issuer", "nobody"], 1, "no such issuer"),
            (["new", "--config", file], 1, "several issuers"),
            (["new", "--config", file, "--issuer", "theirs"], 64, "--key"),
            (["new", "--config", file, "--issuer", "ours", "--ttl", "60"], 64, "has no unit"),
            (["new", "--config", file, "--issuer", "ours", "--read", "UPPER"], 64, "--read"),
            (["new", "--config", file, "--issuer", "ours", "--algorithm", "ES256"], 64, "does not fit the key"),
            (["inspect", "canary-neither-file-nor-token"], 1, "neither a file nor a token"),
            (["inspect", "--jwks", folder.path("shared")], 1, "A key set is made of"),
        ]
        for (arguments, code, text) in cases {
            let process = try FreshetProcess(["token"] + arguments)
            #expect(try await process.exitStatus() == .exited(code), "\(arguments)")
            let said = process.output + process.errors
            #expect(said.contains(text), "\(arguments): \(said)")
            #expect(!process.output.contains("canary-") && !process.errors.contains("Error: canary"), "\(said)")
        }
    }
}
