import FreshetTesting
import Testing

/// What the page at `/` says of a change, in a browser.
@Suite(
    "Changes on the page",
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: Browser.path != nil, "no Chromium")
)
struct PageChangeTests {
    /// Values so small that the gateway sends each whole, and what the page has to say of the step to it.
    private static let steps: [(body: String, text: String)] = [
        (#"{"base":"EUR","n":1,"rates":{"USD":1.1}}"#, #"snapshot{"base":"EUR","n":1"#),
        (#"{"base":"EUR","n":2,"rates":{"USD":1.1}}"#, "replace /n 12"),
        (#"{"base":"EUR","n":2,"rates":{"USD":1.5}}"#, "replace /rates/USD 1.11.5"),
        (#"{"base":"EUR","n":2,"rates":{"CHF":1}}"#, "remove /rates/USD 1.5add /rates/CHF 1"),
        ("[1]", #"replace / {"base":"EUR","n":2,"rates":{"CHF":1}}[1]"#),
        ("[1,2]", "add /1 2"),
    ]

    @Test("R33 the page shows what changed where the gateway sends a snapshot")
    func snapshots() async throws {
        let resource = VersionedResource(versions: Self.steps.map { Array($0.body.utf8) })
        let upstream = try ScriptedUpstream()
        upstream.serve(resource, at: "/value")
        let gateway = try Gateway("sources:\n  value: { url: \"\(upstream.url("/value"))\", interval: 50ms }")
        try await gateway.waitForValues(of: ["value"])
        let port = try await gateway.process.listeningPort()
        let browser = try await Browser()
        try await browser.open("http://127.0.0.1:\(port)/")
        for (index, step) in Self.steps.enumerated() {
            if index > 0 { resource.advance() }
            let shown = step.text.replacing("\"", with: "\\\"")
            try await browser.wait(
                until: ##"document.querySelector("#changes li")?.textContent.includes("\##(shown)")"##
            )
        }
        #expect(try await gateway.terminate() == .exited(0))
    }
}
