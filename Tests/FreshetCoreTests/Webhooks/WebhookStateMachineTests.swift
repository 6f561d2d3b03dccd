import FreshetCore
import JSON
import Testing

@Suite("Webhooks: one endpoint")
struct WebhookStateMachineTests {
    private static func world(
        _ order: WebhookConfiguration.Order = .source,
        maxInFlight: Int = 4,
        limits: WebhookLimits = WebhookLimits()
    ) -> WebhookWorld {
        WebhookWorld(
            WebhookConfiguration(
                name: "crm",
                mode: order == .item ? .items : .patch,
                order: order,
                maxInFlight: maxInFlight
            ),
            limits: limits
        )
    }

    @Test("events of one source come one after the other, those of others beside them")
    func sources() {
        var world = Self.world()
        for source in [0, 0, 1, 0, 1] { world.append(source) }
        world.settle()
        #expect(world.inFlight.map(\.sequence) == [1, 3])
        world.end(1, 200)
        world.settle()
        #expect(world.inFlight.map(\.sequence) == [1, 5])
        #expect(world.machine.cursor.sequence == 0 && world.machine.aheadCount == 1)
        world.end(0, 204)
        world.settle()
        #expect(world.inFlight.map(\.sequence) == [5, 2] && world.machine.cursor.sequence == 1)
        #expect(world.problems.isEmpty)
    }

    @Test("by item, an event of several items waits for all of them, and one of unknown items for its source")
    func items() {
        var world = Self.world(.item, maxInFlight: 10)
        world.append(0, ["a"])
        world.append(0, ["b"])
        world.append(0, ["a", "b"])
        world.append(0, ["c"])
        world.append(0, nil)
        world.append(0, ["c"])
        world.append(1, ["a"])
        world.settle()
        #expect(world.inFlight.map(\.sequence) == [1, 2, 4, 7])
        world.end(0, 200)
        world.settle()
        #expect(!world.inFlight.map(\.sequence).contains(3), "b is not delivered yet")
        world.end(0, 200)
        world.settle()
        #expect(world.inFlight.map(\.sequence) == [4, 7, 3])
        world.end(0, 200)
        world.end(1, 200)
        world.settle()
        #expect(world.inFlight.map(\.sequence) == [7, 5], "what follows waits for the whole")
        world.end(1, 200)
        world.settle()
        #expect(world.inFlight.map(\.sequence) == [7, 6])
        #expect(world.problems.isEmpty)
    }

    @Test("a refused message is sent again at the times of the table, with the same id and body")
    func schedule() throws {
        var world = Self.world()
        world.append(0)
        world.append(0)
        world.settle()
        let first = try #require(world.inFlight.first)
        #expect(first.id == "msg_crm_\(Cursor(epoch: WebhookWorld.epoch, sequence: 1))" && first.number == 1)
        for (index, delay) in (WebhookRetry.table + [.seconds(86_400), .seconds(86_400)]).enumerated() {
            world.end(0, 500)
            world.settle()
            #expect(world.inFlight.isEmpty && world.machine.deadline == world.now + delay)
            world.now = world.now + delay + .nanoseconds(-1)
            world.settle()
            #expect(world.inFlight.isEmpty)
            world.now = world.now + .nanoseconds(1)
            world.settle()
            let again = try #require(world.inFlight.first)
            #expect(again.id == first.id && again.body == first.body && again.number == index + 2)
        }
        #expect(world.machine.isFailing && world.machine.refusedCount == 1)
        world.end(0, 200)
        world.settle()
        #expect(!world.machine.isFailing && world.inFlight.map(\.sequence) == [2])
    }

    @Test("an endpoint that is unavailable rests as a whole, gets one message at a time after, and then more again")
    func rest() {
        var world = Self.world(.item)
        for item in ["a", "b", "c", "d", "e"] { world.append(0, [item]) }
        world.settle()
        #expect(world.inFlight.count == 4)
        for _ in 0..<4 { world.end(0, 429, retryAfter: "60") }
        world.settle()
        #expect(world.inFlight.isEmpty && world.machine.deadline == world.now + .seconds(60))
        world.now = world.now + .seconds(60)
        world.settle()
        #expect(world.inFlight.count == 1, "one shows whether it is back")
        world.end(0, 200)
        world.settle()
        #expect(world.inFlight.count == 2)
        world.end(0, 200)
        world.settle()
        #expect(world.inFlight.count == 3)
    }

    @Test("a change that comes while the log is read is read as well, and a log that was renumbered is gone on in")
    func meanwhile() {
        var world = Self.world()
        world.settle()
        #expect(world.machine.next(now: world.now).isEmpty)
        world.machine.logChanged()
        #expect(world.machine.next(now: world.now) == [.read(after: 0, limit: 64)])
        world.machine.logChanged()
        world.machine.eventsRead([], after: 0, through: 0, isComplete: true)
        #expect(world.machine.next(now: world.now) == [.read(after: 0, limit: 64)])
        let cursor = Cursor(epoch: Epoch(rawValue: 9), sequence: 1)
        let event = WebhookEvent(cursor: cursor, source: SourceID(index: 0), body: [1])
        world.machine.eventsRead([event], after: 0, through: 1, isComplete: true)
        let sent = world.machine.next(now: world.now)
        guard sent.count == 1, case .send(let message) = sent[0] else {
            Issue.record("nothing is sent")
            return
        }
        #expect(message.id == "msg_crm_\(cursor)" && world.machine.cursor.epoch == cursor.epoch)
    }

    @Test("410 disables: nothing more is sent until somebody resumes it")
    func gone() {
        var world = Self.world()
        world.append(0)
        world.settle()
        world.end(0, 410)
        world.append(1)
        world.settle()
        world.now = world.now + .seconds(1_000_000)
        world.settle()
        #expect(world.inFlight.isEmpty && world.machine.state == .disabled && world.machine.deadline == nil)
        #expect(world.machine.heldBytes == 0, "it is a row")
        world.crash()
        world.settle()
        #expect(world.inFlight.isEmpty && world.machine.state == .disabled)
        world.machine.resume(now: world.now, at: world.wall)
        world.settle()
        #expect(world.inFlight.map(\.sequence) == [1, 2])
    }

    @Test("paused, what is under way ends, and what is delivered stays so")
    func paused() {
        var world = Self.world()
        for source in [0, 1, 0] { world.append(source) }
        world.settle()
        world.machine.pause(now: world.now, at: world.wall)
        world.end(1, 200)
        world.end(0, 500)
        world.settle()
        #expect(world.inFlight.isEmpty && world.machine.heldBytes == 0 && world.machine.cursor.sequence == 0)
        world.machine.resume(now: world.now, at: world.wall)
        world.settle()
        #expect(world.inFlight.map(\.sequence) == [1], "2 was delivered, and 1 does not wait for its time")
        #expect(world.inFlight.first?.number == 2)
    }

    @Test("where the log no longer reaches back a gap comes, kept before it is sent, and then what follows")
    func gap() throws {
        var world = Self.world(
            limits: {
                var limits = WebhookLimits(); limits.ahead = 2; return limits
            }()
        )
        for _ in 0..<10 { world.append(0) }
        world.settle()
        #expect(world.inFlight.map(\.sequence) == [1])
        world.floor = 8
        // What is held comes first.
        for sequence in 1...3 {
            #expect(world.inFlight.map(\.sequence) == [UInt64(sequence)])
            world.end(0, 200)
            world.settle()
        }
        let message = try #require(world.inFlight.first)
        #expect(message.id.hasPrefix("gap_crm_") && message.sequence == 10)
        let body = try Document(parsing: message.body)
        #expect(body.root["event"]?.string == "gap" && body.root["data"]?["reason"]?.string == "evicted")
        #expect(body.root["data"]?["values"]?[0]?.string == "/v1/values/a")
        #expect(world.machine.cursor.sequence == 3)
        world.append(0)
        world.settle()
        #expect(world.inFlight.count == 1, "nothing overtakes a gap")
        // The same after a crash, although the log stands elsewhere by now.
        world.crash()
        world.settle()
        #expect(world.inFlight.first == message)
        world.end(0, 200)
        world.settle()
        #expect(world.inFlight.map(\.sequence) == [11] && world.problems.isEmpty)
    }

    @Test("a row of another numbering, or from ahead of the log, is a gap", arguments: [GapReason.epoch, .future])
    func foreign(reason: GapReason) throws {
        let head = Cursor(epoch: WebhookWorld.epoch, sequence: 0)
        let epoch = reason == .epoch ? Epoch(rawValue: 77) : WebhookWorld.epoch
        let row = WebhookRow(since: WallTime(milliseconds: 0), cursor: Cursor(epoch: epoch, sequence: 9), ahead: [11])
        var machine = WebhookStateMachine(
            WebhookConfiguration(name: "a.b", sources: .all),
            row: row,
            head: head,
            sources: ["user/4"],
            now: MonotonicTime(nanoseconds: 0),
            wall: WallTime(milliseconds: 0)
        )
        #expect(machine.next(now: MonotonicTime(nanoseconds: 0)) == [.read(after: 0, limit: 64)])
        #expect(machine.isUrgent && machine.isDirty)
        machine.rowKept(machine.revision)
        let orders = machine.next(now: MonotonicTime(nanoseconds: 0))
        guard case .send(let message) = orders.first else {
            Issue.record("no gap")
            return
        }
        #expect(message.id == "gap_a~b_\(head)")
        #expect(String(decoding: message.body, as: UTF8.self).contains(#""reason":"\#(reason.rawValue)""#))
        #expect(String(decoding: message.body, as: UTF8.self).contains(#"/v1/values/user%2F4"#))
    }

    @Test("no more than so many events are delivered ahead of one that is refused")
    func ahead() {
        var world = Self.world(
            .item,
            limits: {
                var limits = WebhookLimits(); limits.ahead = 100; return limits
            }()
        )
        world.append(0, ["poison"])
        for number in 0..<500 { world.append(0, ["i\(number)"]) }
        world.settle()
        while !world.inFlight.isEmpty {
            world.end(0, world.inFlight[0].sequence == 1 ? 400 : 200)
            world.settle()
        }
        #expect(world.machine.aheadCount == 100 && world.accepted.count == 100 && world.problems.isEmpty)
        world.now = world.now + .seconds(5)
        world.settle()
        world.end(0, 200)
        world.settle()
        while !world.inFlight.isEmpty {
            world.end(0, 200)
            world.settle()
        }
        #expect(world.isComplete && world.problems.isEmpty && world.machine.cursor.sequence == 501)
    }

    @Test("a backlog is read in portions also near the bounds, and not event by event")
    func portions() {
        var limits = WebhookLimits()
        limits.ahead = 100
        var world = Self.world(limits: limits)
        for number in 0..<1000 { world.append(number % 10) }
        world.settle()
        while !world.inFlight.isEmpty {
            world.end(0, 200)
            world.settle()
        }
        #expect(world.isComplete && world.problems.isEmpty && world.accepted.count == 1000)
        #expect(world.readings <= 50, "\(world.readings) readings")
    }

    @Test("with CloudEvents a gap is one too")
    func cloudGap() throws {
        let webhook = WebhookConfiguration(name: "crm", sources: .all, envelope: .cloudEvents)
        let head = Cursor(epoch: WebhookWorld.epoch, sequence: 7)
        let gap = try Document(parsing: WebhookGap(.evicted, at: head, sources: ["user/4"], of: webhook).body).root
        #expect(gap["specversion"]?.string == "1.0" && gap["type"]?.string == "freshet.gap")
        #expect(gap["id"]?.string == head.description && gap["source"]?.string == "/v1/admin/webhooks/crm")
        #expect(gap["data"]?["reason"]?.string == "evicted")
        #expect(gap["data"]?["values"]?[0]?.string == "/v1/values/user%2F4")
    }

    @Test("an endpoint that is dead for a week costs a few kilobytes, whatever is published, and gets a gap then")
    func week() throws {
        var limits = WebhookLimits()
        limits.heldBytes = 4 << 10
        var world = Self.world(.item, limits: limits)
        var (held, row, tries) = (0, 0, 0)
        // A change a minute for a week.
        for minute in 0..<(7 * 24 * 60) {
            world.append(minute % 3, ["i\(minute % 40)"])
            world.now = world.now + .seconds(60)
            world.settle()
            while !world.inFlight.isEmpty {
                tries += 1
                world.end(0, 503, jitter: 0.5)
                world.settle()
            }
            held = max(held, world.machine.heldBytes)
            if minute % 100 == 0 {
                row = max(row, world.machine.row(now: world.now, wall: world.wall).text.count)
                world.changes.removeFirst(max(0, world.changes.count - 1000))
                world.floor = world.changes[0].sequence - 1
            }
        }
        #expect(held < 4200 && row < 20_000 && tries < 5000, "\(held) bytes held, \(row) in the row, \(tries) tries")
        #expect(world.machine.figures.gaps == 0, "what is held comes first")
        var isGapSeen = false
        world.machine.resume(now: world.now, at: world.wall)
        world.settle()
        while !world.inFlight.isEmpty {
            isGapSeen = isGapSeen || world.inFlight[0].id.hasPrefix("gap")
            world.end(0, 200)
            world.settle()
        }
        #expect(isGapSeen && world.machine.cursor.sequence == world.head && !world.machine.isFailing)
    }

    @Test(
        "rows that are not ours are none",
        arguments: ["", "{}", "[]", #"{"state":"active"}"#, "null", "{\"state\":1}"]
    )
    func rows(text: String) {
        #expect(WebhookRow(text: Array(text.utf8)) == nil)
    }
}
