// Webhooks through the program (CONTRACT §12).

import Crypto
import Foundation
import FreshetTesting
import JSON
import Testing

@Suite("Webhooks", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct WebhookTests {
    /// A gateway with a source that takes pushes, and a webhook to `receiver`.
    private static func gateway(
        _ receiver: WebhookReceiver,
        _ options: String = "",
        before: String = ""
    ) throws -> Gateway {
        try Gateway(Self.configuration(receiver, options, before: before))
    }

    private static func configuration(
        _ receiver: WebhookReceiver,
        _ options: String = "",
        before: String = ""
    ) -> String {
        """
        \(before)
        sources:
          orders: { items: /list, key: /id }
        webhooks:
          crm: { url: "\(receiver.url)", sources: [orders], secret: \(WebhookReceiver.secret)\(options) }
        """
    }

    @Test("each change is sent once, signed, as the line of the JSON-lines stream", arguments: ["patch", "items"])
    func delivery(mode: String) async throws {
        let receiver = WebhookReceiver(try ScriptedUpstream())
        let gateway = try Self.gateway(receiver, ", mode: \(mode)")
        try await gateway.push(#"[{"id":1,"n":1}]"#)
        try await gateway.push(#"[{"id":1,"n":2},{"id":2,"n":0}]"#)
        #expect(await receiver.waitForAccepted(2))
        let client = try await gateway.client
        let path = "/v1/changes/orders?since=earliest&mode=\(mode)"
        let lines = try await client.get(path, headers: ["Accept": "application/x-ndjson"]).text
            .split(separator: "\n").map(String.init).filter { $0.hasPrefix(#"{"id""#) }
        #expect(receiver.accepted.map(\.text) == lines && receiver.problems.isEmpty, "\(lines) \(receiver.problems)")
        #expect(receiver.accepted.map(\.document).map { $0?.root["event"]?.string } == ["snapshot", mode])
        let cursor = try #require(receiver.accepted[1].document?.root["id"]?.string)
        #expect(receiver.accepted[1].id == "msg_crm_\(cursor)")
        try await gateway.waitForWebhook("crm") { $0["cursor"]?.string == cursor && $0["lag"]?.int == 0 }
        let state = try await gateway.webhook("crm")
        #expect(state["state"]?.string == "active" && state["delivered"]?.int == 2 && state["gaps"]?.int == 0)
        #expect(state["tries"]?[1]?["outcome"]?.string == "delivered" && state["tries"]?[1]?["status"]?.int == 204)
        let metrics = try await client.get("/metrics").text
        #expect(metrics.contains(#"freshet_webhook_tries_total{webhook="crm",outcome="delivered"} 2"#))
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("with envelope: cloudevents each message is a CloudEvent in structured mode, tests and parts among them")
    func cloudEvents() async throws {
        let upstream = try ScriptedUpstream()
        let receiver = WebhookReceiver(upstream)
        let gateway = try Self.gateway(receiver, ", envelope: cloudevents")
        try await gateway.push(#"[{"id":1,"n":1}]"#)
        try await gateway.push(#"[{"id":1,"n":2}]"#)
        #expect(await receiver.waitForAccepted(2))
        let lines = try await gateway.client.get(
            "/v1/changes/orders?since=earliest&envelope=cloudevents",
            headers: ["Accept": "application/x-ndjson"]
        ).text.split(separator: "\n").map { try? Document(parsing: Array($0.utf8)) }
        let events = lines.compactMap { $0?.root["data"]?.text }
        #expect(receiver.accepted.map { Array($0.body) } == events.map { Array($0) } && receiver.problems.isEmpty)
        let event = try #require(receiver.accepted.last?.document?.root)
        #expect(event["specversion"]?.string == "1.0" && event["type"]?.string == "freshet.patch")
        #expect(event["source"]?.string == "/v1/streams/orders")
        #expect(event["id"]?.string.map { "msg_crm_\($0)" } == receiver.accepted.last?.id)
        #expect(event["data"]?["patch"]?[0]?["value"]?.int == 2)
        #expect(try await gateway.webhook("crm", "test").root["outcome"]?.string == "delivered")
        #expect(await receiver.waitForAccepted(3))
        let test = try #require(receiver.accepted.last?.document?.root)
        #expect(test["type"]?.string == "freshet.test" && test["id"]?.string == receiver.accepted.last?.id)
        #expect(test["source"]?.string == "/v1/admin/webhooks/crm" && test["data"]?["webhook"]?.string == "crm")
        #expect(upstream.requests.allSatisfy { $0.headers["Content-Type"] == "application/cloudevents+json" })
        #expect(try await gateway.webhook("crm")["envelope"]?.string == "cloudevents")
    }

    @Test("several secrets sign each message, an Ed25519 key as v1a")
    func secrets() async throws {
        let key = Curve25519.Signing.PrivateKey()
        let upstream = try ScriptedUpstream()
        let receiver = WebhookReceiver(upstream)
        let old = Data(repeating: 7, count: 24).base64EncodedString()
        let secrets = "whsec_\(old) whsk_\(key.rawRepresentation.base64EncodedString())"
        let gateway = try Gateway(
            """
            sources: { orders: {} }
            webhooks:
              crm: { url: "\(receiver.url)", sources: [orders], secret: "\(WebhookReceiver.secret) \(secrets)" }
            """
        )
        try await gateway.push("[1]")
        #expect(await receiver.waitForAccepted(1))
        let request = try #require(upstream.requests.first)
        let signatures = try #require(request.headers["webhook-signature"]).split(separator: " ")
        #expect(signatures.map { $0.prefix { $0 != "," } } == ["v1", "v1", "v1a"] && receiver.problems.isEmpty)
        let signature = try #require(Data(base64Encoded: String(signatures[2].dropFirst(4))))
        let head = "\(request.headers["webhook-id"] ?? "").\(request.headers["webhook-timestamp"] ?? "")."
        #expect(key.publicKey.isValidSignature(signature, for: Data(head.utf8) + Data(request.body)))
        #expect(request.headers["Content-Type"] == "application/json")
    }

    @Test("a refused message comes again after five seconds with the same id and body, and what follows waits for it")
    func retry() async throws {
        let receiver = WebhookReceiver(try ScriptedUpstream())
        receiver.answer(.status(500))
        let gateway = try Self.gateway(receiver)
        try await gateway.push("[]")
        try await gateway.push(#"[{"id":1}]"#)
        try await gateway.waitForWebhook("crm") { $0["state"]?.string == "failing" && $0["refused"]?.int == 1 }
        #expect(try await gateway.webhook("crm")["next_try_at"]?.string != nil)
        #expect(await receiver.waitForAccepted(2))
        let requests = receiver.upstream.requests
        #expect(requests.count == 3 && receiver.problems.isEmpty)
        #expect(requests[0].headers["webhook-id"] == requests[1].headers["webhook-id"])
        #expect(requests[1].receivedAt - requests[0].receivedAt >= .milliseconds(4900))
        try await gateway.waitForWebhook("crm") { $0["state"]?.string == "active" && $0["refused"]?.int == 0 }
    }

    @Test("410 disables, resume goes on with the same message, pause holds back, test says how it went")
    func administration() async throws {
        let receiver = WebhookReceiver(try ScriptedUpstream())
        receiver.answer(.status(410))
        let gateway = try Self.gateway(receiver)
        try await gateway.push("[]")
        try await gateway.waitForWebhook("crm") { $0["state"]?.string == "disabled" }
        try await gateway.push(#"[{"id":1}]"#)
        #expect(try await gateway.webhook("crm", "test").root["outcome"]?.string == "delivered", "in any state")
        #expect(receiver.upstream.requests.count == 2)
        #expect(try await gateway.webhook("crm", "resume").root["state"]?.string == "failing")
        #expect(await receiver.waitForAccepted(3))
        #expect(
            receiver.upstream.requests[2].headers["webhook-id"] == receiver.upstream.requests[0].headers["webhook-id"]
        )
        #expect(try await gateway.webhook("crm", "pause").root["state"]?.string == "paused")
        try await gateway.push(#"[{"id":2}]"#)
        receiver.answer(.status(500))
        let test = try await gateway.webhook("crm", "test")
        #expect(test.root["outcome"]?.string == "refused" && test.root["status"]?.int == 500)
        #expect(receiver.upstream.requests.count == 5, "paused, it gets tests alone")
        _ = try await gateway.webhook("crm", "resume")
        #expect(await receiver.waitForAccepted(4))
        #expect(receiver.accepted.first?.document?.root["event"]?.string == "test" && receiver.problems.isEmpty)
        let client = try await gateway.client
        let unknown = try await client.send("POST", "/v1/admin/webhooks/other/pause")
        #expect(unknown.status == 404 && unknown.text.contains("unknown_webhook"))
        #expect(try await HTTPTestClient(gateway.process.endpoint()).get("/v1/admin/webhooks").status == 401)
    }

    @Test("a redirect is an answer, and is not followed")
    func redirect() async throws {
        let upstream = try ScriptedUpstream()
        let receiver = WebhookReceiver(upstream) { _ in
            .status(307, headers: ["Location": "/elsewhere"])
        }
        upstream.on("/elsewhere", respond: .status(204))
        let gateway = try Self.gateway(receiver)
        try await gateway.push("[]")
        try await gateway.waitForWebhook("crm") { $0["refused"]?.int == 1 }
        let last = try await gateway.webhook("crm")["tries"]?[0]
        #expect(last?["outcome"]?.string == "refused" && last?["status"]?.int == 307)
        #expect(upstream.requests(to: "/elsewhere").isEmpty)
    }

    @Test("an address that is refused is not connected to, and the body of an answer does not matter")
    func policy() async throws {
        let upstream = try ScriptedUpstream()
        let receiver = WebhookReceiver(upstream) { _ in
            UpstreamResponse(headers: ["Content-Type": "text/html"], body: Array(repeating: 0x41, count: 1 << 20))
        }
        let url = receiver.url.replacing("127.0.0.1", with: "localhost")
        let gateway = try Gateway(
            """
            sources: { orders: {} }
            webhooks:
              crm: { url: "\(receiver.url)", sources: [orders], secret: \(WebhookReceiver.secret) }
              inside: { url: "\(url)", sources: [orders], secret: \(WebhookReceiver.secret), deny_private: true }
            """
        )
        try await gateway.push("[]")
        #expect(await receiver.waitForAccepted(1))
        try await gateway.waitForWebhook("crm") { $0["delivered"]?.int == 1 }
        try await gateway.waitForWebhook("inside") { $0["refused"]?.int == 1 }
        let last = try await gateway.webhook("inside")["tries"]?[0]
        #expect(last?["error"]?.string?.contains("policy") == true, "\(last.map { "\($0.text)" } ?? "")")
        #expect(upstream.requests.count == 1)
    }

    @Test("what the log no longer holds is one gap, with links to the values, and then what follows")
    func gap() async throws {
        let receiver = WebhookReceiver(try ScriptedUpstream())
        let gateway = try Self.gateway(receiver, before: "cache: { max_bytes: 64KiB }")
        try await gateway.push("[]")
        #expect(await receiver.waitForAccepted(1))
        _ = try await gateway.webhook("crm", "pause")
        for number in 0..<30 {
            let text = String(repeating: "\(number)", count: 2000)
            try await gateway.push(#"[{"id":\#(number),"text":"\#(text)"}]"#)
        }
        _ = try await gateway.webhook("crm", "resume")
        #expect(await receiver.waitForAccepted(2))
        let gap = try #require(receiver.accepted[1].document)
        #expect(gap.root["event"]?.string == "gap" && gap.root["data"]?["reason"]?.string == "evicted")
        #expect(gap.root["data"]?["values"]?[0]?.string == "/v1/values/orders")
        #expect(receiver.accepted[1].id.hasPrefix("gap_crm_"))
        try await gateway.push("[1]")
        #expect(await receiver.waitForAccepted(3))
        #expect(receiver.accepted[2].text.contains(#""orders""#) && receiver.problems.isEmpty)
        #expect(try await gateway.webhook("crm")["gaps"]?.int == 1)
    }

    @Test("a reload adds, changes and removes webhooks; one that keeps its name keeps its cursor")
    func reload() async throws {
        let upstream = try ScriptedUpstream()
        let (receiver, other) = (WebhookReceiver(upstream), WebhookReceiver(upstream, at: "/other"))
        let gateway = try Self.gateway(receiver)
        try await gateway.push("[]")
        #expect(await receiver.waitForAccepted(1))
        _ = try await gateway.webhook("crm", "pause")
        try await gateway.push("[1]")
        try gateway.write(Self.configuration(other))
        #expect(try await gateway.client.send("POST", "/v1/admin/reload").status == 200)
        #expect(try await gateway.webhook("crm", "resume").root["url"]?.string == other.url)
        #expect(await other.waitForAccepted(1))
        #expect(receiver.accepted.count == 1 && other.accepted.first?.text.contains("patch") == true)
        try gateway.write("sources: { orders: { items: /list, key: /id } }")
        #expect(try await gateway.client.send("POST", "/v1/admin/reload").status == 200)
        #expect(try await gateway.document("/v1/admin/webhooks").root["webhooks"]?.count == 0)
    }

    @Test("a source that is polled only when somebody listens is polled for a webhook")
    func wakes() async throws {
        let upstream = try ScriptedUpstream()
        let resource = VersionedResource(versions: (1...3).map { Array(#"{"n":\#($0)}"#.utf8) })
        upstream.serve(resource, at: "/value")
        let receiver = WebhookReceiver(upstream)
        let gateway = try Gateway(
            """
            sources: { value: { url: "\(upstream.url("/value"))", interval: 20ms, when: subscribed } }
            webhooks:
              crm: { url: "\(receiver.url)", sources: ["*"], mode: snapshot, pointer: /n, secret: \(WebhookReceiver.secret) }
            """
        )
        #expect(await receiver.waitForAccepted(1))
        resource.advance()
        #expect(await receiver.waitForAccepted(2))
        #expect(receiver.accepted.map { $0.document?.root["data"]?["value"]?.int } == [1, 2])
        #expect(try await gateway.terminate() == .exited(0))
    }
}
