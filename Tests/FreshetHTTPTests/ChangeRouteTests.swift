import EventStream
import FreshetCore
import FreshetTesting
import JSON
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Change route", .overHTTP2)
    struct ChangeRouteTests {
        /// Three values, each with padding enough that a patch is smaller.
        private func publishThree(_ gateway: GatewayFixture, of name: String) throws -> SourceID {
            let source = try gateway.source(name)
            for number in 1...3 {
                try gateway.publish(
                    #"{"n":\#(number),"more":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#,
                    of: source
                )
            }
            return source
        }

        private func ids(_ reply: HTTPReply) throws -> [String] {
            try json(reply, "/events").elements.compactMap { $0["id"]?.string }
        }

        @Test("the whole log by default, with the cursor to go on from")
        func all() async throws {
            try await withGateway { gateway in
                _ = try self.publishThree(gateway, of: "rates")
                let reply = try await gateway.get("/v1/changes/rates")
                #expect(reply.status == 200)
                #expect(reply.headers["Content-Type"] == "application/json")
                #expect(reply.headers["Cache-Control"] == "no-store")
                #expect(try self.ids(reply) == (1...3).map { "\(gateway.cursor(UInt64($0)))" })
                #expect(try text(reply, "/events/0/event") == "snapshot")
                #expect(try text(reply, "/events/2/event") == "patch")
                #expect(try json(reply, "/events/2/data/patch/0/value").int == 3)
                #expect(try text(reply, "/cursor") == "\(gateway.cursor(3))")
                #expect(try json(reply, "/gap").bool == false)
                let next = try await gateway.get("/v1/changes/rates?since=\(gateway.cursor(3))")
                #expect(next.text == #"{"events":[],"cursor":"\#(gateway.cursor(3))","gap":false}"#)
            }
        }

        @Test("events are the lines of a stream")
        func lines() async throws {
            try await withGateway { gateway in
                _ = try self.publishThree(gateway, of: "rates")
                let client = try LineClient(gateway.endpoint, path: "/v1/streams/rates?since=earliest")
                let lines = try await client.next(4).dropFirst().map { String(decoding: $0, as: UTF8.self) }
                let reply = try await gateway.get("/v1/changes/rates", ["Accept": "application/x-ndjson"])
                #expect(reply.headers["Content-Type"] == "application/x-ndjson")
                #expect(reply.headers["Freshet-Cursor"] == "\(gateway.cursor(3))")
                #expect(reply.text == lines.map { $0 + "\n" }.joined())
            }
        }

        @Test("pages follow each other without a hole", arguments: [1, 2, 3, 1000])
        func pages(limit: Int) async throws {
            try await withGateway { gateway in
                _ = try self.publishThree(gateway, of: "a")
                _ = try self.publishThree(gateway, of: "b")
                var since = "earliest"
                var seen: [String] = []
                while true {
                    let reply = try await gateway.get("/v1/changes/a,b?limit=\(limit)&since=\(since)")
                    let ids = try self.ids(reply)
                    guard !ids.isEmpty else { break }
                    #expect(ids.count <= limit)
                    seen += ids
                    since = try text(reply, "/cursor")
                }
                #expect(seen == (1...6).map { "\(gateway.cursor(UInt64($0)))" })
            }
        }

        @Test(
            "what cannot be given is said to be missing, and the values stand for it",
            arguments: [("9-1", "epoch"), ("future", "future"), ("x", "malformed"), ("%00", "malformed")]
        )
        func gap(since: String, reason: String) async throws {
            try await withGateway { gateway in
                _ = try self.publishThree(gateway, of: "rates")
                let since = since == "future" ? "\(gateway.cursor(99))" : since
                let reply = try await gateway.get("/v1/changes/rates?since=\(since)")
                #expect(reply.status == 200)
                #expect(try json(reply, "/gap").bool == true)
                #expect(try text(reply, "/reason") == reason)
                #expect(try text(reply, "/cursor") == "\(gateway.cursor(3))")
                #expect(try text(reply, "/events/0/event") == "snapshot")
                #expect(try json(reply, "/events/0/data/value/n").int == 3)
            }
        }

        @Test("an evicted past is a gap, first of the lines too")
        func evicted() async throws {
            try await withGateway(cacheBytes: 1000) { gateway in
                let source = try gateway.source("rates")
                for number in 1...20 { try gateway.publish("[\(number)]", of: source) }
                let reply = try await gateway.get("/v1/changes/rates?since=\(gateway.cursor(1))")
                #expect(try text(reply, "/reason") == "evicted")
                let headers: HeaderFields = ["Accept": "application/x-ndjson"]
                let lines = try await gateway.get("/v1/changes/rates?since=\(gateway.cursor(1))", headers).text
                #expect(lines.hasPrefix(#"{"event":"gap","data":{"reason":"evicted"}}"# + "\n"))
            }
        }

        @Test(
            "since takes a duration back and a time",
            arguments: [("1h", 1), ("30m", 2), ("1ms", 4), ("2023-11-14T22:13:20Z", 1), ("9999-12-31T23:59:59Z", 4)]
        )
        func times(since: String, first: UInt64) async throws {
            try await withGateway { gateway in
                let source = try gateway.source("rates")
                for minutes in [Int64(50), 20, 10] {
                    let at = WallTime(milliseconds: WallClock.now.milliseconds - minutes * 60_000)
                    try gateway.publish("[\(minutes)]", of: source, at: at)
                }
                let reply = try await gateway.get("/v1/changes/rates?since=\(since)")
                #expect(try self.ids(reply) == (first..<4).map { "\(gateway.cursor($0))" })
                #expect(try json(reply, "/gap").bool == false)
                #expect(try text(reply, "/cursor") == "\(gateway.cursor(3))")
            }
        }

        @Test("a time that memory no longer reaches back to is a gap: the oldest values that are kept, and all since")
        func timeBeforeMemory() async throws {
            try await withGateway(cacheBytes: 4000) { gateway in
                let source = try gateway.source("rates")
                for number in 1...20 { try gateway.publish("[\(number)]", of: source, isWhole: true) }
                let reply = try await gateway.get("/v1/changes/rates?since=1h")
                #expect(try text(reply, "/reason") == "evicted")
                #expect(try text(reply, "/events/0/event") == "snapshot")
                let numbers = try json(reply, "/events").elements.compactMap { $0["data"]?["value"]?[0]?.int }
                let first = try #require(numbers.first)
                #expect((2..<20).contains(first) && numbers == Array(first...20))
                #expect(try text(reply, "/cursor") == "\(gateway.cursor(20))")
            }
        }

        @Test("descending gives the newest first, in pages that end where the log begins", arguments: [1, 2, 4, 1000])
        func descending(limit: Int) async throws {
            try await withGateway { gateway in
                _ = try self.publishThree(gateway, of: "a")
                _ = try self.publishThree(gateway, of: "b")
                var path = "/v1/changes/a,b?descending&limit=\(limit)"
                var seen: [String] = []
                while true {
                    let reply = try await gateway.get(path)
                    let ids = try self.ids(reply)
                    #expect(ids.count <= limit)
                    #expect(try json(reply, "/gap").bool == false)
                    if seen.isEmpty { #expect(try text(reply, "/cursor") == "\(gateway.cursor(6))") }
                    seen += ids
                    let document = try Document(parsing: reply.body)
                    guard let before = document.root["before"]?.string else { break }
                    path = "/v1/changes/a,b?descending=true&limit=\(limit)&before=\(before)"
                }
                #expect(seen == (1...6).reversed().map { "\(gateway.cursor(UInt64($0)))" })
            }
        }

        @Test("descending stops at since, and says where what lies between is not kept")
        func descendingSince() async throws {
            try await withGateway { gateway in
                _ = try self.publishThree(gateway, of: "a")
                let reply = try await gateway.get("/v1/changes/a?descending&since=\(gateway.cursor(1))")
                #expect(try self.ids(reply) == ([3, 2] as [UInt64]).map { "\(gateway.cursor($0))" })
                #expect(try Document(parsing: reply.body).root["before"] == nil)
                let foreign = try await gateway.get("/v1/changes/a?descending&since=9-1")
                #expect(try text(foreign, "/reason") == "epoch")
            }
            try await withGateway(cacheBytes: 4000) { gateway in
                let source = try gateway.source("rates")
                for number in 1...20 { try gateway.publish("[\(number)]", of: source, isWhole: true) }
                let since = try await gateway.get("/v1/changes/rates?descending&since=\(gateway.cursor(1))")
                #expect(try text(since, "/reason") == "evicted")
                #expect(try self.ids(since).first == "\(gateway.cursor(20))")
                let all = try await gateway.get("/v1/changes/rates?descending")
                #expect(try json(all, "/gap").bool == false, "nobody asked for more than is kept")
            }
        }

        @Test("lines end with a checkpoint where the last event does not tell where to go on")
        func checkpoint() async throws {
            try await withGateway { gateway in
                _ = try self.publishThree(gateway, of: "a")
                _ = try self.publishThree(gateway, of: "b")
                let headers: HeaderFields = ["Accept": "application/x-ndjson"]
                let line = #"{"event":"checkpoint","data":{"cursor":"\#(gateway.cursor(6))"}}"# + "\n"
                let nothing = try await gateway.get("/v1/changes/a?since=\(gateway.cursor(4))", headers)
                #expect(nothing.text == line)
                #expect(try await gateway.get("/v1/changes/b?since=latest", headers).text == line)
                let some = try await gateway.get("/v1/changes/a", headers).text
                #expect(some.hasSuffix(line) && some.hasPrefix(#"{"id":"\#(gateway.cursor(1))""#))
                #expect(try await !gateway.get("/v1/changes/b", headers).text.contains("checkpoint"))
                let back = try await gateway.get("/v1/changes/b?descending&limit=1", headers).text
                let end =
                    #"{"event":"checkpoint","data":{"cursor":"\#(gateway.cursor(6))","before":"\#(gateway.cursor(6))"}}"#
                #expect(back.hasSuffix(end + "\n"))
            }
        }

        @Test("the earliest of a log that has lost its beginning opens with the values of there, and is no gap")
        func earliestOfTheRest() async throws {
            try await withGateway(cacheBytes: 4000) { gateway in
                let source = try gateway.source("rates")
                for number in 1...20 { try gateway.publish("[\(number)]", of: source, isWhole: true) }
                let reply = try await gateway.get("/v1/changes/rates?since=earliest")
                #expect(try json(reply, "/gap").bool == false)
                let numbers = try json(reply, "/events").elements.compactMap { $0["data"]?["value"]?[0]?.int }
                let first = try #require(numbers.first)
                #expect((2..<20).contains(first) && numbers == Array(first...20))
                var since = try text(reply, "/cursor")
                try gateway.publish("[21]", of: source)
                let next = try await gateway.get("/v1/changes/rates?since=\(since)")
                since = try text(next, "/cursor")
                #expect(try self.ids(next) == ["\(gateway.cursor(21))"] && since == "\(gateway.cursor(21))")
            }
        }

        @Test("since a cursor of sequence 0 a stream and a page have the same: every change, or a gap")
        func sinceNothing() async throws {
            for (cacheBytes, hasGap) in [(1 << 20, false), (4000, true)] {
                try await withGateway(cacheBytes: cacheBytes) { gateway in
                    let source = try gateway.source("rates")
                    let query = "rates?since=\(gateway.cursor(0))"
                    for number in 1...20 { try gateway.publish("[\(number)]", of: source, isWhole: true) }
                    let page = try await gateway.get("/v1/changes/\(query)")
                    #expect(try json(page, "/gap").bool == hasGap)
                    let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/\(query)")
                    let events = try await client.next(hasGap ? 3 : 21)
                    let types = hasGap ? ["gap", "snapshot"] : try self.ids(page).map { _ in "snapshot" }
                    #expect(events.dropFirst().map(\.type) == types)
                    #expect(events.last?.lastEventID == "\(gateway.cursor(20))")
                }
            }
        }

        @Test("an empty answer waits for a change")
        func longPoll() async throws {
            try await withGateway { gateway in
                let source = try self.publishThree(gateway, of: "rates")
                async let reply = gateway.get("/v1/changes/rates?since=latest&wait=1m")
                try await gateway.waitForWaiters(1)
                try gateway.publish("[4]", of: source)
                let woken = try await reply
                #expect(try self.ids(woken) == ["\(gateway.cursor(4))"])
                let late = try await gateway.get("/v1/changes/rates?since=\(gateway.cursor(4))&wait=10ms")
                #expect(try self.ids(late).isEmpty)
            }
        }

        @Test("mode decides the form")
        func mode() async throws {
            try await withGateway { gateway in
                _ = try self.publishThree(gateway, of: "rates")
                let reply = try await gateway.get("/v1/changes/rates?mode=snapshot&since=\(gateway.cursor(2))")
                #expect(try json(reply, "/events/0/data/value/n").int == 3)
            }
        }

        @Test(
            "bad parameters are refused",
            arguments: [
                ("limit=0", 400, "bad_limit"), ("limit=-1", 400, "bad_limit"), ("limit=x", 400, "bad_limit"),
                ("limit=99999999999999999999", 400, "bad_limit"), ("mode=x", 400, "bad_mode"),
                ("wait=9", 400, "bad_wait"), ("descending=maybe", 400, "bad_descending"),
                ("before=9-1", 400, "bad_before"), ("descending&before=x", 400, "bad_before"),
            ]
        )
        func refused(query: String, status: Int, problem: String) async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                let reply = try await gateway.get("/v1/changes/rates?\(query)")
                #expect(reply.status == status)
                #expect(try code(reply) == problem)
            }
        }

        @Test("a form that does not exist is not acceptable, a source that does not is unknown")
        func unknown() async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                #expect(try await gateway.get("/v1/changes/rates", ["Accept": "text/csv"]).status == 406)
                #expect(try await gateway.get("/v1/changes/nothing").status == 404)
            }
        }
    }
}
