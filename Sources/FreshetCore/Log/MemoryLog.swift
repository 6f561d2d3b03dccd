// The log of a process without a disk: a counter.

/// Gives out numbers, and commits each change at once. What was committed is gone with the process.
package final class MemoryLog: LogBackend {
    private struct State: Sendable {
        var head: Cursor
        weak var receiver: (any LogReceiver)?
    }

    private let state: BriefLock<State>

    /// - Parameter head: the first change gets the position after it.
    package init(after head: Cursor) {
        self.state = BriefLock(State(head: head))
    }

    package var head: Cursor { self.state.withLock { $0.head } }

    package func start(telling receiver: any LogReceiver) {
        self.state.withLock { $0.receiver = receiver }
    }

    package func submit(_ record: LogRecord) {
        self.state.withLock { state in
            state.head.sequence += 1
            state.receiver?.committed(record, at: state.head)
        }
    }

    package func remove(source name: String) {}

    package func flush() {}

    package func withdraw() -> [LogRecord] { [] }
}
