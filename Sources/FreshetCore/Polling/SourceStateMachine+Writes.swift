// What a write makes of a source's value.

package import JSON

/// What is being written: its answers and those of a poll tell nobody which of them is the newer.
struct WritesUnderWay: Sendable {
    private(set) var keys: [String: Int] = [:]
    private var wholes = 0

    /// The whole value is.
    var isWhole: Bool { self.wholes > 0 }

    mutating func began(_ key: String?) {
        if let key { self.keys[key, default: 0] += 1 } else { self.wholes += 1 }
    }

    mutating func ended(_ key: String?) {
        guard let key else {
            self.wholes = max(0, self.wholes - 1)
            return
        }
        self.keys[key] = self.keys[key].flatMap { $0 > 1 ? $0 - 1 : nil }
    }
}

extension Document {
    /// This value with some items as they are in another: there, or not there.
    func holding(_ keys: Set<String>, of present: SourceValue) throws(UpstreamError) -> Document {
        guard !keys.isEmpty, let document = present.document, let rule = present.collection?.rule else { return self }
        var value = self
        for key in keys {
            var edit = WriteEdit.removal(key)
            if case .found(let item, _) = document.item(key, in: rule) { edit = .item(key, Array(item.text)) }
            guard let edited = edit.applied(to: value, rule: rule, limits: present.limits) else {
                throw UpstreamError(.unexpected, "the value has no place for an item that is written meanwhile")
            }
            value = edited
        }
        return value
    }
}

extension SourceStateMachine {
    /// A write to an item begins, or to the whole value (`nil`): until its end polls leave that as it is.
    package mutating func writeBegan(_ key: String?) { self.writing.began(key) }

    package mutating func writeEnded(_ key: String?) { self.writing.ended(key) }

    /// Items that the answer of a poll leaves as they are.
    var heldKeys: Set<String> { self.current.writtenKeys.union(self.writing.keys.keys) }

    /// The upstream holds this now, as its answer to a write or to a read beside one says. It takes the value's place at once:
    /// who writes means it. The answer of a poll under way may be older: items that were written hold on top of it, and where
    /// the whole value was, it is dropped, and the upstream is asked again.
    ///
    /// - Returns: The verdict, whose change is to be published, and the value from here on.
    package mutating func valueWritten(
        _ edit: WriteEdit,
        tag: [UInt8]?,
        now: MonotonicTime,
        wall: WallTime
    ) -> (verdict: Verdict, value: Document?) {
        // Without a difference too: what the poll under way has seen may be from before.
        switch edit {
        case .value: self.current.valueArrived()
        case .item(let key, _), .removal(let key), .creation(let key, _): self.current.itemWritten(key)
        }
        let old = self.value.document
        guard let new = edit.applied(to: old, rule: self.value.collection?.rule, limits: self.value.limits) else {
            let text = "the written value does not fit: its collection is gone, or it is larger than max_body_bytes"
            return (Verdict(outcome: .failed(.unexpected), error: UpstreamError(.unexpected, text)), nil)
        }
        if let violation = self.configuration.schema?.violation(in: new) {
            return (Verdict(outcome: .failed(.schema), error: violation), nil)
        }
        let hash = self.value.hash(of: new)
        self.staleness.confirmed(at: now, interval: self.status.interval, freshness: nil)
        self.status.lastSuccessAt = wall
        guard old == nil || hash != self.value.hash,
            var change = self.value.change(to: new, wall: wall, validators: nil, freshness: nil)
        else {
            return (Verdict(outcome: .unchanged, transition: self.enterCondition(now: now, wall: wall)), old)
        }
        // The tag of the collection is not that of an item.
        if case .value = edit { change.validators = Validators(etag: tag) }
        self.value.adopt(new, hash: hash, body: new.text)
        self.trust.forget()
        self.status.collection = self.value.collection
        self.status.validators = self.trust.validators
        self.status.changes += 1
        change.learned = self.learned
        return (
            Verdict(outcome: .changed, change: change, transition: self.enterCondition(now: now, wall: wall)), new
        )
    }
}
