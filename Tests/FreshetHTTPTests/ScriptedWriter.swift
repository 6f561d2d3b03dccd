import FreshetCore
import FreshetTesting
import Synchronization
import System
import Testing

/// Stands for the desk of writes: each write waits until the test answers it.
final class ScriptedWriter: Writer {
    /// A write that has come.
    struct Arrival: Sendable {
        var number: Int
        var request: WriteRequest
        var caller: Principal
    }

    private let arrivals = Watched<[Arrival]>([])
    private let answers = Mutex<(count: Int, [Int: CheckedContinuation<WriteAnswer, Never>])>((0, [:]))

    func methods(of source: String) -> [WriteMethod]? { WriteMethod.allCases }

    func perform(_ request: WriteRequest, for caller: Principal) async -> WriteAnswer {
        await withCheckedContinuation { continuation in
            let number = self.answers.withLock { answers in
                answers.count += 1
                answers.1[answers.count] = continuation
                return answers.count
            }
            self.arrivals.update { $0.append(Arrival(number: number, request: request, caller: caller)) }
        }
    }

    /// The next write, as it came.
    func next() async throws -> Arrival {
        try #require(
            await self.arrivals.wait(timeout: .patience) { $0.isEmpty ? nil : $0.removeFirst() },
            "no write comes"
        )
    }

    func answer(_ number: Int, _ answer: WriteAnswer) {
        let continuation = self.answers.withLock { $0.1.removeValue(forKey: number) }
        continuation?.resume(returning: answer)
    }
}
