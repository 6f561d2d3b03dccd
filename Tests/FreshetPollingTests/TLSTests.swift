import Foundation
import FreshetCore
import FreshetTesting
import Testing

@testable import FreshetPolling

/// `openssl s_server` on a port that the kernel picks, with a certificate that it signed itself.
private final class TLSServer: Sendable {
    private let process: Int32
    private let folder: TemporaryFolder
    let port: String

    static let program = ["/usr/bin/openssl", "/usr/local/bin/openssl"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    /// The certificate, for who wants to trust it.
    var certificate: String { self.folder.path("certificate.pem") }

    /// Starts a server. What blocks is done on a thread of its own, not on the few that tests share.
    ///
    /// `name` is the certificate's subjectAltName, and `days` how long it lasts, from now or, below zero, until then.
    static func started(
        _ arguments: [String] = [],
        name: String = "IP:127.0.0.1",
        days: Int = 1
    ) async throws -> TLSServer {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Result { try TLSServer(arguments, name: name, days: days) })
            }
        }
    }

    private init(_ arguments: [String], name: String, days: Int) throws {
        self.folder = try TemporaryFolder()
        let (key, request) = (self.folder.path("key.pem"), self.folder.path("request.pem"))
        let certificate = self.folder.path("certificate.pem")
        try Self.run([
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
            "/CN=upstream",
            "-addext", "subjectAltName=\(name)", "-keyout", key, "-out", request,
        ]).0.waitUntilExit()
        try Self.run([
            "x509", "-req", "-in", request, "-signkey", key, "-copy_extensions", "copy", "-days", "\(days)", "-out",
            certificate,
        ]).0.waitUntilExit()
        let (server, output) = try Self.run(
            ["s_server", "-accept", "127.0.0.1:0", "-key", key, "-cert", certificate, "-www"] + arguments
        )
        self.process = server.processIdentifier
        var text = ""
        while !text.contains("ACCEPT") || !text.hasSuffix("\n") {
            let piece = output.availableData
            if piece.isEmpty { break }
            text += String(decoding: piece, as: UTF8.self)
        }
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("ACCEPT") })
        self.port = String(try #require(line.split(separator: ":").last))
    }

    deinit {
        // Not SIGTERM: a child inherits the signals that its parent's thread blocks.
        kill(self.process, SIGKILL)
    }

    @discardableResult
    private static func run(_ arguments: [String]) throws -> (Process, FileHandle) {
        let (process, output) = (Process(), Pipe())
        process.executableURL = URL(filePath: try #require(Self.program))
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        return (process, output.fileHandleForReading)
    }
}

@Suite("F16, S20: TLS")
struct TLSTests {
    @Test("a certificate that nobody vouches for is refused", .enabled(if: TLSServer.program != nil, "needs openssl"))
    func selfSigned() async throws {
        let server = try await TLSServer.started()
        let result = await TransportProbe().poll("https://127.0.0.1:\(server.port)/")
        guard case .failure(let error) = result else {
            Issue.record("accepted")
            return
        }
        #expect(error.kind == .tlsUntrusted)
        #expect(error.message.contains("certificate"), "\(error.message)")
    }

    @Test("one that is trusted by `ca_file` is taken", .enabled(if: TLSServer.program != nil, "needs openssl"))
    func trusted() async throws {
        let server = try await TLSServer.started()
        let url = "https://127.0.0.1:\(server.port)/"
        let result = await TransportProbe().poll(url) { $0.tls.caFile = server.certificate }
        #expect(result.response?.status == 200)
        let probe = TransportProbe()
        #expect(await probe.poll(url) { $0.tls.isInsecure = true }.response?.status == 200)
        #expect(await probe.poll(url).kind == .tlsUntrusted, "nor is the unchecked connection used by who checks")
    }

    @Test(
        "one of another host, one that has run out, and another key are told apart",
        .enabled(if: TLSServer.program != nil, "needs openssl")
    )
    func distinct() async throws {
        let other = try await TLSServer.started(name: "DNS:other.example")
        let named = await TransportProbe().poll("https://127.0.0.1:\(other.port)/") {
            $0.tls.caFile = other.certificate
        }
        #expect(named.kind == .tlsHost)
        let old = try await TLSServer.started(days: -1)
        let expired = await TransportProbe().poll("https://127.0.0.1:\(old.port)/") { $0.tls.caFile = old.certificate }
        #expect(expired.kind == .tlsExpired)
        let pinned = await TransportProbe().poll("https://127.0.0.1:\(other.port)/") {
            $0.tls.isInsecure = true
            $0.tls.pinnedKey = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
        }
        #expect(pinned.kind == .tlsUntrusted)
    }

    @Test("a protocol older than TLS 1.2 is refused", .enabled(if: TLSServer.program != nil, "needs openssl"))
    func oldProtocol() async throws {
        let server = try await TLSServer.started(["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"])
        let result = await TransportProbe().poll("https://127.0.0.1:\(server.port)/") { $0.tls.isInsecure = true }
        #expect(result.kind == .tlsVersion)
    }

    @Test("a handshake that stalls ends with the time-out, and is told from a slow response")
    func stall() async throws {
        let upstream = try ScriptedUpstream()
        upstream.script(connection: 1, [.stall])
        let result = await TransportProbe().poll("https://127.0.0.1:\(upstream.port)/") {
            $0.timeout = .milliseconds(1500)
        }
        #expect(result.kind == .tls)
    }

    @Test("a server that does not speak TLS is told as such")
    func plain() async throws {
        let upstream = try ScriptedUpstream()
        upstream.script(connection: 1, [.send("HTTP/1.1 400 Bad Request\r\n\r\n"), .close])
        #expect(await TransportProbe().poll("https://127.0.0.1:\(upstream.port)/").kind == .tls)
    }
}
