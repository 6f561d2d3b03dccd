// Requests that read the log, whose threads the test holds: what waits, what is refused, what is never carried out.

import EventStream
import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Reads of the log")
    struct ReadRouteTests {
        /// A desk whose lanes run only when the test says so.
        private static func desk(_ limits: ReadDesk.Limits = ReadDesk.Limits()) -> ReadDesk {
            ReadDesk(limits: limits) { _, _ in }
        }

        /// A source with values that have to be rebuilt from patches.
        private func publish(_ gateway: GatewayFixture) throws {
            let source = try gateway.source("rates")
            for number in 1...10 {
                let pad = String(repeating: "x", count: 300)
                try gateway.publish(#"{"n":\#(number),"pad":"\#(pad)"}"#, of: source)
            }
        }

        private static func request(_ path: String) -> String { "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n" }

        /// Paths whose answers need a read, in each lane.
        private static let paths = [
            "/v1/values/rates?at=\(Cursor(epoch: GatewayFixture.epoch, sequence: 3))", "/v1/values/rates?at=0s",
            "/v1/changes/rates?since=earliest&limit=1", "/v1/changes/*?since=1h",
            "/v1/changes/rates?since=10m&descending", "/v1/streams/rates?since=10m", "/v1/streams/*?since=earliest",
        ]

        @Test("A06 A07 reads of clients that are gone are not carried out", arguments: paths, [true, false])
        func abandoned(path: String, resets: Bool) async throws {
            let desk = Self.desk()
            try await withGateway(cacheBytes: 6000, reads: desk) { gateway in
                try self.publish(gateway)
                var connections: [RawConnection] = []
                for _ in 0..<20 {
                    let connection = try await RawConnection(gateway.endpoint)
                    try await connection.send(Self.request(path))
                    connections.append(connection)
                }
                try await eventually { desk.statistics.waiting == 20 }
                for connection in connections {
                    if resets { connection.reset() } else { connection.close() }
                }
                try await eventually { desk.statistics.refusals[.abandoned] == 20 }
                #expect(desk.statistics.waiting == 0 && desk.statistics.done == 0)
                try await eventually { gateway.streams.statistics.subscribers == 0 }
            }
        }

        @Test("A06 A07 a stream that begins in the past opens while requests wait")
        func streamsFirst() async throws {
            let desk = Self.desk()
            try await withGateway(cacheBytes: 6000, reads: desk) { gateway in
                try self.publish(gateway)
                var waiting: [RawConnection] = []
                for number in 0..<20 {
                    let connection = try await RawConnection(gateway.endpoint)
                    try await connection.send(Self.request(Self.paths[number % 5]))
                    waiting.append(connection)
                }
                try await eventually { desk.statistics.waiting == 20 }
                let stream = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates?since=earliest")
                try await eventually { desk.statistics.waiting == 21 }
                desk.runAll(in: .streams)
                #expect(try await stream.next(2).map(\.type) == ["hello", "snapshot"])
                #expect(desk.statistics.waiting == 20 && desk.statistics.done == 1)
                desk.runAll(in: .requests)
                for connection in waiting {
                    #expect(try await connection.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200"))
                }
            }
        }

        @Test("A07 more reads than may wait are refused with 503 and a time to come back", arguments: paths[..<5])
        func bounded(path: String) async throws {
            let desk = Self.desk(.init(maxWaiting: 5, maxWaitingPerClient: 3))
            try await withGateway(cacheBytes: 6000, reads: desk) { gateway in
                try self.publish(gateway)
                var waiting: [RawConnection] = []
                for (source, count) in [("127.0.0.2", 3), ("127.0.0.3", 2)] {
                    for _ in 0..<count {
                        let connection = try await RawConnection(gateway.endpoint, from: source)
                        try await connection.send(Self.request(path))
                        waiting.append(connection)
                    }
                    try await eventually { desk.statistics.waiting == waiting.count }
                    let refused = try await RawConnection(gateway.endpoint, from: source)
                    try await refused.send(Self.request(path))
                    let text = try await refused.receive(until: "}")
                    #expect(text.hasPrefix("HTTP/1.1 503") && text.contains("\r\nRetry-After: "))
                    #expect(text.contains(count == 3 ? "\"too_many_reads_from_address\"" : "\"too_many_reads\""))
                }
                #expect(desk.statistics.refusals == [.address: 1, .full: 1])
                desk.runAll(in: .requests)
                for connection in waiting {
                    #expect(try await connection.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200"))
                }
            }
        }

        @Test("A07 an address with many reads delays the read of another by one")
        func turns() async throws {
            // By the order in which the desk carries them out: the other's answer is there with the second.
            let desk = Self.desk()
            try await withGateway(cacheBytes: 6000, reads: desk) { gateway in
                try self.publish(gateway)
                var many: [RawConnection] = []
                for _ in 0..<30 {
                    let connection = try await RawConnection(gateway.endpoint, from: "127.0.0.2")
                    try await connection.send(Self.request(Self.paths[0]))
                    many.append(connection)
                }
                try await eventually { desk.statistics.waiting == 30 }
                let other = try await RawConnection(gateway.endpoint, from: "127.0.0.3")
                try await other.send(Self.request(Self.paths[0]))
                try await eventually { desk.statistics.waiting == 31 }
                desk.runNext(in: .requests)
                desk.runNext(in: .requests)
                #expect(try await other.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200"))
                #expect(desk.statistics.waiting == 29)
                for connection in many { connection.close() }
            }
        }

        @Test("A06 a client that closes its side only is told that its read was given up")
        func halfClosed() async throws {
            let desk = Self.desk()
            try await withGateway(cacheBytes: 6000, reads: desk) { gateway in
                try self.publish(gateway)
                let connection = try await RawConnection(gateway.endpoint)
                try await connection.send(Self.request(Self.paths[0]))
                try await eventually { desk.statistics.waiting == 1 }
                connection.halfClose()
                let text = try await connection.receiveToEnd().text
                #expect(text.hasPrefix("HTTP/1.1 503") && text.contains("\"read_abandoned\""))
            }
        }
    }
}
