import Synchronization

@testable import FreshetCore

/// A broker as several nodes see it: a position is known only when it acknowledges, and every node is told of every change.
final class SharedBroker: Sendable {
    private struct State: Sendable {
        var head: Cursor
        var nodes: [SharedLog] = []
        var waiting: [(record: LogRecord, node: SharedLog)] = []
    }

    private let state: Mutex<State>

    init(epoch: Epoch) {
        self.state = Mutex(State(head: Cursor(epoch: epoch, sequence: 0)))
    }

    var head: Cursor { self.state.withLock { $0.head } }

    func enter(_ node: SharedLog) {
        self.state.withLock { $0.nodes.append(node) }
    }

    func take(_ record: LogRecord, from node: SharedLog) {
        self.state.withLock { $0.waiting.append((record, node)) }
    }

    func withdraw(_ node: SharedLog) -> [LogRecord] {
        self.state.withLock { state in
            defer { state.waiting.removeAll { $0.node === node } }
            return state.waiting.filter { $0.node === node }.map(\.record)
        }
    }

    /// Acknowledges the oldest `count` of what waits.
    func acknowledge(_ count: Int) {
        for _ in 0..<count {
            let (record, sender, position, nodes) = self.state.withLock { state in
                let (record, sender) = state.waiting.removeFirst()
                state.head.sequence += 1
                return (record, sender, state.head, state.nodes)
            }
            for node in nodes {
                node.tell(record, isOwn: node === sender, position)
            }
        }
    }
}

/// One node's part of a ``SharedBroker``.
final class SharedLog: LogBackend {
    private struct State: Sendable {
        weak var receiver: (any LogReceiver)?
    }

    private let broker: SharedBroker
    private let state = Mutex(State())

    init(_ broker: SharedBroker) {
        self.broker = broker
    }

    var head: Cursor { self.broker.head }

    func start(telling receiver: any LogReceiver) {
        self.state.withLock { $0.receiver = receiver }
        self.broker.enter(self)
    }

    func submit(_ record: LogRecord) {
        self.broker.take(record, from: self)
    }

    func remove(source name: String) {}

    func flush() {}

    func withdraw() -> [LogRecord] {
        self.broker.withdraw(self)
    }

    func tell(_ record: LogRecord, isOwn: Bool, _ position: Cursor) {
        let foreign = LogRecord(name: record.name, identity: record.identity, change: record.change)
        let receiver = self.state.withLock { $0.receiver }
        receiver?.committed(isOwn ? record : foreign, at: position)
        receiver?.settle()
    }

    /// The broker cannot be reached any more.
    func fail() {
        let receiver = self.state.withLock { $0.receiver }
        receiver?.failed(self, StoreError(.io, "as scripted"))
    }
}
