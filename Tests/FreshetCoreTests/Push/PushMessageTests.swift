// What a change is as messages, what is kept of a subscription, and which endpoints are allowed.

import JSON
import Testing

@testable import FreshetCore

@Suite("Messages of a change")
struct PushMessageTests {
    private static let rule = ItemRule(items: Pointer(), key: Pointer("/id"))

    private static func event(_ old: String?, _ new: String, rule: ItemRule?) throws -> ChangeEvent {
        let document = try Document(parsing: Array(new.utf8))
        var change = Change(document: document, rule: rule, at: PushFixture.start)
        if let old, let rule {
            let before = try Document(parsing: Array(old.utf8))
            change.items = before.itemChanges(to: document, items: rule)?.text
        }
        return ChangeEvent(change, cursor: PushFixture.cursor(9), source: SourceID(index: 0), sourceName: "orders")
    }

    private static func messages(_ old: String?, _ new: String, rule: ItemRule? = rule) throws -> [PushMessage] {
        PushEvent(try self.event(old, new, rule: rule), source: "orders", rule: rule).messages
    }

    private static func document(_ message: PushMessage) throws -> Value {
        try Document(parsing: try #require(message.content)).root
    }

    @Test("each item that a change touches is a message of its own topic")
    func items() throws {
        let old = #"[{"id":"1","a":"x"},{"id":"two","a":"y"},{"id":"3","a":"z"}]"#
        let new = #"[{"id":"1","a":"x"},{"id":"two","a":"Y"},{"id":"4","a":"n"}]"#
        let messages = try Self.messages(old, new)
        #expect(messages.map { String(decoding: $0.topic.item, as: UTF8.self) } == [#""4""#, #""two""#, #""3""#])
        try #require(messages.count == 3)
        #expect(
            messages.allSatisfy { $0.topic.source == "orders" && $0.since.sequence == 8 && $0.cursor.sequence == 9 }
        )
        let updated = try Self.document(messages[1])
        #expect(updated["event"]?.string == "items" && updated["id"]?.string == PushFixture.cursor(9).description)
        #expect(updated["data"]?["source"]?.string == "orders" && updated["data"]?["at"]?.string != nil)
        let items = try #require(updated["data"]?["items"])
        #expect(items["updated"]?[0]?["a"]?.string == "Y")
        #expect(items["created"]?.count == 0 && items["deleted"]?.count == 0)
        #expect(try Self.document(messages[2])["data"]?["items"]?["deleted"]?[0]?.string == "3")
    }

    @Test("items of an object have the identity that it gives them")
    func keyedObject() throws {
        let rule = ItemRule(items: Pointer(), key: nil)
        let messages = try Self.messages(#"{"a":1,"b":2}"#, #"{"a":1,"b":3}"#, rule: rule)
        #expect(messages.map { String(decoding: $0.topic.item, as: UTF8.self) } == [#""b""#])
    }

    @Test("a change that touches no item says nothing, and one of a source without items is its value")
    func others() throws {
        let old = #"[{"id":1},{"id":2}]"#
        #expect(try Self.messages(old, #"[{"id":2},{"id":1}]"#).isEmpty)
        let value = try Self.messages(nil, #"{"eur":1.08}"#, rule: nil)
        try #require(value.count == 1)
        #expect(value[0].topic == PushTopic(source: "orders"))
        let document = try Self.document(value[0])
        #expect(document["event"]?.string == "snapshot" && document["data"]?["value"]?["eur"]?.double == 1.08)
    }

    @Test("what does not fit is a cursor that tells what to fetch")
    func cursor() throws {
        let long = String(repeating: "x", count: 4000)
        let messages = try Self.messages(#"[{"id":1,"a":""}]"#, #"[{"id":1,"a":"\#(long)"}]"#)
        try #require(messages.count == 1)
        #expect(messages[0].content == nil)
        var subscription = PushFixture.subscription(1)
        let text = messages[0].text(for: subscription)
        let root = try Document(parsing: text).root
        #expect(root["event"]?.string == "changes" && root["data"]?["sources"]?.string == "orders")
        #expect(root["data"]?["since"]?.string == PushFixture.cursor(8).description)
        #expect(root["data"]?["cursor"]?.string == PushFixture.cursor(9).description)
        #expect(root["data"]?["item"]?.int == 1 && root["data"]?["pointer"] == nil)
        subscription.pointer = Pointer("/a")
        let viewed = try Document(parsing: messages[0].text(for: subscription)).root
        #expect(viewed["data"]?["pointer"]?.string == "/a" && viewed["data"]?["item"] == nil)
        let value = try Self.messages(nil, #"{"a":"\#(long)"}"#, rule: nil)
        #expect(value.count == 1 && value[0].content == nil)
    }

    @Test("no message is longer than what fits, whatever an identity is")
    func bounds() throws {
        let identity = String(repeating: "\\u0001", count: 900)
        let messages = try Self.messages("[]", #"[{"id":"\#(identity)"}]"#)
        for message in messages {
            let text = message.text(for: PushFixture.subscription(1))
            #expect(text.count <= PushMessage.maxContentBytes)
            #expect((try? Document(parsing: text)) != nil)
        }
        let items = (0...Defaults.Push.maxItemsPerChange).map { #"{"id":\#($0)}"# }.joined(separator: ",")
        let many = try Self.messages("[]", "[\(items)]")
        #expect(many.count == 1 && many[0].topic == PushTopic(source: "orders"))
    }

    @Test("a row is read again as it was written, and what is none is counted and left")
    func rows() throws {
        var owner = PushFixture.key("mobile", read: "orders,rates-*,user/42")
        owner.grants.parameters = ["tenant": "a\"b"]
        owner.tokenID = "jti"
        (owner.issuer, owner.audience) = ("https://id.example", "freshet")
        let subscription = PushFixture.subscription(1, of: owner, sources: "orders,user/42", pointer: Pointer("/a~1b"))
        let row = subscription.row()
        let read = try #require(PushSubscription.read(row))
        #expect(read.0 == subscription && !read.isBehind)
        let behind = try #require(PushSubscription.read(subscription.row(behind: PushFixture.cursor(3))))
        #expect(behind.isBehind && behind.0.since == PushFixture.cursor(3))
        for count in 0..<row.state.count {
            #expect(PushSubscription.read(PushRow(key: row.key, state: Array(row.state[..<count]))) == nil)
        }
        var administrators = PushFixture.subscription(2, of: .administrator)
        administrators.expiresAt = WallTime(milliseconds: .max)
        let nonsense = PushRow(key: Array("zz".utf8), state: row.state)
        let rows = [row, nonsense, administrators.row(), .mark(PushFixture.cursor(4))]
        let restored = RestoredPush(rows, now: PushFixture.start)
        #expect(restored.subscriptions.map(\.id) == [subscription.id])
        #expect(restored.subscriptions.first?.since == PushFixture.cursor(4))
        #expect(restored.damaged == 1 && restored.stale.count == 2)
        #expect(RestoredPush(rows, now: WallTime(milliseconds: .max)).subscriptions.isEmpty)
    }

    @Test("ids are 32 digits, and nothing else is one")
    func ids() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<100 {
            let id = PushID.random(using: &generator)
            #expect(id.description.utf8.count == 32 && PushID(id.description) == id)
        }
        let zeros = String(repeating: "0", count: 32)
        #expect(PushID(zeros)?.description == zeros)
        for text in [
            "", "0", String(repeating: "G", count: 32), String(repeating: "A", count: 32), zeros + "0",
            "+" + zeros.dropLast(),
        ] {
            #expect(PushID(text) == nil, "\(text)")
        }
    }

    @Test(
        "a prefix covers what is below it, by whole segments",
        arguments: [
            ("/up/", "/up/1", true), ("/up", "/up/1", true), ("/up", "/up", true), ("", "/anything", true),
            ("/", "/a/b", true), ("/up", "/upper", false), ("/up", "/", false), ("/up/a", "/up/b", false),
            ("/up", "/up/../secret", false), ("/up", "/up/%2E%2e/secret", false), ("/up", "/up/%2fsecret", false),
        ]
    )
    func prefixes(prefix: String, path: String, isCovered: Bool) {
        let one = PushPrefix(scheme: "http", host: "127.0.0.1", port: "80", path: prefix)
        #expect(one.covers(scheme: "http", host: "127.0.0.1", port: "80", path: path) == isCovered)
        for (scheme, host, port) in [
            ("https", "127.0.0.1", "80"), ("http", "127.0.0.2", "80"), ("http", "127.0.0.1", "81"),
        ] {
            #expect(!one.covers(scheme: scheme, host: host, port: port, path: path))
        }
    }
}
