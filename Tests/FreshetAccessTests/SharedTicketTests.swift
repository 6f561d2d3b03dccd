// Tickets at several gateways: issued at one, used once at any.

import Foundation
import FreshetCore
import Synchronization
import Testing

@testable import FreshetAccess

/// What stands between gateways in a test: who used what, and what was said.
private final class SharedTickets: TicketSharing {
    struct State {
        var used: Set<Fingerprint> = []
        var isReachable = true
        var resumed: [Fingerprint] = []
        var revoked: [Fingerprint] = []
    }

    let state = Mutex(State())

    func take(_ ticket: Fingerprint) async -> TicketTaking {
        self.state.withLock { state in
            guard state.isReachable else { return .unavailable }
            return state.used.insert(ticket).inserted ? .taken : .gone
        }
    }

    func resumed(_ ticket: Fingerprint) { self.state.withLock { $0.resumed.append(ticket) } }
    func revoke(_ ticket: Fingerprint) { self.state.withLock { $0.revoked.append(ticket) } }
}

@Suite("Tickets of several gateways")
struct SharedTicketTests {
    private let shared = SharedTickets()

    private func gateway(_ key: TicketKey = .random()) throws -> Authenticator {
        var configuration = AccessFixture.configuration
        configuration.keys = [APIKey(id: "mobile", secret: strongSecret(), grants: Grants(read: pattern("a,b")))]
        let clock = TestClock()
        return try Authenticator(
            configuration,
            ticketKey: key,
            ticketSharing: self.shared,
            fetch: { _ in KeyResponse(status: 404, body: []) },
            clock: { clock.now }
        )
    }

    /// Two with one key.
    private func pair() throws -> (Authenticator, Authenticator) {
        let (one, other, key) = (try self.gateway(), try self.gateway(), TicketKey.random())
        one.adopt(key)
        other.adopt(key)
        return (one, other)
    }

    private func ticket(_ gateway: Authenticator) throws -> Secret {
        let caller = try #require(try gateway.authenticateNow(Credentials(.apiKey(strongSecret())))?.get())
        return Secret(try gateway.issueTicket(for: caller, sources: "a").text)
    }

    /// What a ticket is good for, as a request finds out.
    private func use(_ ticket: Secret, at gateway: Authenticator, suffix: String? = nil) async throws -> Redemption? {
        guard await gateway.claim(ticket, suffix: suffix) else { return nil }
        return gateway.redeem(ticket, sources: try #require(SourceSelector("a")), suffix: suffix)
    }

    private func stream(_ redemption: Redemption?) throws -> TicketStream {
        switch redemption {
        case .opened(let stream), .resumed(let stream): return stream
        case .spent, .dead, .invalid, nil:
            return try #require(nil as TicketStream?, "\(String(describing: redemption))")
        }
    }

    private func isSpent(_ redemption: Redemption?) -> Bool {
        if case .spent = redemption { true } else { false }
    }

    @Test("a ticket opens one stream, at whichever gateway it comes to first, and resumes it at each")
    func once() async throws {
        let (one, other) = try self.pair()
        for issuer in [one, other] {
            let ticket = try self.ticket(issuer)
            let stream = try self.stream(try await self.use(ticket, at: other))
            #expect(stream.principal.id == "mobile")
            for gateway in [one, other] { #expect(self.isSpent(try await self.use(ticket, at: gateway))) }
            for gateway in [one, other] {
                let again = try await self.use(ticket, at: gateway, suffix: stream.suffix)
                #expect(try self.stream(again).ticket == stream.ticket)
            }
            #expect(self.shared.state.withLock { $0.resumed.suffix(2) } == [stream.ticket, stream.ticket])
        }
        #expect(one.snapshot.tickets.unused == 0 && other.snapshot.tickets.unused == 0)
    }

    @Test("it opens nothing before it is claimed, and of many that claim it at once one opens its stream")
    func race() async throws {
        let (one, other) = try self.pair()
        let ticket = try self.ticket(one)
        #expect(self.isSpent(one.redeem(ticket, sources: try #require(SourceSelector("a")), suffix: nil)))
        let opened = try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<100 {
                group.addTask {
                    if case .opened = try await self.use(ticket, at: number % 2 == 0 ? one : other) {
                        true
                    } else {
                        false
                    }
                }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(opened == 1)
    }

    @Test("where nobody can say whether it was used it opens nothing, and resumes all the same")
    func unreachable() async throws {
        let (one, other) = try self.pair()
        let ticket = try self.ticket(one)
        self.shared.state.withLock { $0.isReachable = false }
        for gateway in [one, other] { #expect(try await self.use(ticket, at: gateway) == nil) }
        self.shared.state.withLock { $0.isReachable = true }
        let stream = try self.stream(try await self.use(ticket, at: one))
        self.shared.state.withLock { $0.isReachable = false }
        #expect(try self.stream(try await self.use(ticket, at: other, suffix: stream.suffix)).ticket == stream.ticket)
    }

    @Test("one whose stream did not come about opens one at the gateway that had claimed it")
    func givenBack() async throws {
        let (one, other) = try self.pair()
        let ticket = try self.ticket(one)
        other.giveBack(try self.stream(try await self.use(ticket, at: other)))
        #expect(self.isSpent(try await self.use(ticket, at: one)))
        _ = try self.stream(try await self.use(ticket, at: other))
        #expect(self.isSpent(try await self.use(ticket, at: other)))
    }

    @Test("one that is revoked resumes nothing at any")
    func revoked() async throws {
        let (one, other) = try self.pair()
        let ticket = try self.ticket(one)
        let stream = try self.stream(try await self.use(ticket, at: one))
        one.revokeTicket(stream.ticket)
        #expect(self.shared.state.withLock { $0.revoked } == [stream.ticket])
        other.ticketRevoked(stream.ticket)
        for gateway in [one, other] {
            guard case .dead = try await self.use(ticket, at: gateway, suffix: stream.suffix) else {
                #expect(Bool(false), "it resumes")
                continue
            }
        }
        #expect(self.shared.state.withLock { $0.revoked.count } == 1)
    }

    @Test("what was sealed before the keys were one is good where it was issued, and nowhere else")
    func adoption() async throws {
        let (one, other) = (try self.gateway(), try self.gateway())
        let early = try self.ticket(one)
        let key = TicketKey.random()
        one.adopt(key)
        other.adopt(key)
        other.adopt(try #require(TicketKey(bytes: key.bytes)))
        guard case .invalid = try await self.use(early, at: other) else {
            return #expect(Bool(false), "another key has sealed it")
        }
        _ = try self.stream(try await self.use(early, at: one))
        _ = try self.stream(try await self.use(self.ticket(one), at: other))
        #expect(TicketKey(bytes: [1, 2, 3]) == nil)
    }

    @Test("the key of all is kept for the next process, readable by nobody else")
    func kept() throws {
        let folder = try TemporaryFolder()
        let path = folder.url.appending(path: "ticket.key").path
        _ = try TicketKey.persisted(at: path)
        let key = TicketKey.random()
        try key.replace(at: path)
        #expect(try TicketKey.persisted(at: path).bytes == key.bytes)
        #expect(throws: TicketKeyProblem.self) { try key.replace(at: "\(path)/none/ticket.key") }
    }
}
