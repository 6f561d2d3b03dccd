import Foundation
import FreshetCore
import FreshetTesting
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

/// A server behind `openssl s_server` that speaks HTTP as a test wants. It answers the requests of one connection after
/// another: s_server has no more.
private final class TLSConversation: Sendable {
    struct State: Sendable {
        var requests = 0
        var connections = 0
        var answers = 0
    }

    let server: TLSServer
    let state = Watched(State())

    /// `answer` gives the bytes for the request of this number, from 1, on the connection of this number, from 1. With
    /// HTTP/2 they are given the stream's number too, which is 0 otherwise.
    init(http2: Bool = false, answer: @escaping @Sendable (_ request: Int, _ connection: Int, _ stream: Int) -> [UInt8])
        async throws
    {
        self.server = try await TLSServer.started(http2 ? ["-alpn", "h2"] : [])
        let (server, state) = (self.server, self.state)
        Thread.detachNewThread {
            var received: [UInt8] = []
            while true {
                let piece = server.receive()
                if piece.isEmpty { return }
                received += piece
                while let event = http2 ? Self.nextOfHTTP2(&received) : Self.next(&received) {
                    switch event {
                    case .preface:
                        state.update { $0.connections += 1 }
                        server.send([0, 0, 0, 4, 0, 0, 0, 0, 0])
                    case .request(let stream):
                        let numbers = state.update { state -> (Int, Int) in
                            state.requests += 1
                            return (state.requests, state.connections)
                        }
                        server.send(answer(numbers.0, numbers.1, stream))
                        state.update { $0.answers += 1 }
                    }
                }
            }
        }
    }

    private enum Event {
        case preface
        case request(stream: Int)
    }

    /// s_server writes about its sessions between what it receives, but nothing that looks like a request.
    private static func next(_ received: inout [UInt8]) -> Event? {
        let text = String(decoding: received, as: UTF8.self)
        guard let end = text.range(of: "\r\n\r\n") else { return nil }
        received = Array(text[end.upperBound...].utf8)
        return .request(stream: 0)
    }

    /// A preface, or a HEADERS frame with END_STREAM and END_HEADERS.
    private static func nextOfHTTP2(_ received: inout [UInt8]) -> Event? {
        let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
        for index in received.indices {
            let rest = received[index...]
            if rest.starts(with: preface) {
                received = Array(rest.dropFirst(preface.count))
                return .preface
            }
            let frame = Array(rest.prefix(9))
            // Length, type HEADERS, END_STREAM and END_HEADERS with or without PRIORITY, a small odd stream.
            guard frame.count == 9, frame[0] == 0, frame[1] == 0, frame[3] == 1, [0x05, 0x25].contains(frame[4]),
                frame[5] == 0, frame[6] == 0, frame[8] & 1 == 1
            else { continue }
            received = Array(rest.dropFirst(9 + Int(frame[2])))
            return .request(stream: Int(frame[7]) << 8 | Int(frame[8]))
        }
        return nil
    }

    /// Waits until so many requests were answered.
    func waitForAnswers(_ count: Int) async -> Bool {
        await self.state.wait(timeout: .patience) { $0.answers >= count ? true : nil } ?? false
    }

    static func response(_ body: String) -> [UInt8] {
        Array("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
    }

    /// HEADERS with `:status 200`, then DATA that ends the stream.
    static func frames(_ body: String, stream: Int) -> [UInt8] {
        let id = [0, 0, UInt8(stream >> 8), UInt8(stream & 0xFF)]
        return [0, 0, 1, 1, 4] + id + [0x88] + [0, 0, UInt8(body.utf8.count), 0, 1] + id + Array(body.utf8)
    }
}

@Suite("R01: over TLS", .enabled(if: TLSServer.program != nil, "needs openssl"))
struct TLSConnectionTests {
    private let probe = TransportProbe()
    private static let stray = TLSConversation.response("{\"v\":666}")

    private func poll(_ conversation: TLSConversation) async -> Result<ExchangeResponse, UpstreamError> {
        await self.probe.poll("https://127.0.0.1:\(conversation.server.port)/") { $0.tls.isInsecure = true }
    }

    @Test("R01: a second response in a record of its own is nobody's, and one connection serves what is in order")
    func late() async throws {
        let conversation = try await TLSConversation { request, _, _ in TLSConversation.response("{\"v\":\(request)}") }
        #expect(await self.poll(conversation).body == "{\"v\":1}")
        conversation.server.send(Self.stray)
        // The stray is on its way with the next answer at the latest.
        for request in 2...4 {
            let body = await self.poll(conversation).body
            #expect(body == "{\"v\":\(request)}" || body == "{\"v\":\(request + 1)}", "\(body ?? "")")
        }
    }

    @Test("a large body, which comes in turns, is whole")
    func large() async throws {
        let body = "[\((0..<400_000).map { "\($0)" }.joined(separator: ","))]"
        let conversation = try await TLSConversation { _, _, _ in TLSConversation.response(body) }
        for _ in 0..<2 {
            // Not within the expectation, which would print it.
            let isWhole = await self.poll(conversation).body == body
            #expect(isWhole)
        }
    }

    @Test("R01: a second response that OpenSSL has read along with the answer is nobody's")
    func sameRecord() async throws {
        // The head in a record of its own, so that libcurl knows how much of the next record it wants.
        let conversation = try await TLSConversation { request, _, _ in
            let body = "{\"v\":\(request)}"
            return request == 1
                ? Array("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{".utf8) : TLSConversation.response(body)
        }
        async let first = self.poll(conversation)
        #expect(await conversation.waitForAnswers(1))
        conversation.server.send(Array("\"v\":1}".utf8) + Self.stray)
        #expect(await first.body == "{\"v\":1}")
        #expect(await self.poll(conversation).body == "{\"v\":2}")
    }

    @Test("R01: HTTP/2 numbers its answers: strays are dropped, and polls share a connection")
    func http2() async throws {
        let conversation = try await TLSConversation(http2: true) { request, _, stream in
            TLSConversation.frames("{\"v\":\(request)}", stream: stream)
        }
        for version in 1...2 {
            let result = await self.poll(conversation)
            #expect(result.body == "{\"v\":\(version)}", "\(result)")
        }
        for stray in [
            TLSConversation.frames("{\"v\":666}", stream: 1), TLSConversation.frames("{\"v\":666}", stream: 3),
            TLSConversation.frames("{\"v\":666}", stream: 2), [0, 0, 8, 6, 0, 0, 0, 0, 0] + Array("pingpong".utf8),
        ] {
            conversation.server.send(stray)
            var result = await self.poll(conversation)
            if case .failure(let error) = result, error.kind == .transport {
                // A stray that is against the protocol may end the connection under a request; the next has another.
                result = await self.poll(conversation)
            }
            #expect(result.body?.hasPrefix("{\"v\":") == true, "\(result)")
            #expect(result.body != "{\"v\":666}")
        }
    }
}
