import CLinux
import Glibc

/// A real HTTP/1.1 origin on a port of 127.0.0.1 that does exactly what a test tells it, right or wrong.
///
/// Either answer by path (`on`), keep-alive and pipelining included, or script a whole connection (`script`), down to what
/// it sends before any request. All requests are recorded. Each connection has a thread of its own; `stop()`, or the
/// last reference, ends them all and frees the port. Any thread or task may call.
package final class ScriptedUpstream: Sendable {
    package typealias Handler = @Sendable (UpstreamRequest) -> [UpstreamStep]

    private let core: UpstreamCore

    /// Listens on a port that the kernel picks.
    ///
    /// - Throws: `TestingError` when no socket can be had.
    package init() throws {
        self.core = try UpstreamCore()
    }

    deinit { self.core.stop() }

    package var port: UInt16 { self.core.port }
    package var endpoint: Endpoint { .port(self.port) }

    /// The URL of `path`, which begins with a slash.
    package func url(_ path: String = "/") -> String { "http://127.0.0.1:\(self.port)\(path)" }

    /// Answers requests for `path` (compared without the query) with these steps; `*` stands for every other path.
    /// Replaces an earlier handler. A path without one is answered 404.
    package func on(_ path: String, _ handler: @escaping Handler) {
        self.core.state.update { $0.handlers[path] = handler }
    }

    /// Answers requests for `path` always with this response.
    package func on(_ path: String, respond response: UpstreamResponse) {
        self.on(path) { _ in [.respond(response)] }
    }

    /// Runs these steps, and nothing else, on the connection of this number; the first is 1.
    package func script(connection: Int, _ steps: [UpstreamStep]) {
        self.core.state.update { $0.scripts[connection] = steps }
    }

    /// All requests so far, in the order in which they were whole.
    package var requests: [UpstreamRequest] { self.core.state.value.requests }

    /// The requests so far whose path is `path`.
    package func requests(to path: String) -> [UpstreamRequest] { self.requests.filter { $0.path == path } }

    /// How many connections were accepted so far.
    package var connectionCount: Int { self.core.state.value.connections }

    /// How many connections are open now.
    package var openConnectionCount: Int { self.core.state.value.open.count }

    /// What went against the script: requests that did not fit, and bytes that are not HTTP.
    package var failures: [String] { self.core.state.value.failures }

    /// Waits for the upstream to have received `count` requests in all, and returns whether it has.
    @discardableResult
    package func waitForRequests(count: Int, timeout: Duration = .patience) async -> Bool {
        await self.core.state.wait(timeout: timeout) { $0.requests.count >= count ? true : nil } ?? false
    }

    /// As the `async` one, holding the thread.
    @available(*, noasync)
    @discardableResult
    package func waitForRequests(count: Int, timeout: Duration = .patience) -> Bool {
        self.core.state.wait(timeout: timeout) { $0.requests.count >= count ? true : nil } ?? false
    }

    /// Waits for the first request, received already or yet to come, that fits; `nil` when none does in time.
    package func waitForRequest(
        timeout: Duration = .patience,
        where fits: @escaping @Sendable (UpstreamRequest) -> Bool
    ) async -> UpstreamRequest? {
        await self.core.state.wait(timeout: timeout) { $0.requests.first(where: fits) }
    }

    /// Waits until exactly `count` connections are open, and returns whether they are.
    package func waitForOpenConnections(count: Int, timeout: Duration = .patience) async -> Bool {
        await self.core.state.wait(timeout: timeout) { $0.open.count == count ? true : nil } ?? false
    }

    /// Resets all connections and frees the port, so that new ones are refused, until `comeUp()`. Returns when it is so.
    package func goDown() async {
        self.core.goDown()
        _ = await self.core.state.wait(timeout: .patience) { $0.threads == 0 ? true : nil }
    }

    /// Listens again on the same port.
    ///
    /// - Throws: `TestingError` when another process has taken the port meanwhile.
    package func comeUp() throws { try self.core.listen() }

    /// Ends all connections and threads and frees the port. Returns when it is so.
    package func stop() async {
        self.core.stop()
        _ = await self.core.state.wait(timeout: .patience) { $0.threads == 0 ? true : nil }
    }
}

/// What the upstream's threads share; lives until the last of them has ended.
final class UpstreamCore: Sendable {
    struct State: Sendable {
        var handlers: [String: ScriptedUpstream.Handler] = [:]
        var scripts: [Int: [UpstreamStep]] = [:]
        var requests: [UpstreamRequest] = []
        var failures: [String] = []
        var connections = 0
        var open: Set<Int> = []
        var threads = 0
        var isStopped = false
        /// Raised to end the threads that run now.
        var ending: Signal
    }

    let port: UInt16
    let state: Watched<State>

    init() throws {
        let listener = try StreamSocket.listening()
        self.port = UInt16(clamping: try checked(clinux_local_port(listener.descriptor), "getsockname"))
        self.state = Watched(State(ending: try Signal()))
        self.start(listener, ending: self.state.value.ending)
    }

    func listen() throws {
        let listener = try StreamSocket.listening(port: self.port)
        let ending = try Signal()
        let mayStart = self.state.update { state -> Bool in
            guard !state.isStopped else { return false }
            state.ending = ending
            return true
        }
        if mayStart { self.start(listener, ending: ending) }
    }

    func goDown() { self.state.value.ending.raise() }

    func stop() {
        self.state.update { $0.isStopped = true }
        self.goDown()
    }

    private func start(_ listener: StreamSocket, ending: Signal) {
        self.state.update { $0.threads += 1 }
        PlainThread.start("upstream") {
            self.accept(from: listener, ending: ending)
            listener.close()
            self.state.update { $0.threads -= 1 }
        }
    }

    private func accept(from listener: StreamSocket, ending: Signal) {
        while listener.wait(for: POLLIN, deadline: nil, signal: ending) == .ready {
            let descriptor = clinux_accept(listener.descriptor)
            guard descriptor >= 0 else {
                // Out of descriptors, say: the connection stays in the backlog, and is reported again at once.
                _ = waitFor([], deadline: Deadline(in: .milliseconds(10)), signal: ending)
                continue
            }
            let socket = StreamSocket(descriptor: descriptor)
            _ = clinux_set_nodelay(descriptor, 1)
            let number = self.state.update { state -> Int in
                state.connections += 1
                state.open.insert(state.connections)
                state.threads += 1
                return state.connections
            }
            PlainThread.start("upstream-\(number)") {
                var connection = UpstreamConnection(core: self, number: number, socket: socket, ending: ending)
                connection.run()
                self.state.update { state in
                    state.open.remove(number)
                    state.threads -= 1
                }
            }
        }
    }
}
