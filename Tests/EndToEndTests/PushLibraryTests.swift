import Foundation
import FreshetTesting
import JSON
import Testing

/// Other people's Web Push: keys as `pywebpush` makes them, messages decrypted by `http_ece`, signatures checked by `py_vapid`.
/// At the first use it takes what pip takes.
@Suite("Web Push of other libraries", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct PushLibraryTests {
    /// A Python with the libraries, in `.build-python-push` of the package; `nil` where there is none, or pip cannot install.
    private static let python: String? = {
        let folder = Suites.packageRoot.appending(path: ".build-python-push").path
        let python = "\(folder)/bin/python"
        if PushLibraryTests.run([python, "-c", "import http_ece, pywebpush, py_vapid"]) != nil { return python }
        guard PushLibraryTests.run(["python3", "-m", "venv", folder]) != nil,
            PushLibraryTests.run([python, "-m", "pip", "install", "--quiet", "pywebpush==2.*", "http_ece"]) != nil
        else { return nil }
        return python
    }()

    /// What a command writes, where it ends well.
    private static func run(_ arguments: [String]) -> Data? {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return process.terminationStatus == 0 ? output : nil
    }

    @Test(
        "200 messages are decrypted, each is what was published, and each signature is good",
        .enabled("skipped: pip cannot install pywebpush") { Self.python != nil }
    )
    func messages() async throws {
        let python = try #require(Self.python)
        let scene = try PushScene()
        // The service of the script picks its own port.
        let allow =
            "push:\n  subject: mailto:ops@example.com\n  key_file: \"\(scene.folder.path("vapid.pem"))\"\n"
            + "  allow: [\"http://127.0.0.1:PORT/\"]\n"
        let feeder = try scene.folder.write(PushScene.feeder, to: "feeder")
        let configuration = """
            auth: { keys: [{ id: feeder, secret_file: "\(feeder)", read: ["*"], publish: ["*"] }] }
            \(allow)
            sources: { rates: {} }
            """
        let file = try scene.folder.write(configuration, to: "freshet.yaml")
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "push_cases.py").path
        let binary = try FreshetProcess.locateBinary()
        let output = try #require(
            await Task.detached { Self.run([python, script, binary, file, PushScene.feeder, "200"]) }.value
        )
        let result = try Document(parsing: Array(output)).root
        #expect(result["decrypted"]?.int == 200 && result["verified"]?.int == 200, "\(result.text)")
        #expect(result["wrong"]?.count == 0, "\(result.text)")
    }
}
