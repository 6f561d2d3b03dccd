// Rows and times with any numbers and texts in them: they are refused, or what is done with them goes well.

import FreshetTesting
import HTTPFields
import JSON
import System
import Testing

@testable import FreshetCore

@Suite("Rows that anybody may have written")
struct HostileRowTests {
    private static let extremes: [Int64] = [.min, .min + 1, -1, 0, 1, 1 << 53, .max - 1, .max]
    private static let durations: [Duration] = [
        .seconds(Int64.min), .milliseconds(Int64.min), .nanoseconds(Int64.min), .zero, .seconds(Int64.max),
    ]

    @Test("a time of the wall clock is within the years 0 to 9999, and so is whatever is reckoned from it")
    func times() {
        for number in Self.extremes {
            let time = WallTime(milliseconds: number)
            #expect(time.rfc3339.count == 24)
            // The reader knows no year 0.
            #expect(WallTime(rfc3339: time.description).map { $0 == time } ?? time.description.hasPrefix("0000-"))
            #expect(HTTPDate(unixSeconds: Int(clamping: time.seconds)).bytes.count == 29)
            #expect(time.seconds <= time.milliseconds / 1000)
            for other in Self.extremes.map({ WallTime(milliseconds: $0) }) {
                #expect(other + (time - other) == time || abs(time.milliseconds - other.milliseconds) > 1 << 43)
            }
            for duration in Self.durations {
                #expect((time + duration).rfc3339.count == 24)
            }
        }
        #expect(WallTime(milliseconds: .min).seconds == -62_167_219_200)
    }

    // MARK: Webhooks

    private static let epoch = Epoch(rawValue: 7)

    private static func cursor(_ sequence: UInt64) -> Cursor { Cursor(epoch: self.epoch, sequence: sequence) }

    private static let webhook: WebhookRow = {
        var row = WebhookRow(
            since: WallTime(milliseconds: 1_800_000_000_000),
            cursor: cursor(5),
            ahead: [7, 9],
            refused: [.init(sequence: 6, count: 3, due: WallTime(milliseconds: 1_800_000_005_000))],
            bodies: [.init(sequence: 8, text: Array("{}".utf8))]
        )
        row.gap = WebhookGap(.evicted, at: cursor(5), body: Array(#"{"a":1}"#.utf8))
        return row
    }()

    /// An endpoint begins with a row, is sent what there is, and leaves a row again.
    private static func run(_ row: WebhookRow, head: UInt64) {
        var now = MonotonicTime(nanoseconds: 1_000_000_000)
        var wall = WallTime(milliseconds: 1_800_000_000_000)
        let configuration = WebhookConfiguration(name: "crm", mode: .patch, order: .source, maxInFlight: 4)
        var machine = WebhookStateMachine(
            configuration,
            row: row,
            head: self.cursor(head),
            sources: ["a"],
            now: now,
            wall: wall
        )
        machine.resume(now: now, at: wall)
        for round in 0..<40 {
            for order in machine.next(now: now) {
                switch order {
                case .read(let after, _):
                    let new = after < head ? Array((after + 1)...head) : []
                    let events = new.map {
                        WebhookEvent(cursor: self.cursor($0), source: SourceID(index: 0), body: Array("{}".utf8))
                    }
                    machine.eventsRead(events, after: after, through: max(after, head), isComplete: true)
                case .send(let message):
                    #expect(message.number > 0 && message.number <= WebhookRetry.maxRefusals + 1)
                    let outcome = WebhookOutcome(round < 3 ? .refused : .delivered)
                    machine.tryEnded(message, outcome, now: now, jitter: 1, at: wall)
                    machine.note(message, outcome, took: .zero, at: wall)
                }
            }
            let kept = machine.row(now: now, wall: wall)
            #expect(WebhookRow(text: kept.text) == kept)
            machine.rowKept(machine.revision)
            #expect(WebhookStanding(machine, head: self.cursor(head), nextRetry: nil).lag <= head)
            now = now + .seconds(86_400)
            wall = wall + .seconds(86_400)
            machine.logChanged()
        }
        #expect(machine.cursor.sequence == head, "it goes on to the end of the log")
    }

    @Test("the row of a webhook")
    func webhooks() {
        var accepted = 0
        for text in HostileValues.variants(of: Self.webhook.text) {
            guard let row = WebhookRow(text: text), row.state == .active else { continue }
            accepted += 1
            #expect(WebhookRow(text: row.text) == row)
            #expect(WebhookStanding(row, head: Self.cursor(9)).since.rfc3339.count == 24)
            #expect(row.refused.allSatisfy { (1...WebhookRetry.maxRefusals).contains($0.count) })
            Self.run(row, head: 9)
            Self.run(row, head: 5)
        }
        #expect(accepted > 20)
    }

    // MARK: Web Push

    @Test("the row of a subscription of Web Push, and how far they are")
    func pushes() {
        let progress = PushProgress(mark: PushFixture.cursor(3), behind: [:])
        let subscription = PushFixture.subscription(1)
        var accepted = 0
        for state in HostileValues.variants(of: subscription.row(behind: PushFixture.cursor(2)).state) {
            let restored = RestoredPush(
                [PushRow(key: PushRow.key(of: subscription.id), state: state), .mark(PushFixture.cursor(3))],
                now: PushFixture.start
            )
            guard let read = restored.subscriptions.first else { continue }
            accepted += 1
            #expect((0...Defaults.Push.maxTTL).contains(read.ttl))
            #expect(PushSubscription.read(read.row())?.0 == read)
            var resumed = restored
            resumed.resume(from: progress)
            let world = PushWorld(PushBook(restoring: resumed))
            for sequence in [4, 5] as [UInt64] {
                world.change(sequence)
                if let send = world.next() { world.end(send, .throttled(.seconds(Int64.max))) }
                world.pass(.seconds(86_400))
                if let send = world.next() { world.end(send) }
            }
            #expect(world.book.report(of: read.id, serverKey: "present")?.expiresAt.rfc3339.count == 24)
            _ = world.book.rowsToKeep(head: PushFixture.cursor(5))
            _ = world.book.expired(now: .distantFuture)
        }
        #expect(accepted > 40)
        let behind = PushProgress(mark: PushFixture.cursor(3), behind: [subscription.id: PushFixture.cursor(2)])
        for text in HostileValues.variants(of: behind.text) {
            guard let read = PushProgress(text: text) else { continue }
            #expect(PushProgress(text: read.text) == read)
        }
    }

    // MARK: Idempotency keys

    @Test("the state of an idempotency key, and one that seems to be of the future")
    func keys() throws {
        var answer = WriteAnswer(status: 409)
        answer.cursor = Self.cursor(3)
        var problem = WriteProblem(409, "conflict", "No.")
        problem.add("current", json: Array("1".utf8))
        answer.problem = problem
        let state = IdempotencyRecord.State.answered(answer)
        for text in HostileValues.variants(of: state.text) {
            guard let read = IdempotencyRecord.State(text: text) else { continue }
            #expect(IdempotencyRecord.State(text: read.text) == read)
            if case .answered(let answer) = read { #expect((200...599).contains(answer.status)) }
        }
        let now = WallTime(milliseconds: 1_800_000_000_000)
        let account = Principal.Account(kind: .key, issuer: "", id: "a")
        var table = IdempotencyTable()
        for (index, number) in Self.extremes.enumerated() {
            let record = IdempotencyRecord(fingerprint: [], madeAt: WallTime(milliseconds: number), state: state)
            _ = table.learn(IdempotencyScope(account: account, key: "\(index)"), record, now: now)
        }
        #expect(table.expire(now: now + .seconds(86_400)).count + table.count > 0)
        #expect(table.count == 0, "all are forgotten after a day")
    }

    // MARK: What was learned

    @Test("what was learned of a source")
    func learned() throws {
        var model = Haze(now: 0)
        for step in 1..<50 { model.observe(now: Double(step) * 240, changed: step % 3 == 0) }
        func part(_ bytes: [UInt8]) -> [UInt8] { [0, 0, UInt8(bytes.count >> 8), UInt8(bytes.count & 0xFF)] + bytes }
        // With a guess, as it is stored.
        let text = { (text: String) in Array(text.utf8) }
        let bytes = [0xF2] + part(model.encoded) + part(text("a/b\n")) + part(text("/a")) + text("/id")
        let good = LearnedState(encoded: bytes)
        #expect(good.guess != nil && good.encoded == bytes)
        for encoded in HostileValues.variants(ofBinary: Array(good.encoded.suffix(40))) {
            let read = LearnedState(encoded: Array(good.encoded.dropLast(40)) + encoded)
            // A name that is no text is left out.
            #expect(LearnedState(encoded: read.encoded).lists == read.lists)
        }
        let doubles =
            [
                0, -0.0, -1, .nan, .infinity, -.infinity, .leastNonzeroMagnitude, 1e-300, 1e-6, 1e6, 1e11, 1e300,
                .greatestFiniteMagnitude,
            ] as [Double]
        for field in 0..<8 {
            for number in doubles {
                var bytes = model.encoded
                // Little-endian, after the version.
                for (offset, byte) in withUnsafeBytes(of: number.bitPattern.littleEndian, Array.init).enumerated() {
                    bytes[1 + 8 * field + offset] = byte
                }
                guard var read = Haze(encoded: bytes, now: 1e6, wallOffset: 1.8e9) else { continue }
                for step in 1..<20 {
                    read.observe(now: 1e6 + Double(step) * 100, changed: step % 2 == 0)
                    let due = read.due(theta: 60, horizon: 86_400)
                    #expect(due >= read.lastPoll && due <= read.lastPoll + 86_400, "field \(field), \(number)")
                }
                #expect(Haze(encoded: read.encoded, now: 2e6, wallOffset: 1.8e9) != nil, "field \(field), \(number)")
            }
        }
    }
}
