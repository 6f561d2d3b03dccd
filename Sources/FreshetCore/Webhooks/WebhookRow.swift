// What is kept of an endpoint, so that a later process goes on where this one was.

import JSON

/// The one row of an endpoint, as it goes to the disk and comes from there. A value; any thread.
package struct WebhookRow: Hashable, Sendable {
    package var state: WebhookStateMachine.State
    /// When the state was entered.
    package var since: WallTime
    package var cursor: Cursor
    /// Sequences of events that are delivered although they are after the cursor.
    package var ahead: [UInt64]
    package var refused: [Refusal]
    /// Messages that may have been sent and that the log does not give again byte for byte.
    package var bodies: [Body]
    package var gap: WebhookGap?

    /// A message that was refused.
    package struct Refusal: Hashable, Sendable {
        package var sequence: UInt64
        /// How often, from 1 to ``WebhookRetry/maxRefusals``.
        package var count: Int
        /// When it is sent again.
        package var due: WallTime
    }

    package struct Body: Hashable, Sendable {
        package var sequence: UInt64
        package var text: [UInt8]

        package init(sequence: UInt64, text: [UInt8]) {
            self.sequence = sequence
            self.text = text
        }
    }

    /// The row as text.
    package var text: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("state", self.state.rawValue)
            json.member("since", self.since.milliseconds)
            json.member("cursor", self.cursor.description)
            json.name("ahead")
            json.array { json in
                for sequence in self.ahead { json.number(sequence) }
            }
            json.name("refused")
            json.array { json in
                for refusal in self.refused {
                    json.array { json in
                        json.number(refusal.sequence)
                        json.number(refusal.count)
                        json.number(refusal.due.milliseconds)
                    }
                }
            }
            json.name("bodies")
            json.array { json in
                for body in self.bodies {
                    json.array { json in
                        json.number(body.sequence)
                        json.string(String(decoding: body.text, as: UTF8.self))
                    }
                }
            }
            guard let gap = self.gap else { return }
            json.name("gap")
            json.object { json in
                json.member("reason", gap.reason.rawValue)
                json.member("cursor", gap.cursor.description)
                json.member("body", String(decoding: gap.body, as: UTF8.self))
            }
        }
        return json.text
    }

    package init(
        state: WebhookStateMachine.State = .active,
        since: WallTime,
        cursor: Cursor,
        ahead: [UInt64] = [],
        refused: [Refusal] = [],
        bodies: [Body] = [],
        gap: WebhookGap? = nil
    ) {
        self.state = state
        self.since = since
        self.cursor = cursor
        self.ahead = ahead
        self.refused = refused
        self.bodies = bodies
        self.gap = gap
    }

    /// Reads what ``text`` gave; `nil` for anything else.
    package init?(text: [UInt8]) {
        guard let root = try? Document(parsing: text, limits: .widest).root,
            let state = root["state"]?.string.flatMap(WebhookStateMachine.State.init(rawValue:)),
            let since = root["since"]?.int, let cursor = root["cursor"]?.string.flatMap({ Cursor($0) }),
            let ahead = root["ahead"], let refused = root["refused"], let bodies = root["bodies"]
        else { return nil }
        self.init(state: state, since: WallTime(milliseconds: Int64(since)), cursor: cursor)
        for value in ahead.elements {
            guard let sequence = value.int.flatMap(UInt64.init(exactly:)) else { return nil }
            self.ahead.append(sequence)
        }
        for value in refused.elements {
            guard let sequence = value[0]?.int.flatMap(UInt64.init(exactly:)), let count = value[1]?.int, count > 0,
                let due = value[2]?.int
            else { return nil }
            let time = WallTime(milliseconds: Int64(due))
            let counted = min(count, WebhookRetry.maxRefusals)
            self.refused.append(Refusal(sequence: sequence, count: counted, due: time))
        }
        for value in bodies.elements {
            guard let sequence = value[0]?.int.flatMap(UInt64.init(exactly:)), let text = value[1]?.utf8 else {
                return nil
            }
            self.bodies.append(Body(sequence: sequence, text: text))
        }
        guard let gap = root["gap"] else { return }
        guard let reason = gap["reason"]?.string.flatMap(GapReason.init(rawValue:)),
            let cursor = gap["cursor"]?.string.flatMap({ Cursor($0) }), let body = gap["body"]?.utf8
        else { return nil }
        self.gap = WebhookGap(reason, at: cursor, body: body)
    }
}

/// A row under the name of its endpoint.
package struct StoredWebhook: Hashable, Sendable {
    package var name: String
    /// ``WebhookRow/text``.
    package var text: [UInt8]

    package init(name: String, text: [UInt8]) {
        self.name = name
        self.text = text
    }
}

/// Keeps the rows of endpoints. Never waits; any thread.
package protocol WebhookStore: AnyObject, Sendable {
    /// Keeps these rows, each in the place of the one of its name, and forgets those of some names, all of it or nothing.
    /// `done` is called once, on any thread, once they are on the disk or will never be.
    func keep(
        _ rows: [StoredWebhook],
        forgetting names: [String],
        done: @escaping @Sendable (Result<Void, StoreError>) -> Void
    )
}

/// What is known of events that are not in the window: of a row, or of the time before a pause.
struct WebhookMemory: Sendable {
    var delivered: Set<UInt64> = []
    var refusals: [UInt64: (count: Int, due: MonotonicTime?)] = [:]
    var bodies: [UInt64: [UInt8]] = [:]
    var gap: WebhookGap?

    init() {}

    init(_ row: WebhookRow, now: MonotonicTime, wall: WallTime) {
        self.delivered = Set(row.ahead)
        for refusal in row.refused {
            let (milliseconds, overflow) = refusal.due.milliseconds.subtractingReportingOverflow(wall.milliseconds)
            // A clock that was set since must not make it wait for years.
            let longest = WebhookRetry.delay(refusals: .max, jitter: 1).milliseconds
            let wait = overflow ? 0 : min(max(milliseconds, 0), longest)
            self.refusals[refusal.sequence] = (refusal.count, now + .milliseconds(wait))
        }
        for body in row.bodies { self.bodies[body.sequence] = body.text }
        self.gap = row.gap
    }

    /// What is known of one event, which is forgotten.
    mutating func take(
        _ sequence: UInt64
    ) -> (isDelivered: Bool, refusals: Int, due: MonotonicTime?, body: [UInt8]?) {
        let refusal = self.refusals.removeValue(forKey: sequence)
        let body = self.bodies.removeValue(forKey: sequence)
        return (self.delivered.remove(sequence) != nil, refusal?.count ?? 0, refusal?.due, body)
    }

    /// Forgets what is said of events that are read and were not among them.
    mutating func forget(through sequence: UInt64) {
        guard !self.delivered.isEmpty || !self.refusals.isEmpty || !self.bodies.isEmpty else { return }
        self.delivered = self.delivered.filter { $0 > sequence }
        self.refusals = self.refusals.filter { $0.key > sequence }
        self.bodies = self.bodies.filter { $0.key > sequence }
    }

    /// Nothing waits for its time.
    mutating func hurry() {
        self.refusals = self.refusals.mapValues { ($0.count, nil) }
    }
}

extension WebhookStateMachine {
    /// What is to be kept, as of ``revision``.
    package func row(now: MonotonicTime, wall: WallTime) -> WebhookRow {
        let memory = self.memory(isWritten: true)
        func time(_ due: MonotonicTime?) -> WallTime {
            let wait = due.map { max(.zero, $0 - now).milliseconds } ?? 0
            let (sum, overflow) = wall.milliseconds.addingReportingOverflow(wait)
            return WallTime(milliseconds: overflow ? .max : sum)
        }
        return WebhookRow(
            state: self.state,
            since: self.stateSince,
            cursor: self.cursor,
            ahead: memory.delivered.sorted(),
            refused: memory.refusals.sorted { $0.key < $1.key }
                .map { WebhookRow.Refusal(sequence: $0.key, count: $0.value.count, due: time($0.value.due)) },
            bodies: memory.bodies.sorted { $0.key < $1.key }.map { WebhookRow.Body(sequence: $0.key, text: $0.value) },
            gap: memory.gap
        )
    }

    /// What is known of single events. `isWritten`: it goes to the disk, so that bodies which wait for that are in it; else those
    /// are left out, since they were never sent.
    func memory(isWritten: Bool) -> WebhookMemory {
        var memory = self.remembered
        for (index, entry) in self.window.entries.enumerated() {
            if entry.isDelivered {
                memory.delivered.insert(entry.sequence)
                continue
            }
            if entry.refusals > 0 {
                if case .refused(let due) = entry.phase {
                    memory.refusals[entry.sequence] = (entry.refusals, due)
                } else {
                    memory.refusals[entry.sequence] = (entry.refusals, nil)
                }
            }
            if let reason = entry.gap {
                // One that is not the first was never sent: the log has it again.
                if index == 0, isWritten || entry.isKept {
                    memory.gap = WebhookGap(reason, at: entry.cursor, body: entry.body)
                }
            } else if entry.isKept || isWritten && entry.phase == .keeping {
                memory.bodies[entry.sequence] = entry.body
            }
        }
        return memory
    }
}
