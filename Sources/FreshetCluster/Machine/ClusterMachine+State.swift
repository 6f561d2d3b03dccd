// What the owner of a unit keeps in the unit's owner record, so that the next owner goes on from there.

package import FreshetCore

extension ClusterMachine {
    /// The owner of a unit wants its state kept. A later one takes the place of an earlier one that was not written yet;
    /// `.kept` names the last that is in the stream.
    package mutating func keep(_ unit: String, _ state: [UInt8], number: UInt64, now: MonotonicTime) {
        guard let source = self.sources[unit], self.isState(of: source) else {
            return self.actions.append(.unkept(unit, through: number))
        }
        guard source.role != .other else {
            // Where no other gateway has become its owner, this node's next owner record has it.
            self.sources[unit]?.learned = state
            self.sources[unit]?.keeping = nil
            return self.actions.append(.unkept(unit, through: number))
        }
        self.sources[unit]?.keeping = ClusterSource.Keeping(state: state, number: number)
        self.pump(unit, now: now)
        self.review(unit, now: now)
    }

    /// Whether what this node says of a unit is the last that is known of it.
    private func isState(of source: ClusterSource) -> Bool {
        guard !source.isStateOld else { return false }
        switch source.role {
        case .owned, .refencing: return true
        case .acquiring, .handing: return false
        case .other:
            guard let owner = source.owner?.record else { return source.isReleasing }
            return source.isReleasing && owner.incarnation == self.settings.incarnation
        }
    }

    /// An owner record is on its way.
    mutating func stateWritten(_ record: OwnerRecord, of unit: String) {
        guard ClusterUnit.keepsState(unit), record.node == self.settings.node else { return }
        self.sources[unit]?.writtenStates.insert(StableHash.of(record.learned))
    }

    /// Looks at the state in an owner record of this node. Another node has written that record where it owned the unit meanwhile
    /// and gives it back. The records of a unit replace each other, so that this one may be all that there is to read of that
    /// time; what waits here is older, and is not kept.
    ///
    /// - Returns: Whether another node has written it.
    @discardableResult
    mutating func stateFound(_ state: [UInt8], of unit: String) -> Bool {
        guard ClusterUnit.keepsState(unit), let source = self.sources[unit] else { return false }
        let hash = StableHash.of(state)
        self.sources[unit]?.writtenStates = [hash]
        // Who acts for the unit all the while knows more than the stream.
        guard !source.isPolled, !source.writtenStates.contains(hash) else { return false }
        self.forgetState(of: unit)
        self.sources[unit]?.isStateOld = source.isReleasing
        return true
    }

    /// An owner record of this node was read.
    mutating func stateRead(_ state: [UInt8], of unit: String) {
        guard let keeping = self.sources[unit]?.keeping, keeping.state == state else { return }
        self.sources[unit]?.keeping = nil
        self.actions.append(.kept(unit, through: keeping.number))
    }

    /// Another node owns the unit, or none does: the state that was waiting is not kept.
    mutating func forgetState(of unit: String) {
        guard let keeping = self.sources[unit]?.keeping else { return }
        self.sources[unit]?.keeping = nil
        self.actions.append(.unkept(unit, through: keeping.number))
    }

    /// What is known of a unit; `nil` for one that never had an owner.
    package func state(of unit: String) -> [UInt8]? {
        guard let source = self.sources[unit] else { return nil }
        let state = source.keeping?.state ?? source.learned
        return state.isEmpty ? nil : state
    }

    /// The owner of a unit that left the configuration clears its state, so that a unit of that name starts afresh.
    mutating func forget(_ unit: String) {
        guard ClusterUnit.keepsState(unit), let source = self.sources[unit], case .owned(let fence) = source.role else {
            return
        }
        let subject = self.settings.subjects.subject(of: .owner(source: unit))
        let record = OwnerRecord(node: "", incarnation: Incarnation(rawValue: 0))
        _ = self.publish(
            [StreamMessage(subject: subject, payload: record.encoded)],
            expecting: StreamExpectation(subject, at: fence),
            for: .owner(unit)
        )
    }
}
