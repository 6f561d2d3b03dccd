import EventStream
import FreshetCore
import FreshetTesting
import JSON
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("CloudEvents on every route", .overHTTP2)
    struct CloudEventRouteTests {
        private static func value(_ number: Int) -> String {
            #"{"eur":\#(number),"list":[1,2,3,4,5,6,7,8,9,10,11,12]}"#
        }

        @Test("the data of change events is a CloudEvent, that of others is as it was")
        func stream() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.publish(Self.value(1), of: rates)
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates?envelope=cloudevents")
                let opening = try await client.next(2)
                #expect(opening.map(\.type) == ["hello", "snapshot"])
                #expect(opening[0].text.hasPrefix(#"{"cursor":"#))
                let snapshot = try Document(parsing: Array(opening[1].text.utf8)).root
                #expect(snapshot["specversion"]?.string == "1.0" && snapshot["type"]?.string == "freshet.snapshot")
                #expect(snapshot["id"]?.string == opening[1].lastEventID)
                #expect(snapshot["data"]?["value"]?["eur"]?.int == 1)
                try gateway.publish(Self.value(2), of: rates)
                let change = try #require(try await client.next())
                let event = try Document(parsing: Array(change.text.utf8)).root
                #expect(change.type == "patch" && event["type"]?.string == "freshet.patch")
                #expect(event["source"]?.string == "/v1/streams/rates" && event["id"]?.string == change.lastEventID)
                #expect(event["data"]?["source"]?.string == "rates")
                let patch = Array(try #require(event["data"]?["patch"]).elements)
                #expect(patch.first?["value"]?.int == 2)
            }
        }

        @Test("several sources have their own, and ids of their own, though one cursor resumes them")
        func several() async throws {
            try await withGateway { gateway in
                for name in ["a", "b"] { try gateway.publish(Self.value(1), of: try gateway.source(name)) }
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/a,b?envelope=cloudevents")
                let events = try await client.next(3).dropFirst().map {
                    try Document(parsing: Array($0.text.utf8)).root
                }
                #expect(events.map { $0["source"]?.string } == ["/v1/streams/a", "/v1/streams/b"])
                #expect(events.map { $0["id"]?.string } == [1, 2].map { gateway.cursor($0).description })
            }
        }

        @Test("lines, the log and a socket have byte for byte the same", arguments: StreamMode.allCases)
        func lines(mode: StreamMode) async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                for number in 1...4 { try gateway.publish(Self.value(number), of: rates) }
                let query = "mode=\(mode)&envelope=cloudevents"
                let client = try LineClient(gateway.endpoint, path: "/v1/streams/rates?\(query)&since=earliest")
                let lines = try await client.next(5).dropFirst().map { String(decoding: $0, as: UTF8.self) }
                #expect(lines.allSatisfy { $0.contains(#""data":{"specversion":"1.0","#) })
                let path = "/v1/changes/rates?\(query)"
                let log = try await gateway.get(path, ["Accept": "application/x-ndjson"])
                #expect(log.text == lines.map { $0 + "\n" }.joined())
                let document = try await gateway.get(path)
                #expect(document.text.hasPrefix(#"{"events":[\#(lines.joined(separator: ","))]"#))
                // Backwards the same events, the newest first.
                let backwards = try await gateway.get("\(path)&descending")
                #expect(try json(backwards, "/events/0/data/specversion").string == "1.0")
            }
        }

        @Test("a socket takes the envelope as a stream does", .http1Only)
        func socket() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                for number in 1...3 { try gateway.publish(Self.value(number), of: rates) }
                let log = try await gateway.get(
                    "/v1/changes/rates?envelope=cloudevents",
                    ["Accept": "application/x-ndjson"]
                )
                let client = try await SocketClient(gateway.endpoint)
                let ask = #"{"re":1,"op":"subscribe","sources":"rates","since":"earliest","envelope":"cloudevents"}"#
                let answer = try await client.ask(ask, re: 1)
                #expect(client.texts.filter { $0 != answer }.map { $0 + "\n" }.joined() == log.text)
                let refused = #"{"re":2,"op":"subscribe","sources":"rates","envelope":"x"}"#
                #expect(try await client.ask(refused, re: 2).contains("bad_envelope"))
                client.close()
            }
        }

        @Test("a view has them too, and its checkpoints")
        func view() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.publish(#"{"a":{"x":1},"b":1}"#, of: rates)
                try gateway.publish(#"{"a":{"x":1},"b":2}"#, of: rates)
                let reply = try await gateway.get("/v1/changes/rates?pointer=/a&envelope=cloudevents&since=earliest")
                #expect(try json(reply, "/events/0/data/data/value/x").int == 1)
                let since = gateway.cursor(1)
                let checkpoint = try await gateway.get(
                    "/v1/changes/rates?pointer=/a&envelope=cloudevents&since=\(since)"
                )
                #expect(try text(checkpoint, "/events/0/data/type") == "freshet.checkpoint")
                #expect(try text(checkpoint, "/events/0/data/id") == gateway.cursor(2).description)
            }
        }
    }
}
