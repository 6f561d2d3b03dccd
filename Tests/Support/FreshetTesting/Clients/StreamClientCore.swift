import CLinux
import Glibc

/// The thread behind a `StreamClient`, and what both share; lives until the thread has ended.
final class StreamClientCore<Decoder: StreamItemDecoder>: Sendable {
    enum Ending: Sendable { case close, reset }

    struct State: Sendable {
        // What the client asks of the thread.
        var isPaused = false
        var isHalfClosing = false
        var ending: Ending?

        // What the thread tells the client.
        /// Whether the thread has seen `isPaused` and reads nothing.
        var isResting = false
        var head: ResponseHead?
        var items: ArraySlice<Decoder.Item> = []
        var raw: [UInt8] = []
        var body: [UInt8] = []
        var received = 0
        var chunks = 0
        var end: StreamEnd?
    }

    let state = Watched(State())
    private let endpoint: Endpoint
    private let request: [UInt8]
    private let options: StreamClientOptions
    private let decoder: Decoder
    private let wake: Signal

    init(endpoint: Endpoint, request: [UInt8], options: StreamClientOptions, decoder: Decoder) throws {
        self.endpoint = endpoint
        self.request = request
        self.options = options
        self.decoder = decoder
        self.wake = try Signal()
    }

    func command(_ change: (inout State) -> Void) {
        self.state.update(change)
        self.wake.raise()
    }

    func start() {
        PlainThread.start("stream-client") {
            let end = self.run()
            self.state.update { $0.end = end }
        }
    }

    private func run() -> StreamEnd {
        do {
            let socket = try StreamSocket.connected(
                to: self.endpoint,
                receiveBufferBytes: self.options.receiveBufferBytes,
                deadline: Deadline(in: .patience)
            )
            defer { socket.close() }
            _ = try socket.write(self.request, deadline: Deadline(in: .patience))
            return try self.receive(from: socket)
        } catch let error as TestingError {
            switch error.reason {
            case .connectionEnded: return .truncated
            case .systemCall(ECONNRESET), .systemCall(EPIPE): return .reset
            default: return .failed("\(error)")
            }
        } catch {
            return .failed("\(error)")
        }
    }

    private func receive(from socket: StreamSocket) throws -> StreamEnd {
        var decoder = self.decoder
        var reader = ResponseReader()
        reader.requestSent(method: self.options.method)
        while true {
            if let end = self.obey(socket) { return end }
            let isPaused = self.state.value.isPaused
            let events: Int32 = isPaused ? 0 : POLLIN
            let watched = isPaused ? [] : [(socket.descriptor, events)]
            guard waitFor(watched, deadline: nil, signal: self.wake) == .ready else { continue }
            guard let bytes = try socket.read(limit: self.options.readBytes) else { continue }
            let parts = bytes.isEmpty ? try reader.streamEnded() : try reader.push(bytes)
            if let end = try self.take(bytes, parts, chunks: reader.chunks, decoder: &decoder) { return end }
            if bytes.isEmpty { return .truncated }
            if let interval = self.options.readInterval {
                _ = waitFor([], deadline: Deadline(in: interval), signal: self.wake)
            }
        }
    }

    /// Does what the client has asked for; returns the end if that is it.
    private func obey(_ socket: StreamSocket) -> StreamEnd? {
        // Lowered first: a command that comes now raises it again.
        self.wake.lower()
        let state = self.state.update { state -> State in
            state.isResting = state.isPaused
            defer { state.isHalfClosing = false }
            return state
        }
        if state.isHalfClosing { socket.shutdownWrite() }
        switch state.ending {
        case .close: socket.close()
        case .reset: socket.reset()
        case nil: return nil
        }
        return .closedByClient
    }

    /// Notes what was received; returns the end when the response is whole.
    private func take(
        _ bytes: [UInt8],
        _ parts: [ResponsePart],
        chunks: Int,
        decoder: inout Decoder
    ) throws -> StreamEnd? {
        var items: [Decoder.Item] = []
        var body: [UInt8] = []
        var head: ResponseHead?
        var isWhole = false
        for part in parts {
            switch part {
            case .interim: break
            case .head(let response): head = response
            case .body(let content):
                body += content
                items += try decoder.items(in: content)
            case .end: isWhole = true
            }
        }
        let kept = self.options.keptBytes
        self.state.update { state in
            state.head = state.head ?? head
            state.items += items
            state.raw += bytes.prefix(max(0, kept - state.raw.count))
            state.body += body.prefix(max(0, kept - state.body.count))
            state.received += bytes.count
            state.chunks = max(state.chunks, chunks)
        }
        return isWhole ? .complete : nil
    }
}

extension [UInt8] {
    /// Whether `needle` occurs.
    func contains(_ needle: [UInt8]) -> Bool {
        guard let first = needle.first else { return true }
        var start = self.startIndex
        while let found = self[start...].firstIndex(of: first) {
            if self[found...].starts(with: needle) { return true }
            start = found + 1
        }
        return false
    }
}
