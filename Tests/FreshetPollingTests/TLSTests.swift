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

    /// Starts a server. What blocks is done on a thread of its own, not on the few that tests share.
    static func started(_ arguments: [String] = []) async throws -> TLSServer {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result { try TLSServer(arguments) }) }
        }
    }

    private init(_ arguments: [String]) throws {
        self.folder = try TemporaryFolder()
        let (key, certificate) = (self.folder.path("key.pem"), self.folder.path("certificate.pem"))
        let (request, _) = try Self.run([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
        ])
        request.waitUntilExit()
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
        #expect(error.kind == .tls)
        #expect(error.message.contains("certificate"), "\(error.message)")
    }

    @Test("a protocol older than TLS 1.2 is refused", .enabled(if: TLSServer.program != nil, "needs openssl"))
    func oldProtocol() async throws {
        let server = try await TLSServer.started(["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"])
        #expect(await TransportProbe().poll("https://127.0.0.1:\(server.port)/").kind == .tls)
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
