import Base64
import Foundation
import FreshetCore
import Testing

@testable import FreshetAccess

@Suite("Tickets")
struct TicketTests {
    private static let grants = Grants(
        read: pattern("a,b,c-*"),
        write: pattern("a"),
        publish: pattern("b"),
        admin: true,
        parameters: ["id": "42"]
    )

    private static func fixture(
        _ key: TicketKey = .random(),
        _ change: (inout AccessConfiguration) -> Void = { _ in }
    ) throws -> AccessFixture {
        try AccessFixture(ticketKey: key) { configuration in
            configuration.keys = [APIKey(id: "mobile", secret: strongSecret(), grants: Self.grants)]
            change(&configuration)
        }
    }

    private static func principal(_ fixture: AccessFixture) throws -> Principal {
        try #require(try fixture.authenticator.authenticateNow(Credentials(.apiKey(strongSecret())))?.get())
    }

    private func redeem(
        _ fixture: AccessFixture,
        _ ticket: Ticket,
        _ sources: String = "a,b",
        suffix: String? = nil
    ) throws -> Redemption {
        fixture.authenticator.redeem(
            Secret(ticket.text),
            sources: try #require(SourceSelector(sources)),
            suffix: suffix
        )
    }

    /// The name of a redemption's case, and its stream.
    private func outcome(_ redemption: Redemption) -> (String, TicketStream?) {
        switch redemption {
        case .opened(let stream): ("opened", stream)
        case .resumed(let stream): ("resumed", stream)
        case .spent: ("spent", nil)
        case .dead: ("dead", nil)
        case .invalid: ("invalid", nil)
        }
    }

    private func name(_ redemption: Redemption) -> String { self.outcome(redemption).0 }

    @Test("a ticket opens one stream, and resumes it with an id of that stream as often as the browser likes")
    func once() throws {
        let fixture = try Self.fixture()
        let ticket = try fixture.authenticator.issueTicket(for: Self.principal(fixture), sources: "a,b")
        #expect(ticket.expiresAt.milliseconds == fixture.clock.now.milliseconds + 30_000)
        let (first, opened) = self.outcome(try self.redeem(fixture, ticket))
        let stream = try #require(opened)
        #expect(first == "opened" && stream.principal.id == "mobile" && stream.suffix.utf8.count == 22)
        #expect(stream.principal.grants == Grants(read: Self.grants.read, parameters: ["id": "42"]))
        #expect(self.name(try self.redeem(fixture, ticket)) == "spent")
        fixture.clock.advance(by: .seconds(86_400))
        for _ in 0..<100 {
            let (again, resumed) = self.outcome(try self.redeem(fixture, ticket, suffix: stream.suffix))
            #expect(again == "resumed" && resumed?.ticket == stream.ticket && resumed?.suffix == stream.suffix)
            #expect(self.name(try self.redeem(fixture, ticket)) == "spent")
        }
        let other = try fixture.authenticator.issueTicket(for: Self.principal(fixture), sources: "a,b")
        #expect(self.name(try self.redeem(fixture, other, suffix: stream.suffix)) == "opened")
        #expect(self.name(try self.redeem(fixture, other, suffix: stream.suffix)) == "spent")
        let counts = fixture.authenticator.snapshot.tickets
        #expect(counts.issued == 2 && counts.opened == 2 && counts.resumed == 100 && counts.spent == 102)
        #expect(counts.unused == 0)
    }

    @Test("of many that present one ticket at once, one opens its stream")
    func race() async throws {
        let fixture = try Self.fixture()
        let ticket = try fixture.authenticator.issueTicket(for: Self.principal(fixture), sources: "a")
        let selector = try #require(SourceSelector("a"))
        let opened = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<200 {
                group.addTask {
                    if case .opened = fixture.authenticator.redeem(Secret(ticket.text), sources: selector, suffix: nil)
                    {
                        true
                    } else {
                        false
                    }
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(opened == 1)
    }

    @Test("an unused ticket ends after ticket_ttl")
    func timeToLive() throws {
        let fixture = try Self.fixture(.random()) { $0.ticketTTL = .seconds(5) }
        let ticket = try fixture.authenticator.issueTicket(for: Self.principal(fixture), sources: "a")
        fixture.clock.advance(by: .milliseconds(4999))
        let early = try fixture.authenticator.issueTicket(for: Self.principal(fixture), sources: "a")
        #expect(self.name(try self.redeem(fixture, early, "a")) == "opened")
        fixture.clock.advance(by: .milliseconds(1))
        #expect(self.name(try self.redeem(fixture, ticket, "a")) == "spent")
    }

    @Test("it opens what it names or less, never more")
    func sources() throws {
        let fixture = try Self.fixture()
        for (named, asked, outcome) in [
            ("a,b", "a,b", "opened"), ("a,b", "b", "opened"), ("a,b", "*", "invalid"), ("a", "a,b", "invalid"),
            ("c-*", "c-1,c-2", "opened"), ("c-*", "c*", "invalid"), ("*", "*", "opened"), ("*", "zzz", "opened"),
        ] {
            let ticket = try fixture.authenticator.issueTicket(for: Self.principal(fixture), sources: named)
            #expect(self.name(try self.redeem(fixture, ticket, asked)) == outcome, "\(named) for \(asked)")
        }
    }

    @Test("after a restart an id of the stream resumes it, and the URL alone opens nothing")
    func restart() async throws {
        let key = TicketKey.random()
        let before = try Self.fixture(key)
        let claims = #","jti":"t","freshet":{"read":["a"],"write":["a"],"parameters":{"id":"7"}}"#
        let token = try before.issuer.token(before.claims(more: claims))
        for principal in [try Self.principal(before), try await before.bearer(token).get()] {
            let ticket = try before.authenticator.issueTicket(for: principal, sources: "a")
            let unused = try before.authenticator.issueTicket(for: principal, sources: "a")
            let stream = try #require(self.outcome(try self.redeem(before, ticket, "a")).1)
            let after = try Self.fixture(key)
            #expect(self.name(try self.redeem(after, unused, "a")) == "spent")
            #expect(self.name(try self.redeem(after, ticket, "a")) == "spent")
            let (name, resumed) = self.outcome(try self.redeem(after, ticket, "a", suffix: stream.suffix))
            #expect(name == "resumed" && resumed?.principal == stream.principal && resumed?.ticket == stream.ticket)
            #expect(resumed?.principal.grants.write == SourcePattern.none)
            // Another gateway, or this one without its key.
            #expect(self.name(try self.redeem(try Self.fixture(), ticket, "a", suffix: stream.suffix)) == "invalid")
        }
    }

    @Test("a ticket dies with its credential: expired, denied, removed, or its issuer's key withdrawn")
    func death() async throws {
        let folder = try TemporaryFolder()
        try folder.write("", to: "denied")
        let fixture = try Self.fixture(.random()) { $0.denyFile = folder.path("denied") }
        let token = try fixture.issuer.token(fixture.claims(more: #","jti":"t1","freshet":{"read":["a"]}"#))
        let (key, jwt) = (try Self.principal(fixture), try await fixture.bearer(token).get())
        func open(_ principal: Principal) throws -> (Ticket, String) {
            let ticket = try fixture.authenticator.issueTicket(for: principal, sources: "a")
            return (ticket, try #require(self.outcome(try self.redeem(fixture, ticket, "a")).1).suffix)
        }
        func state(_ opened: (Ticket, String)) throws -> String {
            self.name(try self.redeem(fixture, opened.0, "a", suffix: opened.1))
        }
        let (ofKey, ofToken) = (try open(key), try open(jwt))
        #expect(try state(ofKey) == "resumed" && state(ofToken) == "resumed")
        try folder.write("t1\n", to: "denied")
        fixture.clock.advance(by: .seconds(1))
        await fixture.authenticator.maintain()
        #expect(try state(ofKey) == "resumed" && state(ofToken) == "dead")
        #expect(self.name(try self.redeem(fixture, ofToken.0, "a")) == "spent")
        try folder.write("", to: "denied")
        fixture.clock.advance(by: .seconds(1))
        await fixture.authenticator.maintain()
        #expect(try state(ofToken) == "resumed")
        try fixture.authenticator.update(AccessFixture.configuration)
        #expect(try state(ofKey) == "dead" && state(ofToken) == "resumed")
        fixture.clock.advance(by: .seconds(3600))
        #expect(try state(ofToken) == "dead")
    }

    @Test("a ticket whose stream was not opened is good until its time is over, and one that is resumed is no such")
    func givenBack() throws {
        let fixture = try Self.fixture()
        let ticket = try fixture.authenticator.issueTicket(for: Self.principal(fixture), sources: "a")
        for _ in 0..<3 {
            let stream = try #require(self.outcome(try self.redeem(fixture, ticket, "a")).1)
            #expect(fixture.authenticator.snapshot.tickets.unused == 0)
            fixture.authenticator.giveBack(stream)
            fixture.authenticator.giveBack(stream)
            let counts = fixture.authenticator.snapshot.tickets
            #expect(counts.unused == 1 && counts.opened == 0)
        }
        let stream = try #require(self.outcome(try self.redeem(fixture, ticket, "a")).1)
        let resumed = try #require(self.outcome(try self.redeem(fixture, ticket, "a", suffix: stream.suffix)).1)
        fixture.authenticator.giveBack(resumed)
        #expect(self.name(try self.redeem(fixture, ticket, "a")) == "spent")
        fixture.authenticator.giveBack(stream)
        fixture.clock.advance(by: .seconds(30))
        #expect(self.name(try self.redeem(fixture, ticket, "a")) == "spent")
    }

    @Test("a ticket that was revoked resumes nothing; of very many the oldest is forgotten")
    func revoked() throws {
        let fixture = try Self.fixture()
        let tickets = try (0..<2).map { _ in
            try fixture.authenticator.issueTicket(for: Self.principal(fixture), sources: "a")
        }
        let streams = try tickets.map { try #require(self.outcome(try self.redeem(fixture, $0, "a")).1) }
        func state(_ number: Int) throws -> String {
            self.name(try self.redeem(fixture, tickets[number], "a", suffix: streams[number].suffix))
        }
        fixture.authenticator.revokeTicket(streams[0].ticket)
        fixture.authenticator.revokeTicket(streams[0].ticket)
        #expect(try state(0) == "dead" && state(1) == "resumed")
        for number in 1..<TicketLimits.maxRevoked {
            fixture.authenticator.revokeTicket(Fingerprint(first: UInt64(number), second: 0))
        }
        #expect(try state(0) == "dead")
        fixture.authenticator.revokeTicket(streams[1].ticket)
        #expect(try state(0) == "resumed" && state(1) == "dead")
    }

    @Test("S6: a token's streams and tickets end where its issuer is to name another audience")
    func audience() async throws {
        let fixture = try Self.fixture()
        let token = try fixture.issuer.token(fixture.claims(more: #","freshet":{"read":["a"]}"#))
        let principal = try await fixture.bearer(token).get()
        let ticket = try fixture.authenticator.issueTicket(for: principal, sources: "a")
        let stream = try #require(self.outcome(try self.redeem(fixture, ticket, "a")).1)
        var configuration = AccessFixture.configuration
        try fixture.authenticator.update(configuration)
        #expect(fixture.authenticator.standing(of: principal) == .valid(principal))
        configuration.issuers[0].audience = "another"
        let before = fixture.authenticator.revision
        try fixture.authenticator.update(configuration)
        #expect(fixture.authenticator.revision > before)
        // Before the keys of the issuer are at hand again.
        for known in [principal, stream.principal] {
            #expect(fixture.authenticator.standing(of: known) == .revoked)
        }
        #expect(self.name(try self.redeem(fixture, ticket, "a", suffix: stream.suffix)) == "dead")
        #expect(await fixture.refusal(token) == .audience)
    }

    @Test("what is not a ticket of this gateway is refused, whichever bit is wrong")
    func forged() throws {
        let fixture = try Self.fixture()
        let ticket = try fixture.authenticator.issueTicket(for: Self.principal(fixture), sources: "a")
        let selector = try #require(SourceSelector("a"))
        func outcome(_ text: String) -> String {
            self.name(fixture.authenticator.redeem(Secret(text), sources: selector, suffix: nil))
        }
        for text in ["", "a", "AAAA", String(repeating: "A", count: 64), String(repeating: "A", count: 1 << 20)] {
            #expect(outcome(text) == "invalid")
        }
        let bytes = try #require(Base64URL.decode(ticket.text.utf8))
        for position in bytes.indices {
            var changed = bytes
            changed[position] ^= 1 << (position % 8)
            #expect(outcome(text(changed)) == "invalid")
        }
        #expect(outcome(text(bytes.dropLast())) == "invalid")
        #expect(outcome(ticket.text) == "opened")
        #expect(!ticket.text.contains("mobile"))
    }

    @Test("wrong suffixes resume nothing")
    func wrongSuffix() throws {
        let fixture = try Self.fixture()
        let ticket = try fixture.authenticator.issueTicket(for: Self.principal(fixture), sources: "a")
        let suffix = try #require(self.outcome(try self.redeem(fixture, ticket, "a")).1).suffix
        for wrong in [
            "", String(suffix.dropLast()), suffix + "A", String(suffix.reversed()), "\(suffix)=", suffix.lowercased(),
        ] {
            #expect(self.name(try self.redeem(fixture, ticket, "a", suffix: wrong)) == "spent")
        }
    }

    @Test("one account's unused tickets are bounded, and end with their time")
    func bounds() throws {
        let fixture = try Self.fixture()
        let principal = try Self.principal(fixture)
        for _ in 0..<TicketLimits.maxUnusedPerAccount {
            _ = try fixture.authenticator.issueTicket(for: principal, sources: "a")
        }
        #expect(throws: TicketProblem.tooMany) { try fixture.authenticator.issueTicket(for: principal, sources: "a") }
        _ = try fixture.authenticator.issueTicket(for: .anonymous(Grants()), sources: "a")
        fixture.clock.advance(by: .seconds(30))
        let ticket = try fixture.authenticator.issueTicket(for: principal, sources: "a")
        #expect(fixture.authenticator.snapshot.tickets.unused == 1)
        #expect(self.name(try self.redeem(fixture, ticket, "a")) == "opened")
        let names = (0..<300).map { "a-long-name-of-a-source-\($0)" }.joined(separator: ",")
        #expect(throws: TicketProblem.tooLong) { try fixture.authenticator.issueTicket(for: principal, sources: names) }
        #expect(fixture.authenticator.snapshot.tickets.declined == 2)
    }

    @Test("an administrator's ticket ends with the process")
    func administrator() throws {
        let key = TicketKey.random()
        let fixture = try Self.fixture(key)
        let ticket = try fixture.authenticator.issueTicket(for: .administrator, sources: "*")
        let stream = try #require(self.outcome(try self.redeem(fixture, ticket, "*")).1)
        #expect(stream.principal.grants == Grants(read: .all))
        #expect(self.name(try self.redeem(fixture, ticket, "*", suffix: stream.suffix)) == "resumed")
        #expect(self.name(try self.redeem(try Self.fixture(key), ticket, "*", suffix: stream.suffix)) == "dead")
    }

    @Test("the key of tickets is made once, for its owner alone, and a file that others may read is refused")
    func keyFile() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("ticket.key")
        let ids = try (0..<2).map { _ in try TicketKey.persisted(at: path).suffix([1, 2, 3]) }
        #expect(ids[0] == ids[1] && ids[0].count == 16)
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.posixPermissions] as? Int == 0o600 && attributes[.size] as? Int == 32)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["ticket.key"])
        #expect("\(try TicketKey.persisted(at: path))" == "(redacted)")
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
        #expect(throws: TicketKeyProblem.self) { try TicketKey.persisted(at: path) }
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        try Data([1]).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        #expect(throws: TicketKeyProblem.self) { try TicketKey.persisted(at: path) }
        #expect(throws: TicketKeyProblem.self) { try TicketKey.persisted(at: folder.path("none/ticket.key")) }
    }
}
