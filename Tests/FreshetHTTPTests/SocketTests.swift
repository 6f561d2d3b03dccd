import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("A WebSocket", .everyTransport)
    struct SocketTests {
        @Test(
            "answers a subscription behind its snapshot, and sends byte for byte the JSON lines",
            arguments: StreamMode.allCases
        )
        func lines(mode: StreamMode) async throws {
            try await withGateway { gateway in
                let source = try gateway.source("rates")
                try gateway.publish(#"{"eur":0,"text":"Zürich"}"#, of: source)
                let stream = try await RawConnection(gateway.endpoint)
                try await stream.send(
                    "GET /v1/streams/rates?mode=\(mode) HTTP/1.0\r\nAccept: application/x-ndjson\r\n\r\n"
                )
                try await stream.receive(until: #""event":"snapshot""#)
                let client = try await SocketClient(gateway.endpoint)
                #expect(client.head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
                #expect(client.head.contains("Sec-WebSocket-Protocol: freshet.v1"))
                let answer = try await client.ask(
                    #"{"re":1,"op":"subscribe","sources":"rates","mode":"\#(mode)"}"#,
                    re: 1
                )
                #expect(answer == #"{"re":1,"ok":{"cursor":"\#(gateway.cursor(1))"}}"#)
                for value in 1...40 { try gateway.publish(#"{"eur":\#(value),"text":"Zürich"}"#, of: source) }
                let last = #""id":"\#(gateway.cursor(41))""#
                try await client.receive(last)
                let reply = try await stream.receive { received, _ in
                    received.last == 0x0A && String(decoding: received, as: UTF8.self).contains(last)
                }
                let lines = reply.text.split(separator: "\n").map(String.init).filter { $0.hasPrefix(#"{"id""#) }
                #expect(client.texts.filter { $0 != answer } == lines)
                #expect(client.texts[1] == answer)
                client.close()
            }
        }

        @Test("has subscriptions with cursors of their own, each source once")
        func cursors() async throws {
            try await withGateway { gateway in
                let (first, second) = (try gateway.source("a"), try gateway.source("b"))
                for value in 1...4 {
                    try gateway.publish("[\(value)]", of: first)
                    try gateway.publish("[\(value)]", of: second)
                }
                let client = try await SocketClient(gateway.endpoint)
                let since = gateway.cursor(3)
                #expect(
                    try await client.ask(#"{"re":1,"op":"subscribe","sources":"a","since":"\#(since)"}"#, re: 1)
                        == #"{"re":1,"ok":{"cursor":"\#(gateway.cursor(8))"}}"#
                )
                #expect(client.texts.count == 3)
                try await client.ask(#"{"re":2,"op":"subscribe","sources":"b","since":"latest"}"#, re: 2)
                #expect(client.texts.count == 4)
                for (re, sources) in [(3, "a"), (4, "a,b"), (5, "*"), (6, "b*")] {
                    let problem = try await client.ask(
                        #"{"re":\#(re),"op":"subscribe","sources":"\#(sources)"}"#,
                        re: re
                    )
                    #expect(problem.contains(#""status":409,"code":"already_subscribed""#))
                }
                try gateway.publish("[5]", of: second)
                try gateway.publish("[5]", of: first)
                try await client.receive(#""id":"\#(gateway.cursor(10))""#)
                let ids = client.texts.compactMap { try? Document(parsing: Array($0.utf8)).root["id"]?.string }
                #expect(ids == [5, 7, 9, 10].map { gateway.cursor($0).description })
                client.close()
            }
        }

        @Test("drops sources and takes them again, with nothing lost or doubled")
        func drops() async throws {
            try await withGateway { gateway in
                let (first, second) = (try gateway.source("a"), try gateway.source("b"))
                try gateway.publish("[0]", of: first)
                try gateway.publish("[0]", of: second)
                let client = try await SocketClient(gateway.endpoint)
                try await client.ask(#"{"re":1,"op":"subscribe","sources":"a,b"}"#, re: 1)
                #expect(
                    try await client.ask(#"{"re":2,"op":"unsubscribe","sources":"a"}"#, re: 2) == #"{"re":2,"ok":{}}"#
                )
                try gateway.publish("[1]", of: first)
                try gateway.publish("[1]", of: second)
                try await client.receive(#""id":"\#(gateway.cursor(4))""#)
                #expect(!client.texts.contains { $0.contains(#""id":"\#(gateway.cursor(3))""#) })
                // At once behind each other: the second waits until nothing comes of the first.
                let since = gateway.cursor(2)
                try await client.send(#"{"re":3,"op":"unsubscribe","sources":"b"}"#)
                try await client.ask(#"{"re":4,"op":"subscribe","sources":"a,b","since":"\#(since)"}"#, re: 4)
                try gateway.publish("[2]", of: second)
                try await client.receive(#""id":"\#(gateway.cursor(5))""#)
                let ids = client.texts.compactMap { try? Document(parsing: Array($0.utf8)).root["id"]?.string }
                #expect(ids == [2, 4, 3, 4, 5].map { gateway.cursor($0).description })
                for (re, sources) in [(5, "c"), (6, "a,c"), (7, "*")] {
                    let problem = try await client.ask(
                        #"{"re":\#(re),"op":"unsubscribe","sources":"\#(sources)"}"#,
                        re: re
                    )
                    #expect(problem.contains(#""code":"not_subscribed""#))
                }
                #expect(
                    try await client.ask(#"{"re":8,"op":"unsubscribe","sources":"a,b"}"#, re: 8) == #"{"re":8,"ok":{}}"#
                )
                try await eventually { gateway.streams.statistics.subscribers == 0 }
                client.close()
                try await eventually { gateway.streams.webSocketFigures.sockets == 0 }
            }
        }

        @Test("says what is wrong with a message, and goes on")
        func problems() async throws {
            try await withGateway { gateway in
                try gateway.source("a")
                let client = try await SocketClient(gateway.endpoint)
                let cases: [(String, String, String)] = [
                    ("x", "null", "bad_message"), ("[]", "null", "bad_message"),
                    (#"{"op":"subscribe"}"#, "null", "bad_message"),
                    (#"{"re":{},"op":"subscribe"}"#, "null", "bad_message"), (#"{"re":1}"#, "1", "unknown_operation"),
                    (#"{"re":"é","op":"fetch"}"#, #""é""#, "unknown_operation"),
                    (#"{"re":2,"op":"subscribe"}"#, "2", "bad_message"),
                    (#"{"re":3,"op":"subscribe","sources":"nobody"}"#, "3", "unknown_source"),
                    (#"{"re":4,"op":"subscribe","sources":"A B"}"#, "4", "unknown_source"),
                    (#"{"re":5,"op":"subscribe","sources":"a","mode":"x"}"#, "5", "bad_mode"),
                    (#"{"re":6,"op":"auth"}"#, "6", "bad_message"),
                    (#"{"re":8,"op":"unsubscribe","sources":"a"}"#, "8", "not_subscribed"),
                    (#"{"re":10,"op":"write","method":"PUT","source":"a","body":1}"#, "10", "method_not_allowed"),
                ]
                for (index, (message, re, code)) in cases.enumerated() {
                    try await client.send(message)
                    let frames = try await client.receive { $0.count == index + 1 }
                    #expect(frames[index].text.hasPrefix(#"{"re":\#(re),"problem":{"#), "\(message)")
                    #expect(frames[index].text.contains(#""code":"\#(code)""#), "\(message): \(frames[index].text)")
                }
                // A malformed cursor is said in the stream, as everywhere.
                let text = try await client.ask(#"{"re":9,"op":"subscribe","sources":"a","since":"what"}"#, re: 9)
                #expect(
                    text.contains(#""ok""#) && client.texts.contains(#"{"event":"gap","data":{"reason":"malformed"}}"#)
                )
                client.close()
            }
        }

        @Test("answers pings, and says why it closes")
        func closes() async throws {
            try await withGateway({ $0.sockets.closeTimeout = .milliseconds(200) }) { gateway in
                try gateway.source("a")
                let cases: [([UInt8], Int)] = [
                    (SocketClient.frame(0x88, [0x03, 0xE9]), 1001), (SocketClient.frame(0x88, []), 1000),
                    (SocketClient.frame(0x80, [65]), 1002), (SocketClient.frame(0x82, [65]), 1003),
                    (SocketClient.frame(0x81, [0xFF]), 1007), (SocketClient.frame(0xC1, [65]), 1002),
                    (SocketClient.frame(0x81, [UInt8](repeating: 32, count: (1 << 20) + 1)), 1009),
                ]
                for (bytes, code) in cases {
                    let client = try await SocketClient(gateway.endpoint)
                    try await client.send(#"{"re":1,"op":"subscribe","sources":"a"}"#)
                    try await client.connection.send(SocketClient.frame(0x89, Array("beat".utf8)))
                    try await client.receive { $0.contains { $0.first == 0x8A && $0.text == "beat" } }
                    try? await client.connection.send(bytes)
                    #expect(try await client.receiveClose() == code)
                    _ = try await client.connection.receiveToEnd()
                }
                try await eventually { gateway.streams.webSocketFigures.sockets == 0 }
                try await eventually { gateway.streams.statistics.subscribers == 0 }
                #expect(gateway.streams.webSocketFigures.closes.values.reduce(0, +) == UInt64(cases.count))
            }
        }

        @Test("ends with bye and 1001 at a drain, with subscriptions or without")
        func drain() async throws {
            try await withGateway { gateway in
                for name in ["a", "b"] { try gateway.source(name) }
                let busy = try await SocketClient(gateway.endpoint)
                try await busy.ask(#"{"re":1,"op":"subscribe","sources":"a"}"#, re: 1)
                try await busy.ask(#"{"re":2,"op":"subscribe","sources":"b"}"#, re: 2)
                let quiet = try await SocketClient(gateway.endpoint)
                try await eventually { gateway.streams.webSocketFigures.sockets == 2 }
                await gateway.streams.drain(over: .milliseconds(100))
                for client in [busy, quiet] {
                    #expect(try await client.receiveClose() == 1001)
                    #expect(
                        client.texts.filter { $0.contains("bye") } == [#"{"event":"bye","data":{"reason":"drain"}}"#]
                    )
                }
            }
        }

        @Test("says that a subscription has ended whose source is gone, and goes on")
        func removed() async throws {
            try await withGateway { gateway in
                let (first, second) = (try gateway.source("a"), try gateway.source("b"))
                let client = try await SocketClient(gateway.endpoint)
                try await client.ask(#"{"re":1,"op":"subscribe","sources":"a"}"#, re: 1)
                try await client.ask(#"{"re":2,"op":"subscribe","sources":"b"}"#, re: 2)
                gateway.hub.removeSource(first)
                let problem = try await client.receive("subscription_ended")
                #expect(problem.hasPrefix(#"{"re":1,"problem":"#) && problem.contains("removed"))
                try gateway.publish("[1]", of: second)
                try await client.receive(#""id":"\#(gateway.cursor(1))""#)
                // The name is free again, on this socket as well.
                try gateway.source("a")
                #expect(try await client.ask(#"{"re":3,"op":"subscribe","sources":"a"}"#, re: 3).contains("ok"))
                client.close()
            }
        }
    }
}
