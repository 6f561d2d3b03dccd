import FreshetTesting
import JSON
import Testing

@Suite(
    "Webhooks on the page",
    .serialized,
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: Browser.path != nil, "no Chromium")
)
struct PageWebhookTests {
    private static let panel = "document.querySelector('[data-field=webhooks]')"
    private static let notice = "document.querySelector('[data-field=webhookNotice]').textContent"

    private static func cell(_ name: String) -> String {
        "\(self.panel).querySelector('[data-field=\(name)]')"
    }

    private static func press(_ name: String, in browser: Browser) async throws {
        _ = try await browser.evaluate("\(self.cell(name)).click()")
    }

    @Test("an administrator sees state and last tries, and pauses, resumes and tests; nobody else sees anything of it")
    func administration() async throws {
        let receiver = WebhookReceiver(try ScriptedUpstream())
        let gateway = try Gateway(
            """
            sources: { orders: { items: /list, key: /id } }
            webhooks:
              crm: { url: "\(receiver.url)?token=canary", sources: [orders], secret: \(WebhookReceiver.secret) }
            """
        )
        try await gateway.push("[]")
        #expect(await receiver.waitForAccepted(1))
        let page = "http://127.0.0.1:\(try await gateway.process.listeningPort())/"
        let browser = try await Browser()
        try await browser.open("\(page)#key=\(try gateway.process.key())")
        try await browser.wait(until: "\(Self.panel) && !\(Self.panel).hidden")
        try await browser.wait(until: "\(Self.cell("state")).textContent === 'active'")
        #expect(try await browser.evaluate("\(Self.cell("name")).textContent") == "crm")
        try await browser.wait(until: "\(Self.cell("delivered")).textContent === '1 delivered'")
        try await browser.wait(until: "\(Self.cell("position")).textContent === 'up to date'")
        #expect(try await browser.evaluate("\(Self.cell("summary")).textContent").contains("delivered 204"))
        #expect(try await browser.evaluate("\(Self.cell("tries")).children.length") == "1")
        #expect(try await browser.evaluate("document.body.innerHTML.includes('canary')") == "0")

        receiver.answer(.status(500))
        try await Self.press("test", in: browser)
        try await browser.wait(until: "\(Self.notice).startsWith('The test of crm ended: refused, 500')")
        try await browser.wait(until: "\(Self.cell("tries")).children.length === 2")
        // Says first what it does, and does it only then.
        try await Self.press("pause", in: browser)
        try await browser.wait(until: "document.getElementById('confirm').open")
        #expect(try await gateway.webhook("crm")["state"]?.string == "active")
        _ = try await browser.evaluate("document.querySelector('#confirm [value=yes]').click()")
        try await browser.wait(until: "\(Self.cell("state")).textContent === 'paused'")
        #expect(try await gateway.webhook("crm")["state"]?.string == "paused")
        #expect(try await browser.evaluate("\(Self.cell("pause")).textContent") == "Resume")
        try await gateway.push(#"[{"id":1}]"#)
        try await Self.press("pause", in: browser)
        #expect(await receiver.waitForAccepted(2))
        try await browser.wait(until: "\(Self.cell("state")).textContent === 'active'")
        try await browser.wait(until: "\(Self.cell("delivered")).textContent === '2 delivered'")
        #expect(browser.complaints.isEmpty, "\(browser.complaints)")

        let other = try await Browser()
        try await other.open(page)
        try await other.wait(until: "document.querySelector('tbody th a')?.textContent === 'orders'")
        #expect(try await other.evaluate("\(Self.panel).hidden") == "1")
        #expect(!other.requests.contains { $0.contains("/v1/admin/") })
    }
}
