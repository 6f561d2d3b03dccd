// `GET /v1/items/{source}/{key}`, and the way of writes to whoever carries them out.

import FreshetCore
import FreshetTesting
import JSON
import Synchronization
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Items")
    struct ItemRouteTests {
        private static let rule = ItemRule(items: Pointer(), key: Pointer("/id"))

        private func orders(_ gateway: GatewayFixture, rule: ItemRule = Self.rule) throws -> SourceID {
            let source = try gateway.source("orders")
            try gateway.update(source) { $0.collection = SourceCollection(rule: rule, isGuessed: false) }
            return source
        }

        @Test("an item has a tag of its own, which changes with the item alone")
        func tags() async throws {
            try await withGateway { gateway in
                let source = try self.orders(gateway)
                let first = try gateway.publish(#"[{"id":1,"a":1},{"id":"x/y","a":1}]"#, of: source)
                let item = try await gateway.get("/v1/items/orders/1")
                #expect(item.status == 200 && item.text == #"{"id":1,"a":1}"# && item.headers["ETag"] == "\"\(first)\"")
                #expect(
                    item.headers["Freshet-Cursor"] == "\(first)" && item.headers["Content-Type"] == "application/json"
                )
                #expect(try await gateway.get("/v1/items/orders/x%2Fy").text == #"{"id":"x/y","a":1}"#)
                let second = try gateway.publish(#"[{"id":1,"a":1},{"id":"x/y","a":2}]"#, of: source)
                let same = try await gateway.get("/v1/items/orders/1")
                #expect(same.headers["ETag"] == "\"\(first)\"" && same.headers["Freshet-Cursor"] == "\(second)")
                #expect(try await gateway.get("/v1/items/orders/1", ["If-None-Match": "\"\(first)\""]).status == 304)
                #expect(try await gateway.get("/v1/items/orders/x%2Fy").headers["ETag"] == "\"\(second)\"")
                #expect(
                    try await gateway.get("/v1/items/orders/x%2Fy", ["If-None-Match": "\"\(first)\""]).status == 200
                )
                let head = try await gateway.send("HEAD", "/v1/items/orders/1")
                #expect(head.status == 200 && head.body.isEmpty && head.headers["ETag"] == "\"\(first)\"")
            }
        }

        @Test("what is not there: no item, no collection, no source, two of one key, no value yet")
        func absence() async throws {
            try await withGateway { gateway in
                let source = try self.orders(gateway)
                #expect(try code(await gateway.get("/v1/items/orders/1")) == "no_value_yet")
                try gateway.publish(#"[{"id":1},{"id":1},{"id":3}]"#, of: source)
                for (path, status, problem) in [
                    ("/v1/items/orders/1", 422, "ambiguous_key"), ("/v1/items/orders/2", 404, "unknown_item"),
                    ("/v1/items/orders/%2E%2E", 404, "unknown_item"), ("/v1/items/none/1", 404, "unknown_source"),
                ] {
                    let reply = try await gateway.get(path)
                    #expect(reply.status == status)
                    #expect(try code(reply) == problem)
                }
                #expect(try await gateway.get("/v1/items/orders/3").status == 200)
                try gateway.publish(#"{"other":true}"#, of: source)
                #expect(try code(await gateway.get("/v1/items/orders/3")) == "no_collection")
            }
        }

        @Test("an object keyed by identity has items by their names")
        func keyed() async throws {
            try await withGateway { gateway in
                let source = try self.orders(gateway, rule: ItemRule(items: try #require(Pointer("/by")), key: nil))
                try gateway.publish(#"{"by":{"é":{"a":1}}}"#, of: source)
                #expect(try await gateway.get("/v1/items/orders/%C3%A9").text == #"{"a":1}"#)
            }
        }

        @Test("?wait= waits for a change of the item, and not for one beside it; an item that comes ends it too")
        func wait() async throws {
            try await withGateway { gateway in
                let source = try self.orders(gateway)
                try gateway.publish(#"[{"id":1,"a":1},{"id":2,"a":1}]"#, of: source)
                let tag = try #require(try await gateway.get("/v1/items/orders/1").headers["ETag"])
                async let changed = gateway.get("/v1/items/orders/1?wait=20s", ["If-None-Match": tag])
                async let created = gateway.get("/v1/items/orders/3?wait=20s")
                try await gateway.waitForWaiters(2)
                try gateway.publish(#"[{"id":1,"a":1},{"id":2,"a":2}]"#, of: source)
                try gateway.publish(#"[{"id":1,"a":2},{"id":2,"a":2},{"id":3}]"#, of: source)
                #expect(try await changed.text == #"{"id":1,"a":2}"#)
                #expect(try await created.text == #"{"id":3}"#)
                let now = try await gateway.get("/v1/items/orders/1")
                let none = try await gateway.get(
                    "/v1/items/orders/1?wait=1ms",
                    ["If-None-Match": try #require(now.headers["ETag"])]
                )
                #expect(none.status == 304)
            }
        }

        @Test("without a writer nothing can be written, and the answer says what can be done")
        func noWriter() async throws {
            try await withGateway { gateway in
                let source = try self.orders(gateway)
                try gateway.publish("[]", of: source)
                for (method, path) in [
                    ("PUT", "/v1/items/orders/1"), ("POST", "/v1/values/orders"), ("DELETE", "/v1/values/orders"),
                ] {
                    let reply = try await gateway.send(method, path, body: "{}")
                    #expect(reply.status == 405 && reply.headers["Allow"] == "GET, HEAD, OPTIONS", "\(method) \(path)")
                }
                #expect(try await gateway.send("PUT", "/v1/items/none/1", body: "{}").status == 404)
            }
        }
    }
}
