// How often the paths that are taken most ask for memory. A figure may fall and may not rise.

import CAllocations
import CLinux
import FreshetCore
import FreshetStreaming
import FreshetTesting
import Glibc
import JSON
import System
import Testing

@testable import FreshetUpstream
@testable import freshet

/// The gates, each with the calls of malloc, calloc and realloc that its operation may make in a debug build, in which
/// `make test` runs. When a change lowers one, lower it here.
private enum AllocationGate: Int {
    /// `Hub.publish` of a small change, and all that the shard does to send it to 1,000 subscribers that are live.
    case publishToThousand = 175
    /// `GET /v1/values/{source}` on a connection that is kept, from the request's first byte to the answer's last.
    case smallGET = 590
    /// A conditional poll over a connection that is kept, answered 304: libcurl's own calls and the reading of its head.
    case notModified = 60
}

@Suite(
    "Allocations",
    .serialized,
    .enabled(if: callocations_process_count() > 0, "sanitizers bring an allocator of their own")
)
struct AllocationTests {
    /// The fewest calls that one of `rounds` makes, each of which returns how many calls are the test's own. The fewest,
    /// since timers and other threads of the process may ask for memory meanwhile.
    private static func fewest(rounds: Int, _ round: (Int) throws -> UInt64) rethrows -> Int {
        var fewest = UInt64.max
        for number in 0..<rounds {
            let before = callocations_process_count()
            let own = try round(number)
            fewest = min(fewest, callocations_process_count() - before - own)
        }
        return Int(fewest)
    }

    /// The calls that this thread makes in `body`.
    private static func own(_ body: () throws -> Void) rethrows -> UInt64 {
        let before = callocations_count()
        try body()
        return callocations_count() - before
    }

    private func gateway() async throws -> (gateway: EmbeddedGateway, source: SourceID) {
        // Nothing is polled: values are published.
        let upstream = try ScriptedUpstream()
        upstream.on("*") { _ in [.stall] }
        let gateway = try await EmbeddedGateway(
            "sources: { rates: { url: '\(upstream.url("/"))', interval: 1h, timeout: 1h } }",
            in: TemporaryFolder()
        )
        return (gateway, try #require(gateway.composition.hub.source(named: "rates")))
    }

    private func publish(_ number: Int, of source: SourceID, to hub: Hub) throws {
        let patch = #"[{"op":"replace","path":"/n","value":\#(number)}]"#
        let change = Change(
            document: try Document(parsing: Array(#"{"n":\#(number),"and":"more than the patch"}"#.utf8)),
            patch: Array(patch.utf8),
            at: WallTime(milliseconds: 1000)
        )
        hub.publish(change, of: source)
    }

    @Test("a publish to 1,000 live subscribers")
    func publish() async throws {
        let (gateway, source) = try await self.gateway()
        let (hub, streams) = (gateway.composition.hub, gateway.composition.streams)
        try self.publish(0, of: source, to: hub)
        var clients: [BlockingClient] = []
        for _ in 0..<1000 {
            let (client, server) = try BlockingClient.pair()
            guard case .admitted(let ticket) = streams.admit(.local) else {
                Issue.record("no place")
                return
            }
            clients.append(client)
            streams.adopt(
                StreamHandover(
                    connection: Socket(descriptor: server),
                    sources: [source],
                    format: StreamFormat(),
                    position: .snapshot,
                    head: Array("HTTP/1.1 200 OK\r\n\r\n".utf8),
                    framing: .chunked,
                    ticket: ticket
                )
            )
        }
        for client in clients { try client.read(until: #""n":0,"#) }
        let calls = try Self.fewest(rounds: 20) { round in
            try self.publish(round + 1, of: source, to: hub)
            // All that follows on this thread is the reading of what was sent.
            return try Self.own { for client in clients { try client.read(until: #""value":\#(round + 1)}"#) } }
        }
        self.hold(.publishToThousand, calls)
        try await gateway.end()
    }

    @Test("a small GET")
    func get() async throws {
        let (gateway, source) = try await self.gateway()
        try self.publish(0, of: source, to: gateway.composition.hub)
        guard case .tcp(_, let port) = gateway.endpoint else {
            Issue.record("not on a port")
            return
        }
        let client = try BlockingClient(port: port)
        let request = Array("GET /v1/values/rates HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)
        let calls = try Self.fewest(rounds: 200) { _ in
            try Self.own {
                try client.send(request)
                try client.read(until: "more than the patch\"}")
            }
        }
        self.hold(.smallGET, calls)
        try await gateway.end()
    }

    @Test("a poll that is answered 304")
    func notModified() throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/", respond: .status(304, headers: ["ETag": "\"1\""]))
        let reactor = try Reactor(wakeUp: WakeUp())
        let transport = try CurlTransport(reactor: reactor, configuration: CurlTransport.Configuration())
        let source = SourceConfiguration(name: "rates", url: upstream.url("/"))
        let exchange = ExchangeID(rawValue: 1)
        try transport.add(exchange, url: UpstreamURL(source.url), configuration: ExchangeConfiguration(source))
        let request = ExchangeRequest(PollRequest(validators: Validators(etag: Array("\"1\"".utf8))), of: source)
        var fewest = UInt64.max
        func now() -> MonotonicTime { MonotonicTime(nanoseconds: clinux_monotonic_ns()) }
        for _ in 0..<50 {
            var status: Int?
            // The upstream answers on threads of its own, whose calls do not count.
            let calls = Self.own {
                transport.start(exchange, request, now: now())
                while true {
                    // What the timer does may end the exchange: it comes before the look at what has ended.
                    if transport.deadline <= now() { transport.timerFired(now: now()) }
                    if let end = transport.takeCompletions(now: now()).first {
                        status = try? end.result.get().status
                        break
                    }
                    reactor.wait(
                        until: transport.deadline,
                        now: now(),
                        ready: { transport.socketReady($0, $1) },
                        disturbed: { transport.socketDisturbed($0) }
                    )
                }
            }
            try #require(status == 304)
            fewest = min(fewest, calls)
        }
        transport.remove(exchange)
        self.hold(.notModified, Int(fewest))
    }

    private func hold(_ gate: AllocationGate, _ calls: Int) {
        #expect(calls <= gate.rawValue, "\(gate): \(calls) calls, \(gate.rawValue) are the most")
        // A gate that is far above what it holds would let a regression pass.
        #expect(
            calls * 10 >= gate.rawValue * 6,
            "\(gate): \(calls) calls are well below \(gate.rawValue): lower the gate"
        )
    }
}

/// A client that reads without asking for memory.
private final class BlockingClient {
    private let descriptor: Int32
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

    struct Failure: Error {
        var what: String
    }

    private init(descriptor: Int32) {
        self.descriptor = descriptor
        var patience = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit {
        self.buffer.deallocate()
        _ = clinux_close(self.descriptor)
    }

    /// A client, and the server's end of its connection, which is the caller's.
    static func pair() throws -> (client: BlockingClient, server: Int32) {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw Failure(what: "no pair of sockets: \(errno)")
        }
        _ = clinux_set_nonblocking(ends[1], 1)
        return (BlockingClient(descriptor: ends[0]), ends[1])
    }

    convenience init(port: UInt16) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(what: "no socket: \(errno)") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        self.init(descriptor: descriptor)
        guard connected == 0 else { throw Failure(what: "not connected: \(errno)") }
    }

    func send(_ bytes: [UInt8]) throws {
        guard Glibc.send(self.descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw Failure(what: "not sent: \(errno)")
        }
    }

    /// Reads until `text` has come.
    func read(until text: String) throws {
        var count = 0
        var text = text
        try text.withUTF8 { wanted in
            while true {
                let free = UnsafeMutableRawBufferPointer(rebasing: self.buffer[count...])
                let received = recv(self.descriptor, free.baseAddress, free.count, 0)
                guard received > 0 else { throw Failure(what: "the stream ends, or nothing comes: \(errno)") }
                count += received
                if self.holds(UnsafeRawBufferPointer(wanted), among: count) { return }
            }
        }
    }

    private func holds(_ wanted: UnsafeRawBufferPointer, among count: Int) -> Bool {
        guard let start = self.buffer.baseAddress, let first = wanted.first, let text = wanted.baseAddress else {
            return false
        }
        var offset = 0
        while offset + wanted.count <= count {
            guard let found = memchr(start + offset, Int32(first), count - offset - wanted.count + 1) else {
                return false
            }
            if memcmp(found, text, wanted.count) == 0 { return true }
            offset = UnsafeMutableRawPointer(found) - start + 1
        }
        return false
    }
}
