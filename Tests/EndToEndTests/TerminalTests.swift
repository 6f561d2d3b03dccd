import FreshetTesting
import Testing

/// What the verbs that show changes print.
@Suite("Changes in a terminal", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct TerminalTests {
    /// A value so small that the gateway sends it whole each time.
    private static let bodies = (1...3).map { Array(#"{"base":"EUR","n":\#($0),"rates":{"USD":1.\#($0)}}"#.utf8) }

    @Test("R33 `tail` and `try` show what changed where the gateway sends a snapshot", arguments: ["tail", "try"])
    func snapshots(verb: String) async throws {
        let resource = VersionedResource(versions: Self.bodies)
        let upstream = try ScriptedUpstream()
        upstream.serve(resource, at: "/value")
        let url = upstream.url("/value")
        let gateway: Gateway?
        let viewer: FreshetProcess
        if verb == "tail" {
            let served = try Gateway("sources:\n  value: { url: \"\(url)\", interval: 30ms }")
            let port = try await served.process.listeningPort()
            viewer = try FreshetProcess(["tail", "value", "--gateway", "http://127.0.0.1:\(port)"])
            gateway = served
        } else {
            viewer = try FreshetProcess(["try", "--listen", "127.0.0.1:0", "--interval", "30ms", url])
            gateway = nil
        }
        #expect(await viewer.waitForOutput(containing: "an object of 3 members"))
        for version in 2...3 {
            resource.advance()
            #expect(await viewer.waitForOutput(containing: "/n  \(version - 1) → \(version)"))
            #expect(await viewer.waitForOutput(containing: "/rates/USD  1.\(version - 1) → 1.\(version)"))
        }
        _ = try await viewer.terminate()
        _ = try await gateway?.terminate()
    }
}
