// One connection of HTTP/2 (RFC 9113), the server's side, over nghttp2: bytes in, bytes out, and no socket.

import CNGHTTP2

/// What a client did.
package enum HTTP2Event {
    /// The request is there whole, or its body is longer than it may be.
    case complete(HTTP2Stream)
    /// Bytes of a tunnel came: see ``HTTP2Session/takeBytes(of:)``. Or the client has ended its side of it.
    case received(HTTP2Stream)
    /// The stream is no more: reset by either side, or ended by both.
    case closed(HTTP2Stream)
}

/// Why a stream is reset (RFC 9113 §7).
package enum HTTP2Reset: UInt32, Sendable {
    case noError = 0
    case internalError = 2
    case refused = 7
    case cancel = 8
    case enhanceYourCalm = 11
}

/// A connection. Belongs to whoever made it: one thread at a time.
package final class HTTP2Session {
    private(set) var pointer: OpaquePointer?
    let limits: HTTP2Limits
    package internal(set) var streams: [Int32: HTTP2Stream] = [:]
    /// Frames that are to be sent, in order.
    package private(set) var output: [UInt8] = []
    /// What the client did too often; the connection is at its end.
    package internal(set) var overrun: HTTP2Overrun?
    /// Streams that wait for room.
    private var blocked: Set<Int32> = []
    /// Streams whose answers are being sent.
    private var answering: Set<Int32> = []

    /// How long the body after a head may be. Called while bytes are received.
    package var limitBody: (HTTP2Head) -> Int = { _ in 0 }

    var events: [HTTP2Event] = []
    /// Bytes of one stream that are being sent, while that call lasts.
    var next = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Whose they are.
    var sendingStream: Int32 = 0
    var now: Int64
    var bodyBytes = 0
    var continuations = 0
    var resets: FrameBudget
    var settings: FrameBudget
    var pings: FrameBudget
    var priorities: FrameBudget
    var windowUpdates: FrameBudget
    var emptyData: FrameBudget
    var unknown: FrameBudget
    private var isGoingAway = false
    private var scanner = FrameScanner()

    /// `now`: nanoseconds of the monotonic clock.
    ///
    /// - Returns: `nil` for want of memory.
    package init?(limits: HTTP2Limits = HTTP2Limits(), now: Int64) {
        self.limits = limits
        self.now = now
        let budget = FrameBudget(limits, now: now)
        self.resets = budget
        self.settings = budget
        self.pings = budget
        self.priorities = budget
        self.windowUpdates = budget
        self.emptyData = budget
        self.unknown = budget
        var option: OpaquePointer?
        guard nghttp2_option_new(&option) == 0 else { return nil }
        defer { nghttp2_option_del(option) }
        nghttp2_option_set_max_deflate_dynamic_table_size(option, 0)
        nghttp2_option_set_no_closed_streams(option, 1)
        nghttp2_option_set_max_continuations(option, limits.maxContinuations)
        // What a tunnel has received is counted when it is taken, so that a client waits for whoever reads.
        nghttp2_option_set_no_auto_window_update(option, 1)
        let context = Unmanaged.passUnretained(self).toOpaque()
        guard nghttp2_session_server_new2(&self.pointer, Self.callbacks.pointer, context, option) == 0 else {
            return nil
        }
        let entries = [
            Self.setting(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.maxStreams),
            Self.setting(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.maxFieldBytes),
            // RFC 8441.
            Self.setting(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1),
        ]
        guard nghttp2_submit_settings(self.pointer, UInt8(NGHTTP2_FLAG_NONE.rawValue), entries, entries.count) == 0
        else { return nil }
        self.gather()
    }

    deinit {
        nghttp2_session_del(self.pointer)
    }

    private static func setting(_ id: nghttp2_settings_id, _ value: Int) -> nghttp2_settings_entry {
        nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: UInt32(clamping: value))
    }

    /// Takes what arrived.
    ///
    /// - Returns: What the client did; `nil` where the connection is at its end: what ``output`` then holds says why.
    package func receive(_ bytes: UnsafeRawBufferPointer, now: Int64) -> [HTTP2Event]? {
        self.now = now
        guard !bytes.isEmpty else { return [] }
        self.scanner.scan(bytes) { self.began($0) }
        let start = bytes.bindMemory(to: UInt8.self).baseAddress
        let taken = nghttp2_session_mem_recv(self.pointer, start, bytes.count)
        self.gather()
        // Making frames may have been what was too much: each refusal is one.
        if self.overrun != nil {
            nghttp2_session_terminate_session(self.pointer, HTTP2Reset.enhanceYourCalm.rawValue)
            self.gather()
        }
        defer { self.events = [] }
        guard taken == bytes.count, self.overrun == nil, self.isAlive else { return nil }
        return self.events
    }

    /// What happened since bytes were last received.
    package func takeEvents() -> [HTTP2Event] {
        defer { self.events = [] }
        return self.events
    }

    /// Takes the head of a request, which is not kept: a held stream would have the fields of its request for as long as it lasts.
    package func takeHead(of stream: HTTP2Stream) -> HTTP2Head {
        defer { stream.head = HTTP2Head() }
        return stream.head
    }

    /// Takes the body of a request; it is counted until the stream ends.
    package func takeBody(of stream: HTTP2Stream) -> [UInt8] {
        defer { stream.body = [] }
        return stream.body
    }

    /// Takes what has come of a tunnel. The client may send as much again.
    package func takeBytes(of stream: HTTP2Stream) -> [UInt8] {
        let bytes = stream.body
        stream.body = []
        guard !bytes.isEmpty, !stream.isClosed else { return bytes }
        nghttp2_session_consume_stream(self.pointer, stream.id, bytes.count)
        self.gather()
        return bytes
    }

    /// Whether anything is still to be read or written.
    package var isAlive: Bool {
        nghttp2_session_want_read(self.pointer) != 0 || nghttp2_session_want_write(self.pointer) != 0
    }

    /// Takes the frames that are to be sent.
    package func takeOutput() -> [UInt8] {
        defer { self.output = [] }
        return self.output
    }

    /// Forgets ``output``, which was sent, and keeps its memory where that is little.
    package func clearOutput() {
        self.output.removeAll(keepingCapacity: self.output.capacity <= 2 * self.limits.maxOutputBytes)
    }

    /// Gives memory back that frames took, from time to time.
    package func releaseMemory() {
        if self.output.isEmpty { self.output = [] }
    }

    /// Adds frames that are ready to ``output``.
    func gather() {
        while true {
            var bytes: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(self.pointer, &bytes)
            guard count > 0, let bytes else { return }
            self.output.append(contentsOf: UnsafeBufferPointer(start: bytes, count: count))
        }
    }
}

// MARK: - Answers

extension HTTP2Session {
    /// Submits the head of an answer.
    ///
    /// - Returns: `false` where the stream is gone.
    private func submit(_ stream: HTTP2Stream, _ status: Int, _ fields: [HTTP2Field], hasBody: Bool) -> Bool {
        guard !stream.isClosed, !stream.isAnswered else { return false }
        stream.isAnswered = true
        let all = [HTTP2Field(name: Array(":status".utf8), value: Array(String(status).utf8))] + fields
        // One array for all names and values, which stays where it is during the call.
        var bytes = all.flatMap { $0.name + $0.value }
        let result = bytes.withUnsafeMutableBufferPointer { buffer -> Int32 in
            guard let base = buffer.baseAddress else { return -1 }
            var offset = 0
            let pairs = all.map { field -> nghttp2_nv in
                defer { offset += field.name.count + field.value.count }
                return nghttp2_nv(
                    name: base + offset,
                    value: base + offset + field.name.count,
                    namelen: field.name.count,
                    valuelen: field.value.count,
                    flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)
                )
            }
            guard hasBody else { return nghttp2_submit_response(self.pointer, stream.id, pairs, pairs.count, nil) }
            var provider = nghttp2_data_provider()
            provider.source.ptr = Unmanaged.passUnretained(stream).toOpaque()
            provider.read_callback = Self.read
            return nghttp2_submit_response(self.pointer, stream.id, pairs, pairs.count, &provider)
        }
        return result == 0
    }

    /// Answers with a body that is known whole; `nil` for none.
    @discardableResult
    package func answer(_ stream: HTTP2Stream, status: Int, _ fields: [HTTP2Field], body: [UInt8]?, now: Int64) -> Bool
    {
        self.now = now
        stream.progress = now
        stream.answer = body?.isEmpty == false ? body : nil
        stream.isEnding = true
        if stream.answer != nil { self.answering.insert(stream.id) }
        guard self.submit(stream, status, fields, hasBody: body?.isEmpty == false) else { return false }
        self.gather()
        return true
    }

    /// Sends the next part of an answer that was opened, whole: what the windows have no room for waits here. The part before
    /// it has to be gone: see ``HTTP2Stream/unsentCount``. After the part that `isLast` the stream ends.
    package func add(_ part: [UInt8], isLast: Bool, to stream: HTTP2Stream, now: Int64) {
        guard !stream.isClosed else { return }
        self.now = now
        stream.progress = now
        stream.answer = part.isEmpty ? nil : part
        stream.answerStart = 0
        stream.isEnding = isLast
        if stream.answer != nil { self.answering.insert(stream.id) }
        _ = nghttp2_session_resume_data(self.pointer, stream.id)
        self.gather()
    }

    /// Begins an answer whose body is sent piece by piece.
    package func open(_ stream: HTTP2Stream, status: Int, _ fields: [HTTP2Field]) -> Bool {
        guard self.submit(stream, status, fields, hasBody: true) else { return false }
        // A client that leaves a page resets all of its streams at once.
        self.resets.credit(1)
        self.gather()
        return true
    }

    /// Room for a piece, or for a frame of it, in the windows of stream and connection.
    private func hasRoom(for count: Int, on stream: HTTP2Stream) -> Bool {
        let window = min(
            nghttp2_session_get_stream_remote_window_size(self.pointer, stream.id),
            nghttp2_session_get_remote_window_size(self.pointer)
        )
        return Int(window) >= min(count, Self.frameBytes)
    }

    private static let frameBytes = 16 << 10

    /// Sends a piece of an answer that was opened, as far as the windows allow: none of it unless there is room for all, or
    /// for a frame, so that a window that opens byte by byte costs nothing.
    ///
    /// - Returns: How much was taken.
    package func send(_ bytes: UnsafeRawBufferPointer, on stream: HTTP2Stream) -> Int {
        guard !stream.isClosed else { return -1 }
        guard self.output.count < self.limits.maxOutputBytes, self.hasRoom(for: bytes.count, on: stream) else {
            return self.block(stream, for: bytes.count)
        }
        self.next = UnsafeRawBufferPointer(rebasing: bytes.prefix(self.limits.maxOutputBytes))
        self.sendingStream = stream.id
        let offered = self.next.count
        _ = nghttp2_session_resume_data(self.pointer, stream.id)
        self.gather()
        let taken = offered - self.next.count
        self.next = UnsafeRawBufferPointer(start: nil, count: 0)
        guard !stream.isClosed else { return -1 }
        if taken < bytes.count { _ = self.block(stream, for: bytes.count - taken) }
        return taken
    }

    /// Has a stream among those that wait for room.
    ///
    /// - Returns: 0, what was taken.
    package func block(_ stream: HTTP2Stream, for count: Int) -> Int {
        stream.needed = count
        self.blocked.insert(stream.id)
        return 0
    }

    /// Streams that wait for room and have it now.
    package func takeUnblocked() -> [HTTP2Stream] {
        guard !self.blocked.isEmpty, self.output.count < self.limits.maxOutputBytes else { return [] }
        var unblocked: [HTTP2Stream] = []
        for id in self.blocked {
            guard let stream = self.streams[id] else {
                self.blocked.remove(id)
                continue
            }
            guard self.hasRoom(for: stream.needed, on: stream) else { continue }
            self.blocked.remove(id)
            unblocked.append(stream)
        }
        return unblocked
    }

    /// Lets answers go on that waited for ``output`` to be sent.
    package func resumeAnswers(now: Int64) {
        self.now = now
        guard !self.answering.isEmpty else { return }
        for id in self.answering {
            guard let stream = self.streams[id], stream.unsentCount > 0 else {
                self.answering.remove(id)
                continue
            }
            _ = nghttp2_session_resume_data(self.pointer, id)
        }
        self.gather()
    }

    /// Ends an answer that was opened.
    package func end(_ stream: HTTP2Stream) {
        guard !stream.isClosed else { return }
        stream.isEnding = true
        _ = nghttp2_session_resume_data(self.pointer, stream.id)
        self.gather()
    }

    package func reset(_ stream: HTTP2Stream, _ reason: HTTP2Reset) {
        guard !stream.isClosed else { return }
        nghttp2_submit_rst_stream(self.pointer, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.id, reason.rawValue)
        self.gather()
    }

    /// Says GOAWAY, once: streams that are there go on, and no new one is taken.
    package func goAway() {
        guard !self.isGoingAway else { return }
        self.isGoingAway = true
        let last = nghttp2_session_get_last_proc_stream_id(self.pointer)
        nghttp2_submit_goaway(
            self.pointer,
            UInt8(NGHTTP2_FLAG_NONE.rawValue),
            last,
            HTTP2Reset.noError.rawValue,
            nil,
            0
        )
        self.gather()
    }
}
