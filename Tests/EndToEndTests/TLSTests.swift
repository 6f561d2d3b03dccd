import EventStream
import Foundation
import FreshetTesting
import Testing

/// The program with `tls`, asked as clients of HTTPS ask it.
@Suite("TLS", .enabled(if: FreshetProcess.isBuilt, "build the program first"))
struct TLSTests {
    @Test(
        "values and 1,000 streams over TLS, a renewed certificate within a second, a bad pair said in the log, and bye"
    )
    func life() async throws {
        let folder = try TemporaryFolder()
        let first = try TestCertificate("first")
        let chain = try folder.write(first.chain, to: "chain.pem")
        let key = try folder.write(first.key, to: "key.pem")
        let resource = VersionedResource(versions: [Array(#"{"n":1}"#.utf8), Array(#"{"n":2}"#.utf8)])
        let upstream = try ScriptedUpstream()
        upstream.serve(resource, at: "/value")
        let gateway = try Gateway(
            """
            tls: {certificate: "\(chain)", key: "\(key)", listen: "127.0.0.1:0"}
            sources:
              rates: {url: "\(upstream.url("/value"))", interval: 50ms}
            """
        )
        try await gateway.waitForValues(of: ["rates"])
        let endpoint = try await Self.endpoint(of: gateway.process)
        let reply = try await RawHTTP.get("/v1/values/rates", from: endpoint)
        #expect(reply.text == #"{"n":1}"#)
        let stream = try EventStreamClient(endpoint, path: "/v1/streams/rates")
        #expect(try await stream.next(2).map(\.type) == ["hello", "snapshot"])
        let request = Array("GET /v1/streams/rates HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)
        let crowd = try await Crowd(1000, to: endpoint, sending: request)
        let opened = try await crowd.receive(until: "event: snapshot")
        #expect(opened.count == 1000 && opened.allSatisfy { $0.contains(#""n":1"#) })

        let second = try TestCertificate("second")
        try folder.write(second.chain, to: "chain.pem")
        try folder.write(second.key, to: "key.pem")
        #expect(await gateway.process.waitForOutput(containing: "certificates renewed"))
        #expect(try await RawConnection(endpoint).serverName == "second")
        try folder.write(first.key, to: "key.pem")
        #expect(await gateway.process.waitForOutput(containing: "certificates refused, the old ones go on"))
        #expect(gateway.process.errors.contains("key.pem is not the key of the certificate"))
        #expect(try await RawConnection(endpoint).serverName == "second")

        resource.advance()
        #expect(try await stream.next()?.text.contains(#""n":2"#) == true)
        // Those who were there notice nothing: the same connection has the next change, and nothing but heartbeats before it.
        let changes = try await crowd.receive(until: #""n":2"#)
        #expect(changes.count { $0.contains(#""n":2"#) } == 1000)
        #expect(changes.allSatisfy { !$0.contains("event: bye") && !$0.contains("event: gap") })
        crowd.leave()
        gateway.process.send(15)
        #expect(try await stream.next()?.type == "bye")
        #expect(try await gateway.process.exitStatus() == .exited(0))
    }

    /// Where the program says it speaks TLS.
    private static func endpoint(of process: FreshetProcess) async throws -> Endpoint {
        let mark = "TLS on https://127.0.0.1:"
        try #require(await process.waitForOutput(containing: mark), "\(process.errors)")
        let text = process.errors + process.output
        let start = try #require(text.range(of: mark)).upperBound
        let port = try #require(UInt16(text[start...].prefix { $0.isNumber }))
        return .tls(host: "127.0.0.1", port: port, options: TLSClientOptions())
    }
}
