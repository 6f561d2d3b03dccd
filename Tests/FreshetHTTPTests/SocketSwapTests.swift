import Foundation
import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import System
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    /// Some 2 s for a hundred swaps; `FRESHET_SWAPS` says how many.
    @Suite("Cursors across transports")
    struct SocketSwapTests {
        private static let swaps = Int(ProcessInfo.processInfo.environment["FRESHET_SWAPS"] ?? "") ?? 100
        private static let names = ["a", "b", "c"]

        private enum Way: CaseIterable {
            case eventStream, jsonLines, socket, deflatedSocket, changes
        }

        /// What a reader of each source has seen, by the ids of its events.
        private struct Reader {
            var seen: [String: [String]] = [:]
            var cursors: [String: String] = [:]

            mutating func see(_ id: String, of source: String) {
                self.seen[source, default: []].append(id)
                self.cursors[source] = id
            }
        }

        @Test(
            "random swaps in mid-stream between event streams, JSON lines, sockets and changes lose and double nothing"
        )
        func swaps() async throws {
            try await withGateway({ $0.compressesStreams = true }) { gateway in
                var random = SplitMix64(seed: 26)
                let sources = try Self.names.map { try gateway.source($0) }
                var reader = Reader()
                var published: [String: [String]] = [:]
                var number = 0
                func publish(_ count: Int) throws {
                    for _ in 0..<count {
                        number += 1
                        let index = Int.random(in: 0..<sources.count, using: &random)
                        let text = #"{"n":\#(number),"text":"\#(String(repeating: "word ", count: 40))"}"#
                        let cursor = try gateway.publish(text, of: sources[index])
                        published[Self.names[index], default: []].append(cursor.description)
                    }
                }
                for (name, source) in zip(Self.names, sources) {
                    reader.cursors[name] = try gateway.publish("{}", of: source).description
                }
                for _ in 0..<Self.swaps {
                    try publish(Int.random(in: 0...5, using: &random))
                    let way = Way.allCases.randomElement(using: &random) ?? .socket
                    let name = Self.names.randomElement(using: &random) ?? "a"
                    let limit = Int.random(in: 1...4, using: &random)
                    let due = (published[name] ?? []).count - (reader.seen[name] ?? []).count
                    switch way {
                    case .changes: try await Self.readChanges(of: name, limit, gateway, &reader)
                    case .eventStream, .jsonLines:
                        try await Self.readStream(of: name, min(limit, due), way == .jsonLines, gateway, &reader)
                    case .socket, .deflatedSocket:
                        try await Self.readSocket(way == .deflatedSocket, limit, gateway, &reader) { try publish(4) }
                    }
                }
                for name in Self.names {
                    while try await Self.readChanges(of: name, 100, gateway, &reader) > 0 {}
                    #expect(reader.seen[name] == published[name])
                }
            }
        }

        private static func note(_ root: Value, _ reader: inout Reader) {
            guard let id = root["id"]?.string, let source = root["data"]?["source"]?.string else { return }
            reader.see(id, of: source)
        }

        @discardableResult
        private static func readChanges(
            of name: String,
            _ limit: Int,
            _ gateway: GatewayFixture,
            _ reader: inout Reader
        ) async throws -> Int {
            let reply = try await gateway.get("/v1/changes/\(name)?since=\(reader.cursors[name] ?? "")&limit=\(limit)")
            let root = try Document(parsing: reply.body).root
            #expect(root["gap"]?.bool == false)
            var count = 0
            for event in (try #require(root["events"])).elements {
                self.note(event, &reader)
                count += 1
            }
            return count
        }

        /// Reads so many events and cuts the connection, whatever has come behind them.
        private static func readStream(
            of name: String,
            _ count: Int,
            _ isLines: Bool,
            _ gateway: GatewayFixture,
            _ reader: inout Reader
        ) async throws {
            guard count > 0 else { return }
            let connection = try await RawConnection(gateway.endpoint)
            let type = isLines ? "application/x-ndjson" : "text/event-stream"
            try await connection.send(
                "GET /v1/streams/\(name)?since=\(reader.cursors[name] ?? "") HTTP/1.0\r\nAccept: \(type)\r\n\r\n"
            )
            let end = isLines ? "\n" : "\n\n"
            let mark = isLines ? #"{"id":""# : "id: "
            func blocks(_ bytes: [UInt8]) -> [String] {
                let text = String(decoding: bytes, as: UTF8.self)
                let body = text.components(separatedBy: "\r\n\r\n").dropFirst().joined(separator: "\r\n\r\n")
                return body.components(separatedBy: end).dropLast().filter { $0.hasPrefix(mark) }
            }
            let reply = try await connection.receive { received, _ in
                let text = String(decoding: received, as: UTF8.self)
                return text.components(separatedBy: end).dropLast().filter { $0.hasPrefix(mark) }.count >= count
            }
            connection.close()
            for block in blocks(reply.bytes) {
                if isLines {
                    self.note(try Document(parsing: Array(block.utf8)).root, &reader)
                } else {
                    let id = block.dropFirst(mark.count).prefix { $0 != "\n" }
                    reader.see(String(id), of: name)
                }
            }
        }

        /// Subscribes to every source from where it stands, reads some events, and cuts the connection.
        private static func readSocket(
            _ deflates: Bool,
            _ count: Int,
            _ gateway: GatewayFixture,
            _ reader: inout Reader,
            _ publish: () throws -> Void
        ) async throws {
            let fields: HeaderFields = deflates ? ["Sec-WebSocket-Extensions": "permessage-deflate"] : [:]
            let client = try await SocketClient(gateway.endpoint, SocketClient.path, fields)
            for (re, name) in self.names.enumerated() {
                let since = reader.cursors[name] ?? ""
                try await client.send(#"{"re":\#(re),"op":"subscribe","sources":"\#(name)","since":"\#(since)"}"#)
                if re == 1 { try publish() }
            }
            let last = self.names.count - 1
            let frames = try await client.receive { frames in
                let texts = frames.filter { $0.opcode == 1 }
                return texts.count { !$0.text.hasPrefix(#"{"re""#) || $0.isCompressed } >= count
                    && texts.contains { $0.text.hasPrefix(#"{"re":\#(last)"#) }
            }
            client.connection.reset()
            for frame in frames where frame.opcode == 1 {
                self.note(try Document(parsing: try frame.inflated()).root, &reader)
            }
        }
    }
}
