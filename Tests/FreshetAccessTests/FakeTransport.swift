import Synchronization

@testable import FreshetAccess

/// Answers requests for key sets as a test says, and counts them.
final class FakeTransport: Sendable {
    struct Unreachable: Error, CustomStringConvertible {
        var description: String { "connection refused" }
    }

    private struct State {
        var answer: Result<KeyResponse, Unreachable>
        var requests: [KeyRequest] = []
        var waiters: [CheckedContinuation<Void, Never>] = []
        var isHeld = false
    }

    private let state: Mutex<State>

    init(_ body: [UInt8] = []) {
        self.state = Mutex(State(answer: .success(KeyResponse(status: 200, body: body))))
    }

    var requests: [KeyRequest] { self.state.withLock { $0.requests } }

    func answer(_ status: Int = 200, _ body: [UInt8]) {
        self.state.withLock { $0.answer = .success(KeyResponse(status: status, body: body)) }
    }

    func fail() {
        self.state.withLock { $0.answer = .failure(Unreachable()) }
    }

    /// Lets requests wait until ``release()``.
    func hold() {
        self.state.withLock { $0.isHeld = true }
    }

    func release() {
        let waiters = self.state.withLock { state in
            state.isHeld = false
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    var fetch: KeyFetch {
        { request in
            await withCheckedContinuation { continuation in
                let mustWait = self.state.withLock { state in
                    state.requests.append(request)
                    if state.isHeld { state.waiters.append(continuation) }
                    return state.isHeld
                }
                if !mustWait { continuation.resume() }
            }
            return try self.state.withLock { try $0.answer.get() }
        }
    }
}
