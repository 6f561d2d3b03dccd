import FreshetCluster
import FreshetTesting
import Glibc
import NATS
import Testing

@Suite("When NATS fails", .enabled(Needed.comment) { Needed.isThere })
struct NATSFailureTests {
    private static let isDenied: @Sendable (StreamState) -> Bool = { state in
        if case .refused(let failure) = state { failure.reason == .denied } else { false }
    }

    private static func isStored(_ outcome: PublishOutcome) -> Bool {
        if case .stored = outcome { true } else { false }
    }

    @Test("a server that is killed and comes back is read on from where the reading ended, in order and without a gap")
    func restarted() async throws {
        let server = try await NATSServer.started()
        let fixture = try await StreamFixture.connected([server])
        let reader = Reader(fixture.stream, window: 16)
        for number in 1...50 { #expect(Self.isStored(await fixture.publish("fr.a", "\(number)"))) }
        #expect(await reader.waitForMessages(50))
        let seen = fixture.states.value.count
        try await server.kill()
        #expect(await reader.waitForEnd())
        #expect(reader.seen.value.failures.first?.reason == .disconnected)
        #expect(await fixture.waitForState(after: seen) { if case .disconnected = $0 { true } else { false } })
        guard case .refused(.unavailable) = await fixture.publish("fr.a", "lost") else {
            return #expect(Bool(false), "something was published to nobody")
        }
        #expect((await fixture.facts()).failure?.reason == .unsent)
        try await server.start()
        #expect(await fixture.waitForState(after: seen) { $0 == .connected })
        reader.begin(reader.next)
        for number in 51...100 { #expect(Self.isStored(await fixture.publish("fr.a", "\(number)"))) }
        #expect(await reader.waitForMessages(100))
        #expect(reader.texts == (1...100).map { "\($0)" })
        #expect(fixture.stream.figures.connections == 2 && fixture.stream.figures.lostConnections == 1)
    }

    @Test("what was published when the server died is unknown or refused, and each callback comes once")
    func died() async throws {
        let server = try await NATSServer.started()
        let fixture = try await StreamFixture.connected([server])
        let outcomes = Watched<[PublishOutcome]>([])
        server.signal(SIGSTOP)
        for number in 0..<100 {
            let message = StreamMessage(subject: "fr.a", payload: Array("\(number)".utf8))
            fixture.stream.publish([message, message], expecting: nil) { outcome in
                outcomes.update { $0.append(outcome) }
            }
        }
        try await server.kill()
        #expect(await outcomes.wait(timeout: .patience) { $0.count == 100 ? true : nil } == true)
        #expect(!outcomes.value.contains(where: Self.isStored))
        try await server.start()
        #expect(await fixture.waitForState(after: 1) { $0 == .connected })
        #expect(Self.isStored(await fixture.publish("fr.a", "again")))
        #expect(outcomes.value.count == 100)
    }

    @Test("a server that stops answering is noticed without a word from it, and used again when it answers")
    func silent() async throws {
        let server = try await NATSServer.started()
        let fixture = try await StreamFixture.connected([server]) { settings in
            settings.connection.probeInterval = .milliseconds(200)
            settings.connection.connectTimeout = .milliseconds(500)
        }
        let seen = fixture.states.value.count
        server.signal(SIGSTOP)
        #expect(await fixture.waitForState(after: seen) { $0 == .disconnected("the broker is silent") })
        server.signal(SIGCONT)
        #expect(await fixture.waitForState(after: seen) { $0 == .connected })
        #expect(Self.isStored(await fixture.publish("fr.a", "again")))
    }

    @Test("nodes ask each other, and learn when nobody serves, and when nobody answers in time")
    func requests() async throws {
        let server = try await NATSServer.started()
        let (first, second) = try await (StreamFixture.connected([server]), StreamFixture.connected([server]))
        second.stream.serve("node.b.*") { request in
            guard request.payload != Array("silence".utf8) else { return }
            request.answer(Array("\(request.subject) \(String(decoding: request.payload, as: UTF8.self))".utf8))
        }
        // The subscription is at the broker before the answer to this is here.
        _ = await second.facts()
        #expect(await first.request("node.b.x", "hello") == .success(Array("node.b.x hello".utf8)))
        #expect(await second.request("node.b.y", "me") == .success(Array("node.b.y me".utf8)))
        let late = await first.request("node.b.x", "silence", timeout: .milliseconds(200))
        #expect(late.failure?.reason == .timedOut)
        #expect((await first.request("node.c.x", "hello")).failure?.reason == .noResponder)
        #expect((await first.request("node..x", "hello")).failure?.reason == .other)
        let heard = Watched<[String]>([])
        first.stream.serve("all") { request in
            request.answer([0x61])
            heard.update { $0.append(String(decoding: request.payload, as: UTF8.self)) }
        }
        _ = await first.facts()
        for number in 1...3 { second.stream.send("all", Array("\(number)".utf8)) }
        #expect(await heard.wait(timeout: .patience) { $0 == ["1", "2", "3"] ? true : nil } == true)
    }

    @Test("what a node serves it serves also after the server came back")
    func servedAgain() async throws {
        let server = try await NATSServer.started()
        let fixture = try await StreamFixture.connected([server])
        fixture.stream.serve("node.a") { $0.answer($0.payload) }
        let seen = fixture.states.value.count
        try await server.kill()
        #expect(await fixture.waitForState(after: seen) { $0 != .connected })
        try await server.start()
        #expect(await fixture.waitForState(after: seen) { $0 == .connected })
        #expect(await fixture.request("node.a", "x") == .success([0x78]))
    }

    @Test("wrong credentials are told as such, without the password, and the right ones connect")
    func credentials() async throws {
        let server = try await NATSServer.started(
            configuration: #"authorization { user: "gateway", password: "right" }"#
        )
        let wrong = try StreamFixture([server]) { settings in
            settings.connection.servers = ["nats://gateway:topsecret@127.0.0.1:\(server.port)"]
        }
        #expect(await wrong.waitForState(Self.isDenied))
        #expect(!"\(wrong.states.value)".contains("topsecret"))
        guard case .refused(.unavailable) = await wrong.publish("fr.a", "x") else {
            return #expect(Bool(false), "published with wrong credentials")
        }
        let right = try await StreamFixture.connected([server]) { settings in
            settings.connection.servers = ["nats://gateway:right@127.0.0.1:\(server.port)"]
        }
        #expect(Self.isStored(await right.publish("fr.a", "x")))
    }

    @Test("a file of credentials that is not there is told as such")
    func missingFile() async throws {
        let server = try await NATSServer.started()
        let fixture = try StreamFixture([server]) { $0.connection.credentialsFile = "/nonexistent/gateway.creds" }
        #expect(await fixture.waitForState(Self.isDenied))
    }

    @Test("TLS with a certificate of our own; a CA that did not sign, a foreign name and no certificate are refused")
    func tls() async throws {
        let folder = try TemporaryFolder()
        let authority = try TestCertificate("CA", alternatives: nil)
        let other = try TestCertificate("Other", alternatives: nil)
        let authorityFile = try folder.write(authority.chain, to: "ca.pem")
        let otherFile = try folder.write(other.chain, to: "other.pem")
        func files(_ name: String, _ alternatives: String) throws -> (String, String) {
            let certificate = try TestCertificate(name, alternatives: alternatives, by: authority)
            let file = try folder.write(certificate.chain, to: "\(name).pem")
            return (file, try folder.write(certificate.key, to: "\(name).key"))
        }
        let (certificate, key) = try files("broker", "DNS:localhost,IP:127.0.0.1")
        let (own, ownKey) = try files("gateway", "DNS:gateway")
        let (foreign, foreignKey) = try files("foreign", "DNS:elsewhere.example")
        func configuration(_ certificate: String, _ key: String) -> String {
            #"tls { cert_file: "\#(certificate)", key_file: "\#(key)", ca_file: "\#(authorityFile)", verify: true }"#
        }
        let server = try await NATSServer.started(configuration: configuration(certificate, key))
        let secured = try await StreamFixture.connected([server]) { settings in
            settings.connection.tls = .init(authorities: authorityFile, certificate: own, key: ownKey)
        }
        let messages = (0..<1000).map { StreamMessage(subject: "fr.a", payload: [UInt8($0 % 250)]) }
        #expect(Self.isStored(await secured.publish(messages)))
        let reader = Reader(secured.stream)
        #expect(await reader.waitForMessages(1000))
        let refused: @Sendable (StreamState) -> Bool = { if case .refused = $0 { true } else { false } }
        let untrusting = try StreamFixture([server]) { settings in
            settings.connection.tls = .init(authorities: otherFile, certificate: own, key: ownKey)
        }
        #expect(await untrusting.waitForState(refused))
        let misnamed = try await NATSServer.started(configuration: configuration(foreign, foreignKey))
        let elsewhere = try StreamFixture([misnamed]) { settings in
            settings.connection.tls = .init(authorities: authorityFile, certificate: own, key: ownKey)
        }
        #expect(await elsewhere.waitForState(refused))
        let anonymous = try StreamFixture([server]) { $0.connection.tls = .init(authorities: authorityFile) }
        #expect(await anonymous.waitForState { if case .connected = $0 { false } else { true } })
    }

    @Test("a stream that is deleted is told as such, and made again")
    func deleted() async throws {
        let server = try await NATSServer.started()
        let fixture = try await StreamFixture.connected([server])
        #expect(Self.isStored(await fixture.publish("fr.a", "1")))
        let created = try await fixture.facts().get().created
        let reader = Reader(fixture.stream)
        #expect(await reader.waitForMessages(1))
        let seen = fixture.states.value.count
        _ = await fixture.request("$JS.API.STREAM.DELETE.freshet", "")
        #expect(await reader.waitForEnd())
        #expect(await fixture.waitForState(after: seen) { if case .noStream = $0 { true } else { false } })
        #expect(await fixture.waitForState(after: seen) { $0 == .connected })
        #expect(await fixture.publish("fr.a", "1") == .stored(sequence: 1, count: 1))
        #expect(try await fixture.facts().get().created != created)
    }

    @Test("a stream that somebody made otherwise is told as such and left alone")
    func foreign() async throws {
        let server = try await NATSServer.started()
        let first = try await StreamFixture.connected([server]) {
            $0.stream = "other"; $0.prefix = "zz"
        }
        _ = await first.request("$JS.API.STREAM.CREATE.freshet", #"{"name":"freshet","subjects":["fr.>"]}"#)
        let fixture = try StreamFixture([server])
        #expect(
            await fixture.waitForState { state in
                if case .noStream(let failure) = state { failure.message.contains("allow_atomic") } else { false }
            }
        )
        _ = await first.request("$JS.API.STREAM.DELETE.freshet", "")
        #expect(await fixture.waitForState { $0 == .connected })
    }

    @Test("after the end everything asked for fails, and each callback comes once")
    func stopped() async throws {
        let server = try await NATSServer.started()
        let fixture = try await StreamFixture.connected([server])
        let reader = Reader(fixture.stream)
        let last = Watched<[PublishOutcome]>([])
        fixture.stream.publish([StreamMessage(subject: "fr.a")], expecting: nil) { outcome in
            last.update { $0.append(outcome) }
        }
        fixture.stream.stop()
        #expect(await last.wait(timeout: .patience) { $0.count == 1 ? true : nil } == true)
        #expect(await reader.waitForEnd())
        guard case .refused(.unavailable) = await fixture.publish("fr.a", "x") else {
            return #expect(Bool(false), "published after the end")
        }
        #expect((await fixture.facts()).failure?.reason == .unsent)
        #expect((await fixture.request("node.a", "x")).failure?.reason == .unsent)
        let other = try await StreamFixture.connected([server])
        #expect(try await other.facts().get().last <= 1)
    }
}

extension Result {
    var failure: Failure? {
        if case .failure(let failure) = self { failure } else { nil }
    }
}
