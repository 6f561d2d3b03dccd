import CLinux
import Glibc

/// A relay before a server that cuts connections in the middle of what the server sends, as networks do.
///
/// Each connection has a thread of its own. The last reference ends them all. Any task may call.
package final class CuttingRelay: Sendable {
    /// Where an answer is cut: so many bytes after the first place of a text in it.
    package struct Cut: Sendable {
        package var text: String
        package var bytes: Int

        package init(after text: String, bytes: Int) {
            self.text = text
            self.bytes = bytes
        }
    }

    private struct State: Sendable {
        var requests: [String] = []
        var cuts = 0
    }

    private let listener: StreamSocket
    private let state = Watched(State())
    private let end: Signal
    package let port: UInt16

    /// Relays to `server`. `cut` is asked for each connection, by its request's first line and how many were cut before;
    /// `nil` does not cut it.
    ///
    /// - Throws: `TestingError` where no socket can be had.
    package init(to server: Endpoint, cut: @escaping @Sendable (_ request: String, _ cuts: Int) -> Cut?) throws {
        let (listener, end, state) = (try StreamSocket.listening(), try Signal(), self.state)
        self.listener = listener
        self.end = end
        self.port = UInt16(clamping: try checked(clinux_local_port(listener.descriptor), "getsockname"))
        PlainThread.start("relay") {
            while listener.wait(for: POLLIN, deadline: nil, signal: end) == .ready {
                let descriptor = accept(listener.descriptor, nil, nil)
                guard descriptor >= 0 else { continue }
                let client = StreamSocket(descriptor: descriptor)
                PlainThread.start("relayed") { try? Self.relay(client, to: server, end, state, cut) }
            }
        }
    }

    deinit { self.end.raise() }

    /// The first lines of all requests so far.
    package var requests: [String] { self.state.value.requests }
    /// How many connections were cut so far.
    package var cuts: Int { self.state.value.cuts }

    /// Waits until there were so many requests whose first line begins so, and returns whether there were.
    package func waitForRequests(_ count: Int, to start: String, timeout: Duration = .patience) async -> Bool {
        await self.state.wait(timeout: timeout) { state in
            state.requests.count { $0.hasPrefix(start) } >= count ? true : nil
        } ?? false
    }

    private static func relay(
        _ client: StreamSocket,
        to endpoint: Endpoint,
        _ end: Signal,
        _ state: Watched<State>,
        _ cut: @Sendable (String, Int) -> Cut?
    ) throws {
        let server = try StreamSocket.connected(to: endpoint, deadline: Deadline(in: .patience))
        var plan: Cut?
        var answer: [UInt8] = []
        while waitFor([(client.descriptor, POLLIN), (server.descriptor, POLLIN)], deadline: nil, signal: end) == .ready
        {
            if client.wait(for: POLLIN, deadline: Deadline(in: .zero)) == .ready, let bytes = try client.read() {
                guard !bytes.isEmpty else { return }
                let line = String(decoding: bytes.prefix { $0 != 0x0D }, as: UTF8.self)
                plan = state.update { state in
                    state.requests.append(line)
                    return cut(line, state.cuts)
                }
                answer = []
                _ = try server.write(bytes, deadline: nil, signal: end)
            }
            guard server.wait(for: POLLIN, deadline: Deadline(in: .zero)) == .ready, let bytes = try server.read()
            else { continue }
            guard !bytes.isEmpty else { return }
            let before = answer.count
            answer += bytes
            guard let plan, let place = Self.end(of: plan.text, in: answer), answer.count >= place + plan.bytes else {
                _ = try client.write(bytes, deadline: nil, signal: end)
                continue
            }
            _ = try client.write(Array(answer[before..<max(before, place + plan.bytes)]), deadline: nil, signal: end)
            state.update { $0.cuts += 1 }
            return client.reset()
        }
    }

    private static func end(of text: String, in bytes: [UInt8]) -> Int? {
        let needle = Array(text.utf8)
        return bytes.indices.first { bytes[$0...].starts(with: needle) }.map { $0 + needle.count }
    }
}
