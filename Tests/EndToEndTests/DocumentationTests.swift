// Every command and snippet of the README and the catalogue is run here, or listed with the reason why not.

import Foundation
import FreshetConfiguration
import FreshetTesting
import JSON
import Testing

/// A fenced block of a document.
private struct Snippet: Sendable, CustomTestStringConvertible {
    var file: String
    var line: Int
    /// What follows the fence; empty where nothing does.
    var language: String
    var text: String

    var testDescription: String { "\(self.file):\(self.line) \(self.language)" }

    /// The lines of a shell block that are commands.
    var commands: [String] {
        self.text.replacing("\\\n", with: " ").split(separator: "\n").map { line in
            String(line.prefix { $0 != "#" }).trimmingCharacters(in: .whitespaces)
        }.filter { !$0.isEmpty }
    }

    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static let all: [Snippet] = {
        let catalogue = "Sources/freshet/Freshet.docc"
        let pages =
            (try? FileManager.default.contentsOfDirectory(atPath: Self.root.appending(path: catalogue).path)) ?? []
        let files =
            ["README.md", "Deploy/README.md", ".github/CONTRIBUTING.md", ".github/SECURITY.md"]
            + pages.filter { $0.hasSuffix(".md") }.sorted().map { "\(catalogue)/\($0)" }
        return files.flatMap { Self.snippets(of: $0) }
    }()

    private static func snippets(of file: String) -> [Snippet] {
        guard let text = try? String(contentsOf: self.root.appending(path: file), encoding: .utf8) else { return [] }
        var snippets: [Snippet] = []
        var open: Snippet?
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let trimmed = line.trimmingCharacters(in: .whitespaces)
            if trimmed.hasPrefix("```") {
                if let snippet = open {
                    snippets.append(snippet)
                    open = nil
                } else {
                    open = Snippet(file: file, line: index + 1, language: String(trimmed.dropFirst(3)), text: "")
                }
            } else {
                open?.text += "\(line)\n"
            }
        }
        return snippets
    }

    static func all(in language: String) -> [Snippet] { self.all.filter { $0.language == language } }
}

/// What becomes of a command.
private enum Treatment {
    /// Run by the shell against a gateway, whose address takes the place of `http://127.0.0.1:8080`, and the folder of its
    /// key that of `/run/freshet`. The output holds this.
    case run(against: Subject, output: String)
    /// A target of the Makefile, which is looked for there.
    case target
    case notRun(String)

    enum Subject {
        case demo
        /// `serve` with the first configuration of the README.
        case serve
    }

    /// Each command of a shell block.
    static let commands: [String: Treatment] = [
        "curl -N http://127.0.0.1:8080/v1/streams/stations": .run(against: .demo, output: "event: snapshot"),
        "curl -N 'http://127.0.0.1:8080/v1/streams/stations?envelope=cloudevents'":
            .run(against: .demo, output: #"{"specversion":"1.0","#),
        "curl http://127.0.0.1:8080/v1/durable/stations": .run(against: .demo, output: #"[{"source":"stations","#),
        "curl -N 'http://127.0.0.1:8080/v1/streams/stations?since=earliest'":
            .run(against: .demo, output: "event: hello"),
        "curl http://127.0.0.1:8080/v1/values/weather": .run(against: .demo, output: "generated_at"),
        "curl 'http://127.0.0.1:8080/v1/changes/prices?limit=3'": .run(against: .demo, output: #"{"events":["#),
        "curl http://127.0.0.1:8080/v1/sources/stations": .run(against: .demo, output: #""last_poll":{"#),
        #"curl -X POST -H "Authorization: Bearer $(head -1 /run/freshet/admin.key)" http://127.0.0.1:8080/v1/admin/reload"#:
            .run(against: .serve, output: ""),
        "openssl ecparam -name prime256v1 -genkey -noout -out issuer.pem": .notRun(Self.tokens),
        "freshet token inspect --jwks issuer.pem > jwks.json": .notRun(Self.tokens),
        "freshet token new --key issuer.pem --issuer me --audience freshet --subject u42 --read 'orders,rates-*' --ttl 15m > token":
            .notRun(Self.tokens),
        "freshet token inspect --config freshet.yaml token": .notRun(Self.tokens),
        #"curl -H "Authorization: Bearer $(cat secrets/feeder)" -d '{"eur":1.08}' http://127.0.0.1:8080/v1/sources/prices/value"#:
            .notRun("PushedSourceTests pushes a value with a key"),
        "freshet init https://api.example.com/rates -o freshet.yaml": .notRun("InitTests"),
        "freshet doctor": .notRun("DoctorTests"),
        "freshet doctor --through https://live.example.com --origin https://app.example.com":
            .notRun("DoctorThroughTests"),
        "freshet record https://api.example.com/rates -o rates": .notRun("RecordReplayTests"),
        "freshet replay rates --speed 60": .notRun("RecordReplayTests"),
        "freshet types rates > rates.ts": .notRun("TypesTests"),
        "freshet types rates --lang swift > Rates.swift": .notRun("TypesTests"),
        "freshet --generate-completion-script bash > /etc/bash_completion.d/freshet": .notRun("CommandHelpTests"),
        "freshet --generate-completion-script zsh > /usr/share/zsh/site-functions/_freshet":
            .notRun("CommandHelpTests"),
        "freshet --generate-completion-script fish > /usr/share/fish/vendor_completions.d/freshet.fish":
            .notRun("CommandHelpTests"),
        "sudo apt-get install ./.build/packages/freshet_0.1.0_amd64.deb": .notRun(Self.deploy),
        "sudo systemctl edit freshet": .notRun(Self.deploy),
        "sudo systemctl reload freshet": .notRun(Self.deploy),
        "docker build -f Deploy/Dockerfile -t freshet .": .notRun(Self.deploy),
        "docker compose -f Deploy/compose.yaml up --build": .notRun(Self.deploy),
        "kubectl apply -k Deploy/kubernetes": .notRun(Self.deploy),
    ]

    private static let deploy = "changes the machine, or needs an engine; .ci/deploy checks what it takes"
    private static let tokens = "TokenCommandTests makes and inspects tokens with keys of openssl"

    /// Languages whose blocks are not run.
    static let languages = [
        "js": "Tests/CWebTests/catalogue.test.js runs them in a page",
        "swift": "SwiftClientPageTests compiles and runs them",
        "text": "shows output, a diagram or an algorithm",
        "dockerfile":
            "no container runtime is a part of the tests; its commands are those of `serve` and `healthcheck`",
        "promql": "an expression for Prometheus; those of Deploy are tested by promtool",
        "nginx": "RecipeTests runs the gateway behind it; that of Deploy is run by the tests of trusted proxies",
        "caddy": "RecipeTests runs the gateway behind it",
        "haproxy": "RecipeTests runs the gateway behind it",
        "traefik": "Traefik is no package of Debian",
        "jsx": "needs a build step of React; the store that it uses is tested by Tests/CWebTests",
    ]

    /// Blocks of YAML that are not accepted here; the first words of each, and why.
    static let refused = [
        "apiVersion:": "a manifest of Kubernetes, which names the configuration",
        "webhooks:": "its secret file is not there",
        "auth:\n  anonymous: { read: [\"rates\"": "names `auth.certificates`, which need the files of `tls`",
        "sources:\n  bearer:": "names a client certificate that does not exist here; TLSConnectionTests has one",
        "tls:": "its certificates do not exist here; CertificateTests and TLSListenerTests have some",
    ]

    static func of(_ command: String) -> Treatment? {
        if command.hasPrefix("make "), !command.dropFirst(5).contains(" ") { return .target }
        return self.commands[command.split(separator: " ").joined(separator: " ")] ?? self.commands[command]
    }
}

@Suite(
    "Commands and snippets of the documentation",
    .serialized,
    .enabled(if: FreshetProcess.isBuilt, "the program is not built")
)
struct DocumentationTests {
    @Test("every fenced block has a language, and every language is run or listed")
    func languages() {
        #expect(Snippet.all.count > 10)
        for snippet in Snippet.all {
            let isRun = ["yaml", "html", "sh", "json"].contains(snippet.language)
            #expect(isRun || Treatment.languages[snippet.language] != nil, "\(snippet.testDescription)")
        }
    }

    @Test("a block of JSON is JSON", arguments: Snippet.all(in: "json"))
    fileprivate func json(snippet: Snippet) throws {
        _ = try Document(parsing: Array(snippet.text.utf8))
    }

    @Test("a configuration is accepted, or is listed with the reason why not", arguments: Snippet.all(in: "yaml"))
    fileprivate func configuration(snippet: Snippet) throws {
        let folder = try TemporaryFolder()
        var text = snippet.text.replacing("/run/secrets/", with: "secrets/")
        // A block that shows one section alone.
        if !text.hasPrefix("sources:"), !text.contains("\nsources:") {
            text += "sources: { a: { url: \"http://127.0.0.1/\" } }\n"
        }
        let file = try folder.write(text, to: "freshet.yaml")
        for secret in Self.secrets(in: text) {
            let path = folder.path(secret)
            let parent = URL(filePath: path).deletingLastPathComponent()
            try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
            try Data("mK3v9QpX7sT1wZ4bN8cR2yL6hJ0dF5gA9uE3iO7kP1q\n".utf8).write(to: URL(filePath: path))
        }
        do throws(ConfigurationErrors) {
            _ = try ConfigurationLoader.load(file, environment: { _ in nil })
        } catch {
            let isListed = Treatment.refused.keys.contains { snippet.text.hasPrefix($0) }
            #expect(isListed, "\(snippet.testDescription): \(error)")
        }
    }

    /// Relative paths that a block names under a `*_file` key.
    private static func secrets(in text: String) -> [String] {
        text.matches(of: /(?:_file|certificate|key): *"?([A-Za-z0-9_\/-]+[A-Za-z0-9_.-]*)/).map { String($0.output.1) }
            .filter { !$0.hasPrefix("/") }
    }

    private static let shell = Snippet.all(in: "sh").flatMap { snippet in
        snippet.commands.map { Snippet(file: snippet.file, line: snippet.line, language: "sh", text: $0) }
    }

    @Test("a command runs and says what it should", arguments: Self.shell)
    fileprivate func command(snippet: Snippet) async throws {
        let treatment = try #require(
            Treatment.of(snippet.text),
            "\(snippet.testDescription): `\(snippet.text)` is neither run nor listed"
        )
        switch treatment {
        case .target:
            let makefile = try String(contentsOf: Snippet.root.appending(path: "Makefile"), encoding: .utf8)
            #expect(makefile.contains("\n\(snippet.text.dropFirst("make ".count)):"), "\(snippet.text)")
        case .notRun(let reason):
            #expect(!reason.isEmpty)
        case .run(let subject, let output):
            try await self.run(snippet.text, against: subject, output: output)
        }
    }

    @Test("`make run` runs the demo")
    func run() throws {
        let makefile = try String(contentsOf: Snippet.root.appending(path: "Makefile"), encoding: .utf8)
        #expect(makefile.contains("\nrun: build\n\t.build/release/freshet demo\n"))
    }

    private func run(_ command: String, against subject: Treatment.Subject, output: String) async throws {
        let folder = try TemporaryFolder()
        let process: FreshetProcess
        switch subject {
        case .demo:
            process = try FreshetProcess(
                ["demo", "--listen", "127.0.0.1:0", "--log-level", "info"],
                environment: ["RUNTIME_DIRECTORY": folder.path]
            )
        case .serve:
            let block = try #require(Snippet.all(in: "yaml").first { $0.file == "README.md" })
            let file = try folder.write("listen: 127.0.0.1:0\n\(block.text)", to: "freshet.yaml")
            process = try FreshetProcess(
                ["serve", "--config", file],
                environment: ["RUNTIME_DIRECTORY": folder.path]
            )
        }
        let port = try await process.listeningPort()
        if case .demo = subject {
            // A reader of the page has looked at it for longer than the first polls take.
            let client = HTTPTestClient(.port(port))
            for name in ["stations", "weather", "prices"] {
                let path = "/v1/values/\(name)?wait=20s"
                #expect(try await client.get(path, headers: ["If-None-Match": "\"none\""]).status == 200)
            }
        }
        // A stream goes on for ever: curl ends it after the time, with 28, and what came counts.
        let shown = command.replacing("http://127.0.0.1:8080", with: "http://127.0.0.1:\(port)")
            .replacing("/run/freshet", with: folder.path)
            .replacing("curl ", with: "curl -sS --fail-with-body --max-time 10 ")
        let shell = try FreshetProcess(["-c", shown], binary: "/bin/sh")
        let hasOutput = await shell.waitForOutput(containing: output)
        #expect(hasOutput, "\(shown): \(shell.output) \(shell.errors)")
        if output.isEmpty {
            let status = try await shell.exitStatus()
            #expect(status == .exited(0), "\(shown): \(shell.output) \(shell.errors)")
        }
        _ = try await process.terminate()
    }

    @Test(
        "the README's page shows the value and its changes in a browser",
        .enabled(if: Browser.path != nil, "no Chromium")
    )
    func page() async throws {
        let upstream = try ScriptedUpstream()
        let resource = VersionedResource(versions: [#"{"eur":1.5}"#, #"{"eur":2.5}"#].map { Array($0.utf8) })
        upstream.serve(resource, at: "/rates")
        let configuration = try #require(Snippet.all(in: "yaml").first { $0.file == "README.md" }).text
            .replacing("https://api.example.com/rates", with: upstream.url("/rates"))
        let folder = try TemporaryFolder()
        let file = try folder.write("listen: 127.0.0.1:0\n\(configuration)", to: "freshet.yaml")
        let gateway = try FreshetProcess(["serve", "--config", file])
        let port = try await gateway.listeningPort()
        let page = try #require(Snippet.all(in: "html").first { $0.file == "README.md" }).text
            .replacing("http://127.0.0.1:8080", with: "http://127.0.0.1:\(port)")
        let browser = try await Browser()
        try await browser.open("file://\(try folder.write(page, to: "rates.html"))")
        try await browser.wait(until: #"document.getElementById("rates")?.textContent.includes("1.5")"#)
        resource.advance()
        let client = try await gateway.client()
        let poll = try await client.send("POST", "/v1/admin/sources/rates/poll")
        #expect((200..<300).contains(poll.status), "\(poll.text)")
        try await browser.wait(until: #"document.getElementById("rates").textContent.includes("2.5")"#)
        _ = try await gateway.terminate()
    }
}
