import FreshetTesting
import JSON
import Testing

/// Where a redirect may lead the program.
@Suite("Redirects of the program", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct ProgramRedirectTests {
    @Test("A05, S16: a redirect to a private address is followed where its origin is listed, and nowhere else")
    func privateOrigins() async throws {
        let upstream = try ScriptedUpstream()
        let inside = try ScriptedUpstream()
        inside.on("*", respond: .json(#"{"inside":true}"#))
        upstream.on("*", respond: .status(302, headers: ["Location": inside.url("/secret")]))
        let gateway = try Gateway(
            """
            sources:
              home: { url: "\(upstream.url("/home"))", interval: 1h }
              any: { url: "\(upstream.url("/any"))", interval: 1h, redirects: any }
              other: { url: "\(upstream.url("/other"))", interval: 1h, redirects: ["http://127.0.0.1:1"] }
            """
        )
        let client = try await gateway.client
        for (source, kind) in [("home", "redirect"), ("any", "policy"), ("other", "redirect")] {
            #expect(try await client.post("/v1/admin/sources/\(source)/poll", body: []).status != 200)
            let report = try await gateway.document("/v1/sources/\(source)")
            #expect(report.root["last_error"]?["kind"]?.string == kind)
            #expect(try await client.get("/v1/values/\(source)").status == 503)
        }
        #expect(inside.connectionCount == 0)

        try gateway.write(
            """
            sources:
              any: { url: "\(upstream.url("/any"))", interval: 1h, redirects: ["\(inside.url(""))"] }
            """
        )
        #expect(try await client.post("/v1/admin/reload", body: []).status == 200)
        try await gateway.waitForValues(of: ["any"])
        #expect(try await gateway.document("/v1/values/any").root["inside"]?.bool == true)
        #expect(try await gateway.terminate() == .exited(0))
    }
}
