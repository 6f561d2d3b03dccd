import Foundation
import FreshetTesting
import JSON
import Testing

/// `freshet doctor` through the program: each planted fault is named with the line to write, and a healthy source has none.
@Suite("doctor, through the program", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct DoctorTests {
    /// Runs it with `--json`.
    ///
    /// - Returns: The exit code, and the line to write for each kind of finding.
    private func run(_ arguments: [String]) async throws -> (status: FreshetTesting.ExitStatus, found: [String: String])
    {
        let process = try FreshetProcess(["doctor", "--json", "--pause", "10ms"] + arguments)
        let status = try await process.exitStatus(timeout: .seconds(60))
        var found: [String: String] = [:]
        for line in process.output.split(separator: "\n") {
            let finding = try Document(parsing: Array(line.utf8)).root
            found[try #require(finding["kind"]?.string)] = finding["write"]?.string ?? ""
        }
        #expect(process.errors.isEmpty, "\(process.errors)")
        return (status, found)
    }

    private func run(sources: String, _ arguments: [String] = []) async throws -> [String: String] {
        let folder = try TemporaryFolder()
        let file = try folder.write("sources:\n  a: \(sources)\n", to: "freshet.yaml")
        let (status, found) = try await self.run(["--config", file] + arguments)
        #expect(status == .exited(found.isEmpty ? 0 : 1))
        return found
    }

    @Test("a healthy source has no finding, whether it changes or not", arguments: [false, true])
    func healthy(changes: Bool) async throws {
        let upstream = try ScriptedUpstream()
        let bodies = (1...20).map { Array(#"{"items":[{"id":1,"n":\#($0)},{"id":2,"n":0}]}"#.utf8) }
        let resource = VersionedResource(versions: bodies, headers: ["Cache-Control": "max-age=5"])
        upstream.on("/a") { request in
            if changes, request.headers["If-None-Match"] == nil { resource.advance() }
            return [.respond(resource.answer(request))]
        }
        #expect(try await self.run(sources: "{ url: \"\(upstream.url("/a"))\", interval: 10s }") == [:])
        #expect(upstream.requests.count <= 14, "it asks a few times, and no more")
    }

    @Test("an ETag that is of no use, with and without a cure", arguments: [true, false])
    func useless(isByCoding: Bool) async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/a") { request in
            let isCoded = request.headers["Accept-Encoding"]?.contains("gzip") ?? false
            let tag = isCoded ? "\"a-gzip\"" : "\"a\""
            let isSame = isByCoding && !isCoded && request.headers["If-None-Match"] == tag
            let headers: HeaderFields = ["ETag": tag]
            return [.respond(isSame ? .status(304, headers: headers) : .json("[1]", headers: headers))]
        }
        let found = try await self.run(sources: "{ url: \"\(upstream.url("/a"))\" }")
        #expect(found == ["etag_useless": isByCoding ? "accept_encoding: identity" : "interval: adaptive"])
    }

    @Test("an interval shorter than max-age, and one that uses up a rate limit")
    func pace() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/a", respond: .json("[1]", headers: ["Cache-Control": "max-age=300"]))
        let fields: HeaderFields = ["X-RateLimit-Remaining": "60", "X-RateLimit-Reset": "3600"]
        upstream.on("/b", respond: .json("[1]", headers: fields))
        let a = try await self.run(sources: "{ url: \"\(upstream.url("/a"))\", interval: 10s }")
        #expect(a == ["interval_short": "interval: 5m"])
        let b = try await self.run(sources: "{ url: \"\(upstream.url("/b"))\", interval: 10s }")
        #expect(b == ["rate_limit": "interval: 1m"])
    }

    @Test("a validator that lies, and a member that changes with every poll; the line cures it")
    func values() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/lies") { request in
            let headers: HeaderFields = ["ETag": "\"a\""]
            let isAsked = request.headers["If-None-Match"] != nil
            return [.respond(isAsked ? .status(304, headers: headers) : .json("[\(request.number)]", headers: headers))]
        }
        upstream.on("/noise") { request in
            let time = 1_800_000_000 + request.number
            return [.respond(.json(#"{"v":1,"generated_at":\#(time)}"#))]
        }
        let lies = try await self.run(sources: "{ url: \"\(upstream.url("/lies"))\" }")
        #expect(lies == ["validator_lies": "verify_every: 1"])
        let noise = try await self.run(sources: "{ url: \"\(upstream.url("/noise"))\" }")
        let line = #"ignore: ["/generated_at"]"#
        #expect(noise == ["volatile": line])
        #expect(try await self.run(sources: "{ url: \"\(upstream.url("/noise"))\", \(line) }") == [:])
    }

    @Test("a source that fails, by name or URL, among others; and a name that is not there")
    func failing() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/a", respond: .json("[1]"))
        let (status, found) = try await self.run([upstream.url("/a"), upstream.url("/missing")])
        #expect(status == .exited(1))
        #expect(found.keys.sorted() == ["failing"])
        let folder = try TemporaryFolder()
        let file = try folder.write("sources: { a: { url: \"\(upstream.url("/a"))\" } }\n", to: "freshet.yaml")
        let unknown = try FreshetProcess(["doctor", "b", "--config", file])
        #expect(try await unknown.exitStatus() == .exited(1))
        #expect(unknown.errors.contains("There is no source b; there are: a"))
    }

    @Test(
        "a certificate that expires soon, and one that does not",
        .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl"), "no openssl"),
        arguments: [5, 60]
    )
    func certificate(days: Int) async throws {
        let folder = try TemporaryFolder()
        let (key, certificate) = (folder.path("key.pem"), folder.path("certificate.pem"))
        let made = try FreshetProcess(
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                "\(days)",
                "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
            ],
            binary: "/usr/bin/openssl"
        )
        #expect(try await made.exitStatus() == .exited(0), "\(made.errors)")
        let upstream = try ScriptedUpstream()
        upstream.on("/v", respond: .json("[1]"))
        let served = try Gateway(
            """
            tls: { certificate: "\(certificate)", key: "\(key)" }
            sources: { v: { url: "\(upstream.url("/v"))", interval: 1h } }
            """
        )
        let listening = await served.process.waitForOutput(containing: "https://127.0.0.1:")
        try #require(listening, "\(served.process.errors)")
        let mark = try #require(served.process.errors.firstRange(of: "https://127.0.0.1:"))
        let port = served.process.errors[mark.upperBound...].prefix { $0.isNumber }
        let source =
            "{ url: \"https://127.0.0.1:\(port)/v1/values/v\", interval: 1h, tls: { ca_file: \"\(certificate)\" } }"
        // The gateway's first poll may not have ended when it is asked first.
        var found = try await self.run(sources: source)
        for _ in 0..<20 where found.keys.contains("failing") { found = try await self.run(sources: source) }
        #expect(found.keys.sorted() == (days < 14 ? ["certificate_expires"] : []))
        _ = try await served.terminate()
    }
}

/// `doctor --through`: what stands between a gateway and its clients.
@Suite(
    "doctor --through, through the program",
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: FileManager.default.isExecutableFile(atPath: NginxProcess.path), "no nginx")
)
struct DoctorThroughTests {
    /// An nginx with further directives before a gateway, and what is found through it.
    private func run(proxy: String, cors: String, origin: String?) async throws -> (FreshetTesting.ExitStatus, [Value])
    {
        let upstream = try ScriptedUpstream()
        upstream.on("/a", respond: .json("[1]"))
        let sources = "sources: { a: { url: \"\(upstream.url("/a"))\", interval: 1h } }"
        let gateway = try Gateway("\(cors)\n\(sources)")
        try await gateway.waitForValues(of: ["a"])
        let port = try await gateway.process.listeningPort()
        let nginx = try await NginxProcess("http://127.0.0.1:\(port)", configuration: proxy)
        guard case .tcp(_, let outside) = nginx.endpoint else { throw TestingError(.process, "no port") }
        let folder = try TemporaryFolder()
        let file = try folder.write("\(cors)\n\(sources)\n", to: "freshet.yaml")
        var arguments = ["doctor", "--json", "--pause", "10ms", "--config", file, "a"]
        arguments += ["--through", "http://127.0.0.1:\(outside)"] + (origin.map { ["--origin", $0] } ?? [])
        let process = try FreshetProcess(arguments)
        let status = try await process.exitStatus(timeout: .seconds(60))
        let findings = try process.output.split(separator: "\n").map { try Document(parsing: Array($0.utf8)).root }
        #expect(try await gateway.terminate() == .exited(0))
        return (status, findings)
    }

    private static let cors = "cors: { origins: [\"https://app.example\"] }"

    @Test("a proxy that passes events on at once: nothing")
    func fine() async throws {
        let (status, findings) = try await self.run(proxy: "", cors: Self.cors, origin: nil)
        #expect(status == .exited(0), "\(findings.map { String(decoding: $0.text, as: UTF8.self) })")
        #expect(findings.isEmpty)
    }

    @Test("a proxy that buffers, with the line for it")
    func buffering() async throws {
        let proxy = "proxy_ignore_headers X-Accel-Buffering; proxy_buffering on;"
        let (status, findings) = try await self.run(proxy: proxy, cors: "", origin: nil)
        #expect(status == .exited(1))
        #expect(findings.compactMap { $0["kind"]?.string } == ["buffering"])
        #expect(findings.first?["write"]?.string == "proxy_buffering off;")
    }

    @Test("an origin that is not listed, and a proxy that takes the field away")
    func origins() async throws {
        let (status, missing) = try await self.run(proxy: "", cors: "", origin: "https://app.example")
        #expect(status == .exited(1))
        #expect(missing.compactMap { $0["kind"]?.string } == ["cors"])
        #expect(missing.first?["write"]?.string == #"cors: { origins: ["https://app.example"] }"#)
        let hiding = "proxy_hide_header Access-Control-Allow-Origin;"
        let (_, hidden) = try await self.run(proxy: hiding, cors: Self.cors, origin: nil)
        #expect(
            hidden.first?["write"]?.string == "add_header Access-Control-Allow-Origin \"https://app.example\" always;"
        )
    }

    @Test("nothing behind the URL, and something else")
    func unreachable() async throws {
        let upstream = try ScriptedUpstream()
        for url in ["http://127.0.0.1:9", upstream.url("")] {
            let process = try FreshetProcess(["doctor", "--json", "--through", url], workingDirectory: "/")
            #expect(try await process.exitStatus(timeout: .seconds(60)) == .exited(1))
            #expect(process.output.contains(#""kind":"unreachable""#), "\(process.output)\(process.errors)")
        }
    }
}
