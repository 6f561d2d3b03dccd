// The sequences that a program iterates.

import Synchronization

extension FreshetClient {
    /// The newest value of each source, and each newer one, without an end.
    ///
    /// See ``Source/values(mode:view:)``. Each iterator is a stream of its own, which begins with the first call of `next()`
    /// and ends when the iterator is released.
    public struct Values: AsyncSequence, Sendable {
        public typealias Element = Value
        let core: ClientCore
        let query: StreamQuery

        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(
                reading: Reading(limits: self.core.configuration) { mailbox in
                    let fold = Fold(maxBytes: self.core.configuration.maxHeldBytes)
                    return Feed(core: self.core, query: self.query, sink: ValueSink(mailbox: mailbox, fold: fold))
                }
            )
        }

        public struct AsyncIterator: AsyncIteratorProtocol {
            let reading: Reading<Value>

            /// Waits for a value that is newer than the last one.
            ///
            /// - Throws: ``FreshetClientError``, or `CancellationError`.
            public mutating func next() async throws -> Value? { try await self.reading.next() }
        }
    }

    /// All changes of some sources, in order, without an end.
    ///
    /// See ``Source/changes(mode:since:view:)``. Each iterator is a stream of its own, which begins with the first call of
    /// `next()` and ends when the iterator is released.
    public struct Changes: AsyncSequence, Sendable {
        public typealias Element = Change
        let core: ClientCore
        let query: StreamQuery

        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(
                reading: Reading(limits: self.core.configuration) { mailbox in
                    Feed(
                        core: self.core,
                        query: self.query,
                        sink: ChangeSink(mailbox: mailbox)
                    )
                }
            )
        }

        public struct AsyncIterator: AsyncIteratorProtocol {
            let reading: Reading<Change>

            /// Waits for the next change.
            ///
            /// - Throws: ``FreshetClientError``, or `CancellationError`.
            public mutating func next() async throws -> Change? { try await self.reading.next() }
        }
    }
}

/// The task that reads a stream, and the buffer between it and the consumer. Released with the iterator, it ends the task.
final class Reading<Element: Sendable>: Sendable {
    private let mailbox: Mailbox<Element>
    private let feed: Feed
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(limits: FreshetClient.Configuration, feed: (Mailbox<Element>) -> Feed) {
        self.mailbox = Mailbox(maxCount: limits.maxBufferedChanges, maxBytes: limits.maxBufferedBytes)
        self.feed = feed(self.mailbox)
    }

    deinit {
        self.task.withLock { $0 }?.cancel()
        self.mailbox.cancel()
    }

    func next() async throws -> Element? {
        self.task.withLock { task in
            guard task == nil else { return }
            let feed = self.feed
            task = Task { await feed.run() }
        }
        return try await withTaskCancellationHandler {
            try await self.mailbox.take()
        } onCancel: {
            self.task.withLock { $0 }?.cancel()
        }
    }
}

/// Passes changes on as they are.
private struct ChangeSink: Feed.Sink {
    let mailbox: Mailbox<FreshetClient.Change>

    var isFull: Bool { self.mailbox.isFull }

    func take(_ change: FreshetClient.Change) -> Feed.Verdict {
        self.mailbox.put(change, bytes: change.byteCount) == .accepted ? .taken : .lagging
    }

    func waitUntilTaken() async { await self.mailbox.waitUntilTaken() }
    func finish(_ error: (any Error)?) { self.mailbox.finish(error) }
}

/// Makes values of changes, and keeps the newest of each source.
private final class ValueSink: Feed.Sink {
    private let mailbox: Mailbox<FreshetClient.Value>
    private let fold: Mutex<Fold>

    init(mailbox: Mailbox<FreshetClient.Value>, fold: Fold) {
        self.mailbox = mailbox
        self.fold = Mutex(fold)
    }

    func take(_ change: FreshetClient.Change) throws -> Feed.Verdict {
        do throws(Fold.Failure) {
            let value = try self.fold.withLock { (fold) throws(Fold.Failure) in try fold.take(change) }
            if let value { _ = self.mailbox.put(value, key: value.source, bytes: 0) }
            return .taken
        } catch {
            switch error {
            case .mismatch: return .mismatch
            case .tooLarge(let error): throw error
            }
        }
    }

    // A value that waits is replaced by the next one: there is nothing to wait for.
    var isFull: Bool { false }
    func waitUntilTaken() async {}
    func finish(_ error: (any Error)?) { self.mailbox.finish(error) }
}
