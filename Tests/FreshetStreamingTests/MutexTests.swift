// The lock on which the room rests, and whether ThreadSanitizer knows it: see CThreadSanitizer.

import CThreadSanitizer
import Glibc
import Synchronization
import System
import Testing

extension StreamingTests {
    @Suite("A mutex")
    struct MutexTests {
        private final class Counter: Sendable {
            let count = Mutex(0)
        }

        @Test("that several threads want all the time counts right, and is no race to ThreadSanitizer")
        func contended() throws {
            let counter = Counter()
            let threads = try (0..<4).map { number in
                try SystemThread(name: "counter-\(number)") {
                    for _ in 0..<100_000 { counter.count.withLock { $0 += 1 } }
                }
            }
            for thread in threads { thread.join() }
            #expect(counter.count.withLock { $0 } == 400_000)
        }

        @Test(
            "is known to ThreadSanitizer where it runs",
            .enabled(if: getenv("FRESHET_SANITIZE").map { String(cString: $0) } == "thread", "for make sanitize")
        )
        func known() {
            #expect(cthreadsanitizer_is_on() == 1)
        }
    }
}
