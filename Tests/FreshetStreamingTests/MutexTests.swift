// The lock on which the room rests, and whether ThreadSanitizer knows it: see CThreadSanitizer.

import CThreadSanitizer
import Glibc
import Synchronization
import Testing

extension StreamingTests {
    @Suite("A mutex")
    struct MutexTests {
        private final class Counter: Sendable {
            let count = Mutex(0)
        }

        @Test("that several threads want all the time counts right, and is no race to ThreadSanitizer")
        func contended() {
            let counter = Counter()
            var threads = [pthread_t](repeating: pthread_t(), count: 4)
            for index in threads.indices {
                let context = Unmanaged.passRetained(counter).toOpaque()
                pthread_create(
                    &threads[index],
                    nil,
                    { context in
                        guard let context else { return nil }
                        let counter = Unmanaged<Counter>.fromOpaque(context).takeRetainedValue()
                        for _ in 0..<100_000 { counter.count.withLock { $0 += 1 } }
                        return nil
                    },
                    context
                )
            }
            for thread in threads { pthread_join(thread, nil) }
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
