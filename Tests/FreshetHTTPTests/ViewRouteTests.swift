// `pointer`, `item` and `where` over HTTP: streams, values and the log.

import EventStream
import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import System
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Views", .overHTTP2)
    struct ViewRouteTests {
        private static let rule = ItemRule(
            items: Pointer(tokens: [.init("orders")]),
            key: Pointer(tokens: [.init("id")])
        )

        /// Orders with their states, and a clock beside them.
        private static func value(_ clock: Int, _ states: [Int: String]) -> String {
            let pad = String(repeating: "p", count: 80)
            let rows = states.sorted { $0.key < $1.key }.map {
                #"{"id":\#($0.key),"status":"\#($0.value)","pad":"\#(pad)"}"#
            }
            return
                #"{"clock":{"t":\#(clock),"zone":"\#(pad)"},"orders":[\#(rows.joined(separator: ","))],"pad":"\#(pad)\#(pad)"}"#
        }

        @Test("a value at a pointer has the upstream's text, a tag of its own that stays while it does, and 304")
        func value() async throws {
            try await withGateway { gateway in
                let source = try gateway.source("s")
                try gateway.publish(#"{ "a": { "b": [1.50, "é"] }, "n": 1 }"#, of: source)
                let reply = try await gateway.get("/v1/values/s?pointer=/a/b")
                #expect(reply.status == 200 && reply.text == #"[1.50,"é"]"#)
                let tag = try #require(reply.headers["ETag"])
                #expect(tag.hasPrefix("\"") && tag != "\"\(gateway.cursor(1))\"")
                #expect(reply.headers["Freshet-Cursor"] == "\(gateway.cursor(1))")
                #expect(try await gateway.get("/v1/values/s?pointer=/a").headers["ETag"] != tag)
                try gateway.publish(#"{ "a": { "b": [1.50, "é"] }, "n": 2 }"#, of: source)
                let same = try await gateway.get("/v1/values/s?pointer=/a/b", ["If-None-Match": tag])
                #expect(same.status == 304 && same.headers["ETag"] == tag)
                #expect(same.headers["Freshet-Cursor"] == "\(gateway.cursor(2))")
                try gateway.publish(#"{"a":{"b":[2]}}"#, of: source)
                let other = try await gateway.get("/v1/values/s?pointer=/a/b", ["If-None-Match": tag])
                #expect(other.status == 200 && other.text == "[2]" && other.headers["ETag"] != tag)
                #expect(try await gateway.get("/v1/values/s?pointer=").text == #"{"a":{"b":[2]}}"#)
                let past = try await gateway.get("/v1/values/s?pointer=/a/b&at=\(gateway.cursor(1))")
                #expect(past.status == 200 && past.text == #"[1.50,"é"]"#)
            }
        }

        @Test("wait ends with a change of the view, not of anything else")
        func wait() async throws {
            try await withGateway { gateway in
                let source = try gateway.source("s")
                try gateway.publish(#"{"a":1,"n":1}"#, of: source)
                let tag = try #require(try await gateway.get("/v1/values/s?pointer=/a").headers["ETag"])
                async let present = gateway.get("/v1/values/s?pointer=/a&wait=5m")
                async let tagged = gateway.get("/v1/values/s?pointer=/a&wait=5m", ["If-None-Match": tag])
                async let since = gateway.get("/v1/values/s?pointer=/a&wait=5m&since=\(gateway.cursor(1))")
                async let absent = gateway.get("/v1/values/s?pointer=/b&wait=5m")
                async let log = gateway.get("/v1/changes/s?pointer=/a&since=\(gateway.cursor(1))&wait=5m")
                try await gateway.waitForWaiters(5)
                try gateway.publish(#"{"a":1,"n":2}"#, of: source)
                let short = try await gateway.get("/v1/values/s?pointer=/a&wait=20ms", ["If-None-Match": tag])
                #expect(short.status == 304)
                try await gateway.waitForWaiters(5)
                try gateway.publish(#"{"a":2,"b":3,"n":2}"#, of: source)
                #expect(try await present.text == "2")
                #expect(try await tagged.text == "2")
                #expect(try await since.text == "2")
                #expect(try await absent.text == "3")
                let page = try await log
                #expect(try json(page, "/events").elements.compactMap { $0["data"]?["value"]?.int } == [2])
                try await gateway.waitForWaiters(0)
            }
        }

        @Test("items by identity, as a value, on a stream and in the log, wherever they stand")
        func items() async throws {
            try await withGateway { gateway in
                let source = try gateway.source("s")
                let rule = Self.rule
                try gateway.publish(Self.value(1, [3: "open", 5: "done"]), of: source, rule: rule)
                let value = try await gateway.get("/v1/values/s?item=5,4")
                #expect(try json(value, "/orders").elements.compactMap { $0["id"]?.int } == [5])
                #expect(try json(value, "").count == 1, "nothing else of the value")
                let path = "/v1/streams/s?item=5&mode=items"
                let stream = try EventStreamClient(gateway.endpoint, path: path)
                let patches = try EventStreamClient(gateway.endpoint, path: "/v1/streams/s?item=5")
                _ = try await (stream.next(2), patches.next(2))
                // It moves to another place, which is no change of it; then it changes, and goes.
                try gateway.publish(Self.value(2, [1: "open", 3: "open", 5: "done"]), of: source, rule: rule)
                #expect(try await stream.next(1).map(\.type) == ["checkpoint"])
                #expect(try await patches.next(1).map(\.type) == ["checkpoint"])
                try gateway.publish(Self.value(2, [1: "open", 3: "open", 5: "open"]), of: source, rule: rule)
                try gateway.publish(Self.value(2, [1: "open"]), of: source, rule: rule)
                let events = try await stream.next(2)
                #expect(events.map(\.type) == ["items", "items"])
                let updated = try Document(parsing: events[0].data).root["items"]?["updated"]?[0]
                #expect(updated?["status"]?.string == "open")
                #expect(
                    try Document(parsing: events[1].data).root["items"]?["deleted"]?.text.elementsEqual("[5]".utf8)
                        == true
                )
                let patched = try await patches.next(2)
                #expect(patched.map(\.type) == ["patch", "snapshot"])
                let operation = try Document(parsing: patched[0].data).root["patch"]?[0]
                #expect(operation?["path"]?.string == "/orders/0/status")
                let changes = try await gateway.get("/v1/changes/s?item=5&mode=items&since=\(gateway.cursor(1))")
                let list = try json(changes, "/events")
                #expect(list.elements.compactMap { $0["event"]?.string } == ["items", "items"])
                #expect(
                    list.elements.compactMap { $0["id"]?.string } == [3, 4].map { "\(gateway.cursor(UInt64($0)))" }
                )
                let lines = try await gateway.get(
                    "/v1/changes/s?item=5&mode=items&since=\(gateway.cursor(1))",
                    ["Accept": "application/x-ndjson"]
                )
                let live = try LineClient(gateway.endpoint, path: "\(path)&since=\(gateway.cursor(1))")
                let streamed = try await live.next(3).dropFirst().map { String(decoding: $0, as: UTF8.self) + "\n" }
                #expect(lines.text == streamed.joined(), "the log has the lines of the stream")
                let down = try await gateway.get("/v1/changes/s?item=5&mode=items&descending&limit=100")
                #expect(
                    try json(down, "/events").elements.compactMap { $0["event"]?.string } == [
                        "items", "items", "snapshot",
                    ]
                )
            }
        }

        @Test("where: entering and leaving are created and deleted, in JSON lines too, and resumed")
        func filter() async throws {
            try await withGateway { gateway in
                let source = try gateway.source("s")
                let rule = Self.rule
                try gateway.publish(Self.value(1, [1: "open", 2: "done"]), of: source, rule: rule)
                let path = "/v1/streams/s?where=/status:open&mode=items"
                let stream = try LineClient(gateway.endpoint, path: path)
                let first = try await stream.next(2)
                let shown = try Document(parsing: first[1]).root["data"]?["value"]?["orders"]
                #expect(shown?.elements.compactMap { $0["id"]?.int } == [1])
                try gateway.publish(Self.value(2, [1: "open", 2: "open", 3: "open"]), of: source, rule: rule)
                try gateway.publish(Self.value(3, [1: "done", 2: "open"]), of: source, rule: rule)
                try gateway.publish(Self.value(4, [1: "void", 2: "open"]), of: source, rule: rule)
                let lines = try await stream.next(3).map { try Document(parsing: $0).root }
                func ids(_ line: Value, _ list: String) -> [Int] {
                    line["data"]?["items"]?[list]?.elements.compactMap { $0.int ?? $0["id"]?.int } ?? []
                }
                #expect(ids(lines[0], "created") == [3, 2] && ids(lines[0], "deleted").isEmpty)
                #expect(ids(lines[1], "deleted") == [3, 1] && ids(lines[1], "updated").isEmpty)
                #expect(lines[2]["event"]?.string == "checkpoint")
                let again = try LineClient(gateway.endpoint, path: "\(path)&since=\(gateway.cursor(2))")
                let resumed = try await again.next(3).map { try Document(parsing: $0).root }
                #expect(resumed[1] == lines[1] && resumed[2]["event"]?.string == "checkpoint")
            }
        }

        @Test(
            "what is no view is refused with a code",
            arguments: [
                ("streams", "pointer=a", 400, "bad_pointer"), ("values", "pointer=/~2", 400, "bad_pointer"),
                ("streams", "pointer=/a&pointer=/b", 400, "bad_pointer"),
                ("changes", "pointer=/\(String(repeating: "x", count: 1100))", 400, "bad_pointer"),
                ("streams", "pointer=/a&item=1", 400, "bad_view"), ("streams", "item=", 400, "bad_item"),
                ("streams", "item=a,,b", 400, "bad_item"), ("values", "item=%22a", 400, "bad_item"),
                ("values", "item=\((0..<101).map(String.init).joined(separator: ","))", 400, "too_many_items"),
                ("streams", "where=/status:open", 400, "bad_where"), ("values", "where=/status:open", 400, "bad_where"),
                ("streams", "where=status:open&mode=items", 400, "bad_where"),
                ("changes", "where=/status&mode=items", 400, "bad_where"),
                ("values", "pointer=/none", 404, "nothing_at_pointer"),
                ("values", "pointer=/a&at=10s", 410, "value_not_kept"),
            ]
        )
        func refused(route: String, query: String, status: Int, problem: String) async throws {
            try await withGateway { gateway in
                let source = try gateway.source("s")
                try gateway.publish(Self.value(1, [:]), of: source, rule: Self.rule)
                let reply = try await gateway.get("/v1/\(route)/s?\(query)")
                guard problem != "value_not_kept" else { return #expect(reply.status >= 400) }
                #expect(reply.status == status)
                #expect(try code(reply) == problem)
            }
        }

        @Test("a source without items has none to follow; an identity may be quoted and hold a comma")
        func identities() async throws {
            try await withGateway { gateway in
                let plain = try gateway.source("plain")
                try gateway.publish("[1]", of: plain)
                #expect(try code(try await gateway.get("/v1/streams/plain?item=1")) == "no_items")
                let keyed = try gateway.source("keyed")
                let rule = ItemRule(items: Pointer(), key: nil)
                try gateway.publish(#"{"a,b":1,"c":2,"d":3}"#, of: keyed, rule: rule)
                let reply = try await gateway.get("/v1/values/keyed?item=%22a,b%22,c&item=e")
                #expect(reply.text == #"{"a,b":1,"c":2}"#)
            }
        }

        @Test("the bounds on different views: in all 503, of one address 429; equal ones count once")
        func bounds() async throws {
            let desk = AdmissionDesk(maxTotal: 100, maxPerAddress: 0, maxViews: 3, maxViewsPerAddress: 2)
            let address = PeerAddress("192.0.2.1")
            var held: [AdmissionTicket] = []
            func admit(_ view: Int?, _ address: PeerAddress) -> RefusalReason? {
                switch desk.admit(address, view: view) {
                case .admitted(let ticket):
                    held.append(ticket)
                    return nil
                case .refused(let reason, _): return reason
                }
            }
            #expect(admit(1, address) == nil && admit(2, address) == nil && admit(1, address) == nil)
            #expect(admit(3, address) == .viewsOfAddress && admit(nil, address) == nil)
            let other = PeerAddress("192.0.2.2")
            #expect(admit(3, other) == nil && admit(4, other) == .views && admit(2, other) == nil)
            held = []
            #expect(admit(4, address) == nil && admit(5, address) == nil)
            var settings = StreamSettings(shards: 1)
            settings.maxViews = 1
            try await withGateway(streams: settings) { gateway in
                let source = try gateway.source("s")
                try gateway.publish(#"{"a":1}"#, of: source)
                let first = try EventStreamClient(gateway.endpoint, path: "/v1/streams/s?pointer=/a")
                _ = try await first.next(2)
                let second = try await gateway.get("/v1/streams/s?pointer=/b")
                #expect(second.status == 503 && second.headers["Retry-After"] != nil)
                #expect(try code(second) == "too_many_views")
                let same = try EventStreamClient(gateway.endpoint, path: "/v1/streams/s?pointer=/a")
                _ = try await same.next(2)
            }
        }
    }
}
