import FreshetTesting
import JSON
import Testing

/// The page at `/` in a browser: what stands behind the `#` of its address.
@Suite(
    "The page's address",
    .serialized,
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: Browser.path != nil, "no Chromium")
)
struct PageAddressTests {
    /// A gateway with one source, and the page's address without a fragment.
    private func gateway() async throws -> (gateway: Gateway, page: String, upstream: ScriptedUpstream) {
        let upstream = try ScriptedUpstream()
        upstream.on("*", respond: .json("[1]"))
        let gateway = try Gateway("sources:\n  a: { url: \"\(upstream.url("/"))\", interval: 1h }")
        try await gateway.waitForValues(of: ["a"])
        return (gateway, "http://127.0.0.1:\(try await gateway.process.listeningPort())/", upstream)
    }

    private static let isListed = "document.querySelector('tbody th a')?.textContent === 'a'"
    private static let isChosen = "document.querySelector('[data-field=stream]')?.textContent.endsWith('/a')"

    @Test(
        "A21: whatever stands there, the page works",
        arguments: [
            ("", false), ("#/", false), ("#a", true), ("#%61", true), ("#/sources/a", true),
            ("#/sources/%61/poll", true), ("#%E0%A4%A", false), ("#%", false), ("#key=%E0%A4%A", false),
        ]
    )
    func fragments(fragment: String, isChosen: Bool) async throws {
        let (gateway, page, upstream) = try await self.gateway()
        let browser = try await Browser()
        try await browser.open(page + fragment)
        try await browser.wait(until: isChosen ? Self.isChosen : Self.isListed)
        #expect(upstream.requests.count == 1)
        #expect(gateway.process.isRunning)
    }

    @Test("A02: the key leaves the address bar, and the buttons send it; without it they say what they need")
    func key() async throws {
        let (gateway, page, upstream) = try await self.gateway()
        let browser = try await Browser()
        try await browser.open("\(page)#key=\(try gateway.process.key())")
        try await browser.wait(until: Self.isListed)
        #expect(try await browser.evaluate("location.href") == page)
        let pause = "document.querySelector('[data-field=pause]')"
        let poll = "document.querySelector('[data-field=poll]')"
        let notice = "document.querySelector('[data-field=notice]').textContent"
        let dialog = "document.getElementById('confirm')"
        _ = try await browser.evaluate("document.querySelector('tbody th a').click()")
        try await browser.wait(until: pause)
        _ = try await browser.evaluate("\(pause).click()")
        // Says first what it does, and does it only then.
        try await browser.wait(until: "\(dialog).open")
        #expect(try await gateway.document("/v1/sources/a").root["state"]?.string == "ok")
        _ = try await browser.evaluate("\(dialog).querySelector('[value=yes]').click()")
        try await browser.wait(until: "\(pause).textContent === 'Resume'")
        #expect(try await gateway.document("/v1/sources/a").root["state"]?.string == "paused")
        _ = try await browser.evaluate("\(poll).click()")
        try await browser.wait(until: "\(notice) === 'Polled: the same value again.'")
        #expect(upstream.requests.count == 2)

        try await browser.open("\(page)?again#a")
        try await browser.wait(until: "location.search === '?again'")
        try await browser.wait(until: pause)
        _ = try await browser.evaluate("\(pause).click()")
        try await browser.wait(until: "\(dialog).open")
        #expect(try await browser.evaluate("\(dialog).textContent").contains("needs an administrator"))
        #expect(try await browser.evaluate("\(dialog).querySelector('[value=yes]').hidden") == "1")
    }
}
