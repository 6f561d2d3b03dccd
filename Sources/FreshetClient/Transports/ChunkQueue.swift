// The body of an answer on its way from the thread that receives it.

import Synchronization

/// A bounded queue of chunks between one thread and one task. Neither waits for the other in a lock.
package final class ChunkQueue: Sendable {
    private struct State: Sendable {
        var bytes: [UInt8] = []
        var reader: CheckedContinuation<[UInt8]?, any Error>?
        var end: Result<Void, any Error>?
        /// Whether the thread was told to stop, and has to be told to go on.
        var isFull = false
    }

    private let state = Mutex(State())
    private let maxBytes: Int
    private let resume: @Sendable () -> Void
    private let cancelled: @Sendable () -> Void

    /// - Parameters:
    ///   - maxBytes: From how many waiting bytes on the thread is to stop.
    ///   - resume: Called from the reading task when a thread that had to stop may go on.
    ///   - cancel: Called once, where the reader is gone before the end.
    package init(
        maxBytes: Int,
        resume: @escaping @Sendable () -> Void,
        cancel: @escaping @Sendable () -> Void
    ) {
        self.maxBytes = maxBytes
        self.resume = resume
        self.cancelled = cancel
    }

    /// Adds bytes; where too many wait already, only if `isForced`.
    ///
    /// - Returns: `false` where too many wait already; the thread is to stop then, and `resume` will be called.
    package func put(_ bytes: [UInt8], isForced: Bool = false) -> Bool {
        enum Step {
            case hand(CheckedContinuation<[UInt8]?, any Error>)
            case done(Bool)
        }
        let step = self.state.withLock { state -> Step in
            if let reader = state.reader.take() { return .hand(reader) }
            guard state.bytes.count < self.maxBytes else {
                state.isFull = true
                if isForced { state.bytes += bytes }
                return .done(false)
            }
            state.bytes += bytes
            return .done(true)
        }
        switch step {
        case .hand(let reader):
            reader.resume(returning: bytes)
            return true
        case .done(let isTaken): return isTaken
        }
    }

    /// Ends the queue after what waits. Later calls do nothing.
    package func finish(_ error: (any Error)? = nil) {
        let reader = self.state.withLock { state -> CheckedContinuation<[UInt8]?, any Error>? in
            guard state.end == nil else { return nil }
            state.end = error.map { .failure($0) } ?? .success(())
            return state.reader.take()
        }
        if let error { reader?.resume(throwing: error) } else { reader?.resume(returning: nil) }
    }

    fileprivate func cancel() {
        let (reader, wasOpen) = self.state.withLock { state in
            let wasOpen = state.end == nil
            state.bytes = []
            if wasOpen { state.end = .failure(CancellationError()) }
            return (state.reader.take(), wasOpen)
        }
        reader?.resume(throwing: CancellationError())
        if wasOpen { self.cancelled() }
    }

    fileprivate func take() async throws -> [UInt8]? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let (result, mayGoOn) = self.state.withLock { state -> (Result<[UInt8]?, any Error>?, Bool) in
                    if !state.bytes.isEmpty {
                        let bytes = state.bytes
                        state.bytes = []
                        defer { state.isFull = false }
                        return (.success(bytes), state.isFull)
                    }
                    if let end = state.end { return (end.map { [UInt8]?.none }, false) }
                    state.reader = continuation
                    return (nil, false)
                }
                if mayGoOn { self.resume() }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            self.cancel()
        }
    }

    /// What waits and what is to come, for one reader. Once it and its iterator are released, the exchange is cancelled.
    package var stream: Stream { Stream(reader: Reader(self)) }

    package struct Stream: AsyncSequence, Sendable {
        package typealias Element = [UInt8]
        fileprivate let reader: Reader

        package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: self.reader) }

        package struct AsyncIterator: AsyncIteratorProtocol {
            fileprivate let reader: Reader

            package mutating func next() async throws -> [UInt8]? { try await self.reader.queue.take() }
        }
    }

    fileprivate final class Reader: Sendable {
        let queue: ChunkQueue

        init(_ queue: ChunkQueue) {
            self.queue = queue
        }

        deinit { self.queue.cancel() }
    }
}
