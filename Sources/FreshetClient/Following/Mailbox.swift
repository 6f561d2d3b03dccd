// Between the task that reads a stream and the one that consumes it.

import Synchronization

/// A bounded buffer of elements with one producer and one consumer.
///
/// Where elements have a key, a newer one takes the place of one that waits: the consumer sees the newest of each. Where they
/// have none, all are kept up to the limits, and beyond them all are dropped: the producer is told, and begins again once the
/// consumer has come.
final class Mailbox<Element: Sendable>: Sendable {
    /// What became of an element.
    enum Acceptance: Hashable, Sendable {
        case accepted
        /// Dropped, with all that waited.
        case overflowed
    }

    private struct Entry: Sendable {
        var element: Element
        var key: String?
        var bytes: Int
    }

    private struct State: Sendable {
        /// Oldest first. Those before `first` were taken.
        var entries: [Entry?] = []
        var first = 0
        /// Places in `entries` by key.
        var places: [String: Int] = [:]
        var bytes = 0
        var consumer: CheckedContinuation<Element?, any Error>?
        var producer: CheckedContinuation<Void, Never>?
        /// What the consumer gets when nothing waits any more; `nil` while there may be more.
        var end: Result<Void, any Error>?

        var isEmpty: Bool { self.first == self.entries.count }
    }

    private let state = Mutex(State())
    private let maxCount: Int
    private let maxBytes: Int

    /// - Parameters:
    ///   - maxCount: The most elements without a key that wait.
    ///   - maxBytes: Where more bytes of them wait, no other is kept.
    init(maxCount: Int, maxBytes: Int) {
        self.maxCount = max(1, maxCount)
        self.maxBytes = maxBytes
    }

    /// Adds an element. It costs the same whatever waits.
    func put(_ element: Element, key: String? = nil, bytes: Int) -> Acceptance {
        typealias Consumer = CheckedContinuation<Element?, any Error>
        let (acceptance, consumer) = self.state.withLock { state -> (Acceptance, Consumer?) in
            if let consumer = state.consumer.take() { return (.accepted, consumer) }
            guard state.end == nil else { return (.accepted, nil) }
            let entry = Entry(element: element, key: key, bytes: bytes)
            if let key {
                if let place = state.places[key] {
                    state.entries[place] = entry
                } else {
                    state.places[key] = state.entries.count
                    state.entries.append(entry)
                }
                return (.accepted, nil)
            }
            guard !self.isFull(state) else {
                state.entries = []
                state.first = 0
                state.bytes = 0
                return (.overflowed, nil)
            }
            state.bytes += bytes
            state.entries.append(entry)
            return (.accepted, nil)
        }
        consumer?.resume(returning: element)
        return acceptance
    }

    /// Whether another element without a key would make the mailbox overflow.
    var isFull: Bool { self.state.withLock { self.isFull($0) } }

    private func isFull(_ state: State) -> Bool {
        !state.isEmpty && (state.entries.count - state.first >= self.maxCount || state.bytes > self.maxBytes)
    }

    /// Ends the sequence after what waits. Later calls do nothing.
    func finish(_ error: (any Error)? = nil) {
        let consumer = self.state.withLock { state -> CheckedContinuation<Element?, any Error>? in
            guard state.end == nil else { return nil }
            state.end = error.map { .failure($0) } ?? .success(())
            guard state.consumer != nil else { return nil }
            // The consumer gets it now; after an error the sequence is over.
            state.end = .success(())
            return state.consumer.take()
        }
        if let error { consumer?.resume(throwing: error) } else { consumer?.resume(returning: nil) }
    }

    /// Drops what waits and ends the sequence; a consumer that waits gets `CancellationError`.
    func cancel() {
        let (consumer, producer) = self.state.withLock { state in
            state.entries = []
            state.first = 0
            state.places = [:]
            state.end = .failure(CancellationError())
            return (state.consumer.take(), state.producer.take())
        }
        consumer?.resume(throwing: CancellationError())
        producer?.resume()
    }

    /// Takes the oldest element, or waits for one. One task at a time.
    ///
    /// - Returns: `nil` at the end.
    func take() async throws -> Element? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let (result, producer) = self.state.withLock { state in self.take(continuation, &state) }
                producer?.resume()
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            self.cancel()
        }
    }

    private func take(
        _ continuation: CheckedContinuation<Element?, any Error>,
        _ state: inout State
    ) -> (Result<Element?, any Error>?, CheckedContinuation<Void, Never>?) {
        if let element = Self.removeFirst(&state) {
            return (.success(element), state.isEmpty ? state.producer.take() : nil)
        }
        if let end = state.end {
            // An error is thrown once.
            if case .failure(let error) = end, !(error is CancellationError) { state.end = .success(()) }
            return (end.map { Element?.none }, nil)
        }
        state.consumer = continuation
        return (nil, state.producer.take())
    }

    private static func removeFirst(_ state: inout State) -> Element? {
        guard !state.isEmpty, let entry = state.entries[state.first] else { return nil }
        state.entries[state.first] = nil
        state.first += 1
        if let key = entry.key { state.places[key] = nil } else { state.bytes -= entry.bytes }
        if state.isEmpty {
            state.entries.removeAll(keepingCapacity: state.first <= 1024)
            state.first = 0
        } else if state.first >= 64, state.first * 2 >= state.entries.count {
            // Half of the places were taken: each element is moved once, on average.
            state.entries.removeFirst(state.first)
            for key in state.places.keys { state.places[key]? -= state.first }
            state.first = 0
        }
        return entry.element
    }

    /// Waits until the consumer has taken all that waits, or the sequence is over.
    func waitUntilTaken() async {
        await withCheckedContinuation { continuation in
            let isTaken = self.state.withLock { state in
                guard !state.isEmpty, state.end == nil else { return true }
                state.producer = continuation
                return false
            }
            if isTaken { continuation.resume() }
        }
    }
}
