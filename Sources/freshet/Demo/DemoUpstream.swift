// The demo's upstream: a small HTTP server on a loopback port of the kernel's choice.

import CLinux
import FreshetCore
import Synchronization
import System

/// Serves a ``DemoWorld`` over HTTP/1.1 with entity tags, from a thread of its own: reads, and writes of orders. It is for this
/// machine only.
final class DemoUpstream: Sendable {
    /// The port of 127.0.0.1 that it listens on.
    let port: Int
    private let server: SmallServer

    private struct State: Sendable {
        var world: DemoWorld
        /// Seconds of the world's history that have happened.
        var steps: Int64 = 0
    }

    /// Starts to listen and to change.
    ///
    /// - Throws: ``StartFailure`` where no port can be had.
    init(seed: UInt64 = 7) throws(StartFailure) {
        let start = clinux_monotonic_ns()
        // Only the server's thread takes it.
        let state = SharedState(State(world: DemoWorld(seed: seed, now: WallTime.now)))
        self.server = try SmallServer(
            .tcp(host: "127.0.0.1", port: 0),
            name: "demo-upstream",
            tick: {
                state.value.withLock { state in
                    while state.steps < (clinux_monotonic_ns() - start) / 1_000_000_000 {
                        state.steps += 1
                        state.world.advance(now: WallTime.now)
                    }
                }
            },
            answer: { request in state.value.withLock { request.answer(&$0.world, now: WallTime.now) } }
        )
        self.port = self.server.port
    }

    /// Ends the thread and frees the port, soon.
    func stop() {
        self.server.stop()
    }

    private final class SharedState: Sendable {
        let value: Mutex<State>

        init(_ state: State) {
            self.value = Mutex(state)
        }
    }
}
