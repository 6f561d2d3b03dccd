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

    @Test("a source that is not there: `tail` names those that are; a gateway that is not: how to name another")
    func complaints() async throws {
        let gateway = try Gateway("sources:\n  bikes: { }\n  prices: { }")
        let address = "http://127.0.0.1:\(try await gateway.process.listeningPort())"
        let tail = try FreshetProcess(["tail", "nope", "--gateway", address])
        #expect(try await tail.exitStatus() == .exited(1))
        #expect(tail.errors.contains("It has bikes, prices."), "\(tail.errors)")
        _ = try await gateway.terminate()
        let reload = try FreshetProcess(["reload", "--gateway", address])
        #expect(try await reload.exitStatus() == .exited(1))
        #expect(reload.errors.contains("no gateway answers at \(address): Connection refused; --gateway names"))
    }

    @Test(
        "`tail --json` prints the gateway's own lines, each once, over a network that cuts",
        arguments: [false, true]
    )
    func lines(usesSocket: Bool) async throws {
        let gateway = try Gateway(
            """
            retry: 100ms
            shutdown: { drain: 100ms }
            auth: { anonymous: { read: ["*"], publish: ["*"] } }
            sources: { s: {} }
            """
        )
        let client = HTTPTestClient(try await gateway.process.endpoint())
        func push(_ number: Int) async throws {
            // Large enough for a change to be smaller than the whole.
            let rest = (0..<40).map { "\"a text that stays \($0)\"" }.joined(separator: ",")
            let body = Array(#"{"n":\#(number),"last":\#(number == 12),"rest":[\#(rest)]}"#.utf8)
            let reply = try await client.send("POST", "/v1/sources/s/value", body: body, timeout: .patience)
            try #require(reply.status == 200, "\(reply.text)")
        }
        let relay = try CuttingRelay(to: try await gateway.process.endpoint()) { request, cuts in
            // What a WebSocket sends after its handshake is asked for as well.
            guard request.contains("/v1/streams/") || !request.hasPrefix("GET "), cuts < 3 else { return nil }
            return .init(after: #""patch""#, bytes: [10, 150, 400][cuts])
        }
        try await push(0)
        let start = try #require(try await client.get("/v1/values/s").headers["Freshet-Cursor"])
        let arguments = ["tail", "s", "--json", "--gateway", "http://127.0.0.1:\(relay.port)"]
        let viewer = try FreshetProcess(arguments + (usesSocket ? ["--socket"] : []))
        #expect(await viewer.waitForOutput(containing: #""event":"snapshot""#))
        for number in 1...12 { try await push(number) }
        #expect(await viewer.waitForOutput(containing: #""path":"/last","value":true"#), "\(viewer.errors)")
        let changes = try await client.get(
            "/v1/changes/s?since=\(start)",
            headers: ["Accept": "application/x-ndjson"]
        )
        func patches(_ text: String) -> [Substring] {
            text.split(separator: "\n").filter { $0.contains(#""event":"patch""#) }
        }
        #expect(patches(viewer.output) == patches(changes.text))
        #expect(patches(viewer.output).count == 12)
        #expect(relay.cuts == 3)
        #expect(viewer.errors.contains("trying again in"))
        _ = try await viewer.terminate()
        _ = try await gateway.terminate()
    }
}
