// The log of a process with a disk: what is numbered here is committed by a store.

import DequeModule
import JSON

/// Numbers changes and has a ``ChangeStore`` commit them; tells of each after its commit.
///
/// Only this process writes to the store, so numbers are given out before the commit and count only after it. When
/// the store fails, what it did not commit is withdrawn and numbered anew elsewhere.
package final class StoreLog: LogBackend {
    /// Something for the store to do, in order.
    private enum Step: Sendable {
        case append(UInt64, LogRecord)
        case remove(String)
    }

    private struct State: Sendable {
        var head: Cursor
        weak var receiver: (any LogReceiver)?
        /// Submitted, not yet committed; oldest first.
        var pending = Deque<(sequence: UInt64, record: LogRecord)>()
        /// What the store is yet to be given.
        var steps: TurnQueue<Step>
    }

    /// The most changes that may wait for the disk, or for a store that begins anew together with the removals in between.
    /// Beyond it the disk counts as failed, and publishing goes on in memory. Removals alone do not fail it: there are no
    /// more of them than sources.
    package static let maxPending = 10_000

    private let store: any ChangeStore
    private let state: BriefLock<State>

    /// - Parameters:
    ///   - store: commits the changes.
    ///   - head: where what the store holds ends.
    ///   - isHeld: whether the store is not ready yet: it is given nothing before ``release()``.
    package init(_ store: any ChangeStore, after head: Cursor, isHeld: Bool = false) {
        self.store = store
        self.state = BriefLock(State(head: head, steps: TurnQueue(isHeld: isHeld)))
    }

    package var head: Cursor { self.state.withLock { $0.head } }

    package func start(telling receiver: any LogReceiver) {
        self.state.withLock { $0.receiver = receiver }
    }

    package func submit(_ record: LogRecord) throws(StoreError) {
        let count = self.state.withLock { state in
            state.head.sequence += 1
            state.pending.append((state.head.sequence, record))
            state.steps.append(.append(state.head.sequence, record))
            return max(state.pending.count, state.steps.count)
        }
        guard count <= Self.maxPending else {
            throw StoreError(.io, "the disk is \(Self.maxPending) changes behind")
        }
    }

    package func remove(source name: String) {
        self.state.withLock { $0.steps.append(.remove(name)) }
    }

    package func withdraw() -> [LogRecord] {
        self.state.withLock { state in
            let rest = state.pending.map(\.record)
            state.pending = []
            state.steps.removeAll()
            state.head.sequence -= UInt64(rest.count)
            return rest
        }
    }

    /// The store is ready: ``flush()`` gives it what waited for that.
    package func release() {
        self.state.withLock { $0.steps.release() }
    }

    package func flush() {
        var next = self.state.withLock { $0.steps.begin() }
        while let step = next {
            self.perform(step)
            next = self.state.withLock { $0.steps.next() }
        }
    }

    private func perform(_ step: Step) {
        switch step {
        case .remove(let name):
            self.store.remove(source: name)
        case .append(let sequence, let record):
            self.store.append(StoredChange(record, sequence), snapshot: StoredSource(record, sequence)) {
                [weak self] result in
                self?.storeAnswered(sequence, result)
            }
        }
    }

    /// On the store's thread.
    private func storeAnswered(_ sequence: UInt64, _ result: Result<Void, StoreError>) {
        let receiver = self.state.withLock { state -> (any LogReceiver)? in
            // Else it was withdrawn after an earlier failure.
            guard let first = state.pending.first, first.sequence == sequence else { return nil }
            if case .success = result {
                state.pending.removeFirst()
                let position = Cursor(epoch: state.head.epoch, sequence: sequence)
                state.receiver?.committed(first.record, at: position)
            }
            return state.receiver
        }
        switch result {
        case .success: receiver?.settle()
        case .failure(let error): receiver?.failed(self, error)
        }
    }
}

extension StoredChange {
    package init(_ record: LogRecord, _ sequence: UInt64) {
        self.init(
            sequence: sequence,
            source: record.name,
            at: record.change.at,
            patch: record.change.patch,
            merge: record.change.merge,
            items: record.change.items,
            value: record.change.document.text
        )
    }
}

extension StoredSource {
    package init(_ record: LogRecord, _ sequence: UInt64) {
        self.init(
            name: record.name,
            identity: record.identity,
            sequence: sequence,
            at: record.change.at,
            value: record.change.document.text,
            validators: record.change.validators,
            learned: record.change.learned
        )
    }
}
