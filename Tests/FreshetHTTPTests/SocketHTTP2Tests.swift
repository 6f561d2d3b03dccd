import FreshetCore
import FreshetStreaming
import FreshetTesting
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("A WebSocket over HTTP/2")
    struct SocketHTTP2Tests {
        private static let fields = [
            (":protocol", "websocket"), ("sec-websocket-version", "13"), ("sec-websocket-protocol", "freshet.v1"),
        ]

        private static func messages(_ frames: [RawFrame], on stream: UInt32) -> [SocketFrame] {
            let bytes = frames.filter { $0.kind == RawFrame.Kind.data && $0.stream == stream }.flatMap(\.payload)
            return SocketFrame.frames(in: bytes[...])
        }

        private static func data(_ stream: UInt32, _ text: String) -> [RawFrame] {
            let bytes = SocketClient.frame(0x81, Array(text.utf8))
            return stride(from: 0, to: bytes.count, by: 16_000).map { start in
                RawFrame.data(stream, Array(bytes[start..<min(start + 16_000, bytes.count)]))
            }
        }

        @Test("is a stream beside others: subscriptions, windows both ways, closes and ends")
        func tunnel() async throws {
            try await ClientTransport.$current.withValue(.tls) {
                try await withGateway { gateway in
                    let source = try gateway.source("a")
                    try gateway.publish("[0]", of: source)
                    let client = try await FrameConnection(gateway.endpoint)
                    let setting = try await client.receive { $0.contains { $0.kind == RawFrame.Kind.settings } }
                    let enable: [UInt8] = [0, 8, 0, 0, 0, 1]
                    #expect(
                        setting.contains { frame in
                            stride(from: 0, to: frame.payload.count, by: 6).contains {
                                frame.payload[$0...].starts(with: enable)
                            }
                        }
                    )
                    try await client.send(RawFrame.request(1, "CONNECT", "/v1/socket", Self.fields, endsStream: false))
                    try await client.receive { $0.isOK(1) }
                    try await client.send(Self.data(1, #"{"re":1,"op":"subscribe","sources":"a"}"#))
                    try await client.receive {
                        Self.messages($0, on: 1).contains { $0.text.hasPrefix(#"{"re":1,"ok""#) }
                    }
                    // More than a window, which opens as it is read.
                    for re in 2...5 {
                        let text = #"{"re":\#(re),"op":"ping","x":"\#(String(repeating: "y", count: 40_000))"}"#
                        try await client.send(Self.data(1, text))
                        try await client.receive {
                            Self.messages($0, on: 1).contains { $0.text == #"{"re":\#(re),"ok":{}}"# }
                        }
                    }
                    // Another request of the connection, and another socket.
                    try await client.send(RawFrame.request(3, "GET", "/livez"))
                    try await client.send(RawFrame.request(5, "CONNECT", "/v1/socket", Self.fields, endsStream: false))
                    try await client.receive { $0.isOK(3) && $0.isOK(5) }
                    let cursor = try gateway.publish("[1]", of: source)
                    try await client.receive {
                        Self.messages($0, on: 1).contains { $0.text.contains(#""id":"\#(cursor)""#) }
                    }
                    try await client.send(RawFrame.data(1, SocketClient.frame(0x88, [0x03, 0xE8])))
                    let frames = try await client.receive {
                        $0.hasEnded(1) || $0.contains { $0.kind == RawFrame.Kind.reset }
                    }
                    #expect(Self.messages(frames, on: 1).last?.closeCode == 1000)
                    try await eventually { gateway.streams.webSocketFigures.sockets == 1 }
                    try await client.send(RawFrame.reset(5))
                    try await eventually { gateway.streams.webSocketFigures.sockets == 0 }
                    #expect(gateway.streams.statistics.subscribers == 0)
                    client.close()
                }
            }
        }

        @Test("is refused as over HTTP/1.1, and nothing else is a tunnel")
        func refusals() async throws {
            try await ClientTransport.$current.withValue(.tls) {
                try await withGateway { gateway in
                    let client = try await FrameConnection(gateway.endpoint)
                    let cases: [(String, String, [(String, String)], String)] = [
                        ("CONNECT", "/v1/socket", [(":protocol", "websocket")], "upgrade_required"),
                        ("CONNECT", "/v1/socket", Self.fields + [("origin", "https://evil.example")], "cross_origin"),
                        ("CONNECT", "/livez", Self.fields, "no_such_route"),
                        ("CONNECT", "/v1/streams/a", Self.fields, "no_such_route"),
                        ("CONNECT", "/v1/socket", [(":protocol", "connect-udp")], "not_supported"),
                    ]
                    for (index, (method, path, fields, code)) in cases.enumerated() {
                        let stream = UInt32(2 * index + 1)
                        try await client.send(RawFrame.request(stream, method, path, fields, endsStream: false))
                        let frames = try await client.receive { $0.text(of: stream).contains("}") }
                        #expect(
                            frames.text(of: stream).contains(#""code":"\#(code)""#),
                            "\(path): \(frames.text(of: stream))"
                        )
                    }
                    let stream = UInt32(2 * cases.count + 1)
                    try await client.send(RawFrame.request(stream, "GET", "/v1/socket"))
                    try await client.receive { $0.text(of: stream).contains("upgrade_required") }
                    client.close()
                }
            }
        }

        @Test("ends with GOAWAY and 1001 at a drain")
        func drain() async throws {
            try await ClientTransport.$current.withValue(.tls) {
                try await withGateway { gateway in
                    try gateway.source("a")
                    let client = try await FrameConnection(gateway.endpoint)
                    try await client.send(RawFrame.request(1, "CONNECT", "/v1/socket", Self.fields, endsStream: false))
                    try await client.send(Self.data(1, #"{"re":1,"op":"subscribe","sources":"a"}"#))
                    try await client.receive {
                        Self.messages($0, on: 1).contains { $0.text.hasPrefix(#"{"re":1,"ok""#) }
                    }
                    await gateway.streams.drain(over: .milliseconds(50))
                    let frames = try await client.receive { Self.messages($0, on: 1).contains { $0.opcode == 8 } }
                    #expect(Self.messages(frames, on: 1).last?.closeCode == 1001 && frames.goAway != nil)
                    client.close()
                }
            }
        }
    }
}
