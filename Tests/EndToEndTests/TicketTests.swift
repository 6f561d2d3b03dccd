import EventStream
import FreshetTesting
import Glibc
import JSON
import Testing

/// Tickets, asked of the program itself, and of the browsers that they are for.
@Suite("Tickets", .serialized, .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct TicketTests {
    private static let mobile = "canary-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa"
    private static let feeder = "canary-Qm4Zr8L2vXc7Yb1NwK5sDhUeGa3fJ9tq"

    /// A gateway with one source that its test publishes, and whoever may read it.
    private struct Setting {
        let folder: TemporaryFolder
        let upstream: ScriptedUpstream
        let top: String
        let sources: String
        let feederFile: String
        let mobileFile: String

        init(top: String = "") throws {
            self.folder = try TemporaryFolder()
            self.mobileFile = try self.folder.write("\(TicketTests.mobile)\n", to: "mobile")
            self.feederFile = try self.folder.write("\(TicketTests.feeder)\n", to: "feeder")
            self.upstream = try ScriptedUpstream()
            self.upstream.on("*", respond: .json(TicketTests.value(0)))
            self.top = top
            self.sources = """
                sources:
                  orders: { url: "\(self.upstream.url("/orders"))", interval: 1h }
                  rates: { url: "\(self.upstream.url("/rates"))", interval: 1h }
                """
        }

        /// The configuration, with what `mobile` may read; `nil` for no such key.
        func configuration(read: String? = "[orders, rates]") -> String {
            let mobile = read.map { #"    - { id: mobile, secret_file: "\#(self.mobileFile)", read: \#($0) }"# } ?? ""
            return """
                \(self.top)
                auth:
                  keys:
                    - { id: feeder, secret_file: "\(self.feederFile)", read: ["*"], publish: ["*"], admin: true }
                \(mobile)
                \(self.sources)
                """
        }

        func start() async throws -> (gateway: Gateway, endpoint: Endpoint) {
            let gateway = try Gateway(self.configuration())
            let endpoint = try await gateway.process.endpoint()
            for source in ["orders", "rates"] {
                let reply = try await RawHTTP.send(
                    "GET",
                    "/v1/values/\(source)?wait=20s",
                    to: endpoint,
                    headers: ["X-API-Key": TicketTests.feeder, "If-None-Match": "\"none\""]
                )
                #expect(reply.status == 200, "\(reply.text) \(gateway.process.errors)")
            }
            return (gateway, endpoint)
        }
    }

    private static func value(_ number: Int) -> String {
        #"{"n":\#(number),"pad":"\#(String(repeating: "x", count: 300))"}"#
    }

    private static func publish(_ number: Int, to endpoint: Endpoint) async throws {
        let reply = try await RawHTTP.send(
            "POST",
            "/v1/sources/orders/value",
            to: endpoint,
            headers: ["X-API-Key": self.feeder, "Content-Type": "application/json"],
            body: Array(self.value(number).utf8)
        )
        #expect(reply.status == 200, "\(reply.text)")
    }

    private static func ticket(_ endpoint: Endpoint, _ sources: String = "orders") async throws -> String {
        let reply = try await RawHTTP.send(
            "POST",
            "/v1/tickets",
            to: endpoint,
            headers: ["Authorization": "Bearer \(self.mobile)"],
            body: Array(#"{"sources":"\#(sources)"}"#.utf8)
        )
        return try #require(try Document(parsing: reply.body).root["ticket"]?.string, "\(reply.text)")
    }

    @Test(
        "S8: EventSource with a ticket is cut a hundred times and loses nothing; its URL is worth nothing to others",
        .enabled(if: Browser.path != nil, "no Chromium")
    )
    func browser() async throws {
        let setting = try Setting(top: "retry: 100ms")
        let (gateway, endpoint) = try await setting.start()
        let ticket = try await Self.ticket(endpoint)
        let path = "/v1/streams/orders?ticket=\(ticket)"
        let goal = 100
        let relay = try CuttingRelay(to: endpoint) { request, cuts in
            guard request.hasPrefix("GET /v1/streams/"), cuts < goal else { return nil }
            // The first time it has to have an id of its stream; from then on anywhere, in the head too.
            guard cuts > 0 else { return .init(after: "event: hello\n", bytes: 60) }
            return .init(after: "", bytes: Int.random(in: 0...2500))
        }
        let browser = try await Browser()
        try await browser.open("http://127.0.0.1:\(relay.port)/livez")
        try await browser.wait(until: #"document.body?.textContent.includes("ok")"#)
        _ = try await browser.evaluate(
            """
            window.got = [];
            window.stream = new EventSource("\(path)");
            window.take = (n) => { got.push(n); document.body.dataset.last = n; };
            stream.addEventListener("snapshot", (event) => take(JSON.parse(event.data).value.n));
            stream.addEventListener("patch", (event) => take(JSON.parse(event.data).patch[0].value));
            stream.addEventListener("gap", () => take("gap"));
            stream.onerror = () => { document.body.dataset.state = stream.readyState; };
            1
            """
        )
        let start = ContinuousClock.now
        var number = 0
        var refused = 0
        while relay.cuts < goal {
            let cuts = relay.cuts
            try #require(await relay.waitForRequests(cuts + 1, to: "GET /v1/streams/"), "it does not come back")
            while relay.cuts == cuts {
                number += 1
                try await Self.publish(number, to: endpoint)
            }
            let reply = try await RawHTTP.send("GET", path, to: endpoint)
            if reply.status == 401 { refused += 1 }
        }
        #expect(refused == goal)
        number += 1
        try await Self.publish(number, to: endpoint)
        try await browser.wait(until: #"document.body.dataset.last === "\#(number)""#)
        let got = try await browser.evaluate("got.join()").split(separator: ",").map { Int($0) }
        let first = try #require(got.first ?? nil)
        // Every value once and in order, from the first that it saw.
        #expect(got == Array(first...number))
        // Whoever knocks for ever is told of once a minute: this client, and the one beside it.
        let told = gateway.process.errors.split(separator: "\n").count { $0.contains("a credential is refused") }
        let minutes = Int((ContinuousClock.now - start).components.seconds / 60)
        #expect((1...(1 + minutes)).contains(told))

        try gateway.write(setting.configuration(read: nil))
        gateway.process.send(SIGHUP)
        try await browser.wait(until: #"document.body.dataset.state === "2""#)
        let requests = relay.requests.count
        // Longer than it waits before it comes back.
        _ = try await browser.evaluate("new Promise((done) => setTimeout(() => done(1), 1000))")
        #expect(relay.requests.count == requests)
        let metrics = try await RawHTTP.send("GET", "/metrics", to: endpoint, headers: ["X-API-Key": Self.feeder]).text
        #expect(metrics.contains(#"freshet_tickets_total{outcome="dead"} 1"#))
        #expect(try await gateway.terminate() == .exited(0))
        for text in [gateway.process.errors, metrics] { #expect(!text.contains(ticket) && !text.contains("canary-")) }
    }

    @Test(
        "the page asks for a key, and with it shows and changes what it may",
        .enabled(if: Browser.path != nil, "no Chromium")
    )
    func page() async throws {
        let setting = try Setting()
        let (gateway, endpoint) = try await setting.start()
        guard case .tcp(_, let port) = endpoint else { return }
        let browser = try await Browser()
        let form = "document.getElementById('key')"
        func signIn(_ key: String) async throws {
            try await browser.wait(until: "\(form) !== null")
            let submit = "\(form).value = '\(key)'; document.querySelector('form button').click(); 1"
            _ = try await browser.evaluate(submit)
        }
        let refusal = "document.querySelector('[data-field=refusal]')?.textContent.length > 0"
        func row(_ name: String) -> String {
            "[...document.querySelectorAll('tbody tr')].some((one) => one.textContent.includes('\(name)'))"
        }
        try await browser.open("http://127.0.0.1:\(port)/")
        try await signIn("nonsense")
        try await browser.wait(until: refusal)
        try await signIn(Self.mobile)
        try await browser.wait(until: row("orders"))
        #expect(try await browser.evaluate(#"document.getElementById("caller").textContent"#) == "mobile")
        let shown = try await browser.evaluate("document.documentElement.outerHTML")
        #expect(!shown.contains("canary-"))
        #expect(try await browser.evaluate("location.origin + location.pathname") == "http://127.0.0.1:\(port)/")
        // A grant is gone, and then the key.
        try gateway.write(setting.configuration(read: "[orders]"))
        gateway.process.send(SIGHUP)
        try await browser.wait(until: "!\(row("rates"))")
        try gateway.write(setting.configuration(read: nil))
        gateway.process.send(SIGHUP)
        try await browser.wait(until: refusal)
        #expect(try await browser.evaluate("document.querySelectorAll('tbody tr').length") == "0")
        try await signIn(Self.feeder)
        try await browser.wait(until: row("rates"))
        _ = try await browser.evaluate(#"document.getElementById("session").click(); 1"#)
        try await browser.wait(until: "\(form) !== null")
        #expect(try await browser.evaluate("document.querySelectorAll('tbody tr').length") == "0")
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("a stream resumes with an id of it after a restart, where the log and the key beside it are kept")
    func restart() async throws {
        let folder = try TemporaryFolder()
        let setting = try Setting(top: #"log: { path: "\#(folder.path("changes.db"))" }"#)
        let (first, before) = try await setting.start()
        let path = "/v1/streams/orders?ticket=\(try await Self.ticket(before))"
        let stream = try EventStreamClient(before, path: path)
        let snapshot = try #require(try await stream.next(2).last)
        #expect(snapshot.type == "snapshot")
        #expect(try await first.terminate() == .exited(0))
        let bye = try #require(try await stream.next())
        #expect(bye.type == "bye")

        let (second, after) = try await setting.start()
        try await Self.publish(1, to: after)
        let spent = try EventStreamClient(after, path: path)
        #expect(try await spent.head().status == 401)
        let resumed = try EventStreamClient(after, path: path, lastEventID: snapshot.lastEventID)
        #expect(try await resumed.head().status == 200)
        #expect(try await resumed.next()?.type == "hello")
        let patch = try #require(try await resumed.next())
        #expect(patch.type == "patch" && patch.text.contains(#""value":1"#))
        #expect(try await second.terminate() == .exited(0))
        // Others could make tickets with a key that they can read.
        #expect(chmod(folder.path("ticket.key"), 0o644) == 0)
        let third = try Gateway(setting.configuration())
        #expect(try await third.process.exitStatus(timeout: .patience) != .exited(0))
        #expect(third.process.errors.contains("ticket.key"))
    }

    @Test("a source that may no longer be read leaves a stream; the last one ends it")
    func parts() async throws {
        let setting = try Setting(top: "heartbeat: 1s")
        let (gateway, endpoint) = try await setting.start()
        let credential: HeaderFields = ["Authorization": "Bearer \(Self.mobile)"]
        let stream = try EventStreamClient(endpoint, path: "/v1/streams/*", headers: credential)
        let marked = try EventStreamClient(
            endpoint,
            path: "/v1/streams/*?ticket=\(try await Self.ticket(endpoint, "*"))"
        )
        for client in [stream, marked] { #expect(try await client.next(3).count == 3) }
        try gateway.write(setting.configuration(read: "[orders]"))
        gateway.process.send(SIGHUP)
        for client in [stream, marked] {
            let status = try #require(try await client.next())
            #expect(status.type == "status")
            let data = try Document(parsing: status.data).root
            #expect(data["source"]?.string == "rates" && data["state"]?.string == "removed")
        }
        try await Self.publish(1, to: endpoint)
        for client in [stream, marked] { #expect(try await client.next()?.type == "patch") }
        try gateway.write(setting.configuration(read: "[]"))
        gateway.process.send(SIGHUP)
        for client in [stream, marked] {
            let bye = try #require(try await client.next())
            #expect(bye.type == "bye" && bye.text.contains(#""revoked""#))
            #expect(try await client.next() == nil)
        }
        #expect(try await gateway.terminate() == .exited(0))
    }
}
