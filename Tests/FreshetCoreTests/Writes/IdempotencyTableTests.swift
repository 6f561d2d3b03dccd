// The table of idempotency keys: every row of what a key may mean.

import JSON
import Testing

@testable import FreshetCore

@Suite("Idempotency keys")
struct IdempotencyTableTests {
    private static func scope(_ caller: String = "alice", _ key: String = "k") -> IdempotencyScope {
        IdempotencyScope(account: Principal.Account(kind: .key, issuer: "", id: caller), key: key)
    }

    private static func time(_ seconds: Int64) -> WallTime { WallTime(milliseconds: seconds * 1000) }

    private static let done: WriteAnswer = {
        var answer = WriteAnswer(status: 200)
        answer.etag = "\"k3f9q-7\""
        answer.value = Array(#"{"a":1}"#.utf8)
        return answer
    }()

    private static let attempt: WriteAttempt = {
        var exchange = WriteExchange(.put, .item("7"))
        exchange.body = Array(#"{"a":"é\n"}"#.utf8)
        exchange.contentType = "application/json"
        exchange.ifMatch = Array("\"v1\"".utf8)
        exchange.idempotencyKey = "k"
        return WriteAttempt(exchange: exchange, intended: Array("{}".utf8), creates: false)
    }()

    @Test("new, under way, the same answer, another request, another caller")
    func rows() {
        var table = IdempotencyTable()
        let record = IdempotencyRecord(fingerprint: [1], madeAt: Self.time(0))
        #expect(table.begin(Self.scope(), fingerprint: [1], now: Self.time(0)) == .new(record))
        #expect(table.begin(Self.scope(), fingerprint: [1], now: Self.time(1)) == .underWay)
        #expect(table.begin(Self.scope(), fingerprint: [2], now: Self.time(1)) == .otherRequest)
        guard case .new = table.begin(Self.scope("bob"), fingerprint: [2], now: Self.time(1)) else {
            return #expect(Bool(false), "the key of another caller is another key")
        }
        #expect(table.end(Self.scope(), .settled, Self.done)?.state == .answered(Self.done))
        #expect(table.begin(Self.scope(), fingerprint: [1], now: Self.time(2)) == .answer(Self.done))
        #expect(table.begin(Self.scope(), fingerprint: [2], now: Self.time(2)) == .otherRequest)
        #expect(table.end(Self.scope("bob"), .forgotten, Self.done) == nil)
        guard case .new = table.begin(Self.scope("bob"), fingerprint: [3], now: Self.time(2)) else {
            return #expect(Bool(false), "a key of which nothing came is free")
        }
    }

    @Test(
        "an unknown outcome is resumed with what was sent, also by the next process; what had only begun is begun anew"
    )
    func restart() throws {
        var table = IdempotencyTable()
        _ = table.begin(Self.scope(), fingerprint: [1], now: Self.time(0))
        _ = table.begin(Self.scope("bob"), fingerprint: [2], now: Self.time(0))
        #expect(table.attempted(Self.scope(), Self.attempt)?.state == .attempted(Self.attempt))
        // As it is on the disk.
        let stored = try table.records.map { scope, record in
            (
                try #require(IdempotencyScope(text: scope.text)),
                IdempotencyRecord(
                    fingerprint: record.fingerprint,
                    madeAt: record.madeAt,
                    state: try #require(IdempotencyRecord.State(text: record.state.text))
                )
            )
        }
        var next = IdempotencyTable(restoring: stored)
        #expect(next.begin(Self.scope(), fingerprint: [2], now: Self.time(1)) == .otherRequest)
        #expect(next.begin(Self.scope(), fingerprint: [1], now: Self.time(1)) == .resume(Self.attempt))
        #expect(next.begin(Self.scope(), fingerprint: [1], now: Self.time(1)) == .underWay)
        _ = next.end(Self.scope(), .unknown(Self.attempt), Self.done)
        #expect(next.begin(Self.scope(), fingerprint: [1], now: Self.time(2)) == .resume(Self.attempt))
        guard case .new(let record) = next.begin(Self.scope("bob"), fingerprint: [2], now: Self.time(1)) else {
            return #expect(Bool(false), "nothing was sent")
        }
        #expect(record.madeAt == Self.time(0), "its time goes on")
    }

    @Test("a key is forgotten after 24 h by the clock, and not before; what is under way ends first")
    func lifetime() {
        let day: Int64 = 86_400
        var table = IdempotencyTable()
        _ = table.begin(Self.scope(), fingerprint: [1], now: Self.time(0))
        _ = table.begin(Self.scope("bob"), fingerprint: [1], now: Self.time(1))
        _ = table.end(Self.scope(), .settled, Self.done)
        #expect(table.expire(now: Self.time(day - 1)).isEmpty)
        #expect(table.begin(Self.scope(), fingerprint: [1], now: Self.time(day - 1)) == .answer(Self.done))
        #expect(table.expire(now: Self.time(day + 2)) == [Self.scope()])
        #expect(table.begin(Self.scope("bob"), fingerprint: [1], now: Self.time(day + 2)) == .underWay)
        _ = table.end(Self.scope("bob"), .settled, Self.done)
        #expect(table.expire(now: Self.time(day + 2)) == [Self.scope("bob")])
        #expect(table.count == 0 && table.bytes == 0)
        // A clock that was set back forgets nothing.
        _ = table.begin(Self.scope(), fingerprint: [1], now: Self.time(10 * day))
        _ = table.end(Self.scope(), .settled, Self.done)
        #expect(table.begin(Self.scope(), fingerprint: [1], now: Self.time(0)) == .answer(Self.done))
    }

    @Test("a full store refuses new keys and forgets none")
    func full() {
        var limits = IdempotencyTable.Limits()
        limits.keys = 2
        var table = IdempotencyTable(limits: limits)
        for key in ["a", "b"] {
            _ = table.begin(Self.scope("alice", key), fingerprint: [1], now: Self.time(0))
            _ = table.end(Self.scope("alice", key), .settled, Self.done)
        }
        #expect(table.begin(Self.scope("alice", "c"), fingerprint: [1], now: Self.time(1)) == .full)
        for key in ["a", "b"] {
            #expect(table.begin(Self.scope("alice", key), fingerprint: [1], now: Self.time(1)) == .answer(Self.done))
        }
        _ = table.expire(now: Self.time(90_000))
        guard case .new = table.begin(Self.scope("alice", "c"), fingerprint: [1], now: Self.time(90_000)) else {
            return #expect(Bool(false), "there is room again")
        }
        limits.keys = 10
        limits.bytes = 1000
        var narrow = IdempotencyTable(limits: limits)
        var big = Self.done
        big.value = Array(repeating: 0x31, count: 2000)
        _ = narrow.begin(Self.scope(), fingerprint: [1], now: Self.time(0))
        _ = narrow.end(Self.scope(), .settled, big)
        #expect(narrow.begin(Self.scope("bob"), fingerprint: [1], now: Self.time(0)) == .full)
        #expect(narrow.begin(Self.scope(), fingerprint: [1], now: Self.time(0)) == .answer(big))
    }

    @Test("an answer with a problem comes back from the disk as it was")
    func text() throws {
        var problem = WriteProblem(409, "conflict", "It collides.")
        problem.add("conflicts", json: Array(#"[{"path":"/a","mine":"\u0000é"}]"#.utf8))
        var answer = WriteAnswer(problem)
        answer.cursor = Cursor("k3f9q-41")
        let state = IdempotencyRecord.State.answered(answer)
        #expect(IdempotencyRecord.State(text: state.text) == state)
        #expect(IdempotencyRecord.State(text: Array("[]".utf8)) == nil)
        #expect(IdempotencyScope(text: Array("[]".utf8)) == nil)
        // Texts that joined would be equal are not.
        #expect(Self.scope("a,b", "c").text != Self.scope("a", "b,c").text)
    }

    @Test("what another gateway says of a key counts, but for what is under way here")
    func learning() {
        var table = IdempotencyTable()
        let answered = IdempotencyRecord(fingerprint: [1], madeAt: Self.time(0), state: .answered(Self.done))
        #expect(table.learn(Self.scope(), answered, now: Self.time(1)) == true)
        #expect(table.begin(Self.scope(), fingerprint: [1], now: Self.time(2)) == .answer(Self.done))
        #expect(table.begin(Self.scope(), fingerprint: [2], now: Self.time(2)) == .otherRequest)
        let attempted = IdempotencyRecord(fingerprint: [1], madeAt: Self.time(0), state: .attempted(Self.attempt))
        #expect(table.learn(Self.scope(), attempted, now: Self.time(2)) == true)
        #expect(table.count == 1)
        #expect(table.begin(Self.scope(), fingerprint: [1], now: Self.time(2)) == .resume(Self.attempt))
        #expect(table.learn(Self.scope(), nil, now: Self.time(2)) == false, "it is under way")
        _ = table.end(Self.scope(), .settled, Self.done)
        #expect(table.learn(Self.scope(), nil, now: Self.time(2)) == true)
        #expect(table.count == 0 && table.bytes == 0)
        #expect(table.learn(Self.scope(), answered, now: Self.time(86_400)) == false, "its time is over")
        #expect(table.learn(Self.scope("bob"), answered, now: Self.time(1)) == true)
        #expect(table.expire(now: Self.time(86_401)) == [Self.scope("bob")])
        #expect(table.count == 0)
    }

    @Test("no more than twice the bounds is learned")
    func learningBound() {
        var limits = IdempotencyTable.Limits()
        limits.keys = 2
        var table = IdempotencyTable(limits: limits)
        let record = IdempotencyRecord(fingerprint: [1], madeAt: Self.time(0), state: .answered(Self.done))
        let taken = (0..<6).map { table.learn(Self.scope("alice", "k\($0)"), record, now: Self.time(1)) }
        #expect(taken == [true, true, true, true, false, false])
        #expect(table.begin(Self.scope(), fingerprint: [1], now: Self.time(1)) == .full)
    }

    @Test("a record loses its values, and nothing else, where it is too long")
    func reduced() {
        var record = IdempotencyRecord(fingerprint: [1], madeAt: Self.time(0))
        #expect(record.reduced == nil)
        record.state = .answered(Self.done)
        guard case .answered(let answer) = record.reduced?.state else { return #expect(Bool(false), "no answer") }
        #expect(answer.status == 204 && answer.value == nil && answer.etag == Self.done.etag)
        record.state = .attempted(Self.attempt)
        guard case .attempted(let attempt) = record.reduced?.state else { return #expect(Bool(false), "no attempt") }
        #expect(attempt.exchange == Self.attempt.exchange && attempt.intended == nil)
        #expect(record.reduced?.reduced == nil)
    }
}
