// The connections by which any thread may read the log while the store's thread writes it.

import FreshetCore
import GRDB
import Synchronization

/// A few connections that only read, or why there are none.
final class LogReaders: Sendable {
    /// Reads run beside each other up to this number; more wait.
    static let count = 2

    private enum State {
        case open([DatabaseQueue], next: Int)
        case unavailable(StoreError)
    }

    private let state: Mutex<State>
    let path: String

    init(path: LogPath) {
        self.path = path.file
        self.state = Mutex(.unavailable(StoreError(.closed, "\(path.file) is not open yet")))
    }

    /// Reads in one transaction: what `body` sees does not change in between. On the calling thread.
    func read<Value>(_ body: (Database) throws -> Value) throws(StoreError) -> Value {
        let queue = try self.next()
        return try queue.perform(at: self.path) { database in
            var value: Value?
            try database.inTransaction(.deferred) {
                value = try body(database)
                return .commit
            }
            guard let value else { throw StoreError(.io, "\(self.path): nothing was read") }
            return value
        }
    }

    private func next() throws(StoreError) -> DatabaseQueue {
        let result: Result<DatabaseQueue, StoreError> = self.state.withLock { state in
            switch state {
            case .unavailable(let error):
                return .failure(error)
            case .open(let queues, let next):
                state = .open(queues, next: (next + 1) % queues.count)
                return .success(queues[next])
            }
        }
        return try result.get()
    }

    /// Opens the connections; the store's thread.
    func open() throws(StoreError) {
        var queues: [DatabaseQueue] = []
        for _ in 0..<Self.count {
            queues.append(try self.connect())
        }
        self.state.withLock { $0 = .open(queues, next: 0) }
    }

    func connect() throws(StoreError) -> DatabaseQueue {
        var configuration = LogFile.configuration()
        // A connection opened for reading only would take the lock of the whole process for one of readers.
        configuration.prepareDatabase { try $0.execute(sql: "PRAGMA query_only = ON") }
        do {
            return try DatabaseQueue(path: self.path, configuration: configuration)
        } catch {
            throw StoreError(error, path: self.path)
        }
    }

    /// Closes the connections once the reads that run are done; later ones fail with `error`.
    func close(_ error: StoreError) {
        let queues = self.state.withLock { state -> [DatabaseQueue] in
            defer { state = .unavailable(error) }
            if case .open(let queues, _) = state { return queues }
            return []
        }
        for queue in queues {
            try? queue.close()
        }
    }
}
