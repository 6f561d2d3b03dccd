import Foundation
import FreshetTesting
import Glibc
import JSON
import Testing

/// Web Push through the program, with a push service that checks, decrypts, and answers what it likes.
@Suite("Web Push", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct PushTests {
    private static func id(_ reply: HTTPReply) throws -> String {
        try #require(reply.status == 201, "\(reply.text)")
        return try #require(try Document(parsing: reply.body).root["id"]?.string)
    }

    @Test("a change of an item is signed, encrypted, and replaces the older one; what does not fit is fetched")
    func message() async throws {
        let scene = try PushScene()
        let gateway = try scene.start()
        try await PushScene.publish(PushScene.orders(#""x""#), of: gateway)
        let device = PushedDevice("/send/1")
        let made = try await scene.subscribe(device, at: gateway, more: #","ttl":600,"urgency":"high""#)
        let id = try Self.id(made)
        #expect(made.headers["Location"] == "/v1/push/subscriptions/\(id)")
        #expect(!made.text.contains("/send/1"))
        try await PushScene.publish(PushScene.orders(#""changed""#), of: gateway)
        let first = try await scene.message(1, for: device)
        #expect(first.method == "POST" && first.headers["TTL"] == "600" && first.headers["Urgency"] == "high")
        #expect(first.headers["Content-Encoding"] == "aes128gcm")
        let (claims, key) = try PushedDevice.claims(first.headers["Authorization"])
        #expect(claims["aud"]?.string == "http://127.0.0.1:\(scene.service.port)")
        #expect(claims["sub"]?.string == "mailto:ops@example.com")
        let end = try #require(claims["exp"]?.double) - Date().timeIntervalSince1970
        #expect(end > 0 && end <= 86_400)
        let published = try await PushScene.send("GET", "/v1/push/key", to: gateway, as: PushScene.mobile)
        #expect(try Document(parsing: published.body).root["key"]?.string == key)
        let event = try device.decrypt(first.body)
        #expect(event["event"]?.string == "items" && event["data"]?["source"]?.string == "orders")
        #expect(event["data"]?["items"]?["updated"]?[0]?["a"]?.string == "changed")

        let long = String(repeating: "z", count: 5000)
        try await PushScene.publish(PushScene.orders("\"\(long)\""), of: gateway)
        let second = try await scene.message(2, for: device)
        #expect(second.headers["Topic"] == first.headers["Topic"] && second.headers["Topic"]?.utf8.count == 32)
        let cursor = try device.decrypt(second.body)
        #expect(cursor["event"]?.string == "changes" && cursor["data"]?["item"]?.int == 1)
        let since = try #require(cursor["data"]?["since"]?.string)
        let path = "/v1/changes/orders?mode=items&item=1&since=\(since)"
        let changes = try await PushScene.send("GET", path, to: gateway, as: PushScene.mobile)
        let fetched = try Document(parsing: changes.body).root
        #expect(
            fetched["events"]?[0]?["data"]?["items"]?["updated"]?[0]?["a"]?.string == long,
            "\(changes.text.prefix(300))"
        )

        try await PushScene.publish(PushScene.orders("\"\(long)\"", "1"), of: gateway)
        let third = try await scene.message(3, for: device)
        #expect(third.headers["Topic"] != first.headers["Topic"])
        // What its owner may, and nobody else.
        #expect(try await PushScene.list(gateway, as: PushScene.mobile).count == 1)
        let deleted = try await PushScene.send(
            "DELETE",
            "/v1/push/subscriptions/\(id)",
            to: gateway,
            as: PushScene.mobile
        )
        #expect(deleted.status == 204)
        #expect(try await PushScene.list(gateway).isEmpty)
        #expect(try await gateway.terminate() == .exited(0))
        let errors = gateway.process.errors
        #expect(!errors.contains("/send/1") && !errors.contains("BEGIN"))
    }

    @Test("404 and 410 end a subscription, 413 becomes a cursor, 429 waits, and a slow host delays no other")
    func answers() async throws {
        let scene = try PushScene()
        let other = try PushScene()
        let gateway = try scene.start(scene.configuration(also: other.service))
        try await PushScene.publish(PushScene.orders("0"), of: gateway)
        let (gone, missing, short, busy) = (
            PushedDevice("/gone"), PushedDevice("/missing"), PushedDevice("/short"), PushedDevice("/busy")
        )
        let (slow, live) = (PushedDevice("/slow"), PushedDevice("/live"))
        scene.answer(gone) { _ in [.respond(.status(410))] }
        scene.answer(missing) { _ in [.respond(.status(404))] }
        scene.answer(short) { $0 == 1 ? [.respond(.status(413))] : [.respond(.status(201))] }
        scene.answer(busy) {
            $0 == 1 ? [.respond(.status(429, headers: ["Retry-After": "1"]))] : [.respond(.status(201))]
        }
        for device in [gone, missing, short, busy] { _ = try Self.id(try await scene.subscribe(device, at: gateway)) }
        other.answer(slow) { _ in [.stall] }
        _ = try Self.id(try await other.subscribe(slow, at: gateway))
        _ = try Self.id(try await scene.subscribe(live, at: gateway))
        for number in 1...10 {
            try await PushScene.publish(PushScene.orders("\(number)"), of: gateway)
            let message = try await scene.message(number, for: live)
            let event = try live.decrypt(message.body)
            #expect(event["data"]?["items"]?["updated"]?[0]?["a"]?.int == number)
            guard number == 1 else { continue }
            // The slow host has it, and has not answered.
            _ = try await other.message(1, for: slow)
            let cursor = try short.decrypt(try await scene.message(2, for: short).body)
            #expect(cursor["event"]?.string == "changes")
        }
        let again = try busy.decrypt(try await scene.message(2, for: busy).body)
        #expect(again["event"]?.string == "items")
        try await PushScene.waitForList(gateway) { $0.count == 4 }
        #expect(scene.count(for: gone) == 1 && scene.count(for: missing) == 1)
        #expect(other.count(for: slow) == 1)
        let metrics = try await PushScene.send("GET", "/metrics", to: gateway, as: PushScene.feeder).text
        #expect(metrics.contains(#"freshet_push_subscriptions_ended_total{reason="gone"} 2"#))
        #expect(metrics.contains(#"freshet_push_messages_total{outcome="too_large"} 1"#))
        #expect(metrics.contains(#"freshet_push_messages_total{outcome="throttled"} 1"#))
        #expect(metrics.contains("freshet_push_subscriptions 4"))
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("S9 a removed key and a denied subject get nothing more, and who stays gets all", arguments: [true, false])
    func revoked(byReload: Bool) async throws {
        let scene = try PushScene()
        let gateway = try scene.start()
        try await PushScene.publish(PushScene.orders("0"), of: gateway)
        let (lost, kept) = (PushedDevice("/lost"), PushedDevice("/kept"))
        _ = try Self.id(try await scene.subscribe(lost, at: gateway))
        _ = try Self.id(try await scene.subscribe(kept, at: gateway, as: PushScene.feeder))
        try await PushScene.publish(PushScene.orders("1"), of: gateway)
        for device in [lost, kept] { _ = try await scene.message(1, for: device) }
        if byReload {
            try gateway.write(scene.configuration(mobile: nil))
            gateway.process.send(SIGHUP)
        } else {
            _ = try scene.folder.write("mobile\n", to: "denied")
        }
        try await PushScene.waitForList(gateway) { $0.count == 1 }
        for number in 2...4 {
            try await PushScene.publish(PushScene.orders("\(number)"), of: gateway)
            _ = try await scene.message(number, for: kept)
        }
        #expect(scene.count(for: lost) == 1)
        #expect(try await PushScene.list(gateway).map { $0["subject"]?.string } == ["feeder"])
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("a source that the owner may no longer read is not sent, and the others are")
    func withheld() async throws {
        let scene = try PushScene()
        let gateway = try scene.start()
        for source in ["orders", "rates"] { try await PushScene.publish("[]", to: source, of: gateway) }
        let device = PushedDevice("/send")
        _ = try Self.id(try await scene.subscribe(device, to: "*", at: gateway))
        try gateway.write(scene.configuration(mobile: "[rates]"))
        gateway.process.send(SIGHUP)
        let end = ContinuousClock.now + .patience
        while try await PushScene.send("GET", "/v1/values/orders", to: gateway, as: PushScene.mobile).status != 404 {
            try #require(ContinuousClock.now < end)
        }
        try await PushScene.publish(#"[{"id":1}]"#, of: gateway)
        try await PushScene.publish("[2]", to: "rates", of: gateway)
        let event = try device.decrypt(try await scene.message(1, for: device).body)
        #expect(event["data"]?["source"]?.string == "rates")
        #expect(try await gateway.terminate() == .exited(0))
        #expect(scene.count(for: device) == 1)
    }

    @Test("a subscription lasts for push.max_age from its last renewal")
    func maxAge() async throws {
        let scene = try PushScene()
        let gateway = try scene.start(scene.configuration(push: "max_age: 2s"))
        try await PushScene.publish(PushScene.orders("0"), of: gateway)
        let (over, renewed) = (PushedDevice("/over"), PushedDevice("/renewed"))
        _ = try Self.id(try await scene.subscribe(over, at: gateway))
        let id = try Self.id(try await scene.subscribe(renewed, at: gateway))
        let end = ContinuousClock.now + .patience
        while try await PushScene.list(gateway).contains(where: { $0["id"]?.string != id }) {
            try #require(ContinuousClock.now < end)
            #expect(try Self.id(try await scene.subscribe(renewed, at: gateway)) == id)
            try await Task.sleep(for: .milliseconds(100))
        }
        try await PushScene.publish(PushScene.orders("1"), of: gateway)
        _ = try await scene.message(1, for: renewed)
        #expect(scene.count(for: over) == 0)
        #expect(try await gateway.terminate() == .exited(0))
    }
}
