import CLinux
import Foundation
import FreshetTesting
import Glibc
import TLS
import Testing

@testable import FreshetStreaming

/// A detached session over a socket that is soon full, with a client of OpenSSL that reads, writes and changes its keys.
private final class DetachedStream {
    let client: TLSClientSession
    let socket: DetachedSocket
    let workspace = TLSWorkspace()
    private let descriptor: Int32
    private let input: UnsafeMutableRawBufferPointer
    private(set) var read: [UInt8] = []
    var now: Int64 = 0

    init(suite: String, records: UInt64) throws {
        let certificate = try TestCertificate("streams")
        let identity = TLSIdentity(chain: Array(certificate.chain.utf8), key: Array(certificate.key.utf8))
        let context = try TLSContext([identity], recordsPerKey: records, detaches: true)
        let session = try #require(TLSSession(context))
        let (client, workspace) = (try TLSClientSession(TLSClientOptions(suites: suite)), self.workspace)
        self.client = client
        while !client.isOpen || !session.isOpen {
            _ = try client.read()
            _ = client.takeOutput().withUnsafeBytes { session.receive($0, with: workspace) { _ in } }
            client.feed(workspace.takeSealed { Array($0) })
        }
        guard let detached = session.detach() else { throw TestingError(.missing, "not detached") }
        var pair: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0 else {
            throw TestingError(.missing, "no sockets")
        }
        _ = clinux_set_send_buffer(pair[0], 4096)
        self.descriptor = pair[1]
        self.socket = DetachedSocket(
            descriptor: pair[0],
            session: detached,
            key: SlotKey(index: 0, generation: 0)
        )
        self.input = .allocate(byteCount: 64 << 10, alignment: 16)
    }

    deinit {
        _ = clinux_close(self.socket.descriptor)
        _ = clinux_close(self.descriptor)
        self.input.deallocate()
    }

    /// The client reads up to so many bytes of ciphertext.
    func receive(upTo count: Int) throws {
        let received = clinux_recv(self.descriptor, self.input.baseAddress, min(count, self.input.count))
        guard received > 0 else { return }
        self.client.feed(Array(self.input[..<received]))
        self.read += try self.client.read().bytes
    }

    func takeRead() -> [UInt8] {
        defer { self.read.removeAll(keepingCapacity: true) }
        return self.read
    }

    /// What the client wants to send goes out in pieces, and the server reads after each.
    func clientSends(step: Int) -> Int {
        var (rest, total) = (self.client.takeOutput()[...], 0)
        while !rest.isEmpty {
            let piece = Array(rest.prefix(step))
            guard clinux_send(self.descriptor, piece, piece.count) == piece.count else { return -1 }
            rest = rest.dropFirst(piece.count)
            let count = self.discard()
            guard count >= 0 else { return count }
            total += count
        }
        return total
    }

    func discard() -> Int {
        self.socket.discardInput(upTo: 1 << 20, input: self.input, with: self.workspace, now: self.now)
    }

    func send(_ bytes: ArraySlice<UInt8>) -> Int {
        bytes.withUnsafeBytes { self.socket.send($0, with: self.workspace) }
    }
}

extension StreamingTests {
    @Suite("Detached socket", .ownTransport)
    struct DetachedSocketTests {
        /// `FRESHET_RECORDS`: how many records go over one session.
        private static let records =
            ProcessInfo.processInfo.environment["FRESHET_RECORDS"].flatMap { Int($0) } ?? 3000

        @Test(
            "records are read exactly by OpenSSL, sent in parts, with keys that both sides change and a client that speaks",
            arguments: ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]
        )
        func exactly(suite: String) throws {
            let stream = try DetachedStream(suite: suite, records: 1000)
            var random = SystemRandomNumberGenerator()
            let source = (0..<(64 << 10)).map { _ in UInt8.random(in: 0...255, using: &random) }
            var (expected, partials, said) = ([UInt8](), 0, 0)
            for number in 0..<Self.records {
                // Keys change as often as they may: sixteen times a minute.
                stream.now += 100_000_000
                if number % 50 == 0 { try stream.client.updateKey(asksForOne: Bool.random(using: &random)) }
                if number % 7 == 0 {
                    try stream.client.write([UInt8](repeating: 1, count: Int.random(in: 1...30, using: &random)))
                }
                if number % 10 == 0 {
                    let count = stream.clientSends(step: Int.random(in: 1...200, using: &random))
                    #expect(count >= 0)
                    said += count
                }
                let size = number % 100 == 0 ? 40_000 : Int.random(in: 1...600, using: &random)
                let start = Int.random(in: 0..<source.count - size, using: &random)
                var left = source[start..<start + size]
                while !left.isEmpty {
                    let taken = stream.send(left)
                    guard taken >= 0 else {
                        Issue.record("broken at record \(number)")
                        return
                    }
                    expected += left.prefix(taken)
                    left = left.dropFirst(taken)
                    if !stream.socket.hasWritten { partials += 1 }
                    if !left.isEmpty || Bool.random(using: &random) {
                        try stream.receive(upTo: Int.random(in: 1...5000, using: &random))
                        #expect(stream.socket.sendRest())
                    }
                }
                if expected.count > 1 << 20 {
                    let read = stream.takeRead()
                    #expect(expected.starts(with: read))
                    expected.removeFirst(read.count)
                }
            }
            stream.socket.sayEnd(with: stream.workspace)
            while !stream.client.hasHeardEnd {
                try stream.receive(upTo: 1000)
                #expect(stream.socket.sendRest())
            }
            #expect(stream.takeRead() == expected)
            #expect(partials > Self.records / 1000)
            #expect(said > 0)
            let updates = stream.workspace.takeKeyUpdates()
            #expect(updates.heard == (Self.records + 49) / 50)
            #expect(updates.own >= Self.records / 1000)
        }

        @Test("a client that sends KeyUpdates without end is too talkative, one that says close_notify is gone")
        func input() throws {
            let stream = try DetachedStream(suite: "TLS_AES_128_GCM_SHA256", records: 1000)
            for _ in 0..<16 {
                try stream.client.updateKey(asksForOne: false)
                #expect(stream.clientSends(step: 7) == 0)
            }
            try stream.client.updateKey(asksForOne: false)
            #expect(stream.clientSends(step: 100) > 1 << 20)
            let other = try DetachedStream(suite: "TLS_AES_128_GCM_SHA256", records: 1000)
            other.client.close()
            #expect(other.clientSends(step: 5) == -1)
        }

        @Test("a client that breaks the protocol gets an alert")
        func alert() throws {
            let stream = try DetachedStream(suite: "TLS_AES_128_GCM_SHA256", records: 1000)
            try stream.client.write([1])
            _ = stream.client.takeOutput()
            try stream.client.write([2])
            #expect(stream.clientSends(step: 100) == -1)
            #expect(throws: (any Error).self) { try stream.receive(upTo: 1000) }
            #expect(stream.client.text.contains("bad record mac"))
        }
    }
}
