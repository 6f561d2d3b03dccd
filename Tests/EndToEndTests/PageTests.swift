import FreshetTesting
import Testing

/// The page at `/` in a browser, fed by an upstream that wants to run something in it.
@Suite(
    "The page in a browser",
    .serialized,
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: Browser.path != nil, "no Chromium")
)
struct PageTests {
    /// Texts that run something, or load `/canary`, where they are taken for markup.
    private static let payloads = [
        #"<img src=/canary onerror=window.pwned=1>"#, #"<script>window.pwned=1</script>"#,
        #"<script src=/canary></script>"#, #"<svg onload=window.pwned=1>"#, #"<iframe src=/canary></iframe>"#,
        #"</pre><img src=/canary onerror=window.pwned=1>"#, #"</li></ol><svg/onload=window.pwned=1>"#,
        #""><img src=/canary onerror=window.pwned=1>"#, #"'><video onerror=window.pwned=1>"#,
        #"<a href="javascript:window.pwned=1">x</a>"#, #"<object data=/canary></object>"#,
        #"<base href=//127.0.0.1:1/>"#,
        "\u{202e}evil\u{200b}<img src=/canary>",
        #"<meta http-equiv=refresh content="9;url=/canary">"#, #"<link rel=stylesheet href=/canary>"#,
        #"<form action=/canary><input autofocus onfocus=window.pwned=1>"#, #"<math><mi xlink:href=javascript:1>"#,
        #"<template><img src=/canary></template>"#, #"<!--><img src=/canary onerror=window.pwned=1>-->"#,
    ]

    /// Says what markup came out of data: elements that the page itself never makes, and what ran or was loaded.
    private static let findings = """
        (() => {
          const made = "main img, main iframe, main object, main embed, main base, main meta, main link, main form, main math,"
            + "main template, main script, main style, main video, main a:not([href^='#']), body > script, body > svg, body > img";
          const found = [...document.querySelectorAll(made)].map((one) => one.outerHTML);
          for (const one of document.querySelectorAll("*")) {
            for (const attribute of one.attributes) {
              if (attribute.name.startsWith("on")) found.push(attribute.name + " of " + one.tagName);
            }
          }
          const loaded = performance.getEntriesByType("resource").map((one) => one.name);
          found.push(...loaded.filter((name) => name.includes("canary")));
          if (window.pwned) found.push("a script ran");
          return found.join("\\n");
        })()
        """

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
    }

    /// A value that holds the payload as text, as a name and as an item's identity.
    private static func body(_ payload: String, _ version: Int) -> [UInt8] {
        let text = Self.escaped(payload)
        let rest = String(repeating: "x", count: 1000)
        return Array(
            #"{"\#(text)":"\#(text) \#(version)","list":[{"id":"\#(text)","n":\#(version)}],"rest":"\#(rest)"}"#.utf8
        )
    }

    /// An answer that fails, with a message that names what was received.
    private static func failure(_ payload: String) -> [UpstreamStep] {
        let type = payload.replacing(" ", with: "")
        let head = "HTTP/1.1 200 \(payload)\r\nContent-Type: text/\(type)\r\nServer: \(payload)\r\nContent-Length: 2"
        return [.send("\(head)\r\n\r\n{}")]
    }

    @Test("S26 what an upstream sends stays text in every field of the page")
    func payloads() async throws {
        let upstream = try ScriptedUpstream()
        var resources: [VersionedResource] = []
        var lines: [String] = []
        for (index, payload) in Self.payloads.enumerated() {
            let resource = VersionedResource(versions: (1...2).map { Self.body(payload, $0) })
            upstream.serve(resource, at: "/value\(index)")
            upstream.on("/failing\(index)") { _ in Self.failure(payload) }
            resources.append(resource)
            lines.append("  value\(index): { url: \"\(upstream.url("/value\(index)"))\", interval: 50ms }")
            lines.append("  failing\(index): { url: \"\(upstream.url("/failing\(index)"))\", interval: 1h }")
        }
        let gateway = try Gateway("sources:\n" + lines.joined(separator: "\n"))
        try await gateway.waitForValues(of: resources.indices.map { "value\($0)" })
        guard case .tcp(_, let port) = try await gateway.process.endpoint() else { return }
        let browser = try await Browser()
        try await browser.open("http://127.0.0.1:\(port)/")
        for (index, payload) in Self.payloads.enumerated() {
            // The page shows values as JSON, and writes out what hides or turns the text around it.
            let plain = Self.escaped(payload).replacing("\u{202e}", with: "\\u202e")
                .replacing("\u{200b}", with: "\\u200b")
            let shown = Self.escaped(plain)
            try await Self.choose("value\(index)", in: browser)
            try await browser.wait(until: Self.text("tree", includes: "\(shown) 1"))
            #expect(resources[index].advance())
            try await browser.wait(until: Self.text("tail", includes: "\(shown) 2"))
            try await browser.wait(until: Self.text("headers", includes: "HTTP/1.1"))
            try await Self.choose("failing\(index)", in: browser)
            try await browser.wait(until: #"document.querySelector(".problem")?.textContent.length > 0"#)
            #expect(try await browser.evaluate(Self.findings) == "", "\(payload)")
        }
        _ = try await browser.evaluate("location.hash = '#/'")
        try await browser.wait(until: "document.querySelectorAll('tbody tr .leaf').length > 0")
        #expect(try await browser.evaluate(Self.findings) == "")
        let own = "http://127.0.0.1:\(port)/"
        #expect(browser.requests.allSatisfy { $0.hasPrefix(own) || $0 == "about:blank" }, "\(browser.requests)")
        #expect(browser.complaints.isEmpty, "\(browser.complaints)")
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("R33 where a snapshot comes in place of a patch, the page shows what changed")
    func snapshots() async throws {
        let upstream = try ScriptedUpstream()
        // Everything moves, so that a patch would be larger than the value.
        let versions = (1...2).map { #"{"base":"EUR","n":\#($0),"rates":{"CHF":0.9\#($0),"USD":1.0\#($0)}}"# }
        let resource = VersionedResource(versions: versions.map { Array($0.utf8) })
        upstream.serve(resource, at: "/rates")
        let gateway = try Gateway("sources:\n  rates: { url: \"\(upstream.url("/rates"))\", interval: 50ms }")
        try await gateway.waitForValues(of: ["rates"])
        guard case .tcp(_, let port) = try await gateway.process.endpoint() else { return }
        let browser = try await Browser()
        try await browser.open("http://127.0.0.1:\(port)/")
        try await Self.choose("rates", in: browser)
        try await browser.wait(until: #"document.querySelectorAll("[data-field=tail] li").length === 1"#)
        #expect(resource.advance())
        try await browser.wait(until: #"document.querySelectorAll("[data-field=tail] li").length === 2"#)
        let shown = try await browser.evaluate(#"document.querySelector("[data-field=tail] li").textContent"#)
        for part in ["3 values changed", "n was 1", "now 2", "CHF was 0.91", "USD"] {
            #expect(shown.contains(part), "\(shown)")
        }
        #expect(!shown.contains("base"), "\(shown)")
        #expect(try await gateway.terminate() == .exited(0))
    }

    private static func choose(_ source: String, in browser: Browser) async throws {
        try await browser.wait(until: "document.querySelector('main h1')")
        _ = try await browser.evaluate("location.hash = '#/sources/\(source)'")
        let stream = #"document.querySelector("[data-field=stream]")?.textContent"#
        try await browser.wait(until: #"\#(stream).endsWith("/\#(source)")"#)
    }

    private static func text(_ field: String, includes text: String) -> String {
        #"document.querySelector("[data-field=\#(field)]")?.textContent.includes("\#(text)")"#
    }

    @Test("S26 the check finds markup where a page takes text for it")
    func control() async throws {
        let upstream = try ScriptedUpstream()
        let page = "<!doctype html><body><main id=m></main><script>document.title=\"ready\"</script>"
        upstream.on("*", respond: UpstreamResponse(headers: ["Content-Type": "text/html"], body: Array(page.utf8)))
        let browser = try await Browser()
        for (index, payload) in Self.payloads.enumerated() {
            // Another address each time: the page before it is ready too.
            try await browser.open(upstream.url("/?\(index)"))
            try await browser.wait(until: #"location.search === "?\#(index)" && document.title === "ready""#)
            _ = try await browser.evaluate(#"document.getElementById("m").innerHTML = "\#(Self.escaped(payload))"; 1"#)
            #expect(try await browser.evaluate(Self.findings) != "", "\(payload)")
        }
    }
}
