import System

/// Threads for what blocks, so that no blocking call ever sits on the tasks' own few threads.
enum PlainThread {
    /// Runs `body` on a thread of its own.
    static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
        do throws(SystemError) {
            try SystemThread.detach(name: name, stackBytes: 512 << 10, body)
        } catch {
            preconditionFailure("\(error)")
        }
    }

    /// Runs `body`, which blocks, on a thread of its own and waits for it without holding this one.
    static func run<Result: Sendable>(
        _ name: String,
        _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            self.start(name) { continuation.resume(with: Swift.Result { try body() }) }
        }
    }
}
