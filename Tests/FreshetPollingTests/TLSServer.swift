import Foundation
import FreshetTesting
import Testing

/// `openssl s_server` on a port that the kernel picks, with a certificate that it signed itself.
final class TLSServer: Sendable {
    private let process: Int32
    private let folder: TemporaryFolder
    private let input: FileHandle
    private let output: FileHandle
    let port: String

    static let program = ["/usr/bin/openssl", "/usr/local/bin/openssl"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    /// The certificate, for who wants to trust it.
    var certificate: String { self.folder.path("certificate.pem") }
    /// Its key.
    var key: String { self.folder.path("key.pem") }

    /// Starts a server. What blocks is done on a thread of its own, not on the few that tests share.
    ///
    /// `name` is the certificate's subjectAltName, and `days` how long it lasts, from now or, below zero, until then.
    static func started(
        _ arguments: [String] = ["-www"],
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
        let input = Pipe()
        let (server, output) = try Self.run(
            ["s_server", "-accept", "127.0.0.1:0", "-key", key, "-cert", certificate] + arguments,
            input: input
        )
        self.process = server.processIdentifier
        self.input = input.fileHandleForWriting
        self.output = output
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

    /// Sends bytes to the client of the connection that is open, without `-www`.
    func send(_ bytes: [UInt8]) {
        try? self.input.write(contentsOf: Data(bytes))
    }

    /// What the client sent, and what s_server itself says; empty at its end. Blocks.
    func receive() -> [UInt8] { [UInt8](self.output.availableData) }

    @discardableResult
    private static func run(_ arguments: [String], input: Pipe? = nil) throws -> (Process, FileHandle) {
        let (process, output) = (Process(), Pipe())
        process.executableURL = URL(filePath: try #require(Self.program))
        process.arguments = arguments
        process.standardInput = input ?? FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        return (process, output.fileHandleForReading)
    }
}
