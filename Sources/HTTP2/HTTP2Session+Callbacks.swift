// What nghttp2 calls: while it reads, and while it makes frames.

import CNGHTTP2

extension HTTP2Session {
    /// The callbacks of every session, made once.
    // Set up here, and only read afterwards.
    final class Callbacks: @unchecked Sendable {
        let pointer: OpaquePointer?

        fileprivate init() {
            var callbacks: OpaquePointer?
            nghttp2_session_callbacks_new(&callbacks)
            nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, context in
                guard let frame, let session = HTTP2Session.from(context) else { return 0 }
                session.opened(frame.pointee.hd.stream_id)
                return 0
            }
            nghttp2_session_callbacks_set_on_header_callback(callbacks) {
                _,
                frame,
                name,
                nameCount,
                value,
                valueCount,
                _,
                context in
                guard let frame, let session = HTTP2Session.from(context) else { return 0 }
                session.field(
                    UnsafeBufferPointer(start: name, count: nameCount),
                    UnsafeBufferPointer(start: value, count: valueCount),
                    of: frame.pointee.hd.stream_id
                )
                return 0
            }
            nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, id, bytes, count, context in
                guard let session = HTTP2Session.from(context) else { return 0 }
                session.data(UnsafeBufferPointer(start: bytes, count: count), of: id)
                return 0
            }
            nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, context in
                guard let frame, let session = HTTP2Session.from(context) else { return 0 }
                session.received(frame.pointee.hd)
                return 0
            }
            nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, context in
                guard let frame, let session = HTTP2Session.from(context) else { return 0 }
                session.sent(frame.pointee.hd)
                return 0
            }
            nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, _, context in
                HTTP2Session.from(context)?.closed(id)
                return 0
            }
            self.pointer = callbacks
        }
    }

    static let callbacks = Callbacks()

    private static func from(_ context: UnsafeMutableRawPointer?) -> HTTP2Session? {
        context.map { Unmanaged<HTTP2Session>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Gives the bytes of a DATA frame.
    static let read: nghttp2_data_source_read_callback = { _, _, buffer, capacity, flags, source, context in
        guard let buffer, let flags, let object = source?.pointee.ptr, let session = HTTP2Session.from(context) else {
            return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
        }
        let stream = Unmanaged<HTTP2Stream>.fromOpaque(object).takeUnretainedValue()
        return session.fill(UnsafeMutableBufferPointer(start: buffer, count: capacity), &flags.pointee, from: stream)
    }
}

// MARK: - Reading

extension HTTP2Session {
    private func count(_ budget: ReferenceWritableKeyPath<HTTP2Session, FrameBudget>, as overrun: HTTP2Overrun) {
        if self[keyPath: budget].overruns(now: self.now) { self.overrun = self.overrun ?? overrun }
    }

    /// A frame begins.
    func began(_ header: FrameHeader) {
        switch UInt32(header.kind) {
        case NGHTTP2_DATA.rawValue:
            let isEnd = UInt32(header.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0
            if header.length == 0, !isEnd { self.count(\.emptyData, as: .emptyData) }
        case NGHTTP2_HEADERS.rawValue, NGHTTP2_GOAWAY.rawValue: self.continuations = 0
        case NGHTTP2_CONTINUATION.rawValue:
            self.continuations += 1
            if self.continuations > self.limits.maxContinuations { self.overrun = self.overrun ?? .continuations }
        case NGHTTP2_PRIORITY.rawValue: self.count(\.priorities, as: .priorities)
        case NGHTTP2_RST_STREAM.rawValue: self.count(\.resets, as: .resets)
        case NGHTTP2_SETTINGS.rawValue: self.count(\.settings, as: .settings)
        case NGHTTP2_PING.rawValue: self.count(\.pings, as: .pings)
        case NGHTTP2_WINDOW_UPDATE.rawValue: self.count(\.windowUpdates, as: .windowUpdates)
        case _: self.count(\.unknown, as: .unknown)
        }
    }

    fileprivate func opened(_ id: Int32) {
        guard self.streams[id] == nil else { return }
        self.streams[id] = HTTP2Stream(id: id, now: self.now)
    }

    fileprivate func field(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>, of id: Int32) {
        // Of trailers nothing is kept.
        guard let stream = self.streams[id], !stream.hasHead else { return }
        stream.fieldBytes += name.count + value.count + 32
        guard stream.fieldBytes <= self.limits.maxFieldBytes, stream.head.fields.count < self.limits.maxFields else {
            stream.head.isTooLarge = true
            return
        }
        let bytes = Array(value)
        guard name.first == UInt8(ascii: ":") else {
            return stream.head.fields.append(HTTP2Field(name: Array(name), value: bytes))
        }
        switch String(decoding: name, as: UTF8.self) {
        case ":method": stream.head.method = bytes
        case ":scheme": stream.head.scheme = bytes
        case ":authority": stream.head.authority = bytes
        case ":path": stream.head.path = bytes
        case ":protocol": stream.head.protocolName = bytes
        case _: break
        }
    }

    fileprivate func data(_ bytes: UnsafeBufferPointer<UInt8>, of id: Int32) {
        guard let stream = self.streams[id] else {
            nghttp2_session_consume(self.pointer, id, bytes.count)
            return
        }
        guard !stream.isTunnel else {
            // At most a window of it, which the client may fill again when it was taken.
            nghttp2_session_consume_connection(self.pointer, bytes.count)
            stream.body.append(contentsOf: bytes)
            self.events.append(.received(stream))
            return
        }
        nghttp2_session_consume(self.pointer, id, bytes.count)
        guard !stream.isComplete else { return self.drop(bytes.count, of: stream) }
        let taken = bytes.prefix(stream.bodyLimit - stream.body.count)
        stream.body.append(contentsOf: taken)
        stream.bodyCount += bytes.count
        self.bodyBytes += taken.count
        if self.bodyBytes > self.limits.maxBodyBytes { self.overrun = self.overrun ?? .bodies }
        guard stream.isBodyTooLong else { return }
        stream.isComplete = true
        self.events.append(.complete(stream))
    }

    /// Drops what follows a body that is too long, or whose request was refused by its head. Clients that are told at once to
    /// send no more (RFC 9113 §8.1) lose the answer over it, curl 7.88 among them; so that is said to who sends on and on.
    private func drop(_ count: Int, of stream: HTTP2Stream) {
        stream.droppedCount += count
        guard stream.droppedCount > self.limits.maxDroppedBytes else { return }
        let none = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        nghttp2_submit_rst_stream(self.pointer, none, stream.id, HTTP2Reset.noError.rawValue)
    }

    fileprivate func received(_ header: nghttp2_frame_hd) {
        switch UInt32(header.type) {
        case NGHTTP2_HEADERS.rawValue, NGHTTP2_DATA.rawValue:
            guard let stream = self.streams[header.stream_id] else { return }
            let isEnd = UInt32(header.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0
            stream.hasRemoteEnded = stream.hasRemoteEnded || isEnd
            if isEnd, stream.isTunnel { self.events.append(.received(stream)) }
            guard !stream.isComplete else { return }
            if UInt32(header.type) == NGHTTP2_HEADERS.rawValue, !stream.hasHead {
                stream.hasHead = true
                stream.head.isWhole = isEnd
                stream.isTunnel = stream.head.isTunnel
                stream.bodyLimit = isEnd || stream.isTunnel ? 0 : max(0, self.limitBody(stream.head))
                if stream.isTunnel {
                    stream.isComplete = true
                    self.events.append(.complete(stream))
                    return
                }
            }
            guard isEnd else { return }
            stream.isComplete = true
            self.events.append(.complete(stream))
        case _: break
        }
    }

    fileprivate func closed(_ id: Int32) {
        guard let stream = self.streams.removeValue(forKey: id) else { return }
        stream.isClosed = true
        self.bodyBytes -= min(stream.bodyCount, stream.bodyLimit)
        stream.body = []
        stream.answer = nil
        self.events.append(.closed(stream))
    }
}

// MARK: - Writing

extension HTTP2Session {
    fileprivate func sent(_ header: nghttp2_frame_hd) {
        switch UInt32(header.type) {
        case NGHTTP2_DATA.rawValue:
            self.windowUpdates.credit(self.limits.windowUpdatesPerFrame)
        // What is refused costs as much as what is taken back.
        case NGHTTP2_RST_STREAM.rawValue: self.count(\.resets, as: .resets)
        case _: break
        }
    }

    fileprivate func fill(
        _ buffer: UnsafeMutableBufferPointer<UInt8>,
        _ flags: inout UInt32,
        from stream: HTTP2Stream
    ) -> Int {
        let deferred = Int(NGHTTP2_ERR_DEFERRED.rawValue)
        if let answer = stream.answer {
            guard self.output.count < self.limits.maxOutputBytes else { return deferred }
            let count = min(buffer.count, answer.count - stream.answerStart)
            answer.withUnsafeBytes { bytes in
                UnsafeMutableRawBufferPointer(buffer)
                    .copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: bytes[stream.answerStart..<stream.answerStart + count])
                    )
            }
            stream.answerStart += count
            stream.progress = self.now
            if stream.answerStart == answer.count {
                if stream.isEnding { flags |= NGHTTP2_DATA_FLAG_EOF.rawValue }
                stream.answer = nil
                stream.answerStart = 0
            }
            return count
        }
        guard stream.id != self.sendingStream || self.next.isEmpty else {
            let count = min(buffer.count, self.next.count)
            UnsafeMutableRawBufferPointer(buffer).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: self.next[..<count])
            )
            self.next = UnsafeRawBufferPointer(rebasing: self.next[count...])
            return count
        }
        guard stream.isEnding else { return deferred }
        flags |= NGHTTP2_DATA_FLAG_EOF.rawValue
        return 0
    }
}
