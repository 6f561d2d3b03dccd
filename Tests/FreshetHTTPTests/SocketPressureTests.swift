import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("WebSockets under pressure", .everyTransport)
    struct SocketPressureTests {
        @Test(
            "F50c a full socket is a cursor of each of its subscriptions: every frame is whole, and what is last is right"
        )
        func slow() async throws {
            var streams = StreamSettings(shards: 1)
            streams.sendBufferBytes = 16 << 10
            streams.unsentBytes = 8 << 10
            try await withGateway(streams: streams) { gateway in
                let names = ["a", "b", "c"]
                let sources = try names.map { try gateway.source($0) }
                let padding = String(repeating: "x", count: 6000)
                for source in sources { try gateway.publish(#"{"n":0,"x":"\#(padding)"}"#, of: source) }
                let client = try await SocketClient(gateway.endpoint, receiveBufferBytes: 8 << 10)
                for (re, name) in names.enumerated() {
                    try await client.send(#"{"re":\#(re),"op":"subscribe","sources":"\#(name)","mode":"snapshot"}"#)
                }
                var last: [Cursor] = []
                for value in 1...40 {
                    last = try sources.map { try gateway.publish(#"{"n":\#(value),"x":"\#(padding)"}"#, of: $0) }
                    if value == 20 { try await client.connection.send(SocketClient.frame(0x89, Array("beat".utf8))) }
                }
                try await eventually { gateway.streams.statistics.blocked > 0 }
                let wanted = last.map { #""id":"\#($0)""# }
                let frames = try await client.receive { frames in
                    wanted.allSatisfy { id in frames.contains { $0.text.contains(id) } }
                        && frames.count { $0.text.hasPrefix(#"{"re":"#) } == 3
                }
                var sequences: [String: UInt64] = [:]
                for frame in frames where frame.opcode == 1 {
                    let root = try Document(parsing: frame.payload).root
                    guard let id = root["id"]?.string, let name = root["data"]?["source"]?.string else { continue }
                    let sequence = try #require(Cursor(id)).sequence
                    #expect(sequence > sequences[name] ?? 0)
                    sequences[name] = sequence
                }
                #expect(names.map { sequences[$0] ?? 0 } == last.map(\.sequence))
                #expect(frames.contains { $0.first == 0x8A && $0.text == "beat" })
                #expect(frames.filter { $0.text.hasPrefix(#"{"re":"#) && $0.text.contains(#""ok""#) }.count == 3)
                client.close()
            }
        }

        @Test("F40 a socket that reads nothing is closed, and others are not")
        func dead() async throws {
            var streams = StreamSettings(shards: 1)
            streams.sendBufferBytes = 16 << 10
            streams.unsentBytes = 8 << 10
            streams.writeTimeout = .milliseconds(300)
            try await withGateway(streams: streams) { gateway in
                let source = try gateway.source("a")
                let padding = String(repeating: "x", count: 30_000)
                let dead = try await SocketClient(gateway.endpoint, receiveBufferBytes: 8 << 10)
                try await dead.ask(#"{"re":1,"op":"subscribe","sources":"a"}"#, re: 1)
                let well = try await SocketClient(gateway.endpoint)
                try await well.ask(#"{"re":1,"op":"subscribe","sources":"a"}"#, re: 1)
                var last = gateway.cursor(0)
                for value in 1...12 {
                    last = try gateway.publish(#"{"n":\#(value),"x":"\#(padding)"}"#, of: source, isWhole: true)
                }
                try await well.receive(#""id":"\#(last)""#)
                try await eventually { gateway.streams.webSocketFigures.sockets == 1 }
                // Counted a moment after the socket is gone.
                try await eventually { gateway.streams.statistics.closes["slow"] == 1 }
                well.close()
            }
        }

        @Test("F50b a flood is read no faster than it may be, and is answered in order")
        func flood() async throws {
            try await withGateway({
                $0.sockets.maxMessagesPerSecond = 20
                $0.sockets.maxUnanswered = 4
            }) { gateway in
                let client = try await SocketClient(gateway.endpoint)
                let bytes = (1...220).flatMap { SocketClient.frame(0x81, Array(#"{"re":\#($0),"op":"ping"}"#.utf8)) }
                try await client.connection.send(bytes)
                try await client.receive { $0.count >= 220 }
                #expect(client.texts == (1...220).map { #"{"re":\#($0),"ok":{}}"# })
                let figures = gateway.streams.webSocketFigures
                #expect(figures.throttled[.messages] ?? 0 > 0 && figures.throttled[.unanswered] ?? 0 > 0)
                client.close()
            }
        }

        @Test("F50b one that does not read its answers is read no further, and keeps little")
        func unread() async throws {
            try await withGateway(streams: Self.small, { $0.sockets.maxWaitingBytes = 64 << 10 }) { gateway in
                let client = try await SocketClient(gateway.endpoint, receiveBufferBytes: 8 << 10)
                let ping = SocketClient.frame(0x89, [UInt8](repeating: 120, count: 120))
                let sending = Task {
                    for _ in 0..<400 { try? await client.connection.send((0..<20).flatMap { _ in ping }) }
                }
                try await eventually {
                    gateway.streams.webSocketFigures.throttled[.unread] ?? 0 > 0 || Self.isMessageThrottled(gateway)
                }
                let other = try await SocketClient(gateway.endpoint)
                #expect(try await other.ask(#"{"re":1,"op":"ping"}"#, re: 1) == #"{"re":1,"ok":{}}"#)
                client.connection.reset()
                sending.cancel()
                other.close()
            }
        }

        private static var small: StreamSettings {
            var streams = StreamSettings(shards: 1)
            streams.sendBufferBytes = 16 << 10
            streams.unsentBytes = 8 << 10
            return streams
        }

        private static func isMessageThrottled(_ gateway: GatewayFixture) -> Bool {
            gateway.streams.webSocketFigures.throttled[.messages] ?? 0 > 0
        }

        @Test(
            "F50b a message that drips closes with 1008, a quiet socket is pinged, and one that does not answer is closed"
        )
        func drips() async throws {
            try await withGateway({ $0.sockets.messageTimeout = .milliseconds(200) }) { gateway in
                let client = try await SocketClient(gateway.endpoint)
                try await client.connection.send(SocketClient.frame(0x01, [123]))
                #expect(try await client.receiveClose() == 1008)
            }
            try await withGateway({
                $0.sockets.heartbeat = .milliseconds(100)
                $0.sockets.pongTimeout = .milliseconds(600)
            }) { gateway in
                let client = try await SocketClient(gateway.endpoint)
                try await client.receive { $0.contains { $0.first == 0x89 } }
                try await client.connection.send(SocketClient.frame(0x8A, []))
                try await client.receive { $0.count { $0.first == 0x89 } >= 2 }
                _ = try await client.connection.receiveToEnd()
                try await eventually { gateway.streams.webSocketFigures.sockets == 0 }
            }
        }

        @Test("a socket has so many subscriptions and no more")
        func subscriptions() async throws {
            try await withGateway({ $0.sockets.maxSubscriptions = 2 }) { gateway in
                for name in ["a", "b", "c"] { try gateway.source(name) }
                let client = try await SocketClient(gateway.endpoint)
                for (re, name) in ["a", "b"].enumerated() {
                    #expect(
                        try await client.ask(#"{"re":\#(re),"op":"subscribe","sources":"\#(name)"}"#, re: re).contains(
                            "ok"
                        )
                    )
                }
                let refused = try await client.ask(#"{"re":2,"op":"subscribe","sources":"c"}"#, re: 2)
                #expect(refused.contains(#""status":429,"code":"too_many_subscriptions""#))
                try await client.ask(#"{"re":3,"op":"unsubscribe","sources":"a"}"#, re: 3)
                #expect(try await client.ask(#"{"re":4,"op":"subscribe","sources":"c"}"#, re: 4).contains("ok"))
                client.close()
            }
        }

        @Test("compresses what gets shorter, once for all, and nothing of a source that may not be")
        func compression() async throws {
            try await withGateway({ $0.compressesStreams = true }) { gateway in
                let (first, second) = (try gateway.source("a"), try gateway.source("secret"))
                var configuration = SourceConfiguration(name: "secret", url: "http://127.0.0.1/")
                configuration.compress = false
                gateway.server.gateway.compression.update([configuration])
                let text = #"{"text":"\#(String(repeating: "compressible ", count: 100))"}"#
                for source in [first, second] { try gateway.publish(text, of: source) }
                let fields: HeaderFields = ["Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"]
                let client = try await SocketClient(gateway.endpoint, SocketClient.path, fields)
                #expect(
                    client.head.contains("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover")
                )
                try await client.ask(#"{"re":1,"op":"subscribe","sources":"a"}"#, re: 1)
                try await client.ask(#"{"re":2,"op":"subscribe","sources":"secret"}"#, re: 2)
                let frames = client.frames
                #expect(frames.map(\.isCompressed) == [true, false, false, false])
                #expect(frames[0].payload.count < 200)
                let plain = try Document(parsing: try frames[0].inflated()).root
                #expect(plain["data"]?["value"].map { String(decoding: $0.text, as: UTF8.self) } == text)
                try gateway.publish("[1]", of: first)
                let small = try await client.receive { $0.count == 5 }
                #expect(try Document(parsing: try small[4].inflated()).root["data"]?["source"]?.string == "a")
                // A reload that forbids it holds for subscriptions that are there, which miss nothing.
                var other = configuration
                other.name = "a"
                gateway.server.gateway.compression.update([configuration, other])
                // Every shard answers this behind it.
                _ = await gateway.streams.subscribers(limit: 1000)
                for count in 6...8 {
                    let words = String(repeating: "\(count) compressible ", count: 100)
                    try gateway.publish(#"{"text":"\#(words)"}"#, of: first)
                    let frames = try await client.receive { $0.count == count }
                    #expect(!frames[count - 1].isCompressed)
                    #expect(frames[count - 1].text.contains("\(count) compressible \(count) compressible"))
                }
                client.close()
            }
        }
    }
}
