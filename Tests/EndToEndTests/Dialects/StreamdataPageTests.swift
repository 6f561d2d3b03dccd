import Foundation
import FreshetTesting
import JSON
import Testing

/// A page with the browser's own `EventSource`, used as Streamdata.io's SDK uses it.
@Suite(
    "Streamdata.io in a page",
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: Browser.path != nil, "no Chromium")
)
struct StreamdataPageTests {
    private static let token = "a-token-of-this-page"

    private static let page = """
        <!doctype html><meta charset="utf-8"><title>page</title><script>
        window.seen = [];
        function open(url) {
          const source = new EventSource(url);
          for (const name of ["data", "patch", "error"]) {
            // Errors of the network have no data, and the browser comes back by itself.
            source.addEventListener(name, (event) => {
              if (event.data === undefined) return;
              window.seen.push([name, event.lastEventId, event.data]);
              // What the test waits for is looked at when the document changes.
              document.title = `${window.seen.length}`;
              if (name === "error") source.close();
            });
          }
          return source;
        }
        </script>
        """

    @Test("data, patches, a reconnection with the last id, a large value, and an error in a 200")
    func page() async throws {
        let folder = try TemporaryFolder()
        try folder.write("\(Self.token)\n", to: "tokens")
        let upstream = try ScriptedUpstream()
        upstream.on(
            "/page",
            respond: UpstreamResponse(headers: ["Content-Type": "text/html"], body: Array(Self.page.utf8))
        )
        let large = String(repeating: "x", count: 1 << 20)
        let resource = VersionedResource(versions: (1...3).map { Array(#"{"n":\#($0),"large":"\#(large)"}"#.utf8) })
        upstream.serve(resource, at: "/stocks")
        let origin = String(upstream.url("/").dropLast())
        let gateway = try Gateway(
            """
            cors: { origins: ["\(origin)"] }
            streamdata: { tokens_file: "\(folder.path("tokens"))", allow: ["\(origin)/stocks"] }
            defaults: { interval: 20ms, max_interval: 50ms }
            sources: { other: { url: "http://127.0.0.1:1/" } }
            """
        )
        let port = try await gateway.process.listeningPort()
        // Cut behind the first patch, once.
        let relay = try CuttingRelay(to: .port(port)) { request, cuts in
            request.contains("/stocks") && cuts == 0 ? .init(after: #""value":2}]"#, bytes: 13) : nil
        }
        let browser = try await Browser()
        try await browser.open("\(origin)/page")
        try await browser.wait(until: "typeof open === 'function' && Array.isArray(window.seen)")
        func url(_ target: String) -> String {
            "http://127.0.0.1:\(relay.port)/\(target)?X-Sd-Header=X-A%3A1&X-Sd-Token=\(Self.token)"
        }
        _ = try await browser.evaluate("void (window.source = open('\(url("\(origin)/stocks"))'))")
        try await browser.wait(
            until: "seen.length === 1 && seen[0][0] === 'data' && JSON.parse(seen[0][2]).large.length === 1 << 20"
        )
        resource.advance()
        try await browser.wait(
            until: "seen.length === 2 && seen[1][0] === 'patch' && JSON.parse(seen[1][2])[0].value === 2"
        )
        // The browser comes back with the id of the patch, and gets what came meanwhile and nothing twice.
        #expect(await relay.waitForRequests(2, to: "GET /http://"))
        #expect(relay.cuts == 1)
        resource.advance()
        try await browser.wait(
            until: "seen.length === 3 && seen[2][0] === 'patch' && JSON.parse(seen[2][2])[0].value === 3"
        )
        #expect(try await browser.evaluate("String(new Set(seen.map((event) => event[1])).size)") == "3")
        upstream.on("/stocks", respond: .status(404))
        try await browser.wait(
            until: "seen.length === 4 && seen[3][0] === 'error' && JSON.parse(seen[3][2]).status === 2005"
        )
        _ = try await browser.evaluate("void open('\(url("http://evil.example/"))')")
        try await browser.wait(
            until: "seen.length === 5 && seen[4][0] === 'error' && JSON.parse(seen[4][2]).status === 403"
        )
        _ = try await gateway.terminate()
    }
}
