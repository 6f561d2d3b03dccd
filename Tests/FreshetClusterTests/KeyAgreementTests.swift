// How nodes come to one key of tickets, and what they say of tickets.

import FreshetCluster
import FreshetCore
import Testing

@Suite("Cluster tickets")
struct ClusterTicketTests {
    private static func key(_ byte: UInt8) -> [UInt8] { Array(repeating: byte, count: KeyAgreement.keyBytes) }

    private static func time(_ seconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: seconds * 1_000_000_000) }

    /// The record that a node with this key writes where there is none.
    private static func record(_ byte: UInt8) -> [UInt8]? {
        var agreement = KeyAgreement(own: self.key(byte))
        _ = agreement.timePassed(now: self.time(0))
        guard case .publish(let record) = agreement.answered(.success(nil), now: self.time(0)) else { return nil }
        return record
    }

    private static func message(_ payload: [UInt8]) -> Result<StoredMessage?, StreamFailure> {
        .success(StoredMessage(sequence: 1, subject: "fr.ticket-key", payload: payload))
    }

    @Test("the first node's key becomes that of all")
    func first() throws {
        var agreement = KeyAgreement(own: Self.key(1))
        #expect(agreement.timePassed(now: Self.time(0)) == .ask)
        #expect(agreement.timePassed(now: Self.time(9)) == nil, "it is being asked")
        let record = try #require(Self.record(1))
        #expect(agreement.answered(.success(nil), now: Self.time(9)) == .publish(record))
        #expect(agreement.published(.stored(sequence: 1, count: 1), now: Self.time(9)) == .adopt(Self.key(1)))
        // It looks again from time to time, and writes it again where the broker has removed it.
        #expect(agreement.timePassed(now: Self.time(68)) == nil)
        #expect(agreement.timePassed(now: Self.time(69)) == .ask)
        #expect(agreement.answered(Self.message(record), now: Self.time(69)) == nil)
        #expect(agreement.timePassed(now: Self.time(200)) == .ask)
        #expect(agreement.answered(.success(nil), now: Self.time(200)) == .publish(record))
    }

    @Test("another node takes it, also where both were about to write theirs, and writes it again as it is")
    func second() throws {
        let record = try #require(Self.record(1))
        var agreement = KeyAgreement(own: Self.key(2))
        #expect(agreement.timePassed(now: Self.time(0)) == .ask)
        let own = try #require(Self.record(2))
        #expect(agreement.answered(.success(nil), now: Self.time(0)) == .publish(own))
        #expect(agreement.published(.refused(.fenced), now: Self.time(0)) == .ask)
        #expect(agreement.answered(Self.message(record), now: Self.time(0)) == .adopt(Self.key(1)))
        #expect(agreement.timePassed(now: Self.time(60)) == .ask)
        #expect(agreement.answered(.success(nil), now: Self.time(60)) == .publish(record))
        #expect(!"\(agreement)".contains("1, 1") && "\(agreement)" == "(redacted)")
    }

    @Test("what fails is tried again, and what is no key is not taken")
    func failures() {
        var agreement = KeyAgreement(own: Self.key(1))
        #expect(agreement.timePassed(now: Self.time(0)) == .ask)
        #expect(agreement.answered(.failure(StreamFailure(.timedOut, "")), now: Self.time(0)) == nil)
        #expect(agreement.timePassed(now: Self.time(0)) == nil)
        #expect(agreement.timePassed(now: Self.time(1)) == .ask)
        #expect(agreement.answered(.success(nil), now: Self.time(1)) != nil)
        #expect(agreement.published(.unknown(""), now: Self.time(1)) == nil)
        #expect(agreement.timePassed(now: Self.time(2)) == .ask)
        for payload in [[], [1], [1, 2, 0, 0, 0, 7, 7], Array((Self.record(1) ?? []).dropLast())] as [[UInt8]] {
            var other = agreement
            #expect(other.answered(Self.message(payload), now: Self.time(2)) == nil)
        }
    }

    @Test("a ticket's messages name it, and are not heard by who has sent them")
    func messages() throws {
        let ticket = Fingerprint(first: 7, second: .max)
        let subjects = ClusterSubjects(prefix: "fr")
        for topic in [
            ClusterSubjects.Topic.ticketUsed(ticket), .ticketResumed(ticket), .ticketRevoked(ticket), .ticketKey,
        ] { #expect(subjects.topic(of: subjects.subject(of: topic)) == topic) }
        for subject in ["fr.ticket-used.7", "fr.ticket-used.\(String(repeating: "g", count: 32))", "fr.ticket-used"] {
            #expect(subjects.topic(of: subject) == nil)
        }
        let record = TicketRecord(incarnation: Incarnation(rawValue: 9))
        #expect(TicketRecord(record.encoded) == record)
        for count in 0..<record.encoded.count { #expect(TicketRecord(Array(record.encoded.prefix(count))) == nil) }
    }
}
