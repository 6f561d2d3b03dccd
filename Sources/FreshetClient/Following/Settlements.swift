// Which writes the sequences of a client have reached.

import Synchronization

/// Keeps how far each sequence is, and those who wait for it. Any task may call.
final class Settlements: Sendable {
    /// How far one sequence is.
    struct Progress: Sendable {
        let query: StreamQuery
        var cursor: FreshetClient.Cursor?
        /// When the connection was opened on which the cursor's epoch was seen last.
        var confirmedAt: ContinuousClock.Instant?
        /// The consumer lags: what it gets next is a snapshot that is still to be made.
        var isLagging = false
    }

    /// A write that was answered.
    struct Answered: Sendable {
        let source: String
        let cursor: FreshetClient.Cursor
        let at: ContinuousClock.Instant
    }

    private struct Waiting: Sendable {
        let write: Answered
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State: Sendable {
        var last = 0
        var sequences: [Int: Progress] = [:]
        var waiting: [Int: Waiting] = [:]
    }

    private let state = Mutex(State())

    /// A sequence begins.
    ///
    /// - Returns: Its number.
    func begin(_ query: StreamQuery) -> Int {
        self.state.withLock { state in
            state.last += 1
            state.sequences[state.last] = Progress(query: query)
            return state.last
        }
    }

    /// A sequence is further than it was.
    func update(_ number: Int, _ change: (inout Progress) -> Void) {
        self.settle { state in
            guard var progress = state.sequences[number] else { return }
            change(&progress)
            state.sequences[number] = progress
        }
    }

    /// A sequence is over.
    func end(_ number: Int) {
        self.settle { $0.sequences[number] = nil }
    }

    /// Waits until every sequence that has all of the source's changes has reached the write.
    ///
    /// - Throws: `CancellationError`.
    func wait(for write: Answered) async throws {
        let number = self.state.withLock { state in
            state.last += 1
            return state.last
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let result = self.state.withLock { state -> Result<Void, any Error>? in
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if Self.isSettled(write, state) { return .success(()) }
                    state.waiting[number] = Waiting(write: write, continuation: continuation)
                    return nil
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            let waiting = self.state.withLock { $0.waiting.removeValue(forKey: number) }
            waiting?.continuation.resume(throwing: CancellationError())
        }
    }

    private func settle(_ change: (inout State) -> Void) {
        let settled = self.state.withLock { state -> [Waiting] in
            change(&state)
            guard !state.waiting.isEmpty else { return [] }
            let settled = state.waiting.filter { Self.isSettled($0.value.write, state) }
            for number in settled.keys { state.waiting[number] = nil }
            return Array(settled.values)
        }
        for waiting in settled { waiting.continuation.resume() }
    }

    private static func isSettled(_ write: Answered, _ state: State) -> Bool {
        state.sequences.values.allSatisfy { !$0.query.covers(write.source) || $0.holds(write) }
    }
}

extension Settlements.Progress {
    /// Whether the next element that the consumer takes, or one before it, was made after the write.
    func holds(_ write: Settlements.Answered) -> Bool {
        if self.isLagging { return true }
        guard let cursor else { return false }
        // Another numbering: what a connection opened after the answer shows of it was made after the write.
        return cursor.reaches(write.cursor) ?? (self.confirmedAt.map { $0 > write.at } ?? false)
    }
}
