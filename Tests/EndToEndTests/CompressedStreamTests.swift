import Foundation
import FreshetTesting
import Testing

/// Compressed streams of the program, read by other people's clients: each event has to be there as it comes.
@Suite("Compressed streams", .enabled(if: FreshetProcess.isBuilt, "build the program first"))
struct CompressedStreamTests {
    private static let key = "feeder-Qm4Zr8L2vXc7Yb1NwK5sDhUeGa3fJ9tq"

    /// A gateway with a source whose value is pushed, plain and over TLS.
    private struct Setting {
        let folder: TemporaryFolder
        let gateway: Gateway
        let plain: String
        let secure: String

        init(_ top: String = "streams: { compression: true }", _ sources: String = "  s: {}\n  t: {}") async throws {
            self.folder = try TemporaryFolder()
            let certificate = try TestCertificate("gateway")
            self.gateway = try Gateway(
                """
                tls:
                  certificate: "\(try self.folder.write(certificate.chain, to: "chain.pem"))"
                  key: "\(try self.folder.write(certificate.key, to: "key.pem"))"
                  listen: "127.0.0.1:0"
                auth:
                  anonymous: { read: ["*"] }
                  keys:
                    - { id: feeder, secret_file: "\(try self.folder.write(CompressedStreamTests.key, to: "key"))",
                        read: ["*"], publish: ["*"], admin: true }
                \(top)
                sources:
                \(sources)
                """
            )
            let mark = "TLS on https://127.0.0.1:"
            try #require(await self.gateway.process.waitForOutput(containing: mark), "\(self.gateway.process.errors)")
            let text = self.gateway.process.errors + self.gateway.process.output
            let start = try #require(text.range(of: mark)).upperBound
            self.secure = "https://127.0.0.1:\(text[start...].prefix { $0.isNumber })"
            self.plain = "http://127.0.0.1:\(try await self.gateway.process.listeningPort())"
        }

        func push(_ number: Int, to source: String = "s") async throws {
            let rows = (0..<30).map { #"{"name":"row \#($0)","price":\#($0 % 4 == 0 ? number : 1)}"# }
            let reply = try await RawHTTP.send(
                "POST",
                "/v1/sources/\(source)/value",
                to: try await self.gateway.process.endpoint(),
                headers: ["X-API-Key": CompressedStreamTests.key],
                body: Array(#"{"n":\#(number),"rows":[\#(rows.joined(separator: ","))]}"#.utf8)
            )
            #expect(reply.status == 200, "\(reply.text)")
        }

        /// The figures of a family of metrics, added up.
        func metric(_ name: String) async throws -> Int {
            let endpoint = try await self.gateway.process.endpoint()
            let text = try await RawHTTP.send(
                "GET",
                "/metrics",
                to: endpoint,
                headers: ["X-API-Key": CompressedStreamTests.key]
            ).text
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name + " ") }, "\(name)")
            return try #require(Int(line.dropFirst(name.count + 1)))
        }

        /// Whether a reader is shown every event before the next is made.
        func follow(_ reader: FreshetProcess, from first: Int) async throws {
            #expect(await reader.waitForOutput(containing: #""n":\#(first)"#), "\(reader.output)\(reader.errors)")
            for number in first + 1...first + 12 {
                try await self.push(number)
                let change = #"{"op":"replace","path":"/n","value":\#(number)}"#
                let isThere = await reader.waitForOutput(containing: change)
                try #require(isThere, "\(number): \(reader.output)\(reader.errors)")
            }
        }
    }

    @Test("curl reads each event as it comes, over HTTP/1.1, TLS and HTTP/2", arguments: ["gzip", "zstd"])
    func curl(coding: String) async throws {
        let setting = try await Setting()
        try await setting.push(1)
        var first = 1
        for (version, origin) in [
            ("--http1.1", setting.plain), ("--http1.1", setting.secure), ("--http2", setting.secure),
            ("--http1.0", setting.plain),
        ] {
            let arguments = [
                "-skN", version, "--compressed", "-D", "/dev/stderr", "-H", "Accept-Encoding: \(coding)",
                "\(origin)/v1/streams/s",
            ]
            let reader = try FreshetProcess(arguments, binary: "/usr/bin/curl")
            try await setting.follow(reader, from: first)
            let head = reader.errors.lowercased()
            #expect(head.contains("content-encoding: \(coding)\r\n"), "\(head)")
            #expect(head.contains("vary: accept, accept-encoding\r\n"), "\(head)")
            first += 12
            _ = try await reader.terminate()
        }
        #expect(try await setting.metric("freshet_compression_joins_total") >= 4)
        let plain = try await setting.metric("freshet_compression_plain_bytes_total")
        #expect(try await setting.metric("freshet_compression_coded_bytes_total") < plain)
        // One that is there at the end is told so.
        let last = try FreshetProcess(
            ["-skN", "--compressed", "-H", "Accept-Encoding: \(coding)", "\(setting.plain)/v1/streams/s,t"],
            binary: "/usr/bin/curl"
        )
        #expect(await last.waitForOutput(containing: #""n":\#(first)"#))
        #expect(try await setting.gateway.terminate() == .exited(0))
        #expect(try await last.exitStatus() == .exited(0))
        #expect(last.output.contains("event: bye"))
    }

    /// A Python with the libraries, in `.build-python-streams` of the package; `nil` where there is none, or pip cannot install.
    private static let python: String? = {
        let folder = Suites.packageRoot.appending(path: ".build-python-streams").path
        let python = "\(folder)/bin/python"
        func run(_ arguments: [String]) -> Bool {
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = arguments
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            guard (try? process.run()) != nil else { return false }
            process.waitUntilExit()
            return process.terminationStatus == 0
        }
        if run([python, "-c", "import httpx, h2, zstandard, requests"]) { return python }
        guard run(["python3", "-m", "venv", folder]),
            run([python, "-m", "pip", "install", "--quiet", "httpx[http2]==0.*", "zstandard", "requests==2.*"])
        else { return nil }
        return python
    }()

    @Test(
        "Python reads each event as it comes, by zlib and by libraries, over HTTP/1.1, TLS and HTTP/2",
        .enabled("skipped: pip cannot install httpx") { Self.python != nil },
        arguments: [
            ("http.client", "gzip"), ("requests", "gzip"), ("httpx", "gzip"), ("httpx", "zstd"), ("httpx2", "gzip"),
            ("httpx2", "zstd"),
        ]
    )
    func libraries(library: String, coding: String) async throws {
        let python = try #require(Self.python)
        let setting = try await Setting()
        try await setting.push(1)
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "stream_readers.py").path
        var first = 1
        for origin in library == "httpx2" ? [setting.secure] : [setting.plain, setting.secure] {
            let reader = try FreshetProcess([script, library, coding, "\(origin)/v1/streams/s"], binary: python)
            try await setting.follow(reader, from: first)
            #expect(reader.output.hasPrefix("200 \(coding) Accept, Accept-Encoding\n"), "\(reader.output)")
            first += 12
            _ = try await reader.terminate()
        }
    }

    @Test("only what may be compressed is, and only for those who ask")
    func refusals() async throws {
        let setting = try await Setting(
            "streams: { compression: true }",
            """
              s: {}
              t: { compress: false }
              u-1: {}
              u-2: { compress: false }
            """
        )
        for source in ["s", "t", "u-1", "u-2"] { try await setting.push(1, to: source) }
        func coding(_ path: String, _ accept: String) async throws -> String {
            let arguments = ["-skI", "-H", "Accept-Encoding: \(accept)", setting.plain + path]
            let process = try FreshetProcess(arguments, binary: "/usr/bin/curl")
            #expect(try await process.exitStatus() == .exited(0))
            let field = process.output.split(separator: "\r\n").first { $0.hasPrefix("Content-Encoding: ") }
            return field.map { String($0.dropFirst("Content-Encoding: ".count)) } ?? "none"
        }
        for (path, accept, expected) in [
            ("/v1/streams/s", "gzip", "gzip"), ("/v1/streams/s", "gzip;q=0.5, zstd", "zstd"),
            ("/v1/streams/s", "br, deflate", "none"), ("/v1/streams/s", "*", "gzip"),
            ("/v1/streams/s", "gzip;q=0, zstd;q=0", "none"), ("/v1/streams/s", "identity, gzip;q=0.3", "none"),
            ("/v1/streams/s", "X-GZIP", "gzip"), ("/v1/streams/t", "gzip", "none"), ("/v1/streams/s,t", "gzip", "none"),
            ("/v1/streams/u-*", "gzip", "none"), ("/v1/streams/u-1", "zstd", "zstd"), ("/v1/streams/*", "gzip", "none"),
        ] {
            #expect(try await coding(path, accept) == expected, "\(path) \(accept)")
        }
    }

    @Test("without `streams.compression` nothing is compressed")
    func off() async throws {
        let setting = try await Setting("")
        try await setting.push(1)
        let arguments = ["-skI", "-H", "Accept-Encoding: gzip", setting.plain + "/v1/streams/s"]
        let process = try FreshetProcess(arguments, binary: "/usr/bin/curl")
        #expect(try await process.exitStatus() == .exited(0))
        #expect(!process.output.lowercased().contains("content-encoding"))
        #expect(process.output.contains("Vary: Accept\r\n"))
    }
}
