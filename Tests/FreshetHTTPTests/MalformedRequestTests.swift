import Foundation
import FreshetStreaming
import FreshetTesting
import NIOCore
import System
import Testing

@testable import FreshetHTTP

/// One message of the suite `http-malformed`.
struct MalformedCase: Decodable, Sendable {
    var id: String
    var kind: String
    var tier: String
    var expect: String
    var bytes_base64: Data

    var bytes: [UInt8] { Array(self.bytes_base64) }

    private struct File: Decodable {
        var cases: [MalformedCase]
    }

    /// The requests of the suite; empty where it is absent.
    static let requests: [MalformedCase] = {
        guard Suites.available, let bytes = try? Suites.bytes("http-malformed/http1-message-cases.json"),
            let file = try? JSONDecoder().decode(File.self, from: Data(bytes))
        else { return [] }
        return file.cases.filter { $0.kind == "request" }
    }()

    static func tier(_ prefix: String) -> [MalformedCase] {
        self.requests.filter { $0.tier.hasPrefix(prefix) }
    }
}

extension HTTPTests {
    @Suite("S30: requests that are not what they seem", .enabled(if: Suites.available, "suites not found"))
    struct MalformedRequestTests {
        /// What the parser makes of a message: the statuses of what it refuses, and the heads that it lets through.
        struct Verdict: Equatable {
            var heads = 0
            var requests = 0
            var refusal: Int?
        }

        static func parse(_ bytes: [UInt8], step: Int) -> Verdict {
            var parser = RequestParser(limits: RequestParser.Limits(), bodyLimit: 1 << 20)
            var buffer = ByteBuffer()
            var verdict = Verdict()
            var keepsAlive = true
            var start = 0
            while start < bytes.count {
                buffer.writeBytes(bytes[start..<min(start + step, bytes.count)])
                start += step
                inner: while keepsAlive {
                    switch parser.next(&buffer) {
                    case .needsMore: break inner
                    case .head(let head):
                        verdict.heads += 1
                        keepsAlive = head.keepsAlive || head.framing != .none
                        if !keepsAlive { verdict.requests += 1 }
                    case .end: verdict.requests += 1
                    case .failed(let problem):
                        verdict.refusal = problem.statusCode
                        return verdict
                    }
                }
            }
            return verdict
        }

        @Test("the suite is there whole")
        func count() {
            #expect(MalformedCase.requests.count == 332)
            #expect(MalformedCase.tier("must-reject").count == 128)
            #expect(MalformedCase.tier("must-accept").count == 33)
        }

        @Test("the parser says the same however the bytes come in")
        func splits() {
            for message in MalformedCase.requests {
                let whole = Self.parse(message.bytes, step: .max >> 1)
                for step in [1, 2, 3, 5, 17] {
                    #expect(Self.parse(message.bytes, step: step) == whole, "\(message.id) in steps of \(step)")
                }
            }
        }

        @Test("S30: what must be refused is: 4xx, 5xx or a close, and no second answer")
        func refused() async throws {
            try await Self.exchange(MalformedCase.tier("must-reject"), headerTimeout: .seconds(2)) {
                message,
                reply in
                let statuses = try reply.statuses(methods: ["GET", "GET", "GET"])
                #expect(reply.end != .timedOut, "\(message.id)")
                #expect(statuses.count <= 1, "\(message.id)")
                #expect(statuses.allSatisfy { $0 >= 400 }, "\(message.id): \(statuses)")
            }
        }

        @Test("S30: what must be accepted is served")
        func accepted() async throws {
            try await Self.exchange(MalformedCase.tier("must-accept"), headerTimeout: .seconds(5)) { message, reply in
                let first = try reply.statuses(methods: ["GET", "GET", "GET"]).first { $0 != 100 }
                #expect([200, 204, 404, 405].contains(first), "\(message.id): \(reply.text)")
                #expect(reply.end != .timedOut, "\(message.id)")
            }
        }

        @Test("S30, S13: what never becomes whole is ended by the deadline")
        func incomplete() async throws {
            try await Self.exchange(MalformedCase.tier("incomplete"), headerTimeout: .seconds(2)) {
                message,
                reply in
                #expect(reply.end != .timedOut, "\(message.id)")
                let statuses = try reply.statuses()
                #expect(statuses.allSatisfy { $0 >= 400 }, "\(message.id)")
            }
        }

        @Test(
            "what only lenient parsers take is not taken: no answer but to a request that is whole and strict before it"
        )
        func lenient() async throws {
            try await Self.exchange(MalformedCase.tier("lenient-only"), headerTimeout: .seconds(2)) {
                message,
                reply in
                #expect(reply.end != .timedOut, "\(message.id)")
                let good = try reply.statuses(methods: ["GET", "GET", "GET"]).filter { $0 < 400 }
                #expect(good.isEmpty, "\(message.id)")
            }
        }

        @Test("of the contested and the bare ones none hangs, and none gets more answers than it has requests")
        func others() async throws {
            let messages = MalformedCase.tier("contested") + MalformedCase.tier("parser-level")
            try await Self.exchange(messages, headerTimeout: .seconds(2)) { message, reply in
                #expect(reply.end != .timedOut, "\(message.id)")
                let verdict = Self.parse(message.bytes, step: .max >> 1)
                let final = try reply.statuses(methods: ["GET", "GET", "GET"]).filter { $0 >= 200 }
                #expect(final.count <= verdict.requests + 1, "\(message.id): \(final)")
            }
        }

        /// Sends each message on a connection of its own, several at a time.
        private static func exchange(
            _ messages: [MalformedCase],
            headerTimeout: Duration,
            check: (MalformedCase, RawReply) throws -> Void
        ) async throws {
            try await withGateway({ settings in
                // Public: the requests name hosts of their own.
                settings.listen = .tcp(host: "0.0.0.0", port: 0)
                settings.headerTimeout = headerTimeout
                settings.bodyTimeout = headerTimeout
                settings.keepAliveTimeout = .milliseconds(100)
            }) { gateway in
                let endpoint = gateway.endpoint
                try await withThrowingTaskGroup(of: (MalformedCase, RawReply).self) { group in
                    for (index, message) in messages.enumerated() {
                        if index >= 32, let (message, reply) = try await group.next() { try check(message, reply) }
                        group.addTask {
                            let reply = try await RawHTTP.exchange(endpoint, sending: message.bytes)
                            // Whatever it did, the next connection is served as ever.
                            let next = try await RawHTTP.get("/livez", from: endpoint)
                            #expect(next.text == "ok\n", "after \(message.id)")
                            return (message, reply)
                        }
                    }
                    for try await (message, reply) in group { try check(message, reply) }
                }
                // None is left, and nothing of what never became a request.
                try await eventually { gateway.server.connectionCount == 0 }
                #expect(gateway.streams.statistics.subscribers == 0)
            }
        }
    }
}
