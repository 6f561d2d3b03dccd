// The histories of writes (`WriteHistoryTests`) over requests and sockets: what clients send and read goes over the wire.

import Foundation
import FreshetAccess
import FreshetCore
import FreshetSimulation
import FreshetTesting
import JSON
import System
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    /// Some 20 s; `FRESHET_WRITE_HISTORIES` says which, and each runs over one of the ways.
    @Suite("Histories of writes over each way to the gateway", .ownTransport)
    struct WriteTransportTests {
        /// How a history's clients write.
        enum Way: String, CaseIterable, Sendable {
            /// A connection for each request.
            case requests
            /// A socket for each client.
            case sockets
            /// One socket for all clients: answers come in any order.
            case sharedSocket
            /// Each try another way, with the same key.
            case mixed
        }

        private static let seeds: ClosedRange<UInt64> = {
            let text = ProcessInfo.processInfo.environment["FRESHET_WRITE_HISTORIES"] ?? "1-8"
            let parts = text.split(separator: "-").compactMap { UInt64($0) }
            guard let first = parts.first, let last = parts.last, first <= last else { return 1...8 }
            // A hundred times as slow as without a wire.
            return first...max(first, min(last, first + (last - first) / 100 + 7))
        }()

        private static func key(_ client: Int) -> String { "client\(client)-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa" }

        private static func authenticator() throws -> Authenticator {
            let keys = (0..<3).map { client in
                APIKey(
                    id: "client\(client)",
                    secret: Secret(Self.key(client)),
                    grants: Grants(read: .all, write: .all)
                )
            }
            return try Authenticator(
                AccessConfiguration(keys: keys),
                ticketKey: .random(),
                fetch: { _ in KeyResponse(status: 404, body: []) },
                clock: { WallClock.now }
            )
        }

        @Test("no update is lost, no effect doubled, and every write has one verdict", arguments: Way.allCases)
        func histories(way: Way) async throws {
            let writer = ScriptedWriter()
            try await withGateway(authenticator: Self.authenticator(), writer: { _ in writer }) { gateway in
                var figures = (applied: 0, conflicts: 0, unknown: 0, replays: 0)
                for seed in Self.seeds {
                    var carrier = Carrier(gateway, writer, way, seed: seed)
                    var history = WriteHistory(seed: seed)
                    let problems = try await history.run(by: &carrier)
                    carrier.close()
                    try #require(
                        problems.isEmpty,
                        "seed \(seed) (FRESHET_WRITE_HISTORIES=\(seed)-\(seed)): \(problems.prefix(3))"
                    )
                    figures.applied += history.figures.applied
                    figures.conflicts += history.figures.conflicts
                    figures.unknown += history.figures.unknown
                    figures.replays += history.figures.replays
                }
                // The histories are about something.
                #expect(figures.applied > 0 && figures.conflicts > 0 && figures.unknown > 0, "\(figures)")
            }
        }

        /// Carries a history's letters through a gateway.
        private struct Carrier: WriteCarrier {
            /// Where the answer to a write comes.
            private enum Reader {
                case connection(RawConnection, method: String)
                case socket(SocketClient, re: Int)
            }

            private let gateway: GatewayFixture
            private let writer: ScriptedWriter
            private let way: Way
            private var random: SplitMix64
            /// By client; the shared one by -1.
            private var sockets: [Int: SocketClient] = [:]
            private var underWay: [Int: (number: Int, reader: Reader, socket: Int?)] = [:]
            private var lastReference = 0

            init(_ gateway: GatewayFixture, _ writer: ScriptedWriter, _ way: Way, seed: UInt64) {
                (self.gateway, self.writer, self.way) = (gateway, writer, way)
                self.random = SplitMix64(seed: seed)
            }

            func close() {
                for socket in self.sockets.values { socket.close() }
            }

            mutating func carry(_ request: WriteRequest, of write: Int, by client: Int) async throws -> WriteRequest {
                let isSocket = way == .mixed ? Bool.random(using: &self.random) : way != .requests
                let place = way == .sharedSocket ? -1 : client
                let reader: Reader
                if isSocket {
                    self.lastReference += 1
                    let socket = try await self.socket(place)
                    try await socket.send(request.message(re: self.lastReference))
                    reader = .socket(socket, re: self.lastReference)
                } else {
                    let connection = try await RawConnection(self.gateway.endpoint)
                    let key = WriteTransportTests.key(client)
                    try await connection.send(request.bytes(to: self.gateway.endpoint, key: key))
                    reader = .connection(connection, method: request.method.rawValue)
                }
                let arrival = try await self.writer.next()
                let expected = isSocket && place < 0 ? "client0" : "client\(client)"
                #expect(arrival.caller.id == expected, "\(write) came as another's")
                self.underWay[write] = (arrival.number, reader, isSocket ? place : nil)
                return arrival.request
            }

            private mutating func socket(_ place: Int) async throws -> SocketClient {
                if let socket = self.sockets[place] { return socket }
                let fields: HeaderFields = ["X-API-Key": WriteTransportTests.key(max(0, place))]
                let socket = try await SocketClient(self.gateway.endpoint, SocketClient.path, fields)
                self.sockets[place] = socket
                return socket
            }

            mutating func carry(_ answer: WriteAnswer, to write: Int) async throws -> WriteAnswer {
                let underWay = self.underWay.removeValue(forKey: write)
                let sent = try #require(underWay)
                self.writer.answer(sent.number, answer)
                switch sent.reader {
                case .socket(let socket, let re):
                    return try WriteAnswer(message: try await socket.receive(#"{"re":\#(re),"#))
                case .connection(let connection, let method):
                    return try WriteAnswer(reply: try await connection.receiveToEnd().bytes, to: method)
                }
            }

            mutating func cut(_ write: Int) async throws {
                guard let sent = self.underWay.removeValue(forKey: write) else { return }
                switch sent.reader {
                case .connection(let connection, _): connection.reset()
                // The others on a shared one would lose their answers too; there nobody listens to this one any more.
                case .socket(let socket, _):
                    if let place = sent.socket, place >= 0 {
                        socket.connection.reset()
                        self.sockets[place] = nil
                    }
                }
                // What comes of it now is told to nobody.
                self.writer.answer(sent.number, WriteAnswer(status: 204))
            }
        }
    }
}

extension WriteRequest {
    /// As a socket's message.
    fileprivate func message(re: Int) -> String {
        var json = JSONWriter()
        json.object { json in
            json.member("re", re)
            json.member("op", "write")
            json.member("method", self.method.rawValue)
            json.member("source", self.source)
            if let key { json.member("key", key) }
            if !self.body.isEmpty { json.member("body", raw: self.body) }
            if let ifMatch { json.member("if_match", ifMatch) }
            if let ifNoneMatch { json.member("if_none_match", ifNoneMatch) }
            if let idempotencyKey { json.member("idempotency_key", idempotencyKey) }
            if let contentType { json.member("content_type", contentType) }
        }
        return String(decoding: json.text, as: UTF8.self)
    }

    /// As a request.
    fileprivate func bytes(to endpoint: Endpoint, key secret: String) -> [UInt8] {
        var fields: HeaderFields = ["Host": endpoint.authority, "Authorization": "Bearer \(secret)"]
        fields.append("Connection", "close")
        fields.append("Content-Length", "\(self.body.count)")
        if let ifMatch { fields.append("If-Match", ifMatch) }
        if let ifNoneMatch { fields.append("If-None-Match", ifNoneMatch) }
        if let idempotencyKey { fields.append("Idempotency-Key", idempotencyKey) }
        if let contentType { fields.append("Content-Type", contentType) }
        let path = self.key.map { "/v1/items/\(self.source)/\($0)" } ?? "/v1/values/\(self.source)"
        return Array("\(self.method.rawValue) \(path) HTTP/1.1\r\n".utf8) + fields.wire + [0x0D, 0x0A] + self.body
    }
}

extension WriteAnswer {
    /// What a client reads in a socket's message.
    fileprivate init(message: String) throws {
        let root = try Document(parsing: Array(message.utf8)).root
        if let problem = root["problem"] {
            self.init(try WriteProblem(problem, retryAfter: problem["retry_after"]?.int))
            self.cursor = problem["cursor"]?.string.flatMap { Cursor($0) }
            return
        }
        let ok = try #require(root["ok"])
        self.init(status: try #require(ok["status"]?.int))
        self.etag = ok["etag"]?.string
        self.cursor = ok["cursor"]?.string.flatMap { Cursor($0) }
        self.location = ok["location"]?.string
        self.guardNote = ok["guard"]?.string
        self.value = ok["value"].map { Array($0.text) }
    }

    /// What a client reads in an answer of HTTP.
    fileprivate init(reply bytes: [UInt8], to method: String) throws {
        var reader = ResponseReader()
        reader.requestSent(method: method)
        var head: ResponseHead?
        var body: [UInt8] = []
        for part in try reader.push(bytes) {
            switch part {
            case .head(let come): head = come
            case .body(let content): body += content
            case .interim, .end: break
            }
        }
        let come = try #require(head)
        guard come.status < 300 else {
            let problem = try Document(parsing: body).root
            self.init(try WriteProblem(problem, retryAfter: come.headers["Retry-After"].flatMap { Int($0) }))
            self.cursor = come.headers["Freshet-Cursor"].flatMap { Cursor($0) }
            return
        }
        self.init(status: come.status)
        self.etag = come.headers["ETag"]
        self.cursor = come.headers["Freshet-Cursor"].flatMap { Cursor($0) }
        self.location = come.headers["Location"]
        self.guardNote = come.headers["Freshet-Guard"]
        self.value = body.isEmpty ? nil : body
    }
}

extension WriteProblem {
    fileprivate init(_ problem: Value, retryAfter: Int?) throws {
        self.init(
            try #require(problem["status"]?.int),
            try #require(problem["code"]?.string),
            try #require(problem["detail"]?.string)
        )
        self.retryAfter = retryAfter
        let known = ["type", "title", "status", "code", "detail", "retry_after"]
        for member in problem.members where !known.contains(member.name) {
            self.members.append(Member(member.name, json: Array(member.value.text)))
        }
    }
}
