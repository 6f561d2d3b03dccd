// Answers that nobody reads: what they hold, and when they end.

import EventStream
import FreshetCore
import FreshetStreaming
import FreshetTesting
import Glibc
import JSON
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Unread answers")
    struct UnreadAnswerTests {
        private static let megabyte = 1 << 20

        private static func text(_ number: Int, bytes: Int) -> String {
            #"{"n":\#(number),"pad":"\#(String(repeating: "x", count: bytes))"}"#
        }

        /// Connections that ask and do not read.
        private func stalled(
            _ count: Int,
            _ path: String,
            _ gateway: GatewayFixture,
            from source: String? = nil
        ) async throws -> [RawConnection] {
            var connections: [RawConnection] = []
            for _ in 0..<count {
                let connection = try await RawConnection(gateway.endpoint, from: source, receiveBufferBytes: 64 << 10)
                try await connection.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
                connections.append(connection)
            }
            return connections
        }

        private static func residentBytes() throws -> Int { try ProcessUsage(pid: getpid()).residentBytes }

        @Test(
            "A09 answers of one version share its bytes, which are counted once, and each comes whole when it is read"
        )
        func shared() async throws {
            try await withGateway { gateway in
                let text = Self.text(1, bytes: 4 * Self.megabyte)
                try gateway.publish(text, of: try gateway.source("big"))
                let before = try Self.residentBytes()
                let connections = try await self.stalled(60, "/v1/values/big", gateway)
                try await eventually { gateway.unread.count == 60 }
                #expect((text.utf8.count...(text.utf8.count + 8192)).contains(gateway.unread.desk.bytes))
                // Copies would take 240 MB.
                #expect(try Self.residentBytes() - before < 60 * Self.megabyte)
                for connection in connections.prefix(3) {
                    let reply = try await connection.receive(until: #"x"}"#)
                    #expect(reply.utf8.count > text.utf8.count && reply.hasSuffix(text))
                }
                for connection in connections { connection.reset() }
                try await eventually { gateway.unread.count == 0 && gateway.unread.desk.bytes == 0 }
            }
        }

        @Test(
            "A11 what opens with all values shares their bytes too, and is not built",
            arguments: [
                "/v1/changes/*?since=nonsense&limit=1", "/v1/changes/*?since=9-1", "/v1/changes/*?since=9-1&descending",
                "/v1/changes/*?since=nonsense&limit=1&mode=snapshot",
            ]
        )
        func values(path: String) async throws {
            try await withGateway { gateway in
                var total = 0
                for number in 0..<40 {
                    let text = Self.text(number, bytes: Self.megabyte / 2)
                    total += text.utf8.count
                    try gateway.publish(text, of: try gateway.source("s\(number)"))
                }
                let before = try Self.residentBytes()
                let connections = try await self.stalled(5, path, gateway)
                try await eventually { gateway.unread.count == 5 }
                #expect((total...(total + 5 * 16_384)).contains(gateway.unread.desk.bytes))
                // Built once, they would take 20 MB, and 100 MB built for each.
                #expect(try Self.residentBytes() - before < 15 * Self.megabyte)
                #expect(try await gateway.get("/livez").status == 200)
                let reply = try await connections[0].receive(until: #""gap":true,"reason":""#)
                #expect(reply.utf8.count > total)
            }
        }

        @Test("A09 bytes that nobody else holds are bounded, per address and in all, and small answers get through")
        func bounded() async throws {
            let limits = UnsentLedger.Limits(maxBytes: 10 * Self.megabyte)
            let unread = UnreadAnswers(limits: limits, stallTime: .seconds(3600))
            try await withGateway(cacheBytes: 64 * Self.megabyte, unread: unread) { gateway in
                let source = try gateway.source("big")
                for number in 1...8 {
                    try gateway.publish(Self.text(number, bytes: 3 * Self.megabyte), of: source, isWhole: true)
                }
                func path(_ number: UInt64) -> String { "/v1/values/big?at=\(gateway.cursor(number))" }
                func refusal(_ number: UInt64, from address: String) async throws -> String {
                    let connection = try await RawConnection(gateway.endpoint, from: address)
                    try await connection.send("GET \(path(number)) HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    return try await connection.receive(until: "}")
                }
                var held = try await self.stalled(1, path(1), gateway, from: "127.0.0.2")
                try await eventually { unread.count == 1 }
                // Another value would be the second of half of 10 MiB.
                let share = try await refusal(2, from: "127.0.0.2")
                #expect(share.hasPrefix("HTTP/1.1 503") && share.contains("too_many_unsent_bytes_for_address"))
                #expect(share.contains("\r\nRetry-After: "))
                held += try await self.stalled(1, path(2), gateway, from: "127.0.0.3")
                try await eventually { unread.count == 2 }
                let all = try await refusal(3, from: "127.0.0.5")
                #expect(all.hasPrefix("HTTP/1.1 503") && all.contains(#""too_many_unsent_bytes""#))
                // What is held already costs nothing more.
                held += try await self.stalled(1, path(2), gateway, from: "127.0.0.5")
                try await eventually { unread.count == 3 }
                #expect(try await gateway.get("/livez").status == 200)
                #expect(try await gateway.get("/v1/sources").status == 200)
                #expect(unread.desk.refusals == [.address: 1, .full: 1])
                let metrics = try await gateway.get("/metrics").text
                #expect(metrics.contains(#"freshet_http_answers_refused_total{reason="full"} 1"#))
                #expect(metrics.contains("\nfreshet_http_unread_answers 3\n"))
                for connection in held { connection.reset() }
                try await eventually { unread.desk.bytes == 0 }
                #expect(try await gateway.get(path(4)).status == 200)
            }
        }

        @Test("A09 whoever takes nothing for the write time-out is closed, slices or not")
        func deadline() async throws {
            func configure(_ settings: inout HTTPSettings) { settings.writeTimeout = .seconds(2) }
            try await withGateway(configure) { gateway in
                try gateway.publish(Self.text(1, bytes: 8 * Self.megabyte), of: try gateway.source("big"))
                let connections = try await self.stalled(3, "/v1/values/big", gateway)
                try await eventually { gateway.unread.count == 3 }
                try await eventually { gateway.unread.count == 0 && gateway.server.connectionCount == 0 }
                #expect(gateway.unread.desk.bytes == 0)
                _ = connections
            }
        }

        @Test("A09 all unread answers end when memory asks for it, the streams stay")
        func ended() async throws {
            try await withGateway { gateway in
                try gateway.publish(Self.text(1, bytes: 4 * Self.megabyte), of: try gateway.source("big"))
                let stream = try EventStreamClient(gateway.endpoint, path: "/v1/streams/big?since=latest")
                #expect(try await stream.next()?.type == "hello")
                let connections = try await self.stalled(5, "/v1/values/big", gateway)
                try await eventually { gateway.unread.count == 5 }
                #expect(gateway.unread.endAll() == 5 && gateway.unread.ended == 5)
                try await eventually { gateway.server.connectionCount == 0 && gateway.unread.desk.bytes == 0 }
                #expect(gateway.streams.statistics.subscribers == 1)
                #expect(gateway.unread.endAll() == 0)
                _ = connections
            }
        }

        @Test("A09 an answer that finds no room ends one that is stalled, of its own address where that has too much")
        func room() async throws {
            let limits = UnsentLedger.Limits(maxBytes: 5 * Self.megabyte)
            let unread = UnreadAnswers(limits: limits, stallTime: .zero)
            try await withGateway(unread: unread) { gateway in
                let source = try gateway.source("big")
                for number in 1...3 {
                    try gateway.publish(Self.text(number, bytes: 3 * Self.megabyte / 2), of: source, isWhole: true)
                }
                func path(_ number: UInt64) -> String { "/v1/values/big?at=\(gateway.cursor(number))" }
                var held = try await self.stalled(1, path(1), gateway, from: "127.0.0.2")
                held += try await self.stalled(1, path(2), gateway, from: "127.0.0.3")
                try await eventually { unread.count == 2 }
                let refused = try await RawConnection(gateway.endpoint, from: "127.0.0.3")
                try await refused.send("GET \(path(3)) HTTP/1.1\r\nHost: localhost\r\n\r\n")
                #expect(try await refused.receive(until: "}").hasPrefix("HTTP/1.1 503"))
                #expect(unread.ended == 1)
                // The other address keeps its answer, which comes whole.
                #expect(try await held[0].receive(until: #"x"}"#).hasSuffix(Self.text(1, bytes: 3 * Self.megabyte / 2)))
                try await eventually { unread.desk.bytes == 0 }
                #expect(try await gateway.get(path(3)).status == 200)
            }
        }

        @Test("A10 streams that begin at one moment of the past share its value; what they alone hold is bounded")
        func past() async throws {
            let unread = UnreadAnswers(limits: UnsentLedger.Limits(maxBytes: 10 * Self.megabyte))
            // Room for one value: those between the first and the last are rebuilt from patches.
            try await withGateway(cacheBytes: 9 * Self.megabyte, unread: unread) { gateway in
                let source = try gateway.source("big")
                let start = WallClock.now.milliseconds - 600_000
                for number in 1...4 {
                    let at = WallTime(milliseconds: start + Int64(number) * 60_000)
                    try gateway.publish(Self.text(number, bytes: 4 * Self.megabyte), of: source, at: at)
                }
                let before = try Self.residentBytes()
                let streams = try await self.stalled(20, "/v1/streams/big?since=450s", gateway)
                try await eventually { gateway.streams.statistics.blocked == 20 }
                #expect((4 * Self.megabyte...5 * Self.megabyte).contains(unread.desk.bytes))
                #expect(try Self.residentBytes() - before < 40 * Self.megabyte)
                let another = try await gateway.get("/v1/streams/big?since=390s")
                #expect(another.status == 503)
                #expect(try code(another) == "too_many_unsent_bytes_for_address")
                for connection in streams { connection.reset() }
                try await eventually { unread.desk.bytes == 0 }
            }
        }
    }
}
