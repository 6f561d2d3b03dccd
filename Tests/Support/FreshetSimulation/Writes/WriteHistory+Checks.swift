// What must hold in every history, looked at as it happens and at the end.

import FreshetCore
import JSON

extension WriteHistory {
    /// A write takes effect at the upstream: it may change what its client wanted to change, where that was as the client had
    /// seen it, and nothing else.
    mutating func checkEffect(_ id: Int, _ key: String, _ before: Document?, _ after: Document?) {
        self.writes[id].effects += 1
        let write = self.writes[id]
        if write.effects > 1 { self.problems.append("\(id): \(write.effects) effects of one write") }
        if case .refused(let code) = write.verdict { self.problems.append("\(id): refused (\(code)), and carried out") }
        guard write.request.method != .post else { return }
        let names = write.request.ifMatch != nil || write.request.ifNoneMatch != nil
        guard names else {
            // Nothing was named: what the write does not speak of must stay.
            let wanted = Self.changes(from: write.base, to: write.mine)
            for field in Self.changes(from: before, to: after).keys where wanted[field] == nil {
                self.problems.append("\(id): lost update: \(field) of \(key) was written over")
            }
            return
        }
        if self.policy.conflict == .merge, write.request.method != .delete, let mine = write.mine, let base = write.base
        {
            let wanted = Self.changes(from: base, to: mine)
            if before != base { self.figures.merges += 1 }
            for (field, value) in Self.changes(from: before, to: after) {
                guard let mine = wanted[field], mine == value else {
                    self.problems.append("\(id): lost update: \(field) of \(key) was not the write's to change")
                    continue
                }
            }
            for (field, value) in wanted where before?.root[field] != base.root[field] && before?.root[field] != value {
                self.problems.append("\(id): lost update: \(field) of \(key) had changed since")
            }
            return
        }
        if before != write.base { self.problems.append("\(id): lost update: \(key) was not what the client had seen") }
    }

    /// The members that differ, with their new values; `.some(nil)` for removed ones.
    static func changes(from old: Document?, to new: Document?) -> [String: Value?] {
        var changes: [String: Value?] = [:]
        for name in ["id", "a", "b", "c", "w"] where old?.root[name] != new?.root[name] {
            changes.updateValue(new?.root[name], forKey: name)
        }
        return changes
    }

    /// Two writes of one item are never at the upstream at once.
    mutating func checkAlone(_ sent: WorldExchange) {
        guard sent.generation == self.generation, case .item(let key) = sent.exchange.target,
            self.running[sent.write]?.number == sent.number, self.running[sent.write]?.isSent == true
        else { return }
        for (id, run) in self.running where id != sent.write && run.isSent && self.writes[id].request.key == key {
            self.problems.append("\(sent.write) and \(id) of \(key) are under way at once")
        }
    }

    /// What becomes readable is never older than what was, item by item.
    mutating func checkOrder(_ value: Document) {
        guard self.log.count >= 2 else { return }
        let before = self.log[self.log.count - 2].value
        for key in Self.keys {
            let (old, new) = (self.text(of: key, in: before), self.text(of: key, in: value))
            guard old != new, let states = self.upstream.states[key] else { continue }
            // States repeat only as "nothing": the last place of the new one must lie behind the first of the old one.
            guard let first = states.firstIndex(of: old), let last = states.lastIndex(of: new) else {
                self.problems.append(
                    "\(key) is readable in a state that it never had: \(new.map { String(decoding: $0, as: UTF8.self) } ?? "-")"
                )
                continue
            }
            if last < first { self.problems.append("\(key) went back from state \(first) to \(last)") }
        }
    }

    private func text(of key: String, in value: Document) -> [UInt8]? {
        guard case .found(let item, _) = value.item(key, in: Self.rule) else { return nil }
        return Array(item.text)
    }

    /// An answer holds what is readable at its cursor.
    mutating func checkAnswer(_ id: Int, _ answer: WriteAnswer) {
        guard answer.problem == nil else { return }
        guard let cursor = answer.cursor, let value = self.value(at: cursor.sequence) else {
            return self.problems.append("\(id): an answer without a readable cursor")
        }
        guard let key = self.writes[id].request.key else { return }
        if self.text(of: key, in: value) != answer.value {
            self.problems.append("\(id): the cursor does not hold the answer")
        }
    }

    mutating func checkEnd() {
        for (id, write) in self.writes.enumerated() {
            switch write.verdict {
            // A removal that was asked for twice counts as carried out once nothing is there, whoever removed it.
            case .applied
            where write.effects != 1
                && !(write.request.method == .delete && write.effects == 0 && write.tries > 1):
                self.problems.append("\(id): told to be carried out, with \(write.effects) effects")
            case .refused(let code) where write.effects > 0:
                self.problems.append("\(id): refused (\(code)) with \(write.effects) effects")
            case nil:
                self.problems.append("\(id): no verdict")
            default:
                break
            }
            if write.conflicts > 1 { self.problems.append("\(id): a conflict was reported \(write.conflicts) times") }
        }
        let readable = self.log.last?.value
        if readable != self.upstream.document { self.problems.append("the gateway and the upstream differ at the end") }
        // A reader of everything, and one that begins anywhere.
        for start in [0, self.log.count / 2] where start < self.log.count {
            var value = self.log[start].value
            for entry in self.log[(start + 1)...] {
                value = entry.patch.flatMap { try? value.applying(patch: $0) } ?? entry.value
                if value != entry.value { self.problems.append("a reader differs at \(entry.sequence)") }
            }
        }
    }
}
