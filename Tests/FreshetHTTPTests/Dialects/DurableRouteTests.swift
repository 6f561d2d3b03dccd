import EventStream
import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import Testing

@testable import FreshetHTTP

extension String {
    /// How often a text stands in it.
    fileprivate func components(_ text: String) -> Int {
        self.split(separator: text, omittingEmptySubsequences: false).count - 1
    }
}

extension HTTPTests {
    @Suite("Durable streams")
    struct DurableRouteTests {
        private static func value(_ number: Int) -> String {
            #"{"n":\#(number),"list":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]}"#
        }

        private static func offset(_ reply: HTTPReply) throws -> String {
            try #require(reply.headers["Stream-Next-Offset"])
        }

        private static func publish(_ numbers: ClosedRange<Int>, _ gateway: GatewayFixture) throws -> SourceID {
            let source = try gateway.source("rates")
            for number in numbers { try gateway.publish(Self.value(number), of: source) }
            return source
        }

        @Test("from the beginning: the oldest value, and every change after it, with where to go on")
        func catchUp() async throws {
            try await withGateway { gateway in
                let source = try Self.publish(1...3, gateway)
                for path in ["/v1/durable/rates", "/v1/durable/rates?offset=-1"] {
                    let reply = try await gateway.get(path)
                    #expect(reply.status == 200 && reply.headers["Content-Type"] == "application/json")
                    #expect(reply.headers["Stream-Up-To-Date"] == "true" && reply.headers["Stream-Closed"] == nil)
                    #expect(reply.headers["Cache-Control"] == "private, no-cache" && reply.headers["ETag"] != nil)
                    let messages = try json(reply, "")
                    #expect(messages.count == 3)
                    #expect(try json(reply, "/0/value/n").int == 1 && text(reply, "/0/source") == "rates")
                    #expect(try json(reply, "/2/patch/0/value").int == 3)
                    let next = try await gateway.get("/v1/durable/rates?offset=\(try Self.offset(reply))")
                    #expect(next.text == "[]" && next.headers["Stream-Up-To-Date"] == "true")
                    #expect(try Self.offset(next) == Self.offset(reply))
                }
                let old = try await gateway.get("/v1/durable/rates")
                try gateway.publish(Self.value(4), of: source)
                let new = try await gateway.get("/v1/durable/rates?offset=\(try Self.offset(old))")
                #expect(try json(new, "").count == 1 && json(new, "/0/patch/0/value").int == 4)
                #expect(try Self.offset(new) > Self.offset(old))
            }
        }

        @Test(
            "every offset that was given resumes exactly behind its message",
            arguments: ["patch", "merge", "snapshot"]
        )
        func resumes(mode: String) async throws {
            try await withGateway { gateway in
                let source = try gateway.source("rates")
                let other = try gateway.source("other")
                var offsets: [String] = []
                for number in 1...12 {
                    try gateway.publish(Self.value(number), of: source)
                    offsets.append(try Self.offset(try await gateway.send("HEAD", "/v1/durable/rates")))
                    // What other sources do moves nothing here.
                    try gateway.publish("[\(number)]", of: other)
                    #expect(try Self.offset(try await gateway.send("HEAD", "/v1/durable/rates")) == offsets.last)
                }
                #expect(offsets == offsets.sorted() && Set(offsets).count == 12)
                for (index, offset) in offsets.enumerated() {
                    let reply = try await gateway.get("/v1/durable/rates?mode=\(mode)&offset=\(offset)")
                    #expect(try json(reply, "").count == 11 - index, "\(index)")
                    #expect(try Self.offset(reply) == offsets.last)
                }
            }
        }

        @Test("the end, without what comes before it")
        func now() async throws {
            try await withGateway { gateway in
                let source = try Self.publish(1...3, gateway)
                let head = try await gateway.send("HEAD", "/v1/durable/rates")
                #expect(head.status == 200 && head.headers["Cache-Control"] == "no-store")
                #expect(head.headers["Content-Type"] == "application/json")
                let reply = try await gateway.get("/v1/durable/rates?offset=now")
                #expect(reply.text == "[]" && reply.headers["Stream-Up-To-Date"] == "true")
                #expect(reply.headers["Cache-Control"] == "no-store" && reply.headers["ETag"] == nil)
                #expect(try Self.offset(reply) == Self.offset(head))
                try gateway.publish(Self.value(4), of: source)
                let next = try await gateway.get("/v1/durable/rates?offset=\(try Self.offset(reply))")
                #expect(try json(next, "").count == 1)
            }
        }

        @Test("a source without a value has an end, and what comes after it is read from there")
        func empty() async throws {
            try await withGateway { gateway in
                try gateway.publish("[1]", of: gateway.source("other"))
                let source = try gateway.source("rates")
                let reply = try await gateway.get("/v1/durable/rates")
                #expect(reply.status == 200 && reply.text == "[]")
                try gateway.publish(Self.value(1), of: source)
                let next = try await gateway.get("/v1/durable/rates?offset=\(try Self.offset(reply))")
                #expect(try json(next, "/0/value/n").int == 1)
            }
        }

        @Test("a tag answers 304 while the messages are the same")
        func tags() async throws {
            try await withGateway { gateway in
                let source = try Self.publish(1...3, gateway)
                let first = try await gateway.get("/v1/durable/rates")
                let tag = try #require(first.headers["ETag"])
                let again = try await gateway.get("/v1/durable/rates", ["If-None-Match": tag])
                #expect(again.status == 304 && again.body.isEmpty && again.headers["ETag"] == tag)
                #expect(try Self.offset(again) == Self.offset(first))
                let other = try await gateway.get(
                    "/v1/durable/rates?offset=\(try Self.offset(first))",
                    ["If-None-Match": tag]
                )
                #expect(other.status == 200)
                try gateway.publish(Self.value(4), of: source)
                #expect(try await gateway.get("/v1/durable/rates", ["If-None-Match": tag]).status == 200)
            }
        }

        @Test("parameters that are none are told so, and what is gone is 410")
        func refusals() async throws {
            try await withGateway(cacheBytes: 4096) { gateway in
                let source = try Self.publish(1...3, gateway)
                let offset = try Self.offset(try await gateway.get("/v1/durable/rates"))
                for (query, status, name) in [
                    ("offset=x", 400, "bad_offset"), ("offset=", 400, "bad_offset"),
                    ("offset=0&offset=1", 400, "bad_offset"),
                    ("live=sse", 400, "bad_offset"), ("live=long-poll", 400, "bad_offset"),
                    ("live=ever&offset=-1", 400, "bad_live"), ("mode=items", 400, "bad_mode"),
                    ("offset=00000000000000000001_zzz", 410, "offset_gone"),
                    ("offset=00000000000000000099_\(GatewayFixture.epoch)", 410, "offset_gone"),
                ] {
                    let reply = try await gateway.get("/v1/durable/rates?\(query)")
                    #expect(reply.status == status, "\(query)")
                    #expect(try code(reply) == name, "\(query)")
                }
                #expect(try await gateway.get("/v1/durable/none").status == 404)
                for method in ["PUT", "POST", "DELETE"] {
                    #expect(try await gateway.send(method, "/v1/durable/rates").status == 405)
                }
                for number in 4...100 { try gateway.publish(Self.value(number), of: source) }
                let gone = try await gateway.get("/v1/durable/rates?offset=\(offset)")
                #expect(try gone.status == 410 && code(gone) == "offset_gone")
                // What is left begins with a whole value.
                let rest = try await gateway.get("/v1/durable/rates?offset=-1")
                #expect(try json(rest, "/0/value/n").int != nil)
            }
        }

        @Test("a long poll answers with what there is, or waits for what comes, or says that nothing came")
        func longPoll() async throws {
            try await withGateway({ $0.maxWait = .milliseconds(300) }) { gateway in
                let source = try Self.publish(1...2, gateway)
                let there = try await gateway.get("/v1/durable/rates?offset=-1&live=long-poll")
                #expect(try there.status == 200 && json(there, "").count == 2)
                let number = try #require(UInt64(there.headers["Stream-Cursor"] ?? ""))
                let offset = try Self.offset(there)
                let none = try await gateway.get("/v1/durable/rates?offset=\(offset)&live=long-poll&cursor=\(number)")
                #expect(none.status == 204 && none.headers["Stream-Up-To-Date"] == "true" && none.body.isEmpty)
                #expect(try Self.offset(none) == offset)
                #expect(try #require(UInt64(none.headers["Stream-Cursor"] ?? "")) > number)
                #expect(try await gateway.get("/v1/durable/rates?offset=now&live=long-poll").status == 204)
                _ = source
            }
            try await withGateway { gateway in
                let source = try Self.publish(1...2, gateway)
                for index in 0..<2 {
                    let start = index == 0 ? "now" : try Self.offset(try await gateway.get("/v1/durable/rates"))
                    async let waiting = gateway.get("/v1/durable/rates?offset=\(start)&live=long-poll")
                    try await gateway.waitForWaiters(1)
                    try gateway.publish(Self.value(10 + index), of: source)
                    let reply = try await waiting
                    #expect(reply.status == 200 && reply.headers["Stream-Up-To-Date"] == "true")
                    #expect(reply.text.hasSuffix(#""path":"/n","value":\#(10 + index)}]}]"#))
                }
            }
        }

        @Test("an event stream has what there is, says when that is all, and goes on", .overHTTP2)
        func stream() async throws {
            try await withGateway { gateway in
                let source = try Self.publish(1...3, gateway)
                let client = try EventStreamClient(
                    gateway.endpoint,
                    path: "/v1/durable/rates?offset=-1&live=sse&cursor=99999999"
                )
                #expect(try await client.head().headers["Content-Type"] == "text/event-stream")
                let opening = try await client.next(2)
                #expect(opening.map(\.type) == ["data", "control"])
                #expect(try Document(parsing: Array(opening[0].text.utf8)).root.count == 3)
                let control = try Document(parsing: Array(opening[1].text.utf8)).root
                #expect(control["upToDate"]?.bool == true)
                let first = try #require(UInt64(control["streamCursor"]?.string ?? ""))
                #expect(first > 99_999_999)
                let offset = try #require(control["streamNextOffset"]?.string)
                try gateway.publish(Self.value(4), of: source)
                let change = try await client.next(2)
                #expect(change.map(\.type) == ["data", "control"])
                #expect(change[0].text.contains(#""patch":[{"op":"replace","path":"/n","value":4}]"#))
                let second = try Document(parsing: Array(change[1].text.utf8)).root
                #expect(try #require(second["streamNextOffset"]?.string) > offset)
                #expect(try #require(UInt64(second["streamCursor"]?.string ?? "")) >= first)
                // From the end, nothing of the past.
                let late = try EventStreamClient(gateway.endpoint, path: "/v1/durable/rates?offset=now&live=sse")
                let beginning = try await late.next(1)
                #expect(beginning[0].type == "control" && beginning[0].text.contains(#""upToDate":true"#))
            }
        }

        @Test("readers of event streams are counted among the streams, and let go", .overHTTP2)
        func places() async throws {
            var settings = StreamSettings(shards: 1)
            settings.maxSubscribers = 2
            try await withGateway(streams: settings) { gateway in
                _ = try Self.publish(1...1, gateway)
                let path = "/v1/durable/rates?offset=now&live=sse"
                let clients = try (0..<2).map { _ in try EventStreamClient(gateway.endpoint, path: path) }
                for client in clients { #expect(try await client.next()?.type == "control") }
                #expect(try await gateway.get(path).status == 503)
                for client in clients { await client.close() }
                try await eventually {
                    let client = try EventStreamClient(gateway.endpoint, path: path)
                    let status = try await client.head().status
                    await client.close()
                    return status == 200
                }
            }
        }
    }
}
