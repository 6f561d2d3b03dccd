import FreshetTesting
import HTTP2
import Testing

/// A session, spoken to in frames.
private final class Peer {
    let session: HTTP2Session
    private(set) var completed: [HTTP2Stream] = []
    private(set) var closed: [HTTP2Stream] = []
    private(set) var sent: [RawFrame] = []
    private(set) var isAlive = true
    var now: Int64 = 0

    init(_ limits: HTTP2Limits = HTTP2Limits(), settings: [(UInt16, UInt32)] = [], bodyLimit: Int = 1000) throws {
        self.session = try #require(HTTP2Session(limits: limits, now: 0))
        self.session.limitBody = { _ in bodyLimit }
        self.give(RawFrame.preface + RawFrame.settings(settings).bytes)
    }

    func give(_ frames: RawFrame...) {
        self.give(frames.flatMap(\.bytes))
    }

    func give(_ bytes: [UInt8]) {
        guard self.isAlive else { return }
        if let events = bytes.withUnsafeBytes({ self.session.receive($0, now: self.now) }) {
            self.note(events)
        } else {
            self.isAlive = false
        }
        self.take()
    }

    func take() {
        self.note(self.session.takeEvents())
        self.sent += RawFrame.frames(in: self.session.output)
        self.session.clearOutput()
    }

    private func note(_ events: [HTTP2Event]) {
        for event in events {
            switch event {
            case .complete(let stream): self.completed.append(stream)
            case .received: break
            case .closed(let stream): self.closed.append(stream)
            }
        }
    }

    func send(_ bytes: [UInt8], on stream: HTTP2Stream) -> Int {
        defer { self.take() }
        return bytes.withUnsafeBytes { self.session.send($0, on: stream) }
    }

    func received(on stream: UInt32) -> [UInt8] {
        self.sent.filter { $0.kind == RawFrame.Kind.data && $0.stream == stream }.flatMap(\.payload)
    }

    /// The code of the GOAWAY that was sent last.
    var goAway: UInt32? { self.sent.last { $0.kind == RawFrame.Kind.goAway }?.code }
}

@Suite("HTTP/2 session")
struct HTTP2SessionTests {
    private static let events = [HTTP2Field(name: Array("content-type".utf8), value: Array("text/event-stream".utf8))]

    @Test("a request is its head and its body, whatever the bytes come in", arguments: [1, 7, 100_000])
    func request(step: Int) throws {
        let peer = try Peer()
        let bytes =
            RawFrame.request(1, "POST", "/v1/x?y", [("x-a", "b")], endsStream: false).bytes
            + RawFrame.data(1, Array("hello".utf8)).bytes + RawFrame.data(1, Array("!".utf8), endsStream: true).bytes
        for start in stride(from: 0, to: bytes.count, by: step) {
            peer.give(Array(bytes[start..<min(start + step, bytes.count)]))
        }
        let stream = try #require(peer.completed.first)
        #expect(peer.completed.count == 1)
        #expect(String(decoding: stream.head.method, as: UTF8.self) == "POST")
        #expect(String(decoding: stream.head.path, as: UTF8.self) == "/v1/x?y")
        #expect(stream.head.authority.map { String(decoding: $0, as: UTF8.self) } == "localhost")
        #expect(stream.head.fields == [HTTP2Field(name: Array("x-a".utf8), value: [98])])
        #expect(!stream.head.isWhole && !stream.isBodyTooLong)
        #expect(String(decoding: peer.session.takeBody(of: stream), as: UTF8.self) == "hello!")
        #expect(peer.session.takeHead(of: stream).fields.count == 1)
        #expect(stream.head.fields.isEmpty && stream.head.path.isEmpty, "what was taken is not kept")
    }

    @Test("a body that is longer than it may be is complete at once, and its rest is dropped")
    func longBody() throws {
        var limits = HTTP2Limits()
        limits.maxDroppedBytes = 1500
        let peer = try Peer(limits, bodyLimit: 10)
        peer.give(.request(1, "POST", endsStream: false), .data(1, [UInt8](repeating: 1, count: 11)))
        let stream = try #require(peer.completed.first)
        #expect(stream.isBodyTooLong)
        #expect(peer.session.takeBody(of: stream).count == 10)
        peer.session.answer(stream, status: 413, [], body: Array("no".utf8), now: 0)
        peer.give(.data(1, [UInt8](repeating: 1, count: 1000)))
        #expect(peer.received(on: 1) == Array("no".utf8))
        // A client that sends a while longer has its answer without a reset.
        #expect(!peer.sent.contains { $0.kind == RawFrame.Kind.reset })
        peer.give(.data(1, [UInt8](repeating: 1, count: 1000)))
        #expect(peer.sent.contains { $0.kind == RawFrame.Kind.reset && $0.code == 0 })
        #expect(peer.completed.count == 1)
        #expect(peer.isAlive)
    }

    @Test("an answer is cut into frames, and goes on as its windows open")
    func answer() throws {
        let peer = try Peer()
        peer.give(.request(1))
        let body = (0..<200_000).map { UInt8(truncatingIfNeeded: $0) }
        peer.session.answer(try #require(peer.completed.first), status: 200, [], body: body, now: 0)
        for _ in 0..<100 {
            peer.take()
            peer.session.resumeAnswers(now: 0)
        }
        #expect(peer.received(on: 1).count == 65_535)
        peer.give(.windowUpdate(0, 1_000_000), .windowUpdate(1, 1_000_000))
        for _ in 0..<100 {
            peer.take()
            peer.session.resumeAnswers(now: 0)
        }
        #expect(peer.received(on: 1) == body)
        #expect(peer.sent.allSatisfy { $0.payload.count <= 16_384 })
        #expect(peer.sent.last { $0.kind == RawFrame.Kind.data }?.flags == RawFrame.endStream)
        #expect(peer.closed.map(\.id) == [1])
    }

    @Test("what is sent arrives in order and whole under any windows")
    func anyWindows() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<30 {
            let initial = UInt32.random(in: 0...70_000, using: &random)
            let peer = try Peer(settings: [(4, initial)])
            peer.give(.request(1))
            let stream = try #require(peer.completed.first)
            #expect(peer.session.open(stream, status: 200, Self.events))
            let text = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
            var position = 0
            while position < text.count {
                let piece = Array(text[position...].prefix(Int.random(in: 1...40_000, using: &random)))
                let taken = peer.send(piece, on: stream)
                #expect(taken >= 0)
                position += taken
                guard taken < piece.count else { continue }
                repeat {
                    let count = UInt32.random(in: 1...30_000, using: &random)
                    peer.give(.windowUpdate(0, count), .windowUpdate(1, count))
                    peer.now += 1_000_000_000
                } while peer.session.takeUnblocked().isEmpty && peer.isAlive
            }
            #expect(peer.isAlive)
            #expect(peer.received(on: 1) == text)
            peer.session.end(stream)
            peer.take()
            #expect(peer.sent.last?.flags == RawFrame.endStream)
        }
    }

    @Test("a stream whose window is shut waits, and its neighbours go on")
    func neighbours() throws {
        let peer = try Peer(settings: [(4, 100)])
        peer.give(.request(1), .request(3))
        for stream in peer.completed { #expect(peer.session.open(stream, status: 200, Self.events)) }
        let (shut, open) = (peer.completed[0], peer.completed[1])
        peer.give(.windowUpdate(3, 100_000))
        let event = [UInt8](repeating: 1, count: 90)
        #expect(peer.send(event, on: shut) == 90)
        for _ in 0..<50 {
            #expect(peer.send(event, on: shut) == 0)
            #expect(peer.send(event, on: open) == 90)
        }
        #expect(peer.received(on: 1).count == 90)
        #expect(peer.received(on: 3).count == 4500)
        // Byte by byte nothing comes of it, until there is room for a whole event.
        for _ in 0..<79 {
            peer.give(.windowUpdate(1, 1))
            #expect(peer.session.takeUnblocked().isEmpty)
        }
        peer.give(.windowUpdate(1, 1))
        #expect(peer.session.takeUnblocked().map(\.id) == [1])
        #expect(peer.send(event, on: shut) == 90)
    }

    @Test("GOAWAY lets the streams that are there go on, and takes no new one")
    func goAway() throws {
        let peer = try Peer()
        peer.give(.request(1))
        let stream = try #require(peer.completed.first)
        #expect(peer.session.open(stream, status: 200, Self.events))
        peer.session.goAway()
        peer.take()
        #expect(peer.goAway == 0)
        peer.give(.request(3))
        #expect(peer.completed.count == 1)
        #expect(peer.send([1, 2, 3], on: stream) == 3)
        peer.session.end(stream)
        peer.take()
        #expect(peer.received(on: 1) == [1, 2, 3])
        #expect(peer.closed.map(\.id) == [1])
    }

    // MARK: S28

    struct Flood: CustomTestStringConvertible, Sendable {
        var overrun: HTTP2Overrun
        /// The frames of one round.
        var frames: @Sendable (UInt32) -> [RawFrame]

        var testDescription: String { self.overrun.rawValue }
    }

    private static let floods = [
        Flood(overrun: .resets) { [.request($0 * 2 + 1), .reset($0 * 2 + 1)] },
        Flood(overrun: .settings) { _ in [.settings([(4, 65_535)])] },
        Flood(overrun: .pings) { _ in [.ping] },
        Flood(overrun: .priorities) { [.priority($0 * 2 + 1)] },
        Flood(overrun: .windowUpdates) { _ in [.windowUpdate(0, 1)] },
        Flood(overrun: .emptyData) { number in
            number == 0 ? [.request(1, "POST", endsStream: false)] : [.data(1, [])]
        },
        Flood(overrun: .unknown) { _ in [RawFrame(kind: 200, payload: [1])] },
    ]

    @Test("S28: a flood of frames ends the connection with ENHANCE_YOUR_CALM, and says which", arguments: Self.floods)
    func flood(_ flood: Flood) throws {
        let peer = try Peer()
        var rounds: UInt32 = 0
        while peer.isAlive, rounds < 1000 {
            peer.give(flood.frames(rounds).flatMap(\.bytes))
            rounds += 1
        }
        #expect(!peer.isAlive)
        #expect(rounds > 50 && rounds < 210, "\(rounds) rounds")
        #expect(peer.session.overrun == flood.overrun)
        #expect(peer.goAway == 11)
    }

    @Test("S28: the same frames at a client's own pace are taken", arguments: Self.floods)
    func slowly(_ flood: Flood) throws {
        let peer = try Peer()
        for number in 0..<500 {
            peer.now += 120_000_000
            peer.give(flood.frames(UInt32(number)).flatMap(\.bytes))
        }
        #expect(peer.isAlive, "\(String(describing: peer.session.overrun))")
    }

    @Test("S28: ten thousand streams opened are never more than are allowed")
    func manyStreams() throws {
        let peer = try Peer()
        var most = 0
        for number in 0..<UInt32(10_000) where peer.isAlive {
            peer.give(.request(number * 2 + 1, "POST", endsStream: false))
            most = max(most, peer.session.streams.count)
        }
        #expect(most <= 256)
        #expect(peer.session.overrun == .resets)
        #expect(peer.goAway == 11)
    }

    @Test("S28: a header block in too many frames ends the connection")
    func continuations() throws {
        let peer = try Peer()
        var head = RawFrame.request(1)
        head.flags = RawFrame.endStream
        peer.give(head)
        var count = 0
        while peer.isAlive, count < 1000 {
            peer.give(RawFrame(kind: RawFrame.Kind.continuation, stream: 1, payload: RawFrame.literal("x", "y")))
            count += 1
        }
        #expect(!peer.isAlive)
        #expect(count <= 20)
        #expect(peer.completed.isEmpty)
    }

    @Test("S28: a few bytes that unpack to megabytes of fields are told to be too large, and are not kept")
    func hpackBomb() throws {
        let peer = try Peer()
        var head = RawFrame.request(1)
        // An entry of the dynamic table with 4,000 bytes, and 10,000 mentions of it in one byte each.
        head.payload += [0x40] + RawFrame.text("x") + RawFrame.text(String(repeating: "y", count: 4000))
        head.payload += [UInt8](repeating: 0xBE, count: 10_000)
        peer.give(head)
        guard let stream = peer.completed.first else {
            #expect(!peer.isAlive || peer.sent.contains { $0.kind == RawFrame.Kind.reset })
            return
        }
        #expect(stream.head.isTooLarge)
        #expect(stream.head.fields.reduce(0) { $0 + $1.value.count } <= 16 << 10)
    }

    @Test("S28: bodies of all streams together are bounded")
    func bodies() throws {
        var limits = HTTP2Limits()
        limits.maxBodyBytes = 100_000
        let peer = try Peer(limits, bodyLimit: 1 << 20)
        var number: UInt32 = 0
        while peer.isAlive, number < 100 {
            peer.give(.request(number * 2 + 1, "POST", endsStream: false))
            peer.give(.data(number * 2 + 1, [UInt8](repeating: 1, count: 10_000)))
            number += 1
        }
        #expect(number <= 12)
        #expect(peer.session.overrun == .bodies)
        #expect(peer.goAway == 11)
    }

    @Test("bytes that were changed anywhere end the connection at worst")
    func changedBytes() throws {
        var random = SystemRandomNumberGenerator()
        let whole =
            RawFrame.request(1, "POST", "/x", [("a", "b")], endsStream: false).bytes
            + RawFrame.data(1, [1, 2, 3], endsStream: true).bytes + RawFrame.ping.bytes
            + RawFrame.windowUpdate(0, 9).bytes
        for _ in 0..<3000 {
            let peer = try Peer()
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            peer.give(bytes)
            for stream in peer.completed { peer.session.answer(stream, status: 200, [], body: [1], now: 0) }
            peer.take()
            #expect(peer.completed.count <= 1)
        }
    }
}
