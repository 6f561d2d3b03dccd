// What nodes agree on and ask each other about Web Push.

import FreshetCluster
import FreshetCore
import JSON
import Testing

@Suite("Cluster: Web Push")
struct ClusterPushTests {
    private static let start = MonotonicTime(nanoseconds: 1_000_000_000)
    private static let id = PushID("0123456789abcdef0123456789abcdef")

    private static func circumstances(_ isFree: Bool?, oldBefore: UInt64 = 0) -> PushKeyAgreement.Circumstances {
        PushKeyAgreement.Circumstances(isFree: isFree, oldBefore: oldBefore)
    }

    /// The record of a key, as the node that has it writes it.
    private static func record(_ key: String) throws -> [UInt8] {
        var agreement = PushKeyAgreement(own: key)
        _ = agreement.timePassed(now: self.start)
        let action = agreement.answered(.success(nil), self.circumstances(true), now: self.start)
        guard case .publish(let record, expecting: 0) = action else { throw Failure() }
        return record
    }

    private struct Failure: Error {}

    private static func stored(_ key: String, at sequence: UInt64) throws -> Result<StoredMessage?, StreamFailure> {
        .success(StoredMessage(sequence: sequence, subject: "fr.push-key", payload: try self.record(key)))
    }

    @Test("the first key is the cluster's, and who has it sends")
    func first() throws {
        var agreement = PushKeyAgreement(own: "A")
        #expect(agreement.timePassed(now: Self.start) == .ask && !agreement.isAgreed)
        let action = agreement.answered(.success(nil), Self.circumstances(nil), now: Self.start)
        #expect(action == .publish(try Self.record("A"), expecting: 0))
        // Another one was faster, and has the same.
        #expect(agreement.published(.refused(.fenced), now: Self.start) == .ask)
        #expect(agreement.answered(try Self.stored("A", at: 4), Self.circumstances(nil), now: Self.start) == nil)
        #expect(agreement.isAgreed)
        // Before the broker removes it, it is written again.
        let later = Self.start + .seconds(60)
        #expect(agreement.timePassed(now: Self.start + .seconds(59)) == nil && agreement.timePassed(now: later) == .ask)
        let old = Self.circumstances(true, oldBefore: 5)
        let renewal = agreement.answered(try Self.stored("A", at: 4), old, now: later)
        #expect(renewal == .publish(try Self.record("A"), expecting: 4))
    }

    @Test("another key is refused while somebody has it, and is the cluster's once it is known that nobody has")
    func other() throws {
        for (isFree, expected) in [
            (false, PushKeyAgreement.Action.refuse("A")), (true, .publish(try Self.record("B"), expecting: 4)),
            (nil, nil),
        ] as [(Bool?, PushKeyAgreement.Action?)] {
            var agreement = PushKeyAgreement(own: "B")
            _ = agreement.timePassed(now: Self.start)
            let action = agreement.answered(try Self.stored("A", at: 4), Self.circumstances(isFree), now: Self.start)
            #expect(action == expected && !agreement.isAgreed)
            let again = agreement.timePassed(now: Self.start + .seconds(1))
            #expect(again == (isFree == nil ? .ask : nil))
        }
        // Who was there first stays, whatever comes.
        var agreement = PushKeyAgreement(own: "A")
        _ = agreement.timePassed(now: Self.start)
        _ = agreement.answered(try Self.stored("A", at: 4), Self.circumstances(nil), now: Self.start)
        _ = agreement.timePassed(now: Self.start + .seconds(60))
        let action = agreement.answered(try Self.stored("B", at: 9), Self.circumstances(false), now: Self.start)
        #expect(action == .publish(try Self.record("A"), expecting: 9))
    }

    @Test("calls and replies come out as they went in, and cut ones are none")
    func calls() throws {
        let id = try #require(Self.id)
        let caller = PushCall.Caller(.anonymous(.open))
        let row = PushRow(key: PushRow.key(of: id), state: [1, 2, 3])
        let calls: [PushCall] = [
            .subscribe(row, network: nil), .subscribe(row, network: ReadClient(high: 1, low: 2)),
            .unsubscribe(id, by: caller), .list(by: caller, id: nil, after: id, limit: 200),
        ]
        for call in calls.map({ ClusterCall.subscription($0) }) {
            let bytes = call.encoded(for: ClusterUnit.push)
            let decoded = try #require(ClusterCall.decoded(bytes))
            #expect(decoded.call == call && decoded.source == ClusterUnit.push)
            for count in 0..<bytes.count { #expect(ClusterCall.decoded(Array(bytes.prefix(count))) == nil) }
        }
        let long = ClusterCall.subscription(.list(by: caller, id: nil, after: nil, limit: PushCall.maxListed + 1))
        #expect(ClusterCall.decoded(long.encoded(for: ClusterUnit.push)) == nil)
        var report = PushReport(
            id: id,
            host: "https://push.example:443",
            sources: "*",
            pointer: Pointer("/a"),
            subject: "mobile",
            createdAt: WallTime(milliseconds: 1),
            expiresAt: WallTime(milliseconds: 2)
        )
        let plain = report
        report.state = .refused
        report.hasPresentKey = false
        report.waiting = 3
        report.lastDeliveredAt = WallTime(milliseconds: 5)
        report.lastFailure = "HTTP 500"
        let refusals: [PushRefusal] = [
            .endpoint("x"), .keys("y"), .expired, .taken, .full, .caller, .host, .patterns, .unavailable("z"),
        ]
        let replies: [PushReply] =
            [.subscribed(report), .ended(true), .ended(false), .list([plain, report])] + refusals.map { .refused($0) }
        for reply in replies.map({ ClusterReply.subscription($0) }) {
            #expect(ClusterReply(reply.encoded) == reply)
            for count in 0..<reply.encoded.count { #expect(ClusterReply(Array(reply.encoded.prefix(count))) == nil) }
        }
        let subjects = ClusterSubjects()
        for topic in [ClusterSubjects.Topic.push(id), .pushKey] {
            #expect(subjects.topic(of: subjects.subject(of: topic)) == topic)
        }
        #expect(subjects.topic(of: "fr.push.xyz") == nil)
    }
}
