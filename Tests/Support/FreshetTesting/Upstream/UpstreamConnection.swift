import CLinux
import Glibc

/// One connection of a scripted upstream, on its thread: reads requests, records them, and runs their steps.
struct UpstreamConnection {
    private enum Flow {
        case goOn
        /// Close in order.
        case close
        case reset
    }

    private let core: UpstreamCore
    private let number: Int
    private let socket: StreamSocket
    private let ending: Signal
    private var reader = RequestReader()
    private var requestCount = 0
    private var lastRequest: UpstreamRequest?

    init(core: UpstreamCore, number: Int, socket: StreamSocket, ending: Signal) {
        self.core = core
        self.number = number
        self.socket = socket
        self.ending = ending
    }

    /// Serves the connection until either side ends it, then closes the socket.
    mutating func run() {
        var flow = Flow.goOn
        do {
            if let script = self.core.state.value.scripts[self.number] {
                flow = try self.perform(script)
            } else {
                while flow == .goOn, let request = try self.readRequest() { flow = try self.answer(request) }
            }
        } catch let error as TestingError where error.reason == .malformed {
            self.fail("\(error)")
        } catch {
            // The peer has gone: a reset, or a write to a closed socket. That is its right.
        }
        if flow == .reset || self.ending.isRaised {
            self.socket.reset()
        } else {
            self.finish()
        }
    }

    private mutating func answer(_ request: UpstreamRequest) throws -> Flow {
        let handlers = self.core.state.value.handlers
        let handler = handlers[request.path] ?? handlers["*"]
        let flow = try self.perform(handler?(request) ?? [.respond(.status(404))])
        guard flow == .goOn else { return flow }
        let isLast = request.headers.contains("close", in: "Connection") || request.head.version == "HTTP/1.0"
        return isLast ? .close : .goOn
    }

    private mutating func perform(_ steps: [UpstreamStep]) throws -> Flow {
        for step in steps {
            let flow = try self.perform(step)
            if flow != .goOn { return flow }
        }
        return .goOn
    }

    private mutating func perform(_ step: UpstreamStep) throws -> Flow {
        switch step {
        case .expect(let fits):
            guard let request = try self.readRequest() else { return .close }
            if !fits(request) { self.fail("unexpected request: \(request.method) \(request.target)") }
            return .goOn
        case .respond(let response):
            let flow = try self.write(response.wire(method: self.lastRequest?.method ?? "GET"))
            return flow == .goOn && response.closes ? .close : flow
        case .send(let bytes):
            return try self.write(bytes)
        case .drip(let bytes, let pieceBytes, let interval):
            return try self.drip(bytes[...], pieceBytes: max(1, pieceBytes), every: interval)
        case .delay(let duration):
            return self.flow(after: waitFor([], deadline: Deadline(in: duration), signal: self.ending))
        case .hold(let gate):
            return self.flow(after: waitFor([(gate.signal.descriptor, POLLIN)], deadline: nil, signal: self.ending))
        case .open(let gate):
            // A busy machine carries bytes over loopback later than in the call that sends them: acknowledged, they are there.
            for _ in 0..<1000 where clinux_socket_outq(self.socket.descriptor) > 0 {
                _ = waitFor([], deadline: Deadline(in: .milliseconds(1)), signal: self.ending)
            }
            gate.open()
            return .goOn
        case .stall:
            return self.flow(after: self.socket.wait(for: Int32(CLINUX_EPOLLRDHUP), deadline: nil, signal: self.ending))
        case .halfClose:
            self.socket.shutdownWrite()
            return .goOn
        case .close:
            return .close
        case .reset:
            return .reset
        }
    }

    private func drip(_ bytes: ArraySlice<UInt8>, pieceBytes: Int, every interval: Duration) throws -> Flow {
        var rest = bytes
        while !rest.isEmpty {
            let flow = try self.write([UInt8](rest.prefix(pieceBytes)))
            if flow != .goOn { return flow }
            rest = rest.dropFirst(pieceBytes)
            let wait = waitFor([], deadline: Deadline(in: interval), signal: self.ending)
            if wait == .interrupted { return .reset }
        }
        return .goOn
    }

    private func write(_ bytes: [UInt8]) throws -> Flow {
        self.flow(after: try self.socket.write(bytes, deadline: nil, signal: self.ending))
    }

    private func flow(after wait: StreamSocket.Wait) -> Flow { wait == .interrupted ? .reset : .goOn }

    /// Reads and records the next request; `nil` when the peer has ended the connection, or the upstream is stopped.
    private mutating func readRequest() throws -> UpstreamRequest? {
        while true {
            if try self.reader.takeExpectation() {
                _ = try self.write([UInt8]("HTTP/1.1 100 Continue\r\n\r\n".utf8))
            }
            if let (head, body) = try self.reader.next() { return self.record(head, body) }
            guard self.socket.wait(for: POLLIN, deadline: nil, signal: self.ending) == .ready else { return nil }
            guard let bytes = try self.socket.read() else { continue }
            guard !bytes.isEmpty else {
                if self.reader.isWithinRequest { self.fail("the peer closed within a request") }
                return nil
            }
            self.reader.append(bytes)
        }
    }

    private mutating func record(_ head: RequestHead, _ body: [UInt8]) -> UpstreamRequest {
        self.requestCount += 1
        let (connection, count) = (self.number, self.requestCount)
        let request = self.core.state.update { state -> UpstreamRequest in
            let request = UpstreamRequest(
                number: state.requests.count + 1,
                connection: connection,
                numberOnConnection: count,
                receivedAt: .now,
                head: head,
                body: body
            )
            state.requests.append(request)
            return request
        }
        self.lastRequest = request
        return request
    }

    private func fail(_ message: String) {
        self.core.state.update { $0.failures.append("connection \(self.number): \(message)") }
    }

    /// Closes in order: what was sent arrives even if the peer sent something that was never read, which would
    /// otherwise turn the close into a reset.
    private func finish() {
        self.socket.shutdownWrite()
        let deadline = Deadline(in: .seconds(2))
        while self.socket.wait(for: POLLIN, deadline: deadline, signal: self.ending) == .ready {
            guard let bytes = try? self.socket.read(), !bytes.isEmpty else { break }
        }
        self.socket.close()
    }
}
