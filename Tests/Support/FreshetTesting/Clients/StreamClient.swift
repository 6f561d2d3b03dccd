package import EventStream

/// A client of one never-ending response: reads it on a thread of its own, and hands out what is in it.
///
/// `EventStreamClient` reads Server-Sent Events, `LineClient` newline-delimited JSON. It opens its connection at once and
/// does not reconnect. It can be as bad a client as a test needs: stop reading, read slowly, reset. The last reference
/// closes it. Any thread or task may call.
package final class StreamClient<Decoder: StreamItemDecoder>: Sendable {
    private let core: StreamClientCore<Decoder>

    /// Connects to `endpoint` and asks for `path`.
    ///
    /// The headers are sent as given; `Host` and `Accept` are added unless they are there.
    ///
    /// - Throws: `TestingError` when this process has no descriptor left. A server that is not there shows in `end()`.
    package init(
        _ endpoint: Endpoint,
        path: String,
        headers: HeaderFields = [:],
        options: StreamClientOptions = StreamClientOptions(),
        decoder: Decoder
    ) throws {
        var fields = HeaderFields()
        if headers["Host"] == nil { fields.append("Host", endpoint.authority) }
        if headers["Accept"] == nil { fields.append("Accept", Decoder.mediaType) }
        for field in headers.all { fields.append(field.name, bytes: field.bytes) }
        let start = "\(options.method) \(path) HTTP/\(options.version)\r\n"
        self.core = try StreamClientCore(
            endpoint: endpoint,
            request: [UInt8](start.utf8) + fields.wire + [0x0D, 0x0A],
            options: options,
            decoder: decoder
        )
        self.core.start()
    }

    deinit { self.core.command { $0.ending = .close } }

    /// The head of the response.
    ///
    /// - Throws: `TestingError` when none comes.
    package func head(timeout: Duration = .patience) async throws -> ResponseHead {
        let head = await self.core.state.wait(timeout: timeout) { state -> ResponseHead?? in
            if let head = state.head { return .some(head) }
            return state.end == nil ? nil : .some(nil)
        }
        if let head = head ?? nil { return head }
        throw self.failure("no head of a response")
    }

    /// The next item that was not handed out yet; `nil` when the stream has ended, in whatever way.
    ///
    /// - Throws: `TestingError` when there is neither in time.
    package func next(timeout: Duration = .patience) async throws -> Decoder.Item? {
        let next = await self.core.state.wait(timeout: timeout) { state -> Decoder.Item?? in
            if let item = state.items.popFirst() { return .some(item) }
            return state.end == nil ? nil : .some(nil)
        }
        guard let next else { throw self.failure("no further item") }
        return next
    }

    /// The next `count` items.
    ///
    /// - Throws: `TestingError` when there are fewer in time, or in all; those that came are then lost.
    package func next(_ count: Int, timeout: Duration = .patience) async throws -> [Decoder.Item] {
        let items = await self.core.state.wait(timeout: timeout) { state -> [Decoder.Item]? in
            guard state.items.count >= count || state.end != nil else { return nil }
            defer { state.items = state.items.dropFirst(count) }
            return [Decoder.Item](state.items.prefix(count))
        }
        guard let items, items.count == count else { throw self.failure("not \(count) further items") }
        return items
    }

    /// The next item that fits; those before it are dropped.
    ///
    /// - Throws: `TestingError` when none comes in time, or before the end.
    package func next(
        timeout: Duration = .patience,
        where fits: @escaping @Sendable (Decoder.Item) -> Bool
    ) async throws -> Decoder.Item {
        let item = await self.core.state.wait(timeout: timeout) { state -> Decoder.Item?? in
            while let item = state.items.popFirst() {
                if fits(item) { return .some(item) }
            }
            return state.end == nil ? nil : .some(nil)
        }
        if let item = item ?? nil { return item }
        throw self.failure("no item that fits")
    }

    /// How the connection ended.
    ///
    /// - Throws: `TestingError` when it has not, in time.
    package func end(timeout: Duration = .patience) async throws -> StreamEnd {
        guard let end = await self.core.state.wait(timeout: timeout, until: { $0.end }) else {
            throw self.failure("the stream has not ended")
        }
        return end
    }

    /// Waits for the body to hold `text`, a heartbeat say, and returns whether it does.
    package func waitForBody(containing text: String, timeout: Duration = .patience) async -> Bool {
        let needle = [UInt8](text.utf8)
        return await self.core.state.wait(timeout: timeout) { $0.body.contains(needle) ? true : nil } ?? false
    }

    /// Items that were read and not yet handed out.
    package var pendingCount: Int { self.core.state.value.items.count }
    /// All bytes of the connection so far, as received; at most `StreamClientOptions.keptBytes`.
    package var rawBytes: [UInt8] { self.core.state.value.raw }
    /// All bytes of the body so far, without their framing; at most `StreamClientOptions.keptBytes`.
    package var bodyBytes: [UInt8] { self.core.state.value.body }
    /// How many bytes the connection has delivered so far.
    package var receivedByteCount: Int { self.core.state.value.received }
    /// How many chunks the body has had so far.
    package var chunkCount: Int { self.core.state.value.chunks }

    /// Stops reading: the socket fills, then the window closes. Returns once no byte is read any more.
    package func pauseReading() async {
        self.core.command { $0.isPaused = true }
        _ = await self.core.state.wait(timeout: .patience) { $0.isResting || $0.end != nil ? true : nil }
    }

    /// Reads again.
    package func resumeReading() { self.core.command { $0.isPaused = false } }

    /// Closes in order. Returns once it is done.
    package func close() async {
        self.core.command { $0.ending = .close }
        _ = try? await self.end()
    }

    /// Closes so that the server sees a reset. Returns once it is done.
    package func reset() async {
        self.core.command { $0.ending = .reset }
        _ = try? await self.end()
    }

    /// Shuts the sending side and reads on, as a client does that has nothing more to ask.
    package func halfClose() { self.core.command { $0.isHalfClosing = true } }

    private func failure(_ what: String) -> TestingError {
        let state = self.core.state.value
        guard let end = state.end else { return TestingError(.timedOut, "\(what) in time") }
        return TestingError(.connectionEnded, "\(what) before the end: \(end)")
    }
}

/// A client of `text/event-stream`.
package typealias EventStreamClient = StreamClient<EventStreamDecoder>

/// A client of `application/x-ndjson`; an item is a line without its end.
package typealias LineClient = StreamClient<LineDecoder>

extension StreamClient where Decoder == EventStreamDecoder {
    /// Connects to `endpoint` and asks for the event stream at `path`.
    ///
    /// `lastEventID` is sent as `Last-Event-ID`, and is the id of events until one has its own. Throws as the other.
    package convenience init(
        _ endpoint: Endpoint,
        path: String,
        lastEventID: String? = nil,
        headers: HeaderFields = [:],
        options: StreamClientOptions = StreamClientOptions()
    ) throws {
        var headers = headers
        if let lastEventID { headers.append("Last-Event-ID", lastEventID) }
        let decoder = EventStreamDecoder(lastEventID: lastEventID ?? "")
        try self.init(endpoint, path: path, headers: headers, options: options, decoder: decoder)
    }
}

extension StreamClient where Decoder == LineDecoder {
    /// Connects to `endpoint` and asks for the lines at `path`.
    package convenience init(
        _ endpoint: Endpoint,
        path: String,
        headers: HeaderFields = [:],
        options: StreamClientOptions = StreamClientOptions()
    ) throws {
        try self.init(endpoint, path: path, headers: headers, options: options, decoder: LineDecoder())
    }
}

/// How a stream's client behaves.
package struct StreamClientOptions: Sendable {
    package var method = "GET"
    /// `1.1` or `1.0`.
    package var version = "1.1"
    /// `SO_RCVBUF`; the default is the kernel's.
    package var receiveBufferBytes: Int?
    /// At most this many bytes are read at once, with a pause of `readInterval` after each time. Default: 64 KiB.
    package var readBytes = 64 << 10
    /// The default is no pause.
    package var readInterval: Duration?
    /// How many bytes of the connection, and of the body, are kept to look at. Default: 64 MiB.
    package var keptBytes = 64 << 20

    package init() {}
}

/// How a stream came to its end.
package enum StreamEnd: Hashable, Sendable {
    /// The response is whole: the last chunk, the stated length, or the end of a response that has neither.
    case complete
    /// The server closed before the response was whole.
    case truncated
    /// The server reset the connection.
    case reset
    /// This client closed.
    case closedByClient
    /// What came is no proper response, or the connection could not be made.
    case failed(String)
}
