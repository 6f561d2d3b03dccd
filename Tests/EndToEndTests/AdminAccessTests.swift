import FreshetTesting
import Glibc
import JSON
import Testing

/// Who may administer the program itself: attacks over raw sockets.
@Suite("Access to administration", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct AdminAccessTests {
    private static let value = #"{"v":"genuine"}"#

    /// A source whose upstream answers always the same.
    private static func upstream() throws -> ScriptedUpstream {
        let upstream = try ScriptedUpstream()
        upstream.on("*", respond: .json(self.value))
        return upstream
    }

    @Test(
        "A01: a client that resets its connection before it is accepted has no address and is nobody",
        arguments: [
            "POST /v1/admin/sources/a/value HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 14\r\n\r\n{\"v\":\"forged\"}",
            "POST /v1/admin/sources/a/pause HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            "GET /v1/streams/a HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        ]
    )
    func reset(request: String) async throws {
        let upstream = try Self.upstream()
        let gateway = try Gateway("sources:\n  a: { url: \"\(upstream.url("/"))\", interval: 1h }")
        try await gateway.waitForValues(of: ["a"])
        let endpoint = try await gateway.process.endpoint()
        // While the process stands still, the kernel queues connections: each is reset before it is accepted.
        gateway.process.send(SIGSTOP)
        for _ in 0..<20 {
            let connection = try await RawConnection(endpoint)
            try await connection.send(request)
            connection.reset()
        }
        gateway.process.send(SIGCONT)
        let client = try await gateway.client
        let refused = try await eventually(of: client, "freshet_http_connections_refused_total{reason=\"no_peer\"}") {
            // One or two may have been accepted before the process stood still.
            $0 >= 15
        }
        #expect(refused, "\(gateway.process.errors)")
        #expect(try await client.get("/v1/values/a").text == Self.value)
        let source = try await gateway.document("/v1/sources/a").root
        #expect(source["state"]?.string == "ok")
        #expect(source["changes"]?.int == 1)
        #expect(try await gateway.terminate() == .exited(0))
    }
}

/// Looks at a metric until it fits, for half a minute.
private func eventually(of client: HTTPTestClient, _ series: String, _ fits: (Double) -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(30)
    while ContinuousClock.now < deadline {
        let lines = try await client.get("/metrics").text.split(separator: "\n")
        let value = lines.first { $0.hasPrefix(series + " ") }.flatMap { Double($0.dropFirst(series.count + 1)) }
        if let value, fits(value) { return true }
        try await Task.sleep(for: .milliseconds(20))
    }
    return false
}
