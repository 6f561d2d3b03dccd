// Writes and idempotency keys on their way between nodes.

import FreshetCluster
import FreshetCore
import JSON
import Testing

@Suite("Cluster writes")
struct ClusterWriteCallTests {
    private static let incarnation = Incarnation(rawValue: 7)
    private static let alice = Principal(
        kind: .jwt,
        id: "alice",
        issuer: "https://id.example",
        tokenID: "t1",
        grants: Grants(read: .all, write: .all, publish: .all, admin: true)
    )

    private static func request() -> WriteRequest {
        var request = WriteRequest(.patch, source: "a.b", key: "é/1", body: Array(#"{"n":1}"#.utf8))
        request.contentType = "application/merge-patch+json"
        request.ifMatch = "\"k3f9q-7\""
        request.idempotencyKey = "k1"
        request.isMinimal = true
        request.fields = [.init(name: "x-tenant", value: "7"), .init(name: "traceparent", value: "00-1-2-01")]
        return request
    }

    private static let answer: WriteAnswer = {
        var answer = WriteAnswer(status: 200)
        answer.etag = "\"k3f9q-7\""
        answer.cursor = Cursor(epoch: Epoch(rawValue: 7), sequence: 3)
        answer.value = Array("\"\(String(repeating: "1", count: 5000))\"".utf8)
        answer.guardNote = "compared"
        answer.preference = "return=minimal"
        return answer
    }()

    private static let refusal: WriteAnswer = {
        var problem = WriteProblem.notAllowed([.put, .delete])
        problem.retryAfter = 5
        problem.add("current", json: Array(repeating: UInt8(ascii: "2"), count: 5000))
        problem.add("cursor", text: "k3f9q-7")
        return WriteAnswer(problem)
    }()

    @Test("a write comes out as it went in, and a cut one is none")
    func calls() throws {
        for request in [Self.request(), WriteRequest(.delete, source: "a.b"), WriteRequest(.post, source: "a.b")] {
            let call = ClusterCall.write(WriteCall(request, of: Self.alice, forwarding: ["x-tenant"]))
            let bytes = call.encoded(for: "a.b")
            let read = try #require(ClusterCall.decoded(bytes))
            #expect(read.source == "a.b" && read.call == call)
            for count in 0..<bytes.count { #expect(ClusterCall.decoded(Array(bytes.prefix(count))) == nil) }
            #expect(ClusterCall.decoded(bytes + [0]) == nil)
        }
    }

    @Test("the owner gets the fields that go on to the upstream, and a caller who may do this one write")
    func vouched() {
        let call = WriteCall(Self.request(), of: Self.alice, forwarding: [])
        #expect(call.request.fields.map(\.name) == ["traceparent"])
        #expect(WriteCall(Self.request(), of: Self.alice, forwarding: ["x-tenant"]).request == Self.request())
        let principal = call.principal
        #expect(principal.account == Self.alice.account && principal.tokenID == nil)
        #expect(principal.grants.write.matches("a.b") && principal.grants.read.matches("a.b"))
        #expect(!principal.grants.write.matches("a.bc") && !principal.grants.read.matches("c"))
        #expect(!principal.grants.admin && !principal.grants.publish.matches("a.b"))
        let blind = Principal(kind: .key, id: "b", grants: Grants(write: .all))
        #expect(!WriteCall(Self.request(), of: blind, forwarding: []).principal.grants.read.matches("a.b"))
    }

    @Test("an answer comes out as it went in, and without its values where a message cannot hold it")
    func answers() throws {
        for answer in [Self.answer, Self.refusal, WriteAnswer(status: 204)] {
            let reply = ClusterReply.wrote(answer)
            #expect(ClusterReply(reply.encoded) == reply)
            for count in 0..<min(reply.encoded.count, 200) {
                #expect(ClusterReply(Array(reply.encoded.prefix(count))) == nil)
            }
            #expect(reply.encoded(atMost: 100_000) == reply.encoded)
        }
        guard case .wrote(let minimal) = ClusterReply(ClusterReply.wrote(Self.answer).encoded(atMost: 4000)) else {
            return #expect(Bool(false), "not an answer")
        }
        #expect(minimal.status == 204 && minimal.value == nil)
        #expect(minimal.etag == Self.answer.etag && minimal.cursor == Self.answer.cursor)
        guard case .wrote(let brief) = ClusterReply(ClusterReply.wrote(Self.refusal).encoded(atMost: 4000)) else {
            return #expect(Bool(false), "not an answer")
        }
        #expect(brief.problem?.members.map(\.name) == ["cursor"] && brief.problem?.allowed == [.put, .delete])
    }

    @Test(
        "what was not sent or not taken was not done, and what was sent and not answered may have been",
        arguments: [
            (StreamFailure.Reason.unsent, 503), (.noResponder, 503), (.timedOut, 504), (.disconnected, 504),
            (.gone, 504), (.denied, 504), (.other, 504),
        ]
    )
    func outcomes(reason: StreamFailure.Reason, status: Int) {
        let answer = WriteAnswer(.failure(StreamFailure(reason, "x")), of: "b")
        let (code, outcome) = status == 503 ? ("not_owner", "not_applied") : ("outcome_unknown", "unknown")
        #expect(answer.status == status && answer.problem?.code == code)
        #expect(answer.problem?.members == [.init("outcome", json: Array("\"\(outcome)\"".utf8))])
        #expect(answer.problem?.retryAfter == (status == 503 ? 1 : nil))
    }

    @Test("the owner's answer is the answer; one that owns the source no more has done nothing")
    func replies() {
        #expect(WriteAnswer(.success(.wrote(Self.answer)), of: "b") == Self.answer)
        #expect(WriteAnswer(.success(.notOwner), of: "b").problem?.code == "not_owner")
        #expect(WriteAnswer(.success(.failed(.internal, "")), of: "b").problem?.code == "not_owner")
        #expect(WriteAnswer(.success(.done), of: "b").problem?.code == "outcome_unknown")
    }

    @Test("a record of a key comes out as it went in, loses its values before it is too long, and else is none")
    func keys() throws {
        let scope = IdempotencyScope(account: Self.alice.account, key: "k1")
        var exchange = WriteExchange(.put, .item("7"))
        exchange.body = Array(repeating: UInt8(ascii: "3"), count: 1000)
        let attempt = WriteAttempt(exchange: exchange, intended: Self.answer.value, creates: false)
        let states: [IdempotencyRecord.State?] = [nil, .begun, .attempted(attempt), .answered(Self.answer)]
        for state in states {
            let record = state.map {
                IdempotencyRecord(fingerprint: [1, 2], madeAt: WallTime(milliseconds: 5), state: $0)
            }
            let message = KeyRecord(incarnation: Self.incarnation, scope: scope, record: record)
            #expect(KeyRecord(message.encoded) == message)
            for count in 0..<min(message.encoded.count, 300) {
                #expect(KeyRecord(Array(message.encoded.prefix(count))) == nil)
            }
            #expect(message.encoded(atMost: 100_000) == message.encoded)
            let short = try #require(message.encoded(atMost: 4000))
            #expect(short.count <= 4000 && KeyRecord(short)?.record?.fingerprint == record?.fingerprint)
            #expect(message.encoded(atMost: 50) == nil)
        }
    }
}

@Suite("Cluster keys")
struct ClusterKeyTests {
    @Test("a node that owns nothing stores no key")
    func foreign() {
        let settings = ClusterMachine.Settings(node: "a", incarnation: Incarnation(rawValue: 1))
        let cursor = Cursor(epoch: Epoch(rawValue: 7), sequence: 0)
        var machine = ClusterMachine(settings, log: cursor, last: nil, seed: 1)
        machine.sourcesChanged(["s"], now: MonotonicTime(nanoseconds: 0))
        _ = machine.takeActions()
        machine.keySubmitted(9, [1], of: "s", now: MonotonicTime(nanoseconds: 0))
        let actions = machine.takeActions()
        guard actions.count == 1, case .keyStored(9, isStored: false) = actions[0] else {
            return #expect(Bool(false), "\(actions)")
        }
    }
}
