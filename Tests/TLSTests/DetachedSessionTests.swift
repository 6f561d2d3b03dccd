import FreshetTesting
import Testing

@testable import TLS

/// A session that was detached after a handshake, with a client of OpenSSL at the other end.
final class DetachedPair {
    let client: TLSClientSession
    let workspace: TLSWorkspace
    private var server: DetachedSession
    var seconds: Int32 = 0

    /// `before`: what goes either way before the session is detached.
    init(_ options: TLSClientOptions, records: UInt64? = nil, before: [Int] = []) throws {
        let context = try TLSContext([TestCertificate("a").identity], recordsPerKey: records, detaches: true)
        let pair = try SessionPair(context, options)
        _ = try pair.exchange()
        for count in before {
            try pair.client.write([UInt8](repeating: 1, count: count))
            _ = try pair.exchange()
            #expect(pair.seal([UInt8](repeating: 2, count: count)))
            #expect(try pair.exchange().count == count)
        }
        self.client = pair.client
        self.workspace = pair.workspace
        self.server = try pair.server.detached()
        #expect(!pair.seal([1]), "a session that was detached seals nothing")
        #expect(!pair.server.isDetached())
    }

    func seal(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { self.server.seal($0, with: self.workspace) } }

    func give(_ bytes: [UInt8]) -> DetachedInput {
        bytes.withUnsafeBytes { self.server.receive($0, with: self.workspace, seconds: self.seconds) }
    }

    func close() { self.server.close(with: self.workspace) }

    func takeSealed() -> [UInt8] { self.workspace.takeSealed { Array($0) } }

    /// What the client reads of what was sealed.
    func read() throws -> [UInt8] {
        self.client.feed(self.takeSealed())
        return try self.client.read().bytes
    }
}

extension TLSSession {
    /// Detaches the session, and lets it go.
    func isDetached() -> Bool { self.detach() != nil }

    func detached() throws -> DetachedSession {
        guard let session = self.detach() else { throw TestingError(.missing, "not detached") }
        return session
    }
}

@Suite("Detached session")
struct DetachedSessionTests {
    private static let suites = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]

    @Test(
        "OpenSSL reads what is sealed after any number of records, and is read",
        arguments: Self.suites,
        [[], [1], [100, 1, 40_000, 16_384], [Int](repeating: 3, count: 300)]
    )
    func bothWays(suite: String, before: [Int]) throws {
        let count = DetachedSession.count
        do {
            let pair = try DetachedPair(TLSClientOptions(suites: suite), before: before)
            #expect(DetachedSession.count == count + 1)
            for size in [0, 1, 15, 16, 17, 200, 16_384] {
                let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
                #expect(pair.seal(bytes))
                #expect(try pair.read() == bytes)
                try pair.client.write(bytes)
                #expect(pair.give(pair.client.takeOutput()) == .open(count: size == 0 ? 0 : size + 1))
            }
            #expect(!pair.seal([UInt8](repeating: 0, count: 16_385)), "a record holds no more")
            #expect(!pair.seal([1]), "after a failure nothing is sealed")
        }
        #expect(DetachedSession.count == count)
    }

    @Test("what is not known for certain is not detached")
    func refusals() throws {
        let certificate = try TestCertificate("a").identity
        func open(
            _ options: TLSClientOptions = TLSClientOptions(),
            detaches: Bool = true,
            records: UInt64? = nil
        ) throws -> SessionPair {
            let pair = try SessionPair(
                TLSContext([certificate], recordsPerKey: records, detaches: detaches),
                options
            )
            #expect(!pair.server.isDetached(), "hands are not shaken")
            _ = try pair.exchange()
            #expect(pair.state == .open)
            return pair
        }
        /// The session goes on as it is.
        func holds(_ pair: SessionPair) throws {
            #expect(!pair.server.isDetached())
            #expect(pair.seal([7]))
            #expect(try pair.exchange() == [7])
        }
        try holds(open(TLSClientOptions(isTLS13: false)))
        try holds(open(TLSClientOptions(suites: "TLS_CHACHA20_POLY1305_SHA256")))
        try holds(open(detaches: false))
        for asksForOne in [true, false] {
            let updated = try open()
            try updated.client.updateKey(asksForOne: asksForOne)
            _ = try updated.exchange()
            try holds(updated)
        }
        let worn = try open(records: 2)
        for _ in 0..<3 { #expect(worn.seal([1])) }
        _ = try worn.exchange()
        try holds(worn)
        let ended = try open()
        ended.client.close()
        #expect(ended.give(ended.client.takeOutput()) == .closed)
        #expect(!ended.server.isDetached())
        let broken = try open()
        broken.give([UInt8](repeating: 9, count: 30))
        #expect(!broken.server.isDetached())
    }

    @Test(
        "the beginning of a record inside of OpenSSL is in the way until the record is whole",
        arguments: [1, 4, 5, 6, 20]
    )
    func leftover(count: Int) throws {
        let context = try TLSContext([TestCertificate("a").identity], detaches: true)
        let pair = try SessionPair(context)
        _ = try pair.exchange()
        try pair.client.write([1, 2, 3])
        let record = pair.client.takeOutput()
        pair.give(Array(record[..<count]))
        #expect(!pair.server.isDetached())
        pair.give(Array(record[count...]))
        #expect(pair.received == [1, 2, 3])
        var detached = try pair.server.detached()
        try pair.client.write([4])
        let next = pair.client.takeOutput()
        let input = next.withUnsafeBytes { detached.receive($0, with: pair.workspace, seconds: 0) }
        #expect(input == .open(count: 2))
    }

    @Test("a client's certificate has to have a subject that was told")
    func clientCertificate() throws {
        let authority = try TestCertificate("authority")
        let context = try TLSContext(
            [TestCertificate("a").identity],
            clientAuthorities: Array(authority.chain.utf8),
            detaches: true
        )
        let named = try SessionPair(context, TLSClientOptions(identity: TestCertificate("backend", by: authority)))
        _ = try named.exchange()
        #expect(named.server.isDetached())
        let nameless = try SessionPair(context, TLSClientOptions(identity: TestCertificate("", by: authority)))
        _ = try nameless.exchange()
        #expect(nameless.state == .open)
        #expect(nameless.server.clientSubject == nil)
        #expect(!nameless.server.isDetached())
    }

    @Test("the end is said once, nothing follows it, and the client's end is heard")
    func ends() throws {
        let pair = try DetachedPair(TLSClientOptions())
        pair.close()
        pair.client.feed(pair.takeSealed())
        #expect(try pair.client.read().isAtEnd)
        pair.close()
        #expect(!pair.seal([1]))
        #expect(pair.takeSealed().isEmpty)
        let other = try DetachedPair(TLSClientOptions())
        try other.client.write([1])
        other.client.close()
        #expect(other.give(other.client.takeOutput()) == .closed)
    }

    @Test("our key is changed before it is worn out, and the client reads on", arguments: Self.suites)
    func ownKeyUpdate(suite: String) throws {
        let pair = try DetachedPair(TLSClientOptions(suites: suite), records: 10, before: [1, 1, 1])
        for number in 0..<200 {
            #expect(pair.seal([UInt8(number)]))
            #expect(try pair.read() == [UInt8(number)])
        }
        #expect(pair.workspace.takeKeyUpdates().own == 20)
    }

    @Test("a client's KeyUpdates are answered, sixteen a minute", arguments: Self.suites)
    func keyUpdates(suite: String) throws {
        let pair = try DetachedPair(TLSClientOptions(suites: suite))
        for minute in 0..<3 {
            pair.seconds = Int32(minute * 60)
            for number in 0..<16 {
                try pair.client.updateKey(asksForOne: number % 2 == 0)
                try pair.client.write([1])
                #expect(pair.give(pair.client.takeOutput()) == .open(count: 2))
                #expect(pair.seal([UInt8(number)]))
                #expect(try pair.read() == [UInt8(number)])
            }
        }
        let updates = pair.workspace.takeKeyUpdates()
        #expect(updates.heard == 48)
        #expect(updates.own == 24)
        try pair.client.updateKey(asksForOne: false)
        #expect(pair.give(pair.client.takeOutput()) == .flooded)
        #expect(!pair.seal([1]))
    }

    @Test("many requests for a KeyUpdate are answered by one, before the next record")
    func coalesced() throws {
        let pair = try DetachedPair(TLSClientOptions())
        for _ in 0..<16 {
            try pair.client.updateKey(asksForOne: true)
            #expect(pair.give(pair.client.takeOutput()) == .open(count: 0))
        }
        #expect(pair.takeSealed().isEmpty)
        #expect(pair.seal([1]))
        #expect(pair.workspace.takeKeyUpdates().own == 1)
        #expect(try pair.read() == [1])
    }

    @Test("what a client sends is read in whatever pieces it comes", arguments: [1, 2, 3, 7, 100, 10_000])
    func pieces(step: Int) throws {
        let pair = try DetachedPair(TLSClientOptions())
        for count in [1, 20, 16_384, 20_000] {
            try pair.client.write([UInt8](repeating: 3, count: count))
            if count == 20 { try pair.client.updateKey(asksForOne: true) }
            var (rest, total) = (pair.client.takeOutput()[...], 0)
            while !rest.isEmpty {
                guard case .open(let more) = pair.give(Array(rest.prefix(step))) else {
                    Issue.record("refused")
                    return
                }
                total += more
                rest = rest.dropFirst(step)
            }
            #expect(total == count + (count > 16_384 ? 2 : 1))
        }
    }

    @Test("a record that was changed, left out or repeated ends the session, with an alert that the client reads")
    func changedRecords() throws {
        var random = SystemRandomNumberGenerator()
        for kind in 0..<60 {
            let pair = try DetachedPair(TLSClientOptions())
            try pair.client.write([UInt8](repeating: 1, count: 40))
            var record = pair.client.takeOutput()
            switch kind % 3 {
            case 0:
                record[Int.random(in: 5..<record.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
            case 1:
                try pair.client.write([2])
                record = pair.client.takeOutput()
            case _:
                #expect(pair.give(record) == .open(count: 41))
            }
            #expect(pair.give(record) == .failed)
            #expect(pair.give(record) == .failed, "a failure is final")
            #expect(!pair.seal([1]))
            #expect(throws: (any Error).self) { _ = try pair.read() }
            #expect(pair.client.text.contains("bad record mac"))
        }
    }

    @Test(
        "bytes that are no record end the session before they are kept",
        arguments: [
            [23, 3, 3, 0x41, 1], [23, 3, 3, 0, 16], [23, 3, 1, 0, 40], [22, 3, 3, 0, 40], [20, 3, 3, 0, 1],
            [0, 0, 0, 0, 0],
        ]
    )
    func noRecords(header: [UInt8]) throws {
        for cut in 0..<5 {
            let pair = try DetachedPair(TLSClientOptions())
            #expect(pair.give(Array(header[..<cut])) == .open(count: 0))
            #expect(pair.give(Array(header[cut...])) == .failed)
            #expect(throws: (any Error).self) { _ = try pair.read() }
        }
    }
}
