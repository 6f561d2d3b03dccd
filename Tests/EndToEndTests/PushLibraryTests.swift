import Foundation
import FreshetTesting
import JSON
import Testing

/// Other people's Web Push: keys as `pywebpush` makes them, messages decrypted by `http_ece`, signatures checked by `py_vapid`.
/// At the first use it takes what pip takes.
@Suite("Web Push of other libraries", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct PushLibraryTests {
    private static let python = PythonTools.python(
        "push",
        check: "http_ece, pywebpush, py_vapid",
        libraries: ["pywebpush==2.*", "http_ece"]
    )

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
            await Task.detached { PythonTools.output([python, script, binary, file, PushScene.feeder, "200"]) }.value
        )
        let result = try Document(parsing: Array(output)).root
        #expect(result["decrypted"]?.int == 200 && result["verified"]?.int == 200, "\(result.text)")
        #expect(result["wrong"]?.count == 0, "\(result.text)")
    }
}
