import EventStream
import Foundation
import FreshetTesting
import Testing

/// The proxies of the catalogue's recipes, as they stand there, before a gateway. Those that are not installed are left out;
/// nginx always is.
@Suite("Recipes", .serialized, .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct RecipeTests {
    struct Recipe: Sendable, CustomTestStringConvertible {
        /// The language of its block.
        var name: String
        var binary: String
        /// `CONFIGURATION` stands for its file, `FOLDER` for one of its own.
        var arguments: [String]
        /// What stands around the block in a whole configuration.
        var frame: (before: String, after: String)

        var testDescription: String { self.name }
    }

    private static let all = [
        Recipe(
            name: "nginx",
            binary: "/usr/sbin/nginx",
            arguments: ["-p", "FOLDER", "-e", "stderr", "-c", "CONFIGURATION"],
            frame: (
                """
                daemon off; master_process off; pid FOLDER/pid; error_log stderr; events {}
                http { access_log off; client_body_temp_path FOLDER/a; proxy_temp_path FOLDER/b;
                fastcgi_temp_path FOLDER/c; uwsgi_temp_path FOLDER/d; scgi_temp_path FOLDER/e;
                """,
                "}"
            )
        ),
        Recipe(
            name: "caddy",
            binary: "/usr/bin/caddy",
            arguments: ["run", "--adapter", "caddyfile", "--config", "CONFIGURATION"],
            frame: ("{\n  admin off\n}\n", "")
        ),
        Recipe(
            name: "haproxy",
            binary: "/usr/sbin/haproxy",
            arguments: ["-db", "-f", "CONFIGURATION"],
            frame: ("", "")
        ),
    ]

    private static let installed = Self.all.filter {
        $0.name == "nginx" || FileManager.default.isExecutableFile(atPath: $0.binary)
    }

    private static func block(_ language: String) throws -> String {
        let page = Suites.packageRoot.appending(path: "Sources/freshet/Freshet.docc/Recipes.md")
        let text = try String(contentsOf: page, encoding: .utf8)
        let parts = text.components(separatedBy: "\n```\(language)\n")
        try #require(parts.count == 2, "Recipes.md has one block for \(language)")
        return try #require(parts[1].components(separatedBy: "\n```\n").first)
    }

    @Test("a stream comes through at once, and administration does not", arguments: Self.installed)
    func stream(recipe: Recipe) async throws {
        let upstream = try ScriptedUpstream()
        let resource = VersionedResource(versions: [Array("[1]".utf8), Array("[2]".utf8)])
        upstream.serve(resource, at: "/")
        let gateway = try Gateway(
            "admin: { host_names: [stream.example.com] }\nlimits: { trusted_proxies: [127.0.0.1] }\n"
                + "sources:\n  a: { url: \"\(upstream.url("/"))\", interval: 50ms }"
        )
        try await gateway.waitForValues(of: ["a"])
        let (target, port) = (try await gateway.process.listeningPort(), try NginxProcess.freePort())
        let folder = try TemporaryFolder()
        let text = (recipe.frame.before + (try Self.block(recipe.name)) + "\n" + recipe.frame.after)
            .replacing("FOLDER", with: folder.path)
            .replacing("listen 8443", with: "listen 127.0.0.1:\(port)")
            .replacing(":8443", with: ":\(port)").replacing("127.0.0.1:8080", with: "127.0.0.1:\(target)")
        let file = try folder.write(text, to: "configuration")
        let arguments = recipe.arguments.map {
            $0.replacing("CONFIGURATION", with: file).replacing("FOLDER", with: folder.path)
        }
        let environment = ["HOME": folder.path, "XDG_DATA_HOME": folder.path, "XDG_CONFIG_HOME": folder.path]
        let proxy = try FreshetProcess(arguments, environment: environment, binary: recipe.binary)
        let client = HTTPTestClient(.port(port))
        let host: HeaderFields = ["Host": "stream.example.com:\(port)"]
        let deadline = ContinuousClock.now + .patience
        while (try? await client.get("/livez", headers: host))?.status != 200 {
            try #require(ContinuousClock.now < deadline, "\(recipe.name) does not start: \(proxy.errors)")
            try await Task.sleep(for: .milliseconds(20))
        }
        let stream = try EventStreamClient(.port(port), path: "/v1/streams/a", headers: host)
        #expect(try await stream.next(2).map(\.type) == ["hello", "snapshot"])
        resource.advance()
        #expect(try await stream.next()?.text.contains("2") == true)
        #expect(try await client.get("/v1/admin/subscribers", headers: host).status == 404)
    }
}
