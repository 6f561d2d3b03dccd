import FreshetTesting
import TLS
import Testing

/// A server's session and a client's, with nothing between them but arrays.
final class SessionPair {
    let client: TLSClientSession
    let server: TLSSession
    let workspace = TLSWorkspace()
    private(set) var received: [UInt8] = []
    private(set) var state = TLSState.handshaking

    init(_ context: TLSContext, _ options: TLSClientOptions = TLSClientOptions()) throws {
        self.client = try TLSClientSession(options)
        self.server = try #require(TLSSession(context))
    }

    /// Gives the server bytes, in pieces of `step`.
    @discardableResult
    func give(_ bytes: [UInt8], step: Int = .max) -> TLSState {
        var rest = bytes[...]
        repeat {
            let piece = Array(rest.prefix(step))
            rest = rest.dropFirst(piece.count)
            self.state = piece.withUnsafeBytes { bytes in
                self.server.receive(bytes, with: self.workspace) { self.received += Array($0) }
            }
        } while !rest.isEmpty
        return self.state
    }

    func takeSealed() -> [UInt8] { self.workspace.takeSealed { Array($0) } }

    /// Carries bytes both ways until neither side has any.
    func exchange(step: Int = .max) throws -> [UInt8] {
        var plain: [UInt8] = []
        while true {
            plain += try self.client.read().bytes
            let toServer = self.client.takeOutput()
            self.give(toServer, step: step)
            let toClient = self.takeSealed()
            if toServer.isEmpty, toClient.isEmpty { return plain }
            self.client.feed(toClient)
        }
    }

    func seal(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { self.server.seal($0, with: self.workspace) }
    }
}

@Suite("TLS session")
struct TLSSessionTests {
    private static func context(_ certificate: TestCertificate, records: UInt64? = nil) throws -> TLSContext {
        try TLSContext([certificate.identity], recordsPerKey: records)
    }

    @Test(
        "hands are shaken and bytes go both ways, whatever they come in",
        arguments: [true, false],
        [1, 3, 100, Int.max]
    )
    func bothWays(isTLS13: Bool, step: Int) throws {
        let pair = try SessionPair(Self.context(TestCertificate("a")), TLSClientOptions(isTLS13: isTLS13))
        #expect(try pair.exchange(step: step).isEmpty)
        #expect(pair.state == .open)
        #expect(pair.server.isTLS13 == isTLS13)
        let question = [UInt8](repeating: 7, count: 40_000)
        try pair.client.write(question)
        _ = try pair.exchange(step: step)
        #expect(pair.received == question)
        let answer = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
        #expect(pair.seal(answer))
        #expect(try pair.exchange() == answer)
    }

    @Test("the end is said once, and nothing is sealed after it")
    func end() throws {
        let pair = try SessionPair(Self.context(TestCertificate("a")))
        _ = try pair.exchange()
        pair.server.close(with: pair.workspace)
        let said = pair.takeSealed()
        #expect(!said.isEmpty)
        pair.server.close(with: pair.workspace)
        #expect(pair.takeSealed().isEmpty)
        pair.client.feed(said)
        #expect(try pair.client.read().isAtEnd)
        #expect(!pair.seal([1]))
    }

    @Test("the client's end leaves its answer possible")
    func clientEnd() throws {
        let pair = try SessionPair(Self.context(TestCertificate("a")))
        _ = try pair.exchange()
        try pair.client.write([1, 2])
        pair.client.close()
        #expect(pair.give(pair.client.takeOutput()) == .closed)
        #expect(pair.received == [1, 2])
        #expect(pair.seal([3]))
    }

    @Test(
        "a protocol is chosen, ours first; without one in common there is an alert",
        arguments: [
            (["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), ([], ""),
            (["spdy/3", "http/1.1"], "http/1.1"),
        ]
    )
    func protocols(offered: [String], chosen: String) throws {
        let pair = try SessionPair(Self.context(TestCertificate("a")), TLSClientOptions(protocols: offered))
        _ = try pair.exchange()
        #expect(pair.client.agreedProtocol == chosen)
        #expect(pair.server.isHTTP2 == (chosen == "h2"))
    }

    @Test("a session of a context without HTTP/2 speaks HTTP/1.1")
    func withoutHTTP2() throws {
        let context = try TLSContext([TestCertificate("a").identity], protocols: .http1)
        let pair = try SessionPair(context, TLSClientOptions(protocols: ["h2", "http/1.1"]))
        _ = try pair.exchange()
        #expect(pair.client.agreedProtocol == "http/1.1")
    }

    @Test(
        "the certificate is that of the name that is asked for",
        arguments: [
            ("a.example", "a"), ("b.example", "b"), ("x.b.example", "b"), ("x.y.b.example", "a"), ("c.example", "a"),
            (nil, "a"), ("", "a"), ("A.EXAMPLE", "a"), ("B.Example", "b"),
        ]
    )
    func serverName(asked: String?, served: String) throws {
        let a = try TestCertificate("a", alternatives: "DNS:a.example")
        let b = try TestCertificate("b", alternatives: "DNS:b.example,DNS:*.b.example")
        let context = try TLSContext([a.identity, b.identity])
        let pair = try SessionPair(context, TLSClientOptions(name: asked))
        _ = try pair.exchange()
        #expect(pair.client.serverName == served)
    }

    @Test("a session outlives the context that it was made of")
    func contextEnds() throws {
        var context: TLSContext? = try Self.context(TestCertificate("a"))
        let pair = try SessionPair(try #require(context))
        context = nil
        _ = try pair.exchange()
        #expect(pair.seal([1, 2, 3]))
        #expect(try pair.exchange() == [1, 2, 3])
    }

    @Test(
        "the subject of a client's certificate is told; a foreign one, or none, ends the handshake",
        arguments: [true, false]
    )
    func clientCertificate(isTLS13: Bool) throws {
        let (ours, theirs) = (try TestCertificate("our authority"), try TestCertificate("another"))
        let context = try TLSContext([TestCertificate("a").identity], clientAuthorities: Array(ours.chain.utf8))
        func subject(_ identity: TestCertificate?) throws -> (String?, TLSState) {
            let options = TLSClientOptions(identity: identity, isTLS13: isTLS13)
            let pair = try SessionPair(context, options)
            _ = try? pair.exchange()
            return (pair.server.clientSubject, pair.state)
        }
        #expect(try subject(TestCertificate("backend, \"x\"", by: ours)) == (#"CN=backend\, \"x\""#, .open))
        #expect(try subject(TestCertificate("Zoë", by: ours)) == ("CN=Zoë", .open))
        for identity in [try TestCertificate("backend", by: theirs), try TestCertificate("backend"), nil] {
            let (subject, state) = try subject(identity)
            #expect(subject == nil)
            guard case .failed(let failure) = state else {
                Issue.record("not refused")
                continue
            }
            #expect(failure.kind == .untrusted, "\(failure)")
        }
        let ended = try TestCertificate("backend", endingIn: -60, by: ours)
        guard case .failed(let failure) = try subject(ended).1 else {
            Issue.record("an expired one is taken")
            return
        }
        #expect(failure.kind == .untrusted)
    }

    @Test("without authorities no certificate is asked for")
    func noClientCertificate() throws {
        let own = try TestCertificate("backend")
        let pair = try SessionPair(Self.context(TestCertificate("a")), TLSClientOptions(identity: own))
        _ = try pair.exchange()
        #expect(pair.server.clientSubject == nil)
        #expect(pair.state == .open)
    }

    @Test("a key is changed before it is worn out, and the client reads on")
    func ownKeyUpdate() throws {
        let pair = try SessionPair(Self.context(TestCertificate("a"), records: 10))
        _ = try pair.exchange()
        for number in 0..<100 {
            #expect(pair.seal([UInt8(number)]))
            #expect(try pair.exchange() == [UInt8(number)])
        }
    }

    @Test("a client's KeyUpdate is answered, and so many of them are too many")
    func keyUpdates() throws {
        let pair = try SessionPair(Self.context(TestCertificate("a")), TLSClientOptions(isTLS13: true))
        _ = try pair.exchange()
        for number in 0..<16 {
            try pair.client.updateKey(asksForOne: true)
            try pair.client.write([UInt8(number)])
            _ = try pair.exchange()
            #expect(pair.seal([UInt8(number)]))
            #expect(try pair.exchange() == [UInt8(number)])
        }
        #expect(pair.received == (0..<16).map { UInt8($0) })
        try pair.client.updateKey(asksForOne: true)
        guard case .failed(let failure) = pair.give(pair.client.takeOutput()) else {
            Issue.record("the seventeenth is taken")
            return
        }
        #expect(failure.kind == .flood)
        #expect(!pair.seal([1]))
    }

    @Test("renegotiation is refused, by an alert, and the session goes on")
    func renegotiation() throws {
        let pair = try SessionPair(Self.context(TestCertificate("a")), TLSClientOptions(isTLS13: false))
        _ = try pair.exchange()
        try pair.client.renegotiate()
        #expect(pair.give(pair.client.takeOutput()) == .open)
        #expect(!pair.takeSealed().isEmpty)
        #expect(pair.seal([1]))
        #expect(pair.received.isEmpty)
    }

    @Test(
        "what is no TLS fails, and says as what",
        arguments: [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", TLSFailure.Kind.plaintext),
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", .plaintext), ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .version),
            ("\u{16}\u{3}\u{1}\0\u{4}\u{1}\0\0\0", .malformed), (String(repeating: "\0", count: 100), .version),
        ]
    )
    func plaintext(bytes: String, kind: TLSFailure.Kind) throws {
        let pair = try SessionPair(Self.context(TestCertificate("a")))
        guard case .failed(let failure) = pair.give(Array(bytes.utf8)) else {
            Issue.record("not refused")
            return
        }
        #expect(failure.kind == kind || kind == .version && failure.kind == .malformed, "\(failure)")
        #expect(pair.give(Array(bytes.utf8)) == .failed(failure), "a failure is final")
    }

    @Test("a hello or a record that was changed anywhere ends the session and nothing else", arguments: [true, false])
    func changedBytes(isTLS13: Bool) throws {
        let context = try Self.context(TestCertificate("a"))
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            let pair = try SessionPair(context, TLSClientOptions(name: "a", protocols: ["h2"], isTLS13: isTLS13))
            _ = try pair.client.read()
            var hello = pair.client.takeOutput()
            let changed = Int.random(in: hello.indices, using: &random)
            hello[changed] ^= UInt8.random(in: 1...255, using: &random)
            if Bool.random(using: &random) { hello.removeLast(Int.random(in: 0..<hello.count, using: &random)) }
            // It may be read or refused, and need more, but it ends.
            #expect(pair.give(hello) != .open)
        }
        for _ in 0..<100 {
            let pair = try SessionPair(context, TLSClientOptions(isTLS13: isTLS13))
            _ = try pair.exchange()
            try pair.client.write([UInt8](repeating: 1, count: 50))
            var record = pair.client.takeOutput()
            record[Int.random(in: 5..<record.count, using: &random)] ^= 1
            guard case .failed = pair.give(record) else {
                Issue.record("a record that was changed is taken")
                return
            }
            #expect(pair.received.isEmpty)
        }
    }
}

@Suite("TLS context")
struct TLSContextTests {
    @Test("what cannot be used is named")
    func problems() throws {
        let (a, b) = (try TestCertificate("a"), try TestCertificate("b"))
        func problem(_ identities: [TLSIdentity], authorities: String? = nil) -> TLSContextError? {
            do throws(TLSContextError) {
                _ = try TLSContext(identities, clientAuthorities: authorities.map { Array($0.utf8) })
                return nil
            } catch {
                return error
            }
        }
        #expect(problem([a.identity, b.identity]) == nil)
        let swapped = TLSIdentity(chain: a.identity.chain, key: b.identity.key)
        let mismatch = problem([b.identity, swapped])
        #expect(mismatch?.part == .key(1))
        #expect(mismatch?.what == "is not the key of the certificate")
        #expect(problem([TLSIdentity(chain: [], key: a.identity.key)])?.part == .chain(0))
        #expect(problem([TLSIdentity(chain: a.identity.chain, key: [])])?.part == .key(0))
        #expect(problem([TLSIdentity(chain: a.identity.key, key: a.identity.key)])?.part == .chain(0))
        #expect(problem([TLSIdentity(chain: a.identity.chain, key: a.identity.chain)])?.part == .key(0))
        #expect(problem([a.identity], authorities: "")?.part == .clientAuthorities)
        #expect(problem([a.identity], authorities: a.key)?.part == .clientAuthorities)
        let half = Array(a.identity.chain.prefix(a.identity.chain.count / 2))
        #expect(problem([TLSIdentity(chain: half, key: a.identity.key)])?.part == .chain(0))
        let torn = TLSIdentity(chain: a.identity.chain + half, key: a.identity.key)
        #expect(problem([torn])?.part == .chain(0), "a chain whose second certificate is cut")
        let encrypted = """
            -----BEGIN ENCRYPTED PRIVATE KEY-----
            MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjGkjYAj8vYBAICCAAw
            -----END ENCRYPTED PRIVATE KEY-----
            """
        #expect(problem([TLSIdentity(chain: a.identity.chain, key: Array(encrypted.utf8))])?.part == .key(0))
        #expect(problem(Array(repeating: a.identity, count: 65))?.part == .chain(64))
    }

    @Test("when certificates end is known")
    func expiry() throws {
        let context = try TLSContext([
            TestCertificate("a", endingIn: 3600).identity, TestCertificate("b", endingIn: -60).identity,
        ])
        #expect(context.expiries.count == 2)
        #expect(context.expiries[0] - context.expiries[1] >= 3655)
        #expect(context.expiries[0] - context.expiries[1] <= 3665)
    }

    @Test("a context without a certificate makes no session")
    func empty() throws {
        #expect(TLSSession(try TLSContext([])) == nil)
    }
}

extension TestCertificate {
    var identity: TLSIdentity { TLSIdentity(chain: Array(self.chain.utf8), key: Array(self.key.utf8)) }
}
