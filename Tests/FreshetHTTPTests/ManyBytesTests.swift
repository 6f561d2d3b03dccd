import FreshetCore
import FreshetTesting
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Clients that send more than is taken")
    struct ManyBytesTests {
        /// A body of 24 MiB that nothing takes, in one of two framings.
        enum Body: String, CaseIterable, Sendable {
            case withLength, chunked

            private static let piece = 64 << 10
            static let pieces = 384

            var head: String {
                switch self {
                case .withLength: "Content-Length: \(Self.piece * Self.pieces)\r\n\r\n"
                case .chunked: "Transfer-Encoding: chunked\r\n\r\n"
                }
            }

            var part: [UInt8] {
                let bytes = [UInt8](repeating: 0x20, count: Self.piece)
                switch self {
                case .withLength: return bytes
                case .chunked: return Array("\(String(Self.piece, radix: 16))\r\n".utf8) + bytes + Array("\r\n".utf8)
                }
            }
        }

        @Test(
            "A22 a 413 arrives although the client sends its whole body before it reads",
            arguments: Body.allCases,
            ["POST /livez", "PUT /v1/values/rates", "POST /v1/admin/sources/rates/value"]
        )
        func refusedBody(body: Body, request: String) async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                let connection = try await RawConnection(gateway.endpoint)
                try await connection.send("\(request) HTTP/1.1\r\nHost: localhost\r\n" + body.head)
                // Throws where the server closes before it has all.
                for _ in 0..<Body.pieces { try await connection.send(body.part) }
                let reply = try await connection.receiveToEnd()
                #expect(
                    try reply.statuses(methods: ["POST"]).first.map { [401, 403, 404, 405, 413].contains($0) } == true
                )
                #expect(reply.end == .closed)
            }
        }

        private static func requests(_ count: Int, of bytes: Int) -> [UInt8] {
            let query = String(repeating: "x", count: bytes)
            return Array(String(repeating: "GET /livez?\(query) HTTP/1.1\r\nHost: a\r\n\r\n", count: count).utf8)
        }

        @Test("A22 megabytes of pipelined requests are all answered", arguments: [(400, 7000), (8000, 150)])
        func pipelined(count: Int, bytes: Int) async throws {
            try await withGateway { gateway in
                let connection = try await RawConnection(gateway.endpoint)
                async let sent: Void = connection.send(Self.requests(count, of: bytes))
                let last = "GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                try await sent
                try await connection.send(last)
                let reply = try await connection.receiveToEnd()
                #expect(try reply.statuses() == Array(repeating: 200, count: count) + [404])
                #expect(reply.end == .closed)
            }
        }

        @Test("A22 what is pipelined behind an answer that takes long waits in the kernel, and is then answered")
        func behindWait() async throws {
            try await withGateway { gateway in
                let source = try gateway.source("rates")
                try gateway.publish("[1]", of: source)
                let connection = try await RawConnection(gateway.endpoint)
                try await connection.send("GET /v1/values/rates?wait=60s HTTP/1.1\r\nHost: a\r\n\r\n")
                async let sent: Void = connection.send(Self.requests(400, of: 7000))
                // Only once the wait is there, so that the rest comes behind it.
                while gateway.server.gateway.waits.count == 0 { await Task.yield() }
                try gateway.publish("[2]", of: source)
                try await sent
                try await connection.send("GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                let reply = try await connection.receiveToEnd()
                #expect(try reply.statuses() == Array(repeating: 200, count: 401) + [404])
            }
        }
    }
}
