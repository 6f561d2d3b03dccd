import Foundation
import FreshetTesting
import Glibc
import JSON
import Testing

/// What outlives a process, whom an endpoint may lead to, and who may subscribe.
@Suite("Web Push over restarts", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct PushLifeTests {
    @Test("a subscription, and what was not delivered to it, outlive the process; another key is reported and renewed")
    func restart() async throws {
        let scene = try PushScene()
        let configuration = scene.configuration(
            top: "heartbeat: 1s\nlog: { path: \"\(scene.folder.path("changes.db"))\" }"
        )
        let first = try scene.start(configuration)
        try await PushScene.publish(PushScene.orders("0"), of: first)
        let device = PushedDevice("/send")
        #expect(try await scene.subscribe(device, at: first).status == 201)
        try await PushScene.publish(PushScene.orders("1"), of: first)
        _ = try await scene.message(1, for: device)
        await scene.service.goDown()
        try await PushScene.publish(PushScene.orders("2"), of: first)
        try await PushScene.publish(PushScene.orders("3"), of: first)
        try await PushScene.waitForList(first) { $0.first?["last_failure"]?.string?.contains("no answer") == true }
        #expect(try await first.terminate() == .exited(0))

        try scene.service.comeUp()
        let second = try scene.start(configuration)
        let event = try device.decrypt(try await scene.message(2, for: device).body)
        #expect(event["data"]?["items"]?["updated"]?[0]?["a"]?.int == 3)
        let key = try PushedDevice.claims(try await scene.message(2, for: device).headers["Authorization"]).key
        #expect(try await PushScene.list(second).first?["key"]?.string == "present")
        #expect(try await second.terminate() == .exited(0))
        #expect(scene.count(for: device) == 2)

        let attributes = try FileManager.default.attributesOfItem(atPath: scene.folder.path("vapid.pem"))
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        #expect(unlink(scene.folder.path("vapid.pem")) == 0)
        scene.answer(device) { _ in [.respond(.status(403))] }
        let third = try scene.start(configuration)
        try await PushScene.publish(PushScene.orders("4"), of: third)
        try await PushScene.waitForList(third) { $0.first?["state"]?.string == "refused" }
        let listed = try #require(try await PushScene.list(third).first)
        #expect(listed["key"]?.string == "former" && listed["last_failure"]?.string?.contains("403") == true)
        let metrics = try await PushScene.send("GET", "/metrics", to: third, as: PushScene.feeder).text
        #expect(metrics.contains("freshet_push_subscriptions_with_former_key 1"))
        #expect(third.process.errors.contains("push.key_file holds another key"))
        scene.answer(device) { _ in [.respond(.status(201))] }
        #expect(try await scene.subscribe(device, at: third).status == 201)
        try await PushScene.publish(PushScene.orders("5"), of: third)
        let renewed = try await scene.message(4, for: device)
        #expect(try PushedDevice.claims(renewed.headers["Authorization"]).key != key)
        #expect(try device.decrypt(renewed.body)["data"]?["items"]?["updated"]?[0]?["a"]?.int == 5)
        #expect(try await PushScene.list(third).first?["key"]?.string == "present")
        #expect(try await third.terminate() == .exited(0))
        // Others could send in the gateway's name with a key that they can read.
        #expect(chmod(scene.folder.path("vapid.pem"), 0o644) == 0)
        let fourth = try scene.start(configuration)
        #expect(try await fourth.process.exitStatus(timeout: .patience) != .exited(0))
        #expect(fourth.process.errors.contains("vapid.pem"))
    }

    @Test("S16 an endpoint that is private, or plain, is reached only below a prefix of push.allow")
    func endpoints() async throws {
        let scene = try PushScene()
        let secret = try ScriptedUpstream()
        let gateway = try scene.start()
        try await PushScene.publish("[]", of: gateway)
        func post(_ endpoint: String, keys: String? = nil) async throws -> HTTPReply {
            let device = PushedDevice("/")
            let subscription =
                keys.map { #"{"endpoint":"\#(endpoint)","keys":\#($0)}"# } ?? device.subscription(at: endpoint)
            let body = #"{"subscription":\#(subscription),"sources":"orders"}"#
            return try await PushScene.send(
                "POST",
                "/v1/push/subscriptions",
                to: gateway,
                as: PushScene.mobile,
                body: body
            )
        }
        for endpoint in [
            "http://127.0.0.1:\(secret.port)/", "http://push.example/", "ftp://127.0.0.1:\(scene.service.port)/",
            "http://user@127.0.0.1:\(scene.service.port)/", "//127.0.0.1/", "/send", "", "https://",
            "mailto:a@b.example",
            "https://push.example/#a", "https://push.example/\(String(repeating: "a", count: 3000))",
        ] {
            let reply = try await post(endpoint)
            #expect(reply.status == 400 && reply.text.contains("bad_subscription"), "\(endpoint): \(reply.text)")
        }
        let url = scene.service.url("/send")
        for keys in [#"{}"#, #"{"p256dh":"AAAA","auth":"AAAA"}"#, #"{"p256dh":1,"auth":2}"#] {
            #expect(try await post(url, keys: keys).status == 400)
        }
        // Names and addresses that only look public: they are refused when they are to be connected to.
        for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254"] {
            let reply = try await post("https://\(host):\(secret.port)/")
            #expect(reply.status == 201, "\(host): \(reply.text)")
        }
        try await PushScene.publish(#"[{"id":1}]"#, of: gateway)
        try await PushScene.waitForList(gateway) { list in
            list.count == 6 && list.allSatisfy { $0["state"]?.string == "refused" }
        }
        #expect(secret.connectionCount == 0)
        // A redirect is an answer, and is not followed.
        let device = PushedDevice("/moved")
        scene.answer(device) { _ in [.respond(.status(307, headers: ["Location": secret.url("/")]))] }
        #expect(try await scene.subscribe(device, at: gateway).status == 201)
        try await PushScene.publish(#"[{"id":2}]"#, of: gateway)
        try await PushScene.waitForList(gateway) { list in
            list.contains { $0["last_failure"]?.string?.hasPrefix("307") == true }
        }
        #expect(secret.connectionCount == 0)
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("sources that are not for the caller, other callers' subscriptions, and quotas are refused")
    func callers() async throws {
        let scene = try PushScene()
        let push = "max_subscriptions_per_caller: 2"
        let gateway = try scene.start(scene.configuration(mobile: "[orders]", push: push))
        for source in ["orders", "rates"] { try await PushScene.publish("[]", to: source, of: gateway) }
        for sources in ["rates", "orders,rates", "nothing", "r*", "-", ""] {
            let reply = try await scene.subscribe(PushedDevice("/a"), to: sources, at: gateway)
            #expect(reply.status == 404, "\(sources): \(reply.text)")
        }
        #expect(try await scene.subscribe(PushedDevice("/a"), at: gateway, as: "nonsense").status == 401)
        let bad = #","pointer":"a""#
        #expect(try await scene.subscribe(PushedDevice("/a"), at: gateway, more: bad).status == 400)
        #expect(try await scene.subscribe(PushedDevice("/a"), to: "*", at: gateway).status == 201)
        #expect(try await scene.subscribe(PushedDevice("/b"), at: gateway).status == 201)
        let third = try await scene.subscribe(PushedDevice("/c"), at: gateway)
        #expect(third.status == 429 && third.headers["Retry-After"] != nil)
        #expect(third.text.contains("too_many_push_subscriptions_of_caller"))
        // Another caller does not get an endpoint for which it has no keys.
        let taken = try await scene.subscribe(PushedDevice("/a"), at: gateway, as: PushScene.feeder)
        #expect(taken.status == 409 && taken.text.contains("endpoint_taken"))
        let own = try await scene.subscribe(PushedDevice("/d"), at: gateway, as: PushScene.feeder)
        let id = try #require(try Document(parsing: own.body).root["id"]?.string)
        let path = "/v1/push/subscriptions/\(id)"
        #expect(try await PushScene.send("DELETE", path, to: gateway, as: PushScene.mobile).status == 404)
        #expect(try await PushScene.list(gateway, as: PushScene.mobile).count == 2)
        #expect(try await PushScene.list(gateway).count == 3)
        #expect(try await PushScene.send("DELETE", path, to: gateway, as: PushScene.feeder).status == 204)
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("S4 without auth a page of another origin subscribes nothing, and who knows an id deletes it")
    func anonymous() async throws {
        let scene = try PushScene()
        let gateway = try Gateway(
            """
            push: { subject: "mailto:ops@example.com", key_file: "\(scene.folder.path("vapid.pem"))" }
            sources: { rates: {} }
            """
        )
        let endpoint = try await gateway.process.endpoint()
        let body =
            #"{"subscription":\#(PushedDevice("/").subscription(at: "https://push.example/1")),"sources":"rates"}"#
        func send(_ method: String, _ path: String, _ fields: HeaderFields = [:]) async throws -> HTTPReply {
            try await RawHTTP.send(
                method,
                path,
                to: endpoint,
                headers: fields,
                body: method == "POST" ? Array(body.utf8) : nil
            )
        }
        for fields: HeaderFields in [
            ["Origin": "https://evil.example"], ["Origin": "null"], ["Sec-Fetch-Site": "cross-site"],
        ] {
            let reply = try await send("POST", "/v1/push/subscriptions", fields)
            #expect(reply.status == 403 && reply.text.contains("cross_origin"), "\(reply.text)")
        }
        let made = try await send("POST", "/v1/push/subscriptions")
        let id = try #require(try Document(parsing: made.body).root["id"]?.string, "\(made.text)")
        #expect(try await send("GET", "/v1/push/subscriptions").text == #"{"subscriptions":[]}"#)
        #expect(try await send("GET", "/v1/push/subscriptions?id=\(id)").text.contains(id))
        #expect(try await send("GET", "/v1/push/subscriptions?id=1").status == 400)
        let other = String(id.reversed())
        let unknown = try await send("DELETE", "/v1/push/subscriptions/\(other)")
        #expect(unknown.status == 404 && unknown.text.contains("unknown_subscription"))
        #expect(
            try await send("DELETE", "/v1/push/subscriptions/\(id)", ["Origin": "https://evil.example"]).status == 403
        )
        #expect(try await send("DELETE", "/v1/push/subscriptions/\(id)").status == 204)
        #expect(try await gateway.terminate() == .exited(0))

        let without = try Gateway("sources: { rates: {} }")
        let none = try await without.process.client().get("/v1/push/key")
        #expect(none.status == 404 && none.text.contains("no_push"))
        #expect(try await without.terminate() == .exited(0))
    }

    @Test("an instance is polled while somebody is subscribed to it, and its changes are pushed")
    func instance() async throws {
        let scene = try PushScene()
        let upstream = try ScriptedUpstream()
        let resource = VersionedResource(versions: (1...3).map { Array(#"{"n":\#($0)}"#.utf8) })
        upstream.serve(resource, at: "/users/42")
        let source =
            "  user: { url: \"\(upstream.url())users/{id}\", interval: 50ms, linger: 1s, parameters: { id: {} } }"
        let gateway = try scene.start("\(scene.configuration())\n\(source)")
        let device = PushedDevice("/send")
        let made = try await scene.subscribe(device, to: "user/42", at: gateway, more: #","pointer":"/n""#)
        #expect(made.status == 201, "\(made.text)")
        for number in 2...3 {
            resource.advance()
            let event = try device.decrypt(try await scene.message(number - 1, for: device).body)
            #expect(
                event["data"]?["source"]?.string == "user/42" && event["data"]?["value"]?.int == number,
                "\(event.text)"
            )
        }
        #expect(try await gateway.terminate() == .exited(0))
    }
}
