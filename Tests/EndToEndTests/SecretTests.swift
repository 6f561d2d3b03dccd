import Foundation
import FreshetTesting
import Testing

/// Canaries in every place of a URL, looked for in everything that the program says.
@Suite("Secrets in URLs", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct SecretTests {
    private static let query = "api_key=canary1&flag&canary2&sig=canary3=&t=${CANARY}&d=${NONE:-canary5}"

    @Test(
        "A04: the program shows no secret of a URL, in configuration, log, answers and page",
        arguments: [true, false]
    )
    func shown(isUp: Bool) async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/moved", respond: .status(302, headers: ["Location": "http://u:canary6@127.0.0.1:1/?k=canary7"]))
        upstream.on("*", respond: .json("[1]"))
        let folder = try TemporaryFolder()
        let origin = isUp ? upstream.url("") : "http://127.0.0.1:1"
        let file = try folder.write(
            """
            listen: 127.0.0.1:0
            sources:
              direct: { url: "\(origin)/v?\(Self.query)", interval: 1h }
              moved: { url: "\(origin)/moved?\(Self.query)", interval: 1h }
              refused: { url: "\(origin)/v?\(Self.query)", interval: 1h, format: csv, expect: /a }
            """,
            to: "freshet.yaml"
        )
        let environment: [String: String?] = ["CANARY": "canary4"]
        let process = try FreshetProcess(["serve", "--config", file, "--log-level", "trace"], environment: environment)
        let client = try await process.client()
        var answers: [String] = []
        for source in ["direct", "moved", "refused"] {
            for path in ["/v1/values/\(source)", "/v1/sources/\(source)", "/v1/changes/\(source)"] {
                answers.append(try await client.get(path + "?canary8=canary8").text)
            }
            answers.append(try await client.post("/v1/admin/sources/\(source)/poll", body: []).text)
        }
        for path in ["/v1/sources", "/metrics", "/readyz?verbose", "/"] {
            answers.append(try await client.get(path).text)
        }
        #expect(try await process.terminate() == .exited(0))
        #expect(process.errors.contains("api_key=***"), "the log names the URL")
        for text in answers + [process.errors, process.output] { #expect(!text.contains("canary"), "\(text)") }

        let show = try FreshetProcess(["config", "show", "--config", file], environment: environment)
        #expect(try await show.exitStatus() == .exited(0))
        #expect(show.output.contains("/v?api_key=***&***&***&sig=***&t=***&d=***"))
        #expect(!(show.output + show.errors).contains("canary"), "\(show.output)")
        let online = try FreshetProcess(["validate", "--online", "--config", file], environment: environment)
        try await online.exitStatus()
        #expect(!(online.output + online.errors).contains("canary"))
    }

    @Test(
        "A04: what refuses a URL does not repeat its secrets",
        arguments: [
            "https://user:canary@api.example.com/", "https://api.example.com/a b?key=canary",
            "ftp://user:canary@api.example.com/?key=canary", "https://{x}.example.com/?key=canary",
            "https://api.example.com/?key=canary#canary", "https://api.example.com:99999/?canary",
        ]
    )
    func refused(url: String) async throws {
        let folder = try TemporaryFolder()
        for configuration in [
            "sources: { a: { url: \"\(url)\" } }", "listen: \"\(url)\"\nsources: { a: { url: \"http://a/\" } }",
            "cors: { origins: [\"\(url)\"] }\nsources: { a: { url: \"http://a/\" } }",
            "admin: { listen: \"\(url)\", host_names: [\"\(url)\"] }\nsources: { a: { url: \"http://a/\" } }",
            "sources: { \"\(url)\": { url: \"http://a/\" } }", "\"\(url)\": 1\nsources: { a: { url: \"http://a/\" } }",
            "sources: { a: { url: \"http://a/\", interval: \"\(url)\", key: \"\(url)\", format: \"\(url)\" } }",
        ] {
            let file = try folder.write(configuration + "\n", to: "freshet.yaml")
            let process = try FreshetProcess(["validate", "--config", file])
            #expect(try await process.exitStatus() == .exited(1), "\(configuration)")
            #expect(!(process.output + process.errors).contains("canary"), "\(process.output)\(process.errors)")
        }
        for verb in ["serve", "try"] {
            let process = try FreshetProcess([verb, url])
            #expect(try await process.exitStatus() == .exited(64))
            #expect(!(process.output + process.errors).contains("canary"), "\(process.errors)")
        }
    }
}
