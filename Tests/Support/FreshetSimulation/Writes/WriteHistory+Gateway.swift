// The gateway of a history: the pure parts of writes, carried out.

import FreshetCore
import JSON

extension WriteHistory {
    var epoch: Epoch { Epoch(rawValue: 7) }

    func cursor(_ sequence: UInt64) -> Cursor { Cursor(epoch: self.epoch, sequence: sequence) }

    func value(at sequence: UInt64) -> Document? { self.log.last { $0.sequence <= sequence }?.value }

    /// A request reaches the gateway.
    mutating func submit(_ id: Int) {
        let request = self.writes[id].request
        self.note("\(id) is submitted: \(request)")
        guard let version = self.log.last else { return self.respond(id, WriteAnswer(.noValue(retryAfter: 1))) }
        let write: CheckedWrite
        do throws(WriteProblem) {
            write = try CheckedWrite(request, by: self.policy, limits: ParseLimits())
        } catch {
            return self.respond(id, WriteAnswer(error))
        }
        var scope: IdempotencyScope?
        var resumed: WriteAttempt?
        if let key = request.idempotencyKey, self.plant != .idempotency {
            let account = Principal.Account(kind: .key, issuer: "", id: "client\(self.writes[id].client)")
            let found = IdempotencyScope(account: account, key: key)
            switch self.table.begin(found, fingerprint: write.identity, now: self.wall) {
            case .answer(let answer):
                self.figures.replays += 1
                return self.respond(id, answer)
            case .underWay: return self.respond(id, WriteAnswer(.underWay))
            case .otherRequest: return self.problems.append("\(id): the key of a write was another's")
            case .full: return self.problems.append("\(id): the store of keys was full")
            case .new: break
            case .resume(let attempt):
                resumed = attempt
                self.figures.resumed += 1
            }
            scope = found
        }
        _ = version
        let entrance = self.queue.enter(SourceID(index: 0), key: request.key, isNew: request.method == .post)
        switch entrance {
        case .full:
            self.problems.append("\(id): the queue was full")
        case .go(let ticket):
            self.running[id] = RunningWrite(scope: scope, resumed: resumed, ticket: ticket)
            self.begin(id, write)
        case .wait(let ticket):
            self.running[id] = RunningWrite(scope: scope, resumed: resumed, ticket: ticket)
            if self.plant == .ordering { self.begin(id, write) } else { self.waiting[ticket] = id }
        }
    }

    private mutating func respond(_ id: Int, _ answer: WriteAnswer) { self.letters.append(.answer(id, answer)) }

    mutating func begin(_ id: Int, _ write: CheckedWrite) {
        guard let version = self.log.last, let run = self.running[id] else { return }
        self.heldWrites += 1
        if write.request.method != .post { self.machine.writeBegan(write.request.key) }
        var scene = WriteScene(
            write: write,
            policy: self.policy,
            rule: Self.rule,
            schema: nil,
            limits: ParseLimits(),
            value: version.value,
            cursor: self.cursor(version.sequence),
            base: .none
        )
        if case .cursors(let cursors) = write.condition {
            scene.base = .unknown
            if let named = cursors.first, let past = self.value(at: named.sequence) {
                scene.base = .known(scene.target(in: past))
            }
        }
        scene.upstream = write.request.key.flatMap { self.versions[$0] }
        self.running[id]?.plan = WritePlan(scene, resuming: run.resumed)
        self.advance(id) { $0.start() }
    }

    /// Takes the plan one step further, and carries the step out.
    mutating func advance(_ id: Int, _ next: (inout WritePlan) -> WritePlan.Step) {
        guard var plan = self.running[id]?.plan else { return }
        let step = next(&plan)
        self.running[id]?.plan = plan
        switch step {
        case .exchange(let exchange):
            var delay = 0
            if let scope = self.running[id]?.scope, let attempt = plan.attempt, attempt != self.running[id]?.resumed,
                let record = self.table.attempted(scope, attempt)
            {
                // On the disk before the first byte: a gateway that dies in between has sent nothing.
                self.disk[scope] = record
                delay = 1 + self.number(4)
            }
            self.schedule(delay, .send(write: id, generation: self.generation, exchange))
        case .take(let edit, let tag):
            let taken = self.take(edit, tag: tag)
            self.advance(id) { $0.taken(taken) }
        case .poll:
            let taken = self.pollNow()
            self.advance(id) { $0.taken(taken) }
        case .finish(let answer, let end):
            self.finish(id, answer, end, plan)
        }
    }

    private mutating func take(_ edit: WriteEdit, tag: [UInt8]?) -> Result<WritePlan.Taken, UpstreamError> {
        let (verdict, value) = self.machine.valueWritten(edit, tag: tag, now: self.monotonic, wall: self.wall)
        guard let value else { return .failure(verdict.error ?? UpstreamError(.internal, "none")) }
        let sequence = verdict.change.map { self.append($0) } ?? self.log.last?.sequence ?? 0
        return .success(WritePlan.Taken(cursor: self.cursor(sequence), value: value))
    }

    /// A poll that begins now and is answered at once; the answer of one under way is never taken.
    private mutating func pollNow() -> Result<WritePlan.Taken, UpstreamError> {
        self.pollNumber += 1
        self.isPolling = false
        let request = self.machine.pollStarted(now: self.monotonic, wall: self.wall)
        let answer = self.upstream.collection(request.validators)
        let verdict = self.machine.responseReceived(answer, now: self.monotonic, wall: self.wall, using: &self.random)
        if let change = verdict.change { self.append(change) }
        guard let last = self.log.last else { return .failure(UpstreamError(.internal, "no value")) }
        return .success(WritePlan.Taken(cursor: self.cursor(last.sequence), value: last.value))
    }

    private mutating func finish(_ id: Int, _ answer: WriteAnswer, _ end: WritePlan.End, _ plan: WritePlan) {
        guard let run = self.running.removeValue(forKey: id) else { return }
        self.note("\(id) ends: \(answer.status) \(answer.problem?.code ?? ""), \(end)")
        self.heldWrites -= 1
        if self.writes[id].request.method != .post { self.machine.writeEnded(self.writes[id].request.key) }
        if let key = self.writes[id].request.key { self.versions[key] = plan.upstream }
        if let scope = run.scope { self.disk[scope] = self.table.end(scope, end, answer) }
        for ticket in self.queue.leave(SourceID(index: 0), run.ticket) {
            guard let next = self.waiting.removeValue(forKey: ticket) else { continue }
            guard let write = try? CheckedWrite(self.writes[next].request, by: self.policy, limits: ParseLimits())
            else { continue }
            self.begin(next, write)
        }
        self.checkAnswer(id, answer)
        if !self.isCalm, self.chance(5) { self.letters.append(.lost(id)) } else { self.respond(id, answer) }
    }

    // MARK: The way to the upstream

    mutating func send(_ id: Int, _ exchange: WriteExchange) {
        guard self.running[id] != nil else { return }
        // Of all exchanges: a late answer to an earlier try is no answer to this one.
        self.exchanges += 1
        let number = self.exchanges
        self.running[id]?.number = number
        self.running[id]?.isSent = true
        var sent = exchange
        if self.plant == .guarding, !exchange.isRead {
            sent.ifMatch = nil
        }
        if self.plant == .merging, exchange.method != .delete, !exchange.isRead, !exchange.isCreation,
            let mine = self.writes[id].mine
        {
            sent.method = .put
            sent.body = mine.text
            sent.contentType = "application/json"
        }
        if !self.isCalm, self.chance(3) {
            let error = UpstreamError(.connect, "refused")
            return self.schedule(
                2,
                .answered(write: id, generation: self.generation, number: number, .failure(.notSent(error)))
            )
        }
        if !self.isCalm, self.chance(3) {
            // Cut before it arrived.
            let error = UpstreamError(.transport, "cut")
            return self.schedule(
                3,
                .answered(write: id, generation: self.generation, number: number, .failure(.cut(error)))
            )
        }
        let fault = self.chance(self.isCalm ? 0 : 12) ? SimulatedWrites.Fault.allCases[self.number(7)] : .none
        let losesAnswer = self.chance(self.isCalm ? 0 : 6)
        // Some arrive long after the gateway has given up.
        let delay = self.chance(self.isCalm ? 0 : 4) ? Self.timeout + self.number(200) : 1 + self.number(20)
        self.schedule(
            delay,
            .arrive(
                WorldExchange(
                    write: id,
                    generation: self.generation,
                    number: number,
                    exchange: sent,
                    losesAnswer: losesAnswer,
                    fault: fault
                )
            )
        )
        let error = UpstreamError(.timeout, "late")
        self.schedule(
            Self.timeout,
            .answered(write: id, generation: self.generation, number: number, .failure(.cut(error)))
        )
    }

    mutating func arrive(_ sent: WorldExchange) {
        self.checkAlone(sent)
        self.note("\(sent.write) arrives: \(sent.exchange), \(sent.fault)\(sent.losesAnswer ? ", answer lost" : "")")
        var effects: [(String, Document?, Document?)] = []
        let response = self.upstream.carryOut(sent.exchange, sent.fault) { effects.append(($0, $1, $2)) }
        self.note("\(sent.write) is answered \(response.status), \(effects.count) effects")
        for (key, before, after) in effects { self.checkEffect(sent.write, key, before, after) }
        guard !sent.losesAnswer else { return }
        self.schedule(
            1 + self.number(15),
            .answered(write: sent.write, generation: sent.generation, number: sent.number, .success(response))
        )
    }
}
