import Foundation
import FreshetTesting
import JSON
import Testing

/// The page at `/` as a reader uses it: what comes without a reload, restarts, the keyboard, very many sources. With the
/// checks of axe-core some 40 s.
@Suite(
    "The page in use",
    .serialized,
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: Browser.path != nil, "no Chromium")
)
struct PageUseTests {
    private static func field(_ name: String) -> String { "document.querySelector('[data-field=\(name)]')" }

    private static func stations(_ bikes: Int) -> [UInt8] {
        let rest = String(repeating: "x", count: 400)
        return Array(#"[{"id":101,"name":"Market","bikes":\#(bikes),"rest":"\#(rest)"},{"id":102,"bikes":3}]"#.utf8)
    }

    @Test("a change is on the page without a reload, with what it was, where it was and when")
    func changes() async throws {
        let upstream = try ScriptedUpstream()
        let resource = VersionedResource(versions: (1...4).map(Self.stations))
        upstream.serve(resource, at: "/stations")
        let gateway = try Gateway(
            "sources:\n  stations: { url: \"\(upstream.url("/stations"))\", interval: 50ms, key: /id }"
        )
        try await gateway.waitForValues(of: ["stations"])
        let page = "http://127.0.0.1:\(try await gateway.process.listeningPort())/"
        let browser = try await Browser()
        try await browser.open(page)
        try await browser.wait(until: "document.querySelector('h1')?.textContent === 'The source is ok'")
        resource.advance()
        // In the row, and among the latest changes, from one stream of rows.
        let isShown = "document.querySelector('tbody .leaf')?.textContent === '101 › bikes was 1 → now 2'"
        try await browser.wait(until: isShown)
        try await browser.wait(until: "\(Self.field("latest")).textContent.includes('1 item updated')")
        #expect(!browser.requests.contains { $0.contains("/v1/streams") || $0.contains("/v1/values") })

        _ = try await browser.evaluate("document.querySelector('tbody th a').click()")
        try await browser.wait(until: "\(Self.field("tail"))?.children.length === 2")
        resource.advance()
        try await browser.wait(until: "\(Self.field("tail")).children.length === 3")
        let newest = try await browser.evaluate("\(Self.field("tail")).firstElementChild.textContent")
        #expect(newest.contains("1 item updated") && newest.contains("101 Market"), "\(newest)")
        #expect(newest.contains("bikes was 2 → now 3"), "\(newest)")
        try await browser.wait(until: "\(Self.field("tree")).textContent.includes('bikes 3 was 2')")
        // The value as it was, by the moment in the list; what comes meanwhile does not move it.
        _ = try await browser.evaluate("\(Self.field("tail")).lastElementChild.querySelector('a').click()")
        try await browser.wait(until: "!\(Self.field("now")).hidden")
        _ = try await browser.evaluate("document.querySelector('[data-pointer=\"/0\"] > summary').click()")
        try await browser.wait(until: "\(Self.field("tree")).textContent.includes('bikes 1')")
        resource.advance()
        try await browser.wait(until: "\(Self.field("tail")).children.length === 4")
        #expect(try await browser.evaluate("\(Self.field("tree")).textContent").contains("bikes 1"))
        #expect(try await browser.evaluate("\(Self.field("now")).hidden") == "0")
        _ = try await browser.evaluate("\(Self.field("now")).click()")
        try await browser.wait(until: "\(Self.field("tree")).textContent.includes('bikes 4 was 3')")
        // The last poll: where its time went and what was said.
        try await browser.wait(until: "\(Self.field("outcome")).textContent.startsWith('304')")
        #expect(try await browser.evaluate("\(Self.field("headers")).textContent").contains("If-None-Match"))
        #expect(browser.complaints.isEmpty, "\(browser.complaints)")
    }

    @Test("the page goes on after its gateway was started again, and says so meanwhile")
    func restart() async throws {
        let upstream = try ScriptedUpstream()
        let resource = VersionedResource(versions: (1...3).map(Self.stations))
        upstream.serve(resource, at: "/stations")
        let folder = try TemporaryFolder()
        let configuration =
            "log: { path: \(folder.path("log.db")) }\nretry: 100ms\n"
            + "sources:\n  stations: { url: \"\(upstream.url("/stations"))\", interval: 50ms, key: /id }"
        let first = try Gateway(configuration)
        try await first.waitForValues(of: ["stations"])
        let port = try await first.process.listeningPort()
        let browser = try await Browser()
        try await browser.open("http://127.0.0.1:\(port)/#/sources/stations")
        try await browser.wait(until: "\(Self.field("tail"))?.children.length === 1")
        #expect(try await first.terminate() == .exited(0))
        try await browser.wait(until: "document.getElementById('connection').textContent === 'Reconnecting'")
        try await browser.wait(until: "!document.getElementById('banner').hidden")
        resource.advance()
        let second = try Gateway(configuration, listen: "127.0.0.1:\(port)")
        try await second.waitForValues(of: ["stations"])
        try await browser.wait(until: "document.getElementById('connection').textContent === 'Live'")
        // What happened while it was down is there, after what was there before.
        try await browser.wait(until: "\(Self.field("tail")).children.length === 2")
        #expect(try await browser.evaluate("\(Self.field("tail")).textContent").contains("bikes was 1 → now 2"))
        #expect(try await browser.evaluate("document.getElementById('banner').hidden") == "1")
        #expect(try await second.terminate() == .exited(0))
    }

    @Test("a source that fails says what, why, what it does and what to do")
    func failing() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/no") { _ in [.send("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")] }
        let gateway = try Gateway("sources:\n  orders: { url: \"\(upstream.url("/no"))\", interval: 1h }")
        let page = "http://127.0.0.1:\(try await gateway.process.listeningPort())/"
        let browser = try await Browser()
        try await browser.open(page)
        try await browser.wait(until: "document.querySelector('h1')?.textContent === 'orders is failing'")
        #expect(try await browser.evaluate("document.title") == "(1) Freshet")
        _ = try await browser.evaluate("\(Self.field("worst")).querySelector('a').click()")
        try await browser.wait(until: "document.querySelector('.problem.failing')")
        let problem = try await browser.evaluate("document.querySelector('.problem').textContent")
        for part in ["refuses the credential", "Why", "Effect", "Fix", "Renew the credential"] {
            #expect(problem.contains(part), "\(problem)")
        }
    }

    @Test("with auth the page asks for a key, shows what it may read, and forgets it")
    func signIn() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("*", respond: .json("[1]"))
        let folder = try TemporaryFolder()
        let secret = "mK3v9QpX7sT1wZ4bN8cR2yL6hJ0dF5gA9uE3iO7kP1q"
        let file = try folder.write(secret + "\n", to: "mobile")
        let gateway = try Gateway(
            """
            auth:
              keys:
                - { id: mobile, secret_file: \(file), read: ["a"] }
            sources:
              a: { url: "\(upstream.url("/a"))", interval: 1h }
              b: { url: "\(upstream.url("/b"))", interval: 1h }
            """
        )
        let page = "http://127.0.0.1:\(try await gateway.process.listeningPort())/"
        let browser = try await Browser()
        try await browser.open(page)
        try await browser.wait(until: "document.querySelector('h1')?.textContent === 'Sign in'")
        #expect(browser.complaints.isEmpty, "\(browser.complaints)")
        func give(_ key: String) async throws {
            _ = try await browser.evaluate(
                "document.getElementById('key').value = '\(key)'; document.querySelector('form button').click()"
            )
        }
        try await give("wrong")
        try await browser.wait(until: "\(Self.field("refusal"))?.textContent.length > 0")
        try await give(secret)
        try await browser.wait(until: "document.querySelector('tbody th a')?.textContent === 'a'")
        #expect(try await browser.evaluate("document.querySelectorAll('tbody th a').length") == "1")
        #expect(try await browser.evaluate("document.getElementById('caller').textContent") == "mobile")
        _ = try await browser.evaluate("document.querySelector('tbody th a').click()")
        try await browser.wait(until: "\(Self.field("tree"))?.textContent.includes('1')")
        let snippet = try await browser.evaluate("\(Self.field("snippet")).textContent")
        #expect(snippet.contains("Authorization: Bearer KEY") && !snippet.contains(secret), "\(snippet)")
        #expect(browser.requests.allSatisfy { !$0.contains(secret) && !$0.contains("/b") })
        _ = try await browser.evaluate("document.getElementById('session').click()")
        try await browser.wait(until: "document.querySelector('h1')?.textContent === 'Sign in'")
        #expect(try await browser.evaluate("document.body.innerText.includes('\(secret)')") == "0")
        let kept = "JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), document.cookie])"
        #expect(try await browser.evaluate(kept).contains(secret) == false)
    }

    @Test("the keyboard alone reaches everything that a pointer does")
    func keyboard() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("*", respond: .json(#"{"a":{"b":1},"c":[1,2]}"#))
        let gateway = try Gateway(
            "sources:\n"
                + (1...3).map { "  s\($0): { url: \"\(upstream.url("/\($0)"))\", interval: 1h }" }
                .joined(separator: "\n")
        )
        try await gateway.waitForValues(of: ["s1", "s2", "s3"])
        let page = "http://127.0.0.1:\(try await gateway.process.listeningPort())/"
        let browser = try await Browser()
        // What can be used and seen; of tabs one is in the order, and arrows reach the others.
        let usable = """
            [...document.querySelectorAll("a[href], button, input, summary, [tabindex='0']")].filter((one) =>
              one.checkVisibility() && !one.closest("dialog") && !one.disabled && one.tabIndex >= 0)
            """
        for (address, ready) in [
            ("#/", "document.querySelectorAll('tbody tr').length === 3"),
            (
                "#/sources/s1",
                "\(Self.field("headers"))?.children.length > 0 && \(Self.field("tree")).querySelector('summary')"
            ),
        ] {
            try await browser.open(page + "?\(address.count)" + address)
            try await browser.wait(until: "location.search === '?\(address.count)' && \(ready)")
            _ = try await browser.evaluate("window.met = new Set(); document.activeElement?.blur(); scrollTo(0, 0)")
            let count = Int(try await browser.evaluate("\(usable).length")) ?? 0
            #expect(count > 10)
            for _ in 0..<count + 5 {
                try await browser.press("Tab")
                _ = try await browser.evaluate("window.met.add(document.activeElement); 1")
            }
            let missed = try await browser.evaluate(
                "\(usable).filter((one) => !window.met.has(one)).map((one) => one.outerHTML.slice(0, 80)).join()"
            )
            #expect(missed == "", "\(address)")
        }
        // Single keys: up, next, into a source, the list of keys.
        try await browser.press("u")
        try await browser.wait(until: "location.hash === '#/'")
        try await browser.wait(until: "document.querySelectorAll('tbody tr').length === 3")
        for name in ["s1", "s2"] {
            try await browser.press("j")
            #expect(try await browser.evaluate("document.activeElement.textContent") == name)
        }
        try await browser.press("Enter")
        try await browser.wait(until: "location.hash === '#/sources/s2'")
        try await browser.wait(until: "document.activeElement.tagName === 'H1'")
        try await browser.press("?")
        try await browser.wait(until: "document.getElementById('shortcuts').open")
        try await browser.press("Escape")
        try await browser.wait(until: "!document.getElementById('shortcuts').open")
        try await browser.press("u")
        try await browser.wait(until: "document.querySelectorAll('tbody tr').length === 3")
        try await browser.press("/")
        for key in ["s", "3"] { try await browser.press(key) }
        try await browser.wait(until: "document.querySelectorAll('tbody tr').length === 1")
        #expect(browser.complaints.isEmpty, "\(browser.complaints)")
    }

    @Test("a thousand sources: the rows that can be seen, one stream, one list; filter and order work")
    func many() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("*", respond: .json("[1]"))
        let names = (0..<1000).map { "s\(String($0 + 1000).dropFirst())" }
        let lines = names.map { "  \($0): { url: \"\(upstream.url("/\($0)"))\", interval: 1h }" }
        let gateway = try Gateway("sources:\n" + lines.joined(separator: "\n"))
        try await gateway.waitForValues(of: [names[0], names[999]])
        let page = "http://127.0.0.1:\(try await gateway.process.listeningPort())/"
        let browser = try await Browser()
        try await browser.open(page)
        let table = Self.field("table")
        try await browser.wait(until: "\(table)?.getAttribute('aria-rowcount') === '1001'")
        let rows = "[...document.querySelectorAll('tbody tr:not(.spacer) th a')].map((one) => one.textContent)"
        try await browser.wait(until: "\(rows)[0] === 's000'")
        #expect(Int(try await browser.evaluate("\(rows).length")) ?? 1000 < 100)
        _ = try await browser.evaluate("scrollTo(0, document.body.scrollHeight)")
        try await browser.wait(until: "\(rows).includes('s999')")
        #expect(Int(try await browser.evaluate("\(rows).length")) ?? 1000 < 100)
        _ = try await browser.evaluate("document.querySelector('[data-column=name]').click()")
        _ = try await browser.evaluate("document.querySelector('[data-column=name]').click(); scrollTo(0, 0)")
        try await browser.wait(until: "\(rows)[0] === 's999'")
        let order = "document.querySelector('[data-column=name]').parentElement.getAttribute('aria-sort')"
        #expect(try await browser.evaluate(order) == "descending")
        // With the keyboard beyond what was made.
        for _ in 0..<70 { try await browser.press("j") }
        #expect(try await browser.evaluate("document.activeElement.textContent") == "s930")
        let filter = Self.field("filter")
        _ = try await browser.evaluate("\(filter).value = 's12'; \(filter).dispatchEvent(new Event('input')); 1")
        try await browser.wait(until: "\(rows).length === 10")
        #expect(try await browser.evaluate("\(Self.field("matches")).textContent") == "10 sources of 1,000")
        let asked = browser.requests.filter { $0.contains("/v1/") && !$0.hasSuffix("/v1/gateway") }
        #expect(asked == ["\(page)v1/sources"], "\(asked)")
        let streams = try await gateway.client.get("/metrics").text
        #expect(streams.contains("freshet_row_streams 1\n") && streams.contains("freshet_subscribers 0\n"))
        #expect(browser.complaints.isEmpty, "\(browser.complaints)")
    }

    @Test("a page whose gateway is gone opens and says so")
    func offline() async throws {
        let gateway = try Gateway("sources:\n  a: { }")
        let port = try await gateway.process.listeningPort()
        let browser = try await Browser()
        try await browser.open("http://127.0.0.1:\(port)/")
        _ = try await browser.evaluate("navigator.serviceWorker.ready.then(() => 1)")
        #expect(try await gateway.terminate() == .exited(0))
        try await browser.open("http://127.0.0.1:\(port)/#/")
        try await browser.reload()
        try await browser.wait(until: "document.querySelector('h1')?.textContent === 'The gateway does not answer'")
    }
}

/// axe-core, the checker.
private enum Axe {
    /// The checker, from PyPI; it is a part of a package for other tests.
    static let script: String? = {
        let folder = Suites.packageRoot.appending(path: ".build-python/axe")
        let file = folder.appending(path: "axe_playwright_python/axe.min.js")
        if !FileManager.default.fileExists(atPath: file.path) {
            let install = Process()
            install.executableURL = URL(filePath: "/usr/bin/env")
            install.arguments = [
                "python3", "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder.path,
                "axe-playwright-python==0.1.8",
            ]
            install.standardOutput = FileHandle.nullDevice
            install.standardError = FileHandle.nullDevice
            guard (try? install.run()) != nil else { return nil }
            install.waitUntilExit()
        }
        return try? String(contentsOf: file, encoding: .utf8)
    }()
}

/// What axe-core finds on the page, in every state, light and dark, on a desk and a phone.
@Suite(
    "The page for everybody",
    .serialized,
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: Browser.path != nil, "no Chromium"),
    .enabled("skipped: no axe-core, since pip cannot install it") { Axe.script != nil }
)
struct PageAccessibilityTests {
    private static let states: [(address: String, ready: String)] = [
        ("#/", "document.querySelectorAll('tbody tr').length === 3"),
        ("#/sources/good", "document.querySelector('[data-field=tail]')?.children.length > 0"),
        ("#/sources/bad", "document.querySelector('.problem')"),
        ("#/sources/nothing", "document.querySelector('h1')?.textContent === 'No such source'"),
    ]

    @Test("axe-core finds nothing, and nothing is wider than its window", arguments: [(1280, false), (390, true)])
    func findings(width: Int, isDark: Bool) async throws {
        let axe = try #require(Axe.script)
        let upstream = try ScriptedUpstream()
        upstream.on("/good", respond: .json(#"[{"id":1,"name":"Market Street","open":true}]"#))
        upstream.on("/bad") { _ in [.send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")] }
        let gateway = try Gateway(
            """
            sources:
              good: { url: "\(upstream.url("/good"))", interval: 1h }
              bad: { url: "\(upstream.url("/bad"))", interval: 1h }
              pushed: { }
            """
        )
        try await gateway.waitForValues(of: ["good"])
        let page = "http://127.0.0.1:\(try await gateway.process.listeningPort())/"
        let browser = try await Browser()
        try await browser.show(width: width, height: 900, isDark: isDark)
        for (index, state) in Self.states.enumerated() {
            try await browser.open("\(page)?\(index)\(state.address)")
            try await browser.wait(until: "location.search === '?\(index)' && (\(state.ready))")
            try await Self.check(browser, axe, state.address)
        }
        _ = try await browser.evaluate("document.getElementById('session').click()")
        try await browser.wait(until: "document.querySelector('h1')?.textContent === 'Sign in'")
        try await Self.check(browser, axe, "signed out")
        // Of what is there this caller may read nothing.
        let empty = try Gateway("auth: { anonymous: { read: [none] } }\nsources:\n  a: { }")
        try await browser.open("http://127.0.0.1:\(try await empty.process.listeningPort())/")
        try await browser.wait(until: "document.querySelector('h1')?.textContent === 'No source yet'")
        try await Self.check(browser, axe, "empty")
        #expect(browser.complaints.isEmpty, "\(browser.complaints)")
    }

    private static func check(_ browser: Browser, _ axe: String, _ state: String) async throws {
        // What appears fades in, and is judged once it is there.
        let settled = "Promise.all(document.getAnimations().map((one) => one.finished)).then(() => 1)"
        _ = try await browser.evaluate(settled)
        _ = try await browser.evaluate("\(axe); 1")
        let found = try await browser.evaluate(
            "axe.run().then((all) => all.violations.map((one) => one.id + ': ' + one.nodes[0].html.slice(0, 200)).join())"
        )
        #expect(found == "", "\(state)")
        #expect(try await browser.evaluate("document.documentElement.scrollWidth <= innerWidth") == "1", "\(state)")
        // Headings to sort by have lines of their own where they do not fit, and no scroll bar.
        let fits = "[...document.querySelectorAll('.sources thead')].every((one) => one.scrollWidth <= one.clientWidth)"
        #expect(try await browser.evaluate(fits) == "1", "\(state)")
    }
}
